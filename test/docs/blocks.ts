// The code blocks of a Markdown page, and how each of them is to be run. Words behind the language say so:
//
//   ```sh                     run in a shell; the exit code must be 0, and a `text` block right behind it is the output
//   ```sh background="ready"  started, and left running until the page ends, once it has printed this
//   ```sh background="ready" broker  the same, and it is a broker, which the rest of the page uses
//   ```sh exit=1              must end with this code
//   ```ts                     run as a program of its own, like `sh`; js, python, go and java too
//   ```ts from=FILE           an excerpt: the block stands in this file of the repository, which other tests run
//   ```sh not-run="why"       not run here; the reason is one of NOT_RUN
//
// In a `text` block `…` stands for any text within a line, and a line `…` for any lines.

export interface Block {
  readonly language: string;
  /** The words behind the language, by name. A word without a value has the value "". */
  readonly words: Readonly<Record<string, string>>;
  readonly text: string;
  /** The line of the opening fence, from 1. */
  readonly line: number;
  /** The expected output: the `text` block right behind this one. */
  readonly output?: string;
}

/** The reasons for which a block may be left out. */
export const NOT_RUN: readonly string[] = [
  "needs a Cloudflare account",
  "needs a container engine",
  "npm run test:examples runs it",
  "npm run test:package runs it",
  "changes this machine",
];

const WORDS = new Set(["background", "broker", "exit", "from", "not-run"]);

/** Returns the blocks of a page. Throws for a fence that is not closed, and for a word that means nothing. */
export function blocksOf(page: string): Block[] {
  const lines = page.split("\n");
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, indent = "", fence, language = "", rest = ""] =
      /^(\s*)(`{3,})([\w-]*) ?(.*)$/.exec(lines[at] ?? "") ?? [];
    if (fence === undefined) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === fence);
    if (end < 0) throw new Error(`line ${at + 1}: the block is not closed`);
    const text = lines
      .slice(at + 1, end)
      .map((line) => line.slice(indent.length))
      .join("\n");
    blocks.push({ language, words: wordsOf(rest, at + 1), text, line: at + 1 });
    at = end;
  }
  return blocks.map((block, index) => {
    const next = blocks[index + 1];
    const end = block.line + block.text.split("\n").length + 1;
    const isOutput = next?.language === "text" && lines.slice(end, next.line - 1).join("") === "";
    return isOutput ? { ...block, output: next.text } : block;
  });
}

function wordsOf(rest: string, line: number): Record<string, string> {
  const words: Record<string, string> = {};
  for (const [, name = "", quoted, bare] of rest.matchAll(/([\w-]+)(?:="([^"]*)"|=(\S+))?/g)) {
    if (!WORDS.has(name))
      throw new Error(`line ${line}: "${name}" means nothing behind a language`);
    words[name] = quoted ?? bare ?? "";
  }
  const reason = words["not-run"];
  if (reason !== undefined && !NOT_RUN.includes(reason))
    throw new Error(`line ${line}: "${reason}" is no reason that a block may be left out for`);
  return words;
}

/** True if the output is as expected: `…` stands for any text within a line, and a line of it for any lines. */
export function isOutput(printed: string, expected: string): boolean {
  const lines = linesOf(printed);
  // The numbers of printed lines that the expected lines so far may have matched.
  let matched = new Set([0]);
  for (const expectedLine of linesOf(expected)) {
    const next = new Set<number>();
    for (const count of matched) {
      if (expectedLine === ANY) for (let end = count; end <= lines.length; end++) next.add(end);
      else if (isLine(lines[count], expectedLine)) next.add(count + 1);
    }
    matched = next;
  }
  return matched.has(lines.length);
}

const ANY = "…";

function linesOf(text: string): string[] {
  return text.trim() === ""
    ? []
    : text
        .trim()
        .split("\n")
        .map((line) => line.trimEnd());
}

function isLine(line: string | undefined, expected: string): boolean {
  if (line === undefined) return false;
  const [first = "", ...rest] = expected.split(ANY);
  const last = rest.pop();
  if (last === undefined) return line === first;
  if (!line.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = line.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return line.length - last.length >= at && line.endsWith(last);
}
