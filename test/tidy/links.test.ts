// Links between the Markdown files of the repository, as they work where it is read: files and headings exist.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { Marked, type Token } from "marked";
import { expect, test } from "vitest";
import { parseMarkdown } from "../../src/self-host/docs-markdown.ts";
import { filesBelow } from "./files.ts";

const FILES = [
  ...readdirSync("."),
  ...["docs", "examples", "ops"].flatMap((folder) => filesBelow(folder)),
].filter((file) => file.endsWith(".md") && !file.includes("node_modules/"));

const marked = new Marked({ gfm: true });
const textOf = (file: string) => readFileSync(file, "utf8");

/** Returns the addresses of a text's links and pictures. */
function linksIn(text: string): string[] {
  const links: string[] = [];
  marked.walkTokens(marked.lexer(text), (token: Token) => {
    if (token.type === "link" || token.type === "image") links.push(String(token.href));
  });
  return links;
}

/** Returns what is wrong with a link of a file, or null. */
function faultOf(file: string, href: string, read: (file: string) => string): string | null {
  if (/^[a-z][a-z+.-]*:/i.test(href)) return null;
  const [path = "", anchor] = href.split("#");
  const target = path === "" ? file : normalize(join(dirname(file), decodeURI(path)));
  if (target.startsWith("..") || !existsSync(target)) return `${file}: ${href} does not exist`;
  if (anchor === undefined) return null;
  // On GitHub the rules of SPEC.md have no anchors of their own.
  const isHeading =
    statSync(target).isFile() &&
    target.endsWith(".md") &&
    parseMarkdown(read(target)).headings.some(({ id }) => id === anchor);
  return isHeading ? null : `${file}: ${href} is not a heading there`;
}

test("[DOC-5] links in Markdown lead to files and headings that exist", () => {
  const faults = FILES.flatMap((file) =>
    linksIn(textOf(file)).flatMap((href) => faultOf(file, href, textOf) ?? []),
  );
  expect(faults).toEqual([]);
  expect(FILES.length).toBeGreaterThan(6);
});

test("[DOC-5] a dead link would be seen", () => {
  expect(linksIn("[a](x.md) ![b](y.svg) <https://example.com> `[c](z.md)`")).toEqual([
    "x.md",
    "y.svg",
    "https://example.com",
  ]);
  expect(faultOf("README.md", "gone.md", textOf)).toContain("does not exist");
  expect(faultOf("README.md", "../etc", textOf)).toContain("does not exist");
  expect(faultOf("README.md", "SPEC.md#gone", textOf)).toContain("is not a heading");
  expect(faultOf("README.md", "SPEC.md#the-log-log", textOf)).toBe(null);
});
