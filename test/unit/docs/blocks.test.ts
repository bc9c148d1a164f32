import { describe, expect, test } from "vitest";
import { blocksOf, isOutput } from "../../docs/blocks.ts";

const page = (...lines: string[]) => lines.join("\n");

describe("blocks", () => {
  test("[EXA-3] a block has its language, its words, its text, and the output right behind it", () => {
    const text = page(
      "# A",
      "```sh exit=1",
      "ls",
      "```",
      "",
      "```text",
      "no",
      "```",
      "```ts",
      "1",
      "```",
    );
    expect(blocksOf(text)).toEqual([
      { language: "sh", words: { exit: "1" }, text: "ls", line: 2, output: "no" },
      { language: "text", words: {}, text: "no", line: 6 },
      { language: "ts", words: {}, text: "1", line: 9 },
    ]);
  });

  test("[EXA-3] a block in a list is read without its indentation", () => {
    expect(blocksOf(page("1. A", "   ```sh", "   a", "     b", "   ```"))[0]?.text).toBe("a\n  b");
  });

  test("[EXA-3] an open block, an unknown word and an unknown reason are errors", () => {
    expect(() => blocksOf("```sh\nls")).toThrow("line 1: the block is not closed");
    expect(() => blocksOf("```sh skip\n```")).toThrow('"skip" means nothing');
    expect(() => blocksOf('```sh not-run="later"\n```')).toThrow('"later" is no reason');
  });
});

describe("output", () => {
  test.each<[string, string, boolean]>([
    ["a", "a\n", true],
    ["a", "b", false],
    ["a\nb", "a", false],
    ["a", "a\nb", false],
    ["a 17 b", "a … b", true],
    ["a 17 b", "a …", true],
    ["ab", "a…b", true],
    ["a", "a…a", false],
    ["a b a", "a…a", true],
    ["1\n2\n3", "…", true],
    ["", "…", true],
    ["1\n2\n3", "1\n…\n3", true],
    ["1\n3", "1\n…\n3", true],
    ["1\n2\n3", "1\n…\n4", false],
    ["1\n2\n1\n2", "…\n1\n2", true],
  ])("[EXA-3] %j and what a page says, %j: %s", (printed, expected, matches) => {
    expect(isOutput(printed, expected)).toBe(matches);
  });

  test("[EXA-3] many lines and many wildcards are compared in no time", () => {
    const printed = Array.from({ length: 2_000 }, (_, line) => `line ${line}`).join("\n");
    expect(isOutput(printed, `${"…\nline …\n".repeat(20)}…\nnone`)).toBe(false);
  });
});
