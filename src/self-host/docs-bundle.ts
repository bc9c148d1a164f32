// Builds the documentation to files that lie in the Worker's bundle: a page for each file of docs/ and for the documents beside
// it, pictures, an index for the search, and the scripts and the style of src/docs. docs/README.md is the first page, and its
// list of links is the order of all. The Worker imports the files as the module rivulet:docs.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, normalize } from "node:path";
import * as esbuild from "esbuild";
import type { Token, Tokens } from "marked";
import MiniSearch from "minisearch";
import { INDEX_OPTIONS, type IndexedSection } from "../docs/search-index.ts";
import {
  type BrowserFile,
  type BuiltModule,
  buildProgram,
  hashedFile,
  hashOf,
  ICON,
  licensesFile,
  pageOf,
  ROOT,
} from "./browser-files.ts";
import {
  escaped,
  MarkdownError,
  type Parsed,
  type Picture,
  parseMarkdown,
  plainText,
  renderMarkdown,
  sectionsOf,
  type Target,
} from "./docs-markdown.ts";

/** The folder of the pages and pictures. */
const FOLDER = "docs";
const INDEX = `${FOLDER}/README.md`;
/** Documents beside the folder that are pages too. */
const BESIDE = ["PROTOCOL.md", "SPEC.md", "ARCHITECTURE.md", "CHANGELOG.md"];
const PICTURES = "pictures";
/** A page that has no Markdown: the Worker makes it of what describes the HTTP API. */
const API = { name: "api", title: "HTTP API reference" };
/** Names below /docs that no page may have. */
const TAKEN = [API.name, "assets", PICTURES, "openapi"];
/** An address on the reader's own broker. The site's own address is another one perhaps. */
const LOCAL = "http://127.0.0.1:8787";

export interface DocsBundle {
  /** Their names are below /docs: those of pages, assets/… and pictures/…. */
  readonly files: readonly BrowserFile[];
  readonly frames: Frames;
  readonly faults: readonly string[];
}

/** A page whose middle the Worker fills in. */
export interface Frame {
  readonly before: string;
  readonly after: string;
}

export interface Frames {
  /** The page /docs/api, from behind the list of pages on. */
  readonly api: Frame;
  /** The answer to a path that has no page. */
  readonly missing: Frame;
  /** The page at the broker's address itself. */
  readonly start: Frame;
}

interface Page {
  /** The file, from the root: docs/kafka.md. */
  readonly file: string;
  /** The name below /docs. It is empty for the first page. */
  readonly name: string;
  readonly title: string;
  readonly parsed: Parsed;
}

/** An entry of the list of pages. */
interface Entry {
  readonly href: string;
  readonly label: string;
}

interface Group {
  readonly title: string;
  readonly entries: Entry[];
}

/** Builds the documentation of a folder that has docs/. Throws if a page cannot be read, or a source does not compile. */
export async function bundleDocs(root = ROOT): Promise<DocsBundle> {
  const faults: string[] = [];
  const [pages, pictures, assets] = await Promise.all([
    readPages(root, faults),
    readPictures(root, faults),
    buildAssets(),
  ]);
  const groups = groupsOf(pages, faults);
  const index = searchIndex(pages);
  const site: Site = { groups, assets, index: `/docs/assets/${index.name}` };
  const byFile = new Map(pages.map((page) => [page.file, page]));
  const rules = byFile.get("SPEC.md");
  const htmlOf = (page: Page) =>
    renderMarkdown(page.parsed, {
      link: (href) => targetOf(href, page, { root, byFile }),
      picture: (src) => pictures.get(normalize(join(dirname(page.file), src)))?.picture ?? null,
      rule: (id) => (rules?.parsed.anchors.has(id) ? `${addressOf(rules)}#${id}` : null),
      fault: (what) => faults.push(`${page.file}: ${what}`),
    });
  return {
    files: [
      ...pages.map((page) => pageOf(page.name, pageWith(site, page, htmlOf(page)))),
      ...[...assets.files, index].map((file) => ({ ...file, name: `assets/${file.name}` })),
      ...Array.from(pictures.values(), ({ file }) => file),
    ],
    frames: {
      api: frameOf((middle) => apiPage(site, middle)),
      missing: frameOf((middle) => missingPage(site, middle)),
      start: frameOf((middle) => startPage(site, middle)),
    },
    faults,
  };
}

async function readPages(root: string, faults: string[]): Promise<Page[]> {
  const names = (await readdir(join(root, FOLDER))).filter((name) => name.endsWith(".md")).sort();
  const files = [...names.map((name) => `${FOLDER}/${name}`), ...BESIDE];
  const pages = await Promise.all(
    files.map(async (file) => {
      const parsed = parsedOf(await readFile(join(root, file), "utf8"), file, faults);
      const titles = parsed.headings.filter(({ depth }) => depth === 1);
      if (titles.length !== 1)
        faults.push(
          `${file}: it has ${titles.length} headings of the first level, it must have one`,
        );
      const name = file === INDEX ? "" : basename(file, ".md").toLowerCase();
      if (TAKEN.includes(name)) faults.push(`${file}: no page may be named ${name}`);
      return { file, name, title: titles[0]?.text ?? name, parsed };
    }),
  );
  for (const { file, name } of pages)
    if (pages.filter((each) => each.name === name).length > 1)
      faults.push(`${file}: another page is named ${name || "like the folder"}`);
  return pages;
}

/** Reads a page. One that cannot be read is a fault, and has its file's name for a title and no text. */
function parsedOf(text: string, file: string, faults: string[]): Parsed {
  try {
    return parseMarkdown(text);
  } catch (error) {
    if (!(error instanceof MarkdownError)) throw error;
    faults.push(`${file}: ${error.message}`);
    return parseMarkdown(`# ${basename(file)}\n`);
  }
}

interface ServedPicture {
  readonly picture: Picture;
  readonly file: BrowserFile;
}

/** Returns the pictures by their files. A picture is an SVG that says how large it is. */
async function readPictures(root: string, faults: string[]): Promise<Map<string, ServedPicture>> {
  const folder = `${FOLDER}/${PICTURES}`;
  const names = await readdir(join(root, folder)).catch(() => []);
  const pictures = new Map<string, ServedPicture>();
  for (const name of names.sort()) {
    const path = `${folder}/${name}`;
    const text = await readFile(join(root, path), "utf8");
    const size = /<svg\b[^>]*\sviewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"/.exec(text);
    if (!name.endsWith(".svg") || size === null) {
      faults.push(`${path}: it must be an SVG with a viewBox`);
      continue;
    }
    const served = `${PICTURES}/${name}`;
    pictures.set(path, {
      picture: { src: `/docs/${served}`, width: Number(size[1]), height: Number(size[2]) },
      file: { name: served, type: "image/svg+xml", text, hash: hashOf(text) },
    });
  }
  return pictures;
}

function addressOf({ name }: Page): string {
  return name === "" ? "/docs" : `/docs/${name}`;
}

/** Resolves a link of a page. Returns null if it leads nowhere. */
function targetOf(
  href: string,
  page: Page,
  { root, byFile }: { root: string; byFile: ReadonlyMap<string, Page> },
): Target | null {
  if (href === LOCAL || href.startsWith(`${LOCAL}/`)) return ownTarget(href, byFile);
  if (/^(https?|mailto):/i.test(href)) return { href };
  if (/^[a-z][a-z\d+.-]*:/i.test(href)) return null; // It could run in the page.
  const [path = "", anchor] = href.split("#");
  const file =
    path === "" ? page.file : normalize(join(dirname(page.file), path)).replace(/\/$/, "");
  const target = byFile.get(file === FOLDER ? INDEX : file);
  if (target === undefined) {
    const picture = file.startsWith(`${FOLDER}/${PICTURES}/`) ? `/${file}` : null;
    if (file.startsWith("..") || !existsSync(join(root, file))) return null;
    return picture === null ? { path: file } : { href: picture };
  }
  if (anchor === undefined) return { href: addressOf(target) };
  if (!target.parsed.anchors.has(anchor)) return null;
  return { href: target === page ? `#${anchor}` : `${addressOf(target)}#${anchor}` };
}

/** Resolves a link to the reader's own broker. Those to the documentation lead to pages that exist. */
function ownTarget(href: string, byFile: ReadonlyMap<string, Page>): Target | null {
  const path = href.slice(LOCAL.length) || "/";
  if (URL.parse(path, LOCAL)?.origin !== LOCAL) return null; // A browser reads //name as another host.
  const [address = "", anchor] = path.split("#");
  if (!/^\/docs(\/|$)/.test(address) || address === `/docs/${API.name}`) return { href: path };
  const page = [...byFile.values()].find((each) => addressOf(each) === address);
  if (page === undefined) return null;
  return anchor === undefined || page.parsed.anchors.has(anchor) ? { href: path } : null;
}

/** Returns the list of pages that the first page has: headings are groups, and each item that begins with a link is an entry. */
function groupsOf(pages: readonly Page[], faults: string[]): Group[] {
  const byFile = new Map(pages.map((page) => [page.file, page]));
  const first = byFile.get(INDEX);
  if (first === undefined) {
    faults.push(`${INDEX}: it does not exist`);
    return [];
  }
  const groups: Group[] = [{ title: "", entries: [] }];
  for (const token of first.parsed.tokens) {
    if (token.type === "heading" && (token as Tokens.Heading).depth > 1)
      groups.push({ title: plainText(token.tokens), entries: [] });
    if (token.type !== "list") continue;
    for (const { href, label } of linksOf(token as Tokens.List)) {
      const [path = ""] = href.split("#");
      const page = byFile.get(normalize(join(FOLDER, path)));
      const address = page === undefined ? href.replace(LOCAL, "") : addressOf(page);
      if (page !== undefined || address === `/docs/${API.name}`)
        groups.at(-1)?.entries.push({ href: address, label });
    }
  }
  const listed = groups.flatMap(({ entries }) => entries.map(({ href }) => href));
  for (const page of pages) {
    const times = listed.filter((href) => href === addressOf(page)).length;
    if (page !== first && times !== 1)
      faults.push(`${page.file}: ${INDEX} lists it ${times} times, it must be once`);
  }
  if (!listed.includes(`/docs/${API.name}`)) {
    const besideProtocol = groups.find(({ entries }) =>
      entries.some(({ href }) => href === "/docs/protocol"),
    );
    const group = besideProtocol ?? (groups.at(-1) as Group);
    const place = group.entries.findIndex(({ href }) => href === "/docs/protocol");
    group.entries.splice(place, 0, { href: `/docs/${API.name}`, label: API.title });
  }
  return groups.filter(({ entries }) => entries.length > 0);
}

function linksOf({ items }: Tokens.List): Entry[] {
  return items.flatMap((item) => {
    const [first] = (item.tokens[0] as { tokens?: Token[] } | undefined)?.tokens ?? [];
    if (first?.type !== "link") return [];
    return [{ href: (first as Tokens.Link).href, label: plainText(first.tokens) }];
  });
}

/** Returns the index of the search: the parts of all pages, with their texts. */
function searchIndex(pages: readonly Page[]): BrowserFile {
  const index = new MiniSearch<IndexedSection>(INDEX_OPTIONS);
  for (const page of pages)
    for (const { id, text, depth, body } of sectionsOf(page.parsed)) {
      const url = depth === 1 ? addressOf(page) : `${addressOf(page)}#${id}`;
      const section = depth === 1 ? "" : text;
      // Two parts with one address are a fault of the pages.
      if (!index.has(url)) index.add({ url, page: page.title, section, body });
    }
  const type = "application/json; charset=utf-8";
  return hashedFile("search", "json", type, JSON.stringify(index));
}

interface Assets {
  readonly files: readonly BrowserFile[];
  readonly script: string;
  readonly style: string;
  readonly theme: string;
  readonly licenses: string;
}

async function buildAssets(): Promise<Assets> {
  const [program, theme] = await Promise.all([
    buildProgram({ main: "src/docs/main.tsx", style: "src/docs/docs.css", prefix: "" }),
    themeScript(),
  ]);
  const licenses = await licensesFile([program.metafile]);
  return {
    files: [...program.files, theme, licenses],
    ...{ script: program.first, style: program.style },
    ...{ theme: theme.name, licenses: licenses.name },
  };
}

/** Builds the script that sets the theme before anything is painted. It is no module, which would wait for the page. */
async function themeScript(): Promise<BrowserFile> {
  const source = await readFile(join(ROOT, "src/docs/theme.ts"), "utf8");
  const { code } = await esbuild.transform(source, { loader: "ts", minify: true, format: "iife" });
  return hashedFile("theme", "js", "text/javascript; charset=utf-8", code);
}

interface Site {
  readonly groups: readonly Group[];
  readonly assets: Assets;
  /** The address of the search's index. */
  readonly index: string;
}

/** Stands in a page where the Worker puts its own text. */
const MIDDLE = "<!--middle-->";

function frameOf(page: (middle: string) => string): Frame {
  const [before = "", after = ""] = page(MIDDLE).split(MIDDLE);
  return { before, after };
}

function documentWith({ assets, index }: Site, title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<link rel="icon" href="${ICON}">
<link rel="license" href="/docs/assets/${assets.licenses}">
<script src="/docs/assets/${assets.theme}"></script>
<link rel="stylesheet" href="/docs/assets/${assets.style}">
<script type="module" src="/docs/assets/${assets.script}"></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<a class="brand" href="/">Rivulet</a>
<nav class="site" aria-label="Site"><ul>
<li><a href="/docs">Docs</a></li>
<li><a href="/docs/api">API</a></li>
<li><a href="/console">Console</a></li>
</ul></nav>
<div class="search" id="search" data-index="${index}"></div>
</header>
${body}
</body>
</html>
`;
}

/** Returns a page with the list of all pages at its side. */
function withSidebar(
  site: Site,
  { title, address, rest }: { title: string; address: string; rest: string },
): string {
  const entry = ({ href, label }: Entry) =>
    `<li><a href="${href}"${href === address ? ' aria-current="page"' : ""}>${escaped(label)}</a></li>`;
  const groups = site.groups.map(
    ({ title: name, entries }) =>
      `${name === "" ? "" : `<h2>${escaped(name)}</h2>`}<ul>${entries.map(entry).join("")}</ul>`,
  );
  const whole = title === "" ? "Rivulet documentation" : `${title} – Rivulet`;
  return documentWith(
    site,
    whole,
    `<div class="frame">
<details class="menu"><summary>All pages</summary>
<nav aria-label="Pages">${groups.join("\n")}</nav>
</details>
${rest}</div>`,
  );
}

function pageWith(site: Site, page: Page, html: string): string {
  const entries = site.groups.flatMap((group) => group.entries);
  const place = entries.findIndex(({ href }) => href === addressOf(page));
  const [previous, next] = [entries[place - 1], entries[place + 1]];
  const step = (entry: Entry | undefined, kind: string, says: string) =>
    entry === undefined
      ? ""
      : `<a rel="${kind}" href="${entry.href}"><small>${says}</small> ${escaped(entry.label)}</a>`;
  const steps = `${step(previous, "prev", "Previous")}${step(next, "next", "Next")}`;
  return withSidebar(site, {
    title: page.name === "" ? "" : page.title,
    address: addressOf(page),
    rest: `${contentsOf(page.parsed)}${mainWith(`<article>${html}</article>
<nav class="steps" aria-label="Next and previous page">${steps}</nav>`)}`,
  });
}

function mainWith(html: string): string {
  return `<main id="content" tabindex="-1">\n${html}\n</main>\n`;
}

/** Returns the list of a page's headings, or nothing if they are few. */
function contentsOf({ headings }: Parsed): string {
  const below = headings.filter(({ depth }) => depth === 2 || depth === 3);
  if (below.length < 3) return "";
  const items = below.map(
    ({ depth, id, text }) =>
      `<li${depth === 3 ? ' class="deep"' : ""}><a href="#${escaped(id)}">${escaped(text)}</a></li>`,
  );
  return `<details class="contents"><summary>On this page</summary>
<nav aria-label="On this page"><ul>${items.join("")}</ul></nav>
</details>
`;
}

function apiPage(site: Site, middle: string): string {
  return withSidebar(site, {
    ...{ title: API.title, address: `/docs/${API.name}`, rest: middle },
  });
}

function missingPage(site: Site, middle: string): string {
  return withSidebar(site, { title: "No such page", address: "", rest: mainWith(middle) });
}

function startPage(site: Site, middle: string): string {
  return documentWith(
    site,
    "Rivulet",
    `<main id="content" class="start" tabindex="-1">
${middle}</main>`,
  );
}

/** The module that the Worker imports. */
export const DOCS_MODULE: BuiltModule = {
  name: "rivulet:docs",
  source: async () => {
    const { files, frames, faults } = await bundleDocs();
    if (faults.length > 0) throw new Error(`the documentation has faults:\n${faults.join("\n")}`);
    const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
    return Object.entries({ FILES: files, FRAMES: frames, VERSION: version })
      .map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`)
      .join("\n");
  },
};
