// [CLU-6] Lists of topics and groups in pages over HTTP, for callers who see all, some, or those of a namespace.
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Grant } from "../../src/core/access/grants.ts";
import { MAX_GROUP_ID_LENGTH, MAX_LIST_PAGE } from "../../src/core/limits.ts";
import { clusterStub, type Env } from "../../src/env.ts";
import { createKey } from "../../src/worker/access/keys.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import { app } from "../../src/worker/http/app.ts";
import { call, createTopic, env, expectStatus, TWINS, unique } from "./support.ts";

const { caller: _caller, ...open } = env;
const closed: Env = { ...open, RIVULET_OPEN: "", RIVULET_ROOT_KEY: "the-root-key-of-this-test" };
const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };

const KINDS = [
  { kind: "topics", nameIn: (item: Item) => item.name ?? "" },
  { kind: "groups", nameIn: (item: Item) => item.groupId ?? "" },
] as const;

interface Item {
  readonly name?: string;
  readonly groupId?: string;
}
type Listed = Readonly<Record<string, readonly Item[]>> & { readonly next?: string };

const cluster = clusterStub(env);
const prefix = unique("list");
/** Names with all legal characters, in the order of the list. */
const names = ["-", ".a", "1", "A", "B.", "_", "a", "a-b", "a.b", "a.b.c", "aa", "b"]
  .map((end) => `${prefix}.${end}`)
  .sort();

beforeAll(async () => {
  for (const name of names.toReversed()) {
    await createTopic(1, {}, name);
    await cluster.subscribe({ groupId: name, names: [], pattern: null });
  }
});
afterEach(() => forgetEverything());

/** A key with these grants, and how it lists. */
async function lister(grants: readonly Grant[], namespace?: string) {
  const made = { principal: "User:lister", grants, expiresAtMs: null };
  const { text } = await createKey(closed, { ...made, ...(namespace ? { namespace } : {}) });
  return async (kind: string, query: string): Promise<Listed> => {
    const request = new Request(`https://broker.example/v1/${kind}?${query}`, {
      headers: { authorization: `Bearer ${text}` },
    });
    const answer = await app.fetch(request, closed, context as never);
    expect(answer.status).toBe(200);
    return (await answer.json()) as Listed;
  };
}

/** The items of all pages. */
async function pages(
  list: (query: string) => Promise<Listed>,
  { kind, nameIn }: (typeof KINDS)[number],
  limit: number,
  between: () => Promise<void> = async () => {},
): Promise<string[]> {
  const found: string[] = [];
  for (let query = `limit=${limit}`; ; ) {
    const page = await list(query);
    const items = page[kind] as readonly Item[];
    expect(items.length).toBeLessThanOrEqual(limit);
    found.push(...items.map(nameIn));
    if (page.next === undefined) return found;
    expect(items).toHaveLength(limit);
    query = `limit=${limit}&after=${encodeURIComponent(page.next)}`;
    await between();
  }
}

describe.each(KINDS)("a list of $kind", (each) => {
  const { kind, nameIn } = each;
  const own = (found: readonly string[]) => found.filter((name) => name.startsWith(prefix));

  test.each(TWINS)(
    "[CLU-6] comes whole, or in pages that hold each of them once, by name$when",
    async ({ interrupt }) => {
      const whole = await expectStatus<Listed>(200, "GET", `/v1/${kind}`);
      expect(whole).not.toHaveProperty("next");
      expect(own((whole[kind] as Item[]).map(nameIn))).toEqual(names);
      for (const limit of [1, 5, 12, MAX_LIST_PAGE]) {
        const list = (query: string) => expectStatus<Listed>(200, "GET", `/v1/${kind}?${query}`);
        const found = await pages(list, each, limit, () => interrupt(cluster));
        expect(own(found), `${limit} each`).toEqual(names);
        expect(found).toEqual([...found].sort());
      }
    },
  );

  test("[CLU-6] begins after any text, whether there is such a name or not", async () => {
    const listedAfter = async (text: string) => {
      const query = `after=${encodeURIComponent(text)}&limit=${MAX_LIST_PAGE}`;
      const page = await expectStatus<Listed>(200, "GET", `/v1/${kind}?${query}`);
      return own((page[kind] as Item[]).map(nameIn));
    };
    expect(await listedAfter(`${prefix}.a`)).toEqual(names.filter((name) => name > `${prefix}.a`));
    expect(await listedAfter(`${prefix}.a!`)).toEqual(
      names.filter((name) => name > `${prefix}.a!`),
    );
    expect(await listedAfter(`${prefix}/`)).toEqual([]);
    expect(await listedAfter("é")).toEqual([]);
  });

  test("[CLU-6] [ACL-4] has pages of what the caller may see, and nothing reveals the rest", async () => {
    const some = { prefix: `${prefix}.a` };
    const list = await lister([
      { topics: some, operations: ["DESCRIBE"] },
      { groups: some, operations: ["DESCRIBE"] },
    ]);
    const seen = names.filter((name) => name.startsWith(some.prefix));
    for (const limit of [1, 2, 5, 100])
      expect(await pages((query) => list(kind, query), each, limit), `${limit}`).toEqual(seen);
    const last = await list(kind, `limit=${seen.length}`);
    expect(last).not.toHaveProperty("next");
    const none = await lister([]);
    expect(await none(kind, "limit=1")).toEqual({ [kind]: [] });
  });

  test("[CLU-6] [TEN-2] has names of the caller's namespace, even those after which it continues", async () => {
    const all = { prefix: "" };
    const list = await lister(
      [
        { topics: all, operations: ["DESCRIBE"] },
        { groups: all, operations: ["DESCRIBE"] },
      ],
      `${prefix}.`,
    );
    const inside = names.map((name) => name.slice(prefix.length + 1));
    for (const limit of [1, 5, 100])
      expect(await pages((query) => list(kind, query), each, limit), `${limit}`).toEqual(inside);
  });

  test.each([
    ["limit=0", "limit", "0", "1"],
    [`limit=${MAX_LIST_PAGE + 1}`, "limit", `${MAX_LIST_PAGE + 1}`, `${MAX_LIST_PAGE}`],
    ["limit=many", "limit", "many", `${MAX_LIST_PAGE}`],
    ["after=a", "after", "after", "limit"],
    [
      `limit=1&after=${"x".repeat(MAX_GROUP_ID_LENGTH + 1)}`,
      "after",
      "after",
      `${MAX_GROUP_ID_LENGTH}`,
    ],
    ["pages=1", "pages", "pages", "pages"],
    ["limit=1&limit=2", "limit", "limit", "limit"],
  ])("[CLU-6] [ERR-1] rejects %s, and says what is wrong", async (query, field, value, bound) => {
    const answer = await call<{ code: string; detail: string }>("GET", `/v1/${kind}?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
    for (const part of [field, value, bound]) expect(answer.body.detail).toContain(part);
  });
});
