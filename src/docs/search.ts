// Finds parts of the documentation by their words. The index was built with the site; the operations of the HTTP API come from
// the broker's own description of them.
import MiniSearch, { type Query, type SearchOptions, type SearchResult } from "minisearch";
import {
  INDEX_OPTIONS,
  type IndexedSection,
  SPELLINGS,
  STOP_WORDS,
  wordsOf,
} from "./search-index.ts";

/** A piece of a text, which is one of the words that were looked for, or not. */
export interface Piece {
  readonly text: string;
  readonly isMatch: boolean;
}

export interface Found extends Omit<IndexedSection, "body"> {
  readonly snippet: readonly Piece[];
}

export interface Answer {
  /** The best parts, the best first. */
  readonly found: readonly Found[];
  /** The number of all parts that were found. */
  readonly total: number;
}

export type SearchIndex = MiniSearch<IndexedSection>;

const MAX_FOUND = 20;
/** The characters of a snippet: before the first word that was found, and in all. */
const BEFORE = 40;
const SNIPPET = 180;

/** Words of one meaning, as the index has them. Each finds the others too. */
const SYNONYMS: readonly (readonly string[])[] = [
  ["replay", "rewind", "reset"],
  ["message", "event", "record"],
  ["commit", "committed"],
  ["dead", "crash", "crashed", "die"],
  ["acknowledge", "ack"],
];

/** The weights of pages that are not guides: those that define every detail come last. */
const PAGE_WEIGHTS: readonly (readonly [RegExp, number])[] = [
  [/^\/docs\/(?:protocol|spec|architecture|changelog|api)(?:#|$)/, 0.25],
  [/^\/docs\/glossary(?:#|$)/, 1.25],
];
/** The weight of a part whose heading is the query itself. */
const NAMESAKE = 3;
/** The weight of a word of the same meaning. One that was typed has 1. */
const SYNONYM = 0.7;

let loading: Promise<SearchIndex> | null = null;

/** Returns the best parts, and how many there are. Throws if the index cannot be loaded; the next call tries again. */
export async function search(indexUrl: string, query: string): Promise<Answer> {
  loading ??= load(indexUrl);
  const index = await loading.catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return searchIn(index, query);
}

/** Finds the parts with all words of the query, or if there are none, those with some. */
export function searchIn(index: SearchIndex, query: string): Answer {
  const results = resultsIn(index, query);
  const found = results.slice(0, MAX_FOUND).map(({ id, page, section, body, terms }) => ({
    ...{ url: String(id), page: String(page), section: String(section) },
    snippet: snippetOf(String(body), terms),
  }));
  return { found, total: results.length };
}

function resultsIn(index: SearchIndex, query: string): SearchResult[] {
  const words = tellingWords(query);
  const name = words.join(" ");
  const weights = new Map<string, number>();
  const weightOf = (url: string, section: string) => {
    const [, weight] = PAGE_WEIGHTS.find(([pages]) => pages.test(url)) ?? [url, 1];
    return tellingWords(section).join(" ") === name ? weight * NAMESAKE : weight;
  };
  const options: SearchOptions = {
    boost: { page: 3, section: 8 },
    weights: { prefix: 0.15, fuzzy: 0.05 },
    boostDocument: (url: string, _word, stored) => {
      const weight = weights.get(url) ?? weightOf(url, String(stored?.section));
      weights.set(url, weight);
      return weight;
    },
  };
  const queries = words.map(queryOf);
  const all = index.search({ combineWith: "AND", queries }, options);
  return all.length > 0 || words.length < 2
    ? all
    : index.search({ combineWith: "OR", queries }, options);
}

/** Returns the words of a text without those that say nothing, unless it has no others. */
function tellingWords(text: string): string[] {
  const spelled = SPELLINGS.reduce((before, [word, each]) => before.replace(each, word), text);
  const words = wordsOf(spelled);
  const telling = words.filter((word) => !STOP_WORDS.has(word));
  return telling.length > 0 ? telling : words;
}

/** Finds a word, as a whole or as the beginning of another, with one wrong letter, or by its synonyms. */
function queryOf(word: string): Query {
  const others = SYNONYMS.find((group) => group.includes(word))?.filter((other) => other !== word);
  const isTypo = word.length > 4;
  const asIs = { tokenize: (term: string) => [term], processTerm: (term: string) => term };
  return {
    combineWith: "OR",
    queries: [
      { queries: [word], prefix: true, fuzzy: isTypo ? 0.2 : false, ...asIs },
      { queries: [...(others ?? [])], boostTerm: () => SYNONYM, ...asIs },
    ],
  };
}

async function load(url: string): Promise<MiniSearch<IndexedSection>> {
  const [answer, operations] = await Promise.all([fetch(url), operationSections()]);
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  const index = MiniSearch.loadJSON<IndexedSection>(await answer.text(), INDEX_OPTIONS);
  index.addAll(operations);
  return index;
}

export interface Description {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { operationId: string; summary: string }>>>
  >;
}

/** Returns a part for each operation of the HTTP API, or none if the broker does not describe it now. */
async function operationSections(): Promise<IndexedSection[]> {
  const answer = await fetch("/openapi.json").catch(() => null);
  if (!answer?.ok) return [];
  return sectionsOf((await answer.json()) as Description);
}

/** Returns a part for each operation of the HTTP API. */
export function sectionsOf({ paths }: Description): IndexedSection[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { operationId, summary }]) => ({
      url: `/docs/api#${operationId}`,
      page: "HTTP API reference",
      section: `${method.toUpperCase()} ${path}`,
      body: summary,
    })),
  );
}

/** Returns a pattern's source for a word of the index, however a text spells it. */
function patternOf(word: string): string {
  const spelling = SPELLINGS.find(([each]) => each === word)?.[1].source;
  return spelling ?? word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Returns a piece of the text around the first word that was found, with all of these words marked. */
export function snippetOf(body: string, words: readonly string[]): Piece[] {
  const pattern = words.map(patternOf).join("|");
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
