// Renders the Markdown of the documentation to HTML. Headings have the anchors that GitHub gives them, so that a link works there
// and on the site. Code is colored by classes. Nothing in the result needs a script, or a style of its own.
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import http from "highlight.js/lib/languages/http";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import properties from "highlight.js/lib/languages/properties";
import python from "highlight.js/lib/languages/python";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { Marked, type Token, type Tokens, type TokensList } from "marked";

const LANGUAGES = {
  ...{ bash, diff, go, http, ini, java, javascript, json, properties, python, sql, typescript },
  ...{ xml, yaml },
};
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);
hljs.configure({ classPrefix: "h-" });
/** Languages of a fence that are text without colors. */
const PLAIN = new Set(["", "text", "txt", "console"]);

export interface Heading {
  readonly depth: number;
  readonly text: string;
  /** The anchor. */
  readonly id: string;
}

/** A part of a page, below a heading, or an entry. */
export interface Section extends Heading {
  readonly body: string;
}

/** A Markdown file that was read and is not rendered yet: its links may lead to pages that are still to be read. */
export interface Parsed {
  readonly tokens: TokensList;
  readonly headings: readonly Heading[];
  /**
   * The paragraphs that begin with a bold sentence, such as the words of a glossary. The site gives them anchors. GitHub
   * does not, so no link of a file may name them.
   */
  readonly entries: ReadonlyMap<Token, Heading>;
  /** All places in the page that a link may name: headings, and the rules of SPEC.md. */
  readonly anchors: ReadonlySet<string>;
}

/** A resolved link: an address, or a path of the repository that the site does not serve. */
export type Target = { readonly href: string } | { readonly path: string };

export interface Surroundings {
  /** Resolves a link as the file writes it. Returns null if it leads nowhere. */
  readonly link: (href: string) => Target | null;
  /** Returns the address and the size of a picture, or null if there is none. */
  readonly picture: (src: string) => Picture | null;
  /** Returns the address of a rule of SPEC.md, or null if there is none. */
  readonly rule: (id: string) => string | null;
  /** Notes a fault of the page. */
  readonly fault: (what: string) => void;
}

export interface Picture {
  readonly src: string;
  readonly width: number;
  readonly height: number;
}

const marked = new Marked({ gfm: true });

/** The levels of lists, quotes and markup that a page may have within each other. */
const MAX_DEPTH = 50;

/** Text that is not a page of the documentation. */
export class MarkdownError extends Error {}

/** Reads a page. @throws MarkdownError for a page that is nested too deep */
export function parseMarkdown(text: string): Parsed {
  const tokens = lexed(text);
  const anchorOf = anchors();
  const headings = tokens.flatMap((token) => {
    if (token.type !== "heading") return [];
    const plain = plainText(token.tokens);
    return [{ depth: (token as Tokens.Heading).depth, text: plain, id: anchorOf(plain) }];
  });
  const entries = new Map<Token, Heading>();
  let depth = 1;
  for (const token of tokens) {
    if (token.type === "heading") depth = (token as Tokens.Heading).depth;
    const text = entryOf(token);
    if (text !== null) entries.set(token, { depth: depth + 1, text, id: anchorOf(text) });
  }
  const rules = tokens.flatMap((token) =>
    token.type === "list" ? (token as Tokens.List).items.flatMap((item) => ruleOf(item) ?? []) : [],
  );
  const named = new Set([...headings.map(({ id }) => id), ...rules]);
  return { tokens, headings, entries, anchors: named };
}

function lexed(text: string): TokensList {
  const tooDeep = new MarkdownError(`it is nested more than ${MAX_DEPTH} levels deep`);
  let tokens: TokensList;
  try {
    tokens = marked.lexer(text);
  } catch (error) {
    throw error instanceof RangeError ? tooDeep : error; // The stack was too small for it.
  }
  let level: Token[] = tokens;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw tooDeep;
    level = level.flatMap(childrenOf);
  }
  return tokens;
}

function childrenOf(token: Token): Token[] {
  if (token.type === "table") {
    const { header, rows } = token as Tokens.Table;
    return [header, ...rows].flat().flatMap((cell) => cell.tokens);
  }
  const { items = [], tokens = [] } = token as { items?: Token[]; tokens?: Token[] };
  return [...items, ...tokens];
}

/** Returns a function that gives each heading of a page its anchor, as GitHub does. */
export function anchors(): (heading: string) => string {
  const uses = new Map<string, number>();
  return (heading) => {
    const anchor = heading
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{M}\p{Nd}\p{Pc}\- ]/gu, "")
      .replaceAll(" ", "-");
    let unique = anchor;
    let count = uses.get(anchor) ?? 0;
    while (uses.has(unique)) unique = `${anchor}-${++count}`;
    uses.set(anchor, count);
    if (unique !== anchor) uses.set(unique, 0);
    return unique;
  };
}

const RULE = /^[A-Z]{2,5}-\d+$/;

/** Returns the id of the rule that a list item of SPEC.md states: `- **LOG-1** …`. */
function ruleOf(item: Tokens.ListItem): string | null {
  const [first] = (item.tokens[0] as Tokens.Text | undefined)?.tokens ?? [];
  return first?.type === "strong" && RULE.test(first.text) ? first.text : null;
}

/** Returns the bold sentence with which a paragraph begins, without its period: `**Offset.** …`. */
function entryOf(token: Token): string | null {
  const [first] = token.type === "paragraph" ? ((token as Tokens.Paragraph).tokens ?? []) : [];
  const text = first?.type === "strong" ? plainText(first.tokens) : "";
  return text.endsWith(".") ? text.slice(0, -1) : null;
}

/** Returns the text of tokens without their markup. Comments have none. */
export function plainText(tokens: readonly Token[] | undefined): string {
  return (tokens ?? []).map(textOf).join("");
}

function textOf(token: Token): string {
  if (token.type === "html" || token.type === "image") return "";
  if (token.type === "br") return " ";
  if (token.type === "table") {
    const { header, rows } = token as Tokens.Table;
    return [header, ...rows]
      .map((row) => `${row.map((cell) => plainText(cell.tokens)).join(" ")}\n`)
      .join("");
  }
  if (token.type === "list")
    return (token as Tokens.List).items.map((item) => `${plainText(item.tokens)}\n`).join("");
  const children = (token as { tokens?: readonly Token[] }).tokens;
  const text =
    children === undefined ? String((token as { text?: string }).text ?? "") : plainText(children);
  if (/^(paragraph|heading|code|blockquote|space)$/.test(token.type)) return `${text}\n`;
  return token.type === "text" ? decoded(text) : text;
}

/** Returns the parts of a page, each with its text up to the next part. The text before the first heading is left out. */
export function sectionsOf({ tokens, headings, entries }: Parsed): Section[] {
  const sections: { heading: Heading; tokens: Token[] }[] = [];
  let next = 0;
  for (const token of tokens) {
    const heading = token.type === "heading" ? headings[next++] : undefined;
    const entry = entries.get(token);
    if (heading !== undefined) sections.push({ heading, tokens: [] });
    else if (entry !== undefined) sections.push({ heading: entry, tokens: [token] });
    else sections.at(-1)?.tokens.push(token);
  }
  return sections.map(({ heading, tokens: own }) => ({
    ...heading,
    body: plainText(own).replace(/\s+/g, " ").trim(),
  }));
}

/** Elements that a page may have beside Markdown. They have no attributes. */
const ELEMENT = /^<\/?(?:details|summary|br|kbd|sub|sup) ?\/?>/;
const COMMENT = /<!--[\s\S]*?-->/g;
const NOTE = /^\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\s*/;

export function renderMarkdown(
  { tokens, headings, entries }: Parsed,
  surroundings: Surroundings,
): string {
  const { link, picture, rule, fault } = surroundings;
  const parts = new Map<Token, Heading | undefined>(
    tokens.filter(({ type }) => type === "heading").map((token, place) => [token, headings[place]]),
  );
  const page = new Marked({ gfm: true });
  page.use({
    renderer: {
      heading(token) {
        const { depth, tokens: own } = token;
        const title = this.parser.parseInline(own);
        const part = parts.get(token);
        if (part === undefined) {
          fault(`the heading "${plainText(own)}" is within a list or a quote, it must not be`);
          return `<p>${title}</p>\n`;
        }
        const { id, text } = part;
        if (depth === 1) return `<h1 id="${escaped(id)}">${title}</h1>\n`;
        const anchor = `<a class="anchor" href="#${escaped(id)}" aria-label="${escaped(`Link to “${text}”`)}">#</a>`;
        return `<div class="heading"><h${depth} id="${escaped(id)}">${title}</h${depth}>${anchor}</div>\n`;
      },
      paragraph(token) {
        const id = entries.get(token)?.id;
        const attribute = id === undefined ? "" : ` id="${escaped(id)}"`;
        return `<p${attribute}>${this.parser.parseInline(token.tokens)}</p>\n`;
      },
      link({ href, title, tokens: own }) {
        const target = link(href);
        const inner = this.parser.parseInline(own);
        if (target === null) {
          fault(`the link ${href} leads nowhere`);
          return inner;
        }
        if ("path" in target) return mention(inner, plainText(own), target.path);
        const says = title ? ` title="${escaped(title)}"` : "";
        return `<a href="${escaped(target.href)}"${says}>${inner}</a>`;
      },
      image({ href, text }) {
        const found = picture(href);
        if (found === null) {
          fault(`there is no picture ${href}`);
          return "";
        }
        if (text === "") fault(`the picture ${href} has no text that says what it shows`);
        const { src, width, height } = found;
        const about = escaped(text);
        // A narrow window scrolls it, so that what is written in it can still be read.
        return `<span class="picture" role="region" aria-label="Picture: ${about}" tabindex="0"><img src="${escaped(src)}" alt="${about}" width="${width}" height="${height}"></span>`;
      },
      code({ text, lang }) {
        const language = (lang ?? "").split(/\s/)[0] ?? "";
        const isKnown = PLAIN.has(language) || hljs.getLanguage(language) !== undefined;
        if (!isKnown) fault(`"${language}" is no language that the site can color`);
        return codeBlock(text, language);
      },
      codespan({ text }) {
        return `<code>${escaped(text)}</code>`;
      },
      table(token) {
        const cell = ({ tokens: own, align }: Tokens.TableCell, tag: string) =>
          `<${tag}${align === null ? "" : ` class="${align}"`}>${this.parser.parseInline(own)}</${tag}>`;
        const row = (cells: Tokens.TableCell[], tag: string) =>
          `<tr>${cells.map((each) => cell(each, tag)).join("")}</tr>\n`;
        const about = plainText(token.header[0]?.tokens) || "values";
        const head = row(token.header, "th").replaceAll("<th", '<th scope="col"');
        return `<div class="scroll" role="region" aria-label="${escaped(`Table: ${about}`)}" tabindex="0"><table>
<thead>${head}</thead>
<tbody>${token.rows.map((cells) => row(cells, "td")).join("")}</tbody>
</table></div>\n`;
      },
      listitem(item) {
        const id = ruleOf(item);
        const body = this.parser.parse(item.tokens);
        return `<li${id === null ? "" : ` id="${id}"`}>${body}</li>\n`;
      },
      blockquote({ tokens: own }) {
        const first = own[0] as Tokens.Paragraph | undefined;
        const [, kind] = NOTE.exec(first?.text ?? "") ?? [];
        if (kind === undefined) return `<blockquote>${this.parser.parse(own)}</blockquote>\n`;
        const name = kind[0] + kind.slice(1).toLowerCase();
        const body = this.parser.parse(own).replace(NOTE_IN_HTML, "<p>");
        return `<div class="note ${kind.toLowerCase()}"><p class="kind">${name}</p>${body}</div>\n`;
      },
      html({ text }) {
        const rest = text.replace(COMMENT, "").trim();
        const tags = rest.split(/(?=<)/).filter((part) => part.startsWith("<"));
        if (tags.every((tag) => ELEMENT.test(tag))) return rest;
        fault(`the HTML ${rest.slice(0, 60)} is not allowed in a page`);
        return "";
      },
      text(token) {
        if ("tokens" in token && token.tokens) return this.parser.parseInline(token.tokens);
        // An entity stays what it is: Markdown has them too.
        return withRules(escaped(decoded(token.text)), rule);
      },
    },
  });
  return page.parser(tokens as TokensList);
}

const NOTE_IN_HTML = /^<p>\[!\w+\]\s*/;

/** Names a file or folder of the repository, which the site does not serve. */
function mention(inner: string, text: string, path: string): string {
  const isPath = text === path || text === path.split("/").at(-1) || path.endsWith(`/${text}`);
  return isPath ? `<code>${escaped(path)}</code>` : `${inner} (<code>${escaped(path)}</code>)`;
}

/** Makes links of the rules that a text cites: [LOG-1]. */
function withRules(html: string, rule: (id: string) => string | null): string {
  return html.replace(/\[([A-Z]{2,5}-\d+)\]/g, (whole, id: string) => {
    const href = rule(id);
    return href === null ? whole : `<a class="rule" href="${href}">[${id}]</a>`;
  });
}

/** Returns a block of code, with classes for its colors. The site's script adds a button that copies it. */
export function codeBlock(text: string, language: string): string {
  const isColored = !PLAIN.has(language) && hljs.getLanguage(language) !== undefined;
  const html = isColored ? hljs.highlight(text, { language }).value : escaped(text);
  return `<div class="${isColored ? "code" : "code plain"}"><pre tabindex="0"><code>${html}\n</code></pre></div>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0" },
};

function decoded(text: string): string {
  return text.replace(/&(\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole);
}

export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
