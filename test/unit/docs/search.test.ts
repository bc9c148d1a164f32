import { describe, expect, test } from "vitest";
import { snippetOf } from "../../../src/docs/search.ts";

const marked = (body: string, words: string[]) =>
  snippetOf(body, words)
    .map(({ text, isMatch }) => (isMatch ? `[${text}]` : text))
    .join("");

describe("a snippet", () => {
  test("[DOC-6] marks the words that were found, however they are written", () => {
    expect(marked("Offsets: the OFFSET of a group.", ["offset", "group"])).toBe(
      "[Offset]s: the [OFFSET] of a [group].",
    );
  });

  test("[DOC-6] begins and ends at words, around the first that was found", () => {
    const body = `${"before ".repeat(30)}needle${" after".repeat(60)}`;
    const text = marked(body, ["needle"]);
    expect(text).toMatch(/^… (before ){5,6}\[needle\]( after)+ …$/);
    expect(text.length).toBeLessThan(200);
  });

  test("[DOC-6] is the beginning where only the title was found, or nothing", () => {
    expect(marked("A short text.", ["elsewhere"])).toBe("A short text.");
    expect(marked("A short text.", [])).toBe("A short text.");
    expect(marked("", ["x"])).toBe("");
  });

  test("[DOC-6] takes signs of patterns for what they are", () => {
    expect(marked("a.b (c) a+b", ["a.b", "(c"])).toBe("[a.b] [(c]) a+b");
  });
});
