// The index of the search: the build makes it, and the page reads it. Both take words from texts in the same way.
import MiniSearch from "minisearch";

/** A part of a page, below a heading. */
export interface IndexedSection {
  /** The address of the heading. */
  readonly url: string;
  /** The title of the page. */
  readonly page: string;
  /** The heading, or nothing at the beginning of a page. */
  readonly section: string;
  readonly body: string;
}

/** Words that say nothing about a text. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  `a about an and any are as at be been but by can could did do does for from get gets had has have how i if in into is it
  its may me must my no not of on or our shall should so some such than that the their them then there these they this
  those to us was we were what when where which who whom whose why will with would you your`.split(
    /\s+/,
  ),
);

/** Words that are written in several ways, and the one word that stands for all in the index. */
export const SPELLINGS: readonly (readonly [string, RegExp])[] = [
  ["pubsub", /\bpub(?:lish)?\s*(?:[/-]|and|&)?\s*sub(?:scribe)?\b/giu],
  ["backup", /\bback(?:s|ed|ing)?[\s-]?up\b/giu],
];

const tokenize = MiniSearch.getDefault("tokenize") as (text: string) => string[];

/** Returns a word without the ending of a plural. */
function stem(word: string): string {
  const lower = word.toLowerCase();
  if (/(?:tch|sh|ss|x)es$/.test(lower)) return lower.slice(0, -2);
  return /.{2}(?:[^eius]|[^i]e)s$/.test(lower) ? lower.slice(0, -1) : lower;
}

/** Returns the words of a text as the index has them. */
export function wordsOf(text: string): string[] {
  return tokenize(text)
    .map(stem)
    .filter((word) => word !== "");
}

/** The options with which MiniSearch makes the index and reads it. */
export const INDEX_OPTIONS = {
  idField: "url",
  fields: ["page", "section", "body"] as string[],
  storeFields: ["page", "section", "body"] as string[],
  tokenize: (text: string): string[] => [
    ...tokenize(text),
    ...SPELLINGS.flatMap(([word, pattern]) => (text.match(pattern) ?? []).map(() => word)),
  ],
  processTerm: (term: string): string | null => {
    const word = stem(term);
    return STOP_WORDS.has(word) ? null : word;
  },
};
