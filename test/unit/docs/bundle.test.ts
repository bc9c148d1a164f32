// The build of the documentation, from pages that are made here and from the real ones.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import MiniSearch from "minisearch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { INDEX_OPTIONS } from "../../../src/docs/search-index.ts";
import { bundleDocs, type DocsBundle } from "../../../src/self-host/docs-bundle.ts";

const SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"></svg>';
const BESIDE = {
  "PROTOCOL.md": "# Protocol\n\n## HTTP\n\nEverything.\n",
  "SPEC.md": "# Rules\n\n- **LOG-1** One.\n",
  "ARCHITECTURE.md": "# Architecture\n\nSee [the rules](SPEC.md#LOG-1).\n",
  "CHANGELOG.md": "# Changelog\n",
};
const LIST = `# Docs

Intro with a [link](groups.md) that is no entry.

## Begin

- [Consumer groups](groups.md): shared work

## Look up

- [The protocol](../PROTOCOL.md): every message
- [Rules](../SPEC.md)
- [Architecture](../ARCHITECTURE.md)
- [Changes](../CHANGELOG.md)
- [The console](http://127.0.0.1:8787/console)
`;
const GROUPS = `# Consumer groups

![Members](pictures/members.svg)

## Rewind

[LOG-1] [above](#consumer-groups) [HTTP](../PROTOCOL.md#http) [index](README.md) [folder](../docs)
[limits](../src/limits.ts) [console](http://127.0.0.1:8787/console/learn) [far](https://example.com/a?b=1&c)
[mail](mailto:a@example.com)
`;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Builds the documentation from these files, besides the usual ones. Null leaves one out. */
async function built(changed: Readonly<Record<string, string | null>> = {}): Promise<DocsBundle> {
  const root = mkdtempSync(join(tmpdir(), "rivulet-docs-"));
  folders.push(root);
  const files: Record<string, string | null> = {
    ...BESIDE,
    "docs/README.md": LIST,
    "docs/groups.md": GROUPS,
    "docs/pictures/members.svg": SVG,
    "src/limits.ts": "",
    ...changed,
  };
  for (const [path, text] of Object.entries(files)) {
    if (text === null) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return await bundleDocs(root);
}

const textOf = ({ files }: DocsBundle, name: string) =>
  files.find((file) => file.name === name)?.text ?? "";

describe("pages", () => {
  let bundle: DocsBundle;
  beforeAll(async () => {
    bundle = await built();
  });

  test("[DOC-3] there is one for each file, and no fault", () => {
    expect(bundle.faults).toEqual([]);
    const names = bundle.files.map(({ name }) => name).filter((name) => !name.includes("/"));
    expect(names).toEqual(["", "groups", "protocol", "spec", "architecture", "changelog"]);
  });

  test("[DOC-5] links lead to pages and their anchors, and to nothing outside but what says so", () => {
    const text = textOf(bundle, "groups");
    for (const expected of [
      '<a class="rule" href="/docs/spec#LOG-1">[LOG-1]</a>',
      '<a href="#consumer-groups">above</a>',
      '<a href="/docs/protocol#http">HTTP</a>',
      '<a href="/docs">index</a>',
      '<a href="/docs">folder</a>',
      "limits (<code>src/limits.ts</code>)",
      '<a href="/console/learn">console</a>',
      '<a href="https://example.com/a?b=1&amp;c">far</a>',
      '<a href="mailto:a@example.com">mail</a>',
      '<img src="/docs/pictures/members.svg" alt="Members" width="40" height="20"></span>',
    ])
      expect(text).toContain(expected);
    expect(textOf(bundle, "architecture")).toContain('<a href="/docs/spec#LOG-1">the rules</a>');
  });

  test("[DOC-3] the list at the side has the order and the groups of docs/README.md, and the API", () => {
    const [menu = ""] =
      /<nav aria-label="Pages">[\s\S]*?<\/nav>/.exec(textOf(bundle, "groups")) ?? [];
    const shown = [
      ...menu.matchAll(/<h2>(.*?)<\/h2>|href="(.*?)"( aria-current="page")?>(.*?)</g),
    ].map(
      ([, group, href, current, label]) => group ?? `${href} ${label}${current ? " (here)" : ""}`,
    );
    expect(shown).toEqual([
      "Begin",
      "/docs/groups Consumer groups (here)",
      "Look up",
      "/docs/api HTTP API reference",
      "/docs/protocol The protocol",
      "/docs/spec Rules",
      "/docs/architecture Architecture",
      "/docs/changelog Changes",
    ]);
  });

  test("[DOC-3] the list may say itself where the API stands", async () => {
    const list = LIST.replace(
      "## Look up",
      "- [HTTP API](http://127.0.0.1:8787/docs/api): try it\n\n## Look up",
    );
    const { files, faults } = await built({ "docs/README.md": list });
    const text = files[0]?.text ?? "";
    expect(faults).toEqual([]);
    expect(text).toContain('<li><a href="/docs/api">HTTP API</a></li></ul>\n<h2>Look up</h2>');
    expect(text).not.toContain("HTTP API reference");
  });

  test("[DOC-4] nothing in a page is a script or a style of its own", () => {
    for (const { name, type, text } of bundle.files) {
      if (!type.startsWith("text/html")) continue;
      expect(text, name).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:/);
      for (const [, attributes = ""] of text.matchAll(/<script\b([^>]*)>/g))
        expect(attributes).toMatch(/ src="\/docs\/assets\/[\w-]+\.js"$/);
    }
  });

  test("[DOC-4] a page names nothing that is not served with it", () => {
    const served = new Set(bundle.files.map(({ name }) => `/docs/${name}`));
    const named = [
      ...textOf(bundle, "groups").matchAll(
        /(?:src|data-index|href)="(\/docs\/(?:assets|pictures)\/[^"]+)"/g,
      ),
    ];
    expect(named.length).toBeGreaterThan(5);
    for (const [, path = ""] of named) expect([...served]).toContain(path);
  });

  test("[DOC-3] assets have the hashes of their contents in their names", async () => {
    const again = await built();
    const names = ({ files }: DocsBundle) => files.map(({ name }) => name);
    expect(names(again)).toEqual(names(bundle));
    for (const { name, hash } of bundle.files)
      if (name.startsWith("assets/")) expect(name).toContain(hash);
    const other = await built({ "docs/groups.md": `${GROUPS}\nMore.\n` });
    const changed = names(other).filter((name) => !names(bundle).includes(name));
    expect(changed).toEqual([expect.stringMatching(/^assets\/search-[0-9a-f]{16}\.json$/)]);
  });

  test("[DOC-6] the index has each section, with its address", () => {
    const file = bundle.files.find(({ name }) => name.endsWith(".json"));
    const index = MiniSearch.loadJSON(file?.text ?? "", INDEX_OPTIONS);
    expect(index.search("rewind").map(({ id, page }) => [id, page])).toEqual([
      ["/docs/groups#rewind", "Consumer groups"],
    ]);
    expect(index.search("members").length).toBe(0); // It is only the text of a picture.
    expect(index.search("Everything").map(({ id }) => id)).toEqual(["/docs/protocol#http"]);
  });
});

describe("faults", () => {
  test.each<[string, Record<string, string | null>, string]>([
    [
      "a link to a page that does not exist",
      { "docs/groups.md": "# G\n\n[x](gone.md)\n" },
      "docs/groups.md: the link gone.md leads nowhere",
    ],
    [
      "a link to an anchor that does not exist",
      { "docs/groups.md": "# G\n\n[x](../PROTOCOL.md#gone)\n" },
      "docs/groups.md: the link ../PROTOCOL.md#gone leads nowhere",
    ],
    [
      "a link to an anchor of the page itself that does not exist",
      { "docs/groups.md": "# G\n\n[x](#gone)\n" },
      "docs/groups.md: the link #gone leads nowhere",
    ],
    [
      "a link to a file that does not exist",
      { "docs/groups.md": "# G\n\n[x](../src/gone.ts)\n" },
      "docs/groups.md: the link ../src/gone.ts leads nowhere",
    ],
    [
      "a link to a page of the reader's broker that does not exist",
      { "docs/groups.md": "# G\n\n[x](http://127.0.0.1:8787/docs/gone)\n" },
      "docs/groups.md: the link http://127.0.0.1:8787/docs/gone leads nowhere",
    ],
    [
      "a link out of the repository",
      { "docs/groups.md": "# G\n\n[x](../../etc)\n" },
      "docs/groups.md: the link ../../etc leads nowhere",
    ],
    ...[
      "javascript:alert(1)",
      "JavaScript:alert(1)",
      "data:text/html,x",
      "vbscript:x",
      "view-source:x",
    ].map((href): [string, Record<string, string>, string] => [
      `a link to ${href}`,
      { "docs/groups.md": `# G\n\n[x](${href})\n` },
      `docs/groups.md: the link ${href} leads nowhere`,
    ]),
    ...["//example.com", "/\\\\example.com", "//"].map(
      (path): [string, Record<string, string>, string] => [
        `a link to another host that looks like the reader's broker: ${path}`,
        { "docs/groups.md": `# G\n\n[x](http://127.0.0.1:8787${path})\n` },
        `docs/groups.md: the link http://127.0.0.1:8787${path.replace("\\\\", "\\")} leads nowhere`,
      ],
    ),
    [
      "a heading in a quote",
      { "docs/groups.md": "# G\n\n> ## In a quote\n\n## After\n" },
      'docs/groups.md: the heading "In a quote" is within a list or a quote, it must not be',
    ],
    [
      "a heading in a list",
      { "docs/groups.md": "# G\n\n- ## In a list\n" },
      'docs/groups.md: the heading "In a list" is within a list or a quote, it must not be',
    ],
    ...[">".repeat(100), ">".repeat(5_000), "- ".repeat(100), "1. ".repeat(2_000)].map(
      (deep): [string, Record<string, string>, string] => [
        `${deep.length} characters that nest`,
        { "docs/groups.md": `# G\n\n${deep} x\n` },
        "docs/groups.md: it is nested more than 50 levels deep",
      ],
    ),
    [
      "a page that is not in the list",
      { "docs/more.md": "# More\n" },
      "docs/more.md: docs/README.md lists it 0 times, it must be once",
    ],
    [
      "a page that is in the list twice",
      { "docs/README.md": `${LIST}- [Again](groups.md)\n` },
      "docs/groups.md: docs/README.md lists it 2 times, it must be once",
    ],
    [
      "a page without a title",
      { "docs/groups.md": "Text.\n" },
      "docs/groups.md: it has 0 headings of the first level, it must have one",
    ],
    [
      "a page with two titles",
      { "docs/groups.md": "# A\n\n# B\n" },
      "docs/groups.md: it has 2 headings of the first level, it must have one",
    ],
    [
      "a page whose name is taken",
      { "docs/api.md": "# API\n" },
      "docs/api.md: no page may be named api",
    ],
    [
      "two pages of one name",
      { "docs/spec.md": "# Other rules\n" },
      "docs/spec.md: another page is named spec",
    ],
    [
      "a picture that does not say how large it is",
      { "docs/pictures/members.svg": "<svg></svg>" },
      "docs/pictures/members.svg: it must be an SVG with a viewBox",
    ],
  ])("[DOC-5] %s", async (_, changed, fault) => {
    expect((await built(changed)).faults).toContain(fault);
  });
});

test("[DOC-5] the documentation of this release has no faults", async () => {
  expect((await bundleDocs()).faults).toEqual([]);
});

const MAX_FIRST_BYTES = 15_000;

test("[DOC-4] what a page loads before anybody searches or tries is small", async () => {
  const bundle = await bundleDocs();
  const page = textOf(bundle, "");
  const loaded = [...page.matchAll(/(?:src|rel="stylesheet" href)="\/docs\/(assets\/[^"]+)"/g)].map(
    ([, name = ""]) => textOf(bundle, name),
  );
  expect(loaded).toHaveLength(3);
  const bytes = [page, ...loaded].reduce((sum, text) => sum + gzipSync(text).length, 0);
  expect(bytes).toBeLessThanOrEqual(MAX_FIRST_BYTES);
});
