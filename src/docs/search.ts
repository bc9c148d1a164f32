// Finds parts of the documentation by their words. The index was built with the site; the operations of the HTTP API come from
// the broker's own description of them.
import MiniSearch from "minisearch";
import { INDEX_OPTIONS, type IndexedSection } from "./search-index.ts";

/** A piece of a text, which is one of the words that were looked for, or not. */
export interface Piece {
  readonly text: string;
  readonly isMatch: boolean;
}

export interface Found extends Omit<IndexedSection, "body"> {
  readonly snippet: readonly Piece[];
}

const MAX_FOUND = 20;
/** The characters of a snippet: before the first word that was found, and in all. */
const BEFORE = 40;
const SNIPPET = 180;

let loading: Promise<MiniSearch<IndexedSection>> | null = null;

/** Returns the best parts, and how many there are. Throws if the index cannot be loaded; the next call tries again. */
export async function search(
  indexUrl: string,
  query: string,
): Promise<{ found: Found[]; total: number }> {
  loading ??= load(indexUrl);
  const index = await loading.catch((error: unknown) => {
    loading = null;
    throw error;
  });
  const results = index.search(query, {
    boost: { page: 3, section: 4 },
    combineWith: "AND",
    prefix: true,
    fuzzy: (term) => (term.length > 4 ? 0.2 : false),
  });
  const found = results.slice(0, MAX_FOUND).map(({ id, page, section, body, terms }) => ({
    ...{ url: String(id), page: String(page), section: String(section) },
    snippet: snippetOf(String(body), terms),
  }));
  return { found, total: results.length };
}

async function load(url: string): Promise<MiniSearch<IndexedSection>> {
  const [answer, operations] = await Promise.all([fetch(url), operationSections()]);
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  const index = MiniSearch.loadJSON<IndexedSection>(await answer.text(), INDEX_OPTIONS);
  index.addAll(operations);
  return index;
}

interface Description {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { operationId: string; summary: string }>>>
  >;
}

/** Returns a part for each operation of the HTTP API, or none if the broker does not describe it now. */
async function operationSections(): Promise<IndexedSection[]> {
  const answer = await fetch("/openapi.json").catch(() => null);
  if (!answer?.ok) return [];
  const { paths } = (await answer.json()) as Description;
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { operationId, summary }]) => ({
      url: `/docs/api#${operationId}`,
      page: "HTTP API reference",
      section: `${method.toUpperCase()} ${path}`,
      body: summary,
    })),
  );
}

/** Returns a piece of the text around the first word that was found, with all of these words marked. */
export function snippetOf(body: string, words: readonly string[]): Piece[] {
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const first = pattern === "" ? -1 : body.search(new RegExp(pattern, "iu"));
  const start = first <= BEFORE ? 0 : body.indexOf(" ", first - BEFORE) + 1;
  const end = start + SNIPPET >= body.length ? body.length : body.lastIndexOf(" ", start + SNIPPET);
  const text = `${start > 0 ? "… " : ""}${body.slice(start, end)}${end < body.length ? " …" : ""}`;
  if (pattern === "") return [{ text, isMatch: false }];
  return text
    .split(new RegExp(`(${pattern})`, "iu"))
    .map((part, i) => ({ text: part, isMatch: i % 2 === 1 }))
    .filter((piece) => piece.text !== "");
}
