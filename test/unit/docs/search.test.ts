import MiniSearch from "minisearch";
import { beforeAll, describe, expect, test } from "vitest";
import { type SearchIndex, searchIn, sectionsOf, snippetOf } from "../../../src/docs/search.ts";
import { INDEX_OPTIONS, type IndexedSection } from "../../../src/docs/search-index.ts";
import { bundleDocs } from "../../../src/self-host/docs-bundle.ts";

/** The broker's description of itself. The types of its module are those of the Workers runtime, which this program has not. */
const API_MODULE = "../../../src/worker/http/openapi-document.ts";
const { apiDocument } = (await import(API_MODULE)) as { apiDocument: () => never };

const marked = (body: string, words: string[]) =>
  snippetOf(body, words)
    .map(({ text, isMatch }) => (isMatch ? `[${text}]` : text))
    .join("");

describe("a snippet", () => {
  test("[DOC-6] marks the words that were found, however they are written", () => {
    expect(marked("Offsets: the OFFSET of a group.", ["offset", "group"])).toBe(
      "[Offset]s: the [OFFSET] of a [group].",
    );
  });

  test("[DOC-6] begins and ends at words, around the first that was found", () => {
    const body = `${"before ".repeat(30)}needle${" after".repeat(60)}`;
    const text = marked(body, ["needle"]);
    expect(text).toMatch(/^… (before ){5,6}\[needle\]( after)+ …$/);
    expect(text.length).toBeLessThan(200);
  });

  test("[DOC-6] is the beginning where only the title was found, or nothing", () => {
    expect(marked("A short text.", ["elsewhere"])).toBe("A short text.");
    expect(marked("A short text.", [])).toBe("A short text.");
    expect(marked("", ["x"])).toBe("");
  });

  test("[DOC-6] takes signs of patterns for what they are", () => {
    expect(marked("a.b (c) a+b", ["a.b", "(c"])).toBe("[a.b] [(c]) a+b");
  });
});

describe("a search", () => {
  /** Returns an index of these parts: the name of the page, the heading and the text. */
  function indexOf(...parts: readonly (readonly [string, string, string])[]): SearchIndex {
    const index = new MiniSearch<IndexedSection>(INDEX_OPTIONS);
    for (const [i, [page, section, body]] of parts.entries())
      index.add({ url: `/docs/${page}#${i}`, page, section, body });
    return index;
  }
  const pagesFor = (index: SearchIndex, query: string) =>
    searchIn(index, query).found.map(({ page }) => page);

  test("[DOC-6] finds guides before internals, and headings before text", () => {
    const index = indexOf(
      ["spec", "", "A quorum."],
      ["guide", "", "A quorum."],
      ["other", "A quorum", "It has none."],
    );
    expect(pagesFor(index, "quorum")).toEqual(["other", "guide", "spec"]);
  });

  test("[DOC-6] finds the word itself before its beginning, and before a similar word", () => {
    const index = indexOf(
      ["longer", "", "partitioning"],
      ["similar", "", "partitiom"],
      ["same", "", "A partition, and several words beside it that say nothing about anything."],
    );
    expect(pagesFor(index, "partition")).toEqual(["same", "longer", "similar"]);
  });

  test("[DOC-6] takes no notice of words that say nothing, unless there are no others", () => {
    const index = indexOf(["log", "Log", "Records."], ["what", "What is it?", "A whatnot."]);
    expect(pagesFor(index, "What is a log")).toEqual(["log"]);
    expect(pagesFor(index, "what")).toEqual(["what"]);
  });

  test("[DOC-6] finds parts with some of the words where none has all", () => {
    const index = indexOf(["one", "", "apples"], ["two", "", "pears"], ["both", "", "figs, nuts"]);
    expect(pagesFor(index, "apples pears")).toEqual(expect.arrayContaining(["one", "two"]));
    expect(pagesFor(index, "figs nuts")).toEqual(["both"]);
    expect(searchIn(index, "cherries")).toEqual({ found: [], total: 0 });
  });

  test.each([
    ["pub/sub", "It is publish/subscribe."],
    ["pubsub", "It is publish and subscribe."],
    ["publish subscribe", "It is Pub-Sub."],
    ["backup", "It is backed up."],
    ["back up", "It is a backup."],
    ["replay", "It is a rewind."],
    ["reset", "It is a replay."],
    ["event", "It is a message."],
    ["messages", "They are records."],
    ["commit", "It is committed."],
    ["committed", "It is a commit."],
    ["crash", "It is dead."],
    ["batch", "They are batches."],
    ["topics", "It is a topic."],
  ])("[DOC-6] finds what %j means: %s", (query, body) => {
    const { found } = searchIn(indexOf(["it", "", body], ["other", "", "Nothing."]), query);
    expect(found.map(({ page }) => page)).toEqual(["it"]);
    expect(found[0]?.snippet.filter(({ isMatch }) => isMatch)).toHaveLength(1);
  });
});

describe("the search of this release", () => {
  let index: SearchIndex;
  beforeAll(async () => {
    const { files } = await bundleDocs();
    const { text = "" } = files.find(({ name }) => name.endsWith(".json")) ?? {};
    index = MiniSearch.loadJSON<IndexedSection>(text, INDEX_OPTIONS);
    index.addAll(sectionsOf(apiDocument()));
  });

  test.each([
    ["replay", /^\/docs\/(glossary#replay|consumer-groups)/],
    ["rewind", /^\/docs\/consumer-groups#/],
    ["topic", /^\/docs\/glossary#topic$/],
    ["acknowledge", /^\/docs\/glossary#acknowledge/],
    ["what is a log", /^\/docs\/glossary#log$/],
    ["partition count", /^\/docs\/(consumer-groups|configuration|sdk)/],
    ["delete topic", /^\/docs\/(http|cli|sdk|operating)/],
    ["pubsub", /^\/docs\/consumer-groups#/],
    ["pub/sub", /^\/docs\/consumer-groups#/],
    ["session timeout", /^\/docs\/glossary#session-timeout$/],
    ["deploy", /^\/docs\/operating#/],
    ["backup", /^\/docs\/operating#/],
    ["install", /^\/docs\/sdk#install$/],
    ["GET /openapi.json", /^\/docs\/api#get-openapi/],
  ])("[DOC-6] shows for %j first what answers it", (query, expected) => {
    expect(searchIn(index, query).found[0]?.url).toMatch(expected);
  });
});
