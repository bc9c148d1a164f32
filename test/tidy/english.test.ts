// The two habits of style that a program can check. The rest of CONTRIBUTING.md's part on style takes a reader.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { filesBelow } from "./files.ts";

const FOLDERS = ["src", "durable-objects", "test", "examples", "templates"];
const NO_BEGINNING = /^(Of|What|Those|Whether|Whoever|Who|Which|How)\b/;
const MOST_WORDS = 25;

/** Returns the first lines of the comments of a program, with their line numbers. */
function beginnings(program: string): { line: number; text: string }[] {
  const lines = program.split("\n").map((text) => text.trim());
  return lines.flatMap((text, at) => {
    const before = lines[at - 1] ?? "";
    const [, slashes] = /^\/\/ (.*)/.exec(text) ?? [];
    const [, block] = /^\/\*\*? (.*)/.exec(text) ?? [];
    const [, starred] = before === "/**" ? (/^\* (.*)/.exec(text) ?? []) : [];
    const own = slashes !== undefined && before.startsWith("//") ? undefined : slashes;
    const begins = own ?? block ?? starred;
    return begins === undefined ? [] : [{ line: at + 1, text: begins }];
  });
}

/** Returns the sentences of a page, without its code. A colon and a semicolon end one, too. */
function sentences(page: string): string[] {
  return page
    .replaceAll(/^\s*```[\s\S]*?^\s*```$/gm, "")
    .split(/\n\s*\n|\n(?=\s*[-#|]|\s*\d+\. )|\|/)
    .map((part) => part.replaceAll(/`[^`]*`/g, "code").replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1"))
    .flatMap((part) =>
      part
        .replaceAll(/\s+/g, " ")
        .trim()
        .split(/(?<=[.!?:;])\s+/),
    )
    .filter((sentence) => sentence !== "");
}

describe("English", () => {
  test("[SYS-11] no comment begins with a word that hides its subject", () => {
    const files = FOLDERS.flatMap(filesBelow).filter((file) => /\.(ts|tsx|js)$/.test(file));
    expect(files.length).toBeGreaterThan(500);
    const found = files.flatMap((file) =>
      beginnings(readFileSync(file, "utf8"))
        .filter(({ text }) => NO_BEGINNING.test(text))
        .map(({ line, text }) => `${file}:${line} ${text}`),
    );
    expect(found).toEqual([]);
  });

  test("[SYS-11] no sentence of README.md or docs/ is too long", () => {
    const pages = readdirSync("docs").filter((name) => name.endsWith(".md"));
    const found = ["README.md", "CONTRIBUTING.md", ...pages.map((name) => `docs/${name}`)].flatMap(
      (file) =>
        sentences(readFileSync(file, "utf8"))
          .filter((sentence) => sentence.split(" ").length > MOST_WORDS)
          .map((sentence) => `${file}: ${sentence}`),
    );
    expect(found).toEqual([]);
  });

  test.each<[string, number]>([
    ["// What it is.", 1],
    ["const a = 1;\n/** Whoever reads. */", 1],
    ["/**\n * Of a topic.\n */", 1],
    ["// It says\n// what it is.\n// What it does.", 0],
    ["/** The topic.\n * Of nothing. */", 0],
  ])("[SYS-11] in %j there are %i such beginnings", (program, count) => {
    const found = beginnings(program).filter(({ text }) => NO_BEGINNING.test(text));
    expect(found).toHaveLength(count);
  });
});
