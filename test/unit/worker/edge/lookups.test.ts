// The Worker's memory of topics and groups: its age, its size, and its use while the cluster is unreachable.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Topic } from "../../../../src/core/cluster/topics.ts";
import { BrokerError, type ErrorName, fail } from "../../../../src/core/errors.ts";
import {
  GROUP_KNOWN_MS,
  LOOKUP_PATIENCE_MS,
  METADATA_CACHE_GROUPS,
  METADATA_CACHE_TOPICS,
  METADATA_FRESH_MS,
  METADATA_RENEWAL_MS,
  METADATA_SHOWN_MS,
  METADATA_STALE_MS,
  UNKNOWN_TOPIC_AGE_MS,
  UNKNOWN_TOPICS,
} from "../../../../src/core/limits.ts";
import type { Env } from "../../../../src/env.ts";
import { lookAtGroup } from "../../../../src/worker/edge/groups.ts";
import { forgetEverything, isolate } from "../../../../src/worker/edge/isolate.ts";
import {
  assertPartitionById,
  atPartition,
  newestMetadata,
  topicById,
  topicMetadata,
} from "../../../../src/worker/edge/metadata.ts";

let topics: Topic[];
let groups: Set<string>;
let isDown: boolean;
/** The questions to the cluster. */
let asked: string[];
/** The gate for the cluster's answers. */
let held: Promise<unknown> | null;
/** The work that requests left behind when they were answered. */
let left: Promise<unknown>[];
const env = {
  from: { waitUntil: (promise: Promise<unknown>) => left.push(promise) },
  CLUSTER: {
    getByName: () => ({
      topic: async ({ name }: { name: string }) =>
        answer(name, "UNKNOWN_TOPIC_OR_PARTITION", ({ name }) => name),
      topicById: async ({ topicId: id }: { topicId: string }) =>
        answer(id, "UNKNOWN_TOPIC_ID", ({ topicId }) => topicId),
      hasGroup: async ({ groupId: id }: { groupId: string }) => {
        note(id);
        return groups.has(id);
      },
    }),
  },
  GROUP: { getByName: (id: string) => ({ id }) },
} as unknown as Env;

function note(question: string): void {
  asked.push(question);
  if (isDown) throw new Error("Network connection lost");
}

async function answer(question: string, error: ErrorName, of: (topic: Topic) => string) {
  note(question);
  await held;
  const topic = topics.find((each) => of(each) === question);
  return topic === undefined ? fail(error, "there is none") : { ok: true, topic };
}

const topic = (name: string, topicId: string, partitions = 1) =>
  ({ name, topicId, partitions, overrides: {} }) as unknown as Topic;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000_000 });
  forgetEverything();
  topics = [topic("t", "id")];
  groups = new Set(["g"]);
  isDown = false;
  asked = [];
  held = null;
  left = [];
});
afterEach(() => {
  forgetEverything();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);
/** Background questions are answered. */
const settle = () => Promise.all(left);
/** No topic's metadata is fresh for longer. The time differs from topic to topic. */
const LONGEST_FRESH_MS = METADATA_FRESH_MS * 1.2;

/** The remembered data: its minimum and maximum age, how it is requested, and the question to the cluster. */
const REMEMBERED = [
  [
    "a topic by its name",
    METADATA_FRESH_MS,
    LONGEST_FRESH_MS,
    () => topicMetadata(env, "t"),
    ["t"],
  ],
  ["a topic by its id", METADATA_FRESH_MS, LONGEST_FRESH_MS, () => topicById(env, "id"), ["id"]],
  [
    "a topic that is shown",
    METADATA_SHOWN_MS,
    METADATA_SHOWN_MS,
    () => newestMetadata(env, "t"),
    ["t"],
  ],
  [
    "a group that exists",
    GROUP_KNOWN_MS,
    GROUP_KNOWN_MS,
    () => lookAtGroup(env, "g", async () => ({ ok: true })),
    ["g"],
  ],
  [
    "an id of no topic",
    UNKNOWN_TOPIC_AGE_MS,
    UNKNOWN_TOPIC_AGE_MS,
    () => topicById(env, "no").catch(() => {}),
    ["no"],
  ],
  [
    "a name of no topic",
    UNKNOWN_TOPIC_AGE_MS,
    UNKNOWN_TOPIC_AGE_MS,
    () => topicMetadata(env, "no").catch(() => {}),
    ["no"],
  ],
] as [string, number, number, () => Promise<unknown>, string[]][];

describe.each(REMEMBERED)("%s", (_, atLeastMs, atMostMs, ask, question) => {
  test("[COST-1] is remembered for a while, and then requested again", async () => {
    await ask();
    pass(atLeastMs - 1);
    await ask();
    expect(asked).toEqual(question);
    pass(atMostMs - atLeastMs + 1);
    await ask();
    expect(asked).toEqual([...question, ...question]);
    await settle();
    pass(atLeastMs - 1);
    await ask();
    expect(asked).toHaveLength(2);
  });

  test("[CLK-3] is requested again after the clock was set back", async () => {
    await ask();
    pass(-3_600_000);
    await ask();
    expect(asked).toEqual([...question, ...question]);
  });
});

describe("one question", () => {
  const ask = [
    ["by name", () => topicMetadata(env, "t"), "t"],
    ["by id", () => topicById(env, "id"), "id"],
  ] as const;

  test.each(ask)(
    "[CLU-5] requests that need a topic at the same time ask once: %s",
    async (_, get, what) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      const all = Array.from({ length: 50 }, () => get());
      expect(asked).toEqual([what]);
      resolve();
      for (const found of await Promise.all(all)) expect(found).toMatchObject({ topicId: "id" });
      expect(asked).toEqual([what]);
      expect(isolate.lookups.size).toBe(0);
    },
  );

  test.each([
    ["there is none", "UNKNOWN_TOPIC_OR_PARTITION"],
    ["the cluster is out of reach", "Network connection lost"],
  ])("[CLU-5] all of them get its error: %s", async (what, error) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    held = promise;
    topics = [];
    const all = Array.from({ length: 5 }, () => topicMetadata(env, "t"));
    if (what === "there is none") resolve();
    else reject(new Error("Network connection lost"));
    for (const { status, reason } of (await Promise.allSettled(all)) as PromiseRejectedResult[])
      expect([status, reason.code ?? reason.message]).toEqual(["rejected", error]);
    expect(asked).toEqual(["t"]);
    held = null;
    topics = [topic("t", "id")];
    pass(UNKNOWN_TOPIC_AGE_MS);
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "id" });
  });

  test("[CLU-5] one that waits for another's cancelled question asks again", async () => {
    held = new Promise(() => {});
    void topicMetadata(env, "t");
    held = null;
    const waiting = Array.from({ length: 50 }, () => topicMetadata(env, "t"));
    await vi.advanceTimersByTimeAsync(LOOKUP_PATIENCE_MS - 1);
    expect(asked).toEqual(["t"]);
    await vi.advanceTimersByTimeAsync(1);
    for (const found of await Promise.all(waiting)) expect(found).toMatchObject({ topicId: "id" });
    expect(asked).toEqual(["t", "t"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[CLU-5] a topic that is named like the id of another is not taken for it", async () => {
    topics = [topic("t", "id"), topic("id", "other")];
    const { promise, resolve } = Promise.withResolvers<void>();
    held = promise;
    const found = [topicById(env, "id"), topicMetadata(env, "id")];
    resolve();
    expect(await Promise.all(found)).toMatchObject([{ name: "t" }, { topicId: "other" }]);
    await topicMetadata(env, "new").catch(() => {});
    topics.push(topic("u", "new"));
    expect(await topicById(env, "new")).toMatchObject({ name: "u" });
  });

  test("[CLU-5] a response in time leaves no timer behind", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    held = promise;
    const all = [topicMetadata(env, "t"), topicMetadata(env, "t")];
    resolve();
    await Promise.all(all);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[CLU-5] in five minutes a topic is requested once, however many requests there are", async () => {
    await topicMetadata(env, "t");
    for (let minute = 0; minute < 60; minute++) {
      for (let i = 0; i < 60; i++) {
        pass(1_000);
        await Promise.all([topicMetadata(env, "t"), topicById(env, "id")]);
        await settle();
      }
    }
    // An hour has twelve times five minutes.
    expect(asked.length).toBeLessThanOrEqual(13);
    expect(asked.length).toBeGreaterThanOrEqual(10);
  });

  test("[CLU-5] topics requested at the same time are not requested again at the same time", async () => {
    topics = Array.from({ length: 100 }, (_, i) => topic(`t${i}`, `id${i}`));
    for (const { name } of topics) await topicMetadata(env, name);
    asked = [];
    pass(METADATA_FRESH_MS + METADATA_FRESH_MS / 10);
    for (const { name } of topics) await topicMetadata(env, name);
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.length).toBeLessThan(90);
  });
});

describe("while a topic is asked for anew", () => {
  test.each([
    ["by name", () => topicMetadata(env, "t"), "t"],
    ["by id", () => topicById(env, "id"), "id"],
  ] as const)("[CLU-5] requests continue with what is known: %s", async (_, get, what) => {
    await get();
    topics = [topic("t", "id", 7)];
    const { promise, resolve } = Promise.withResolvers<void>();
    held = promise;
    pass(LONGEST_FRESH_MS);
    for (let i = 0; i < 20; i++) expect(await get()).toMatchObject({ partitions: 1 });
    expect(asked).toEqual([what, what]);
    resolve();
    await settle();
    expect(await get()).toMatchObject({ partitions: 7 });
    expect(asked).toHaveLength(2);
  });

  test("[CLU-5] a question without an answer is asked again after a while", async () => {
    await topicMetadata(env, "t");
    held = new Promise(() => {});
    pass(LONGEST_FRESH_MS);
    await topicMetadata(env, "t");
    pass(METADATA_RENEWAL_MS - 1);
    await topicMetadata(env, "t");
    expect(asked).toHaveLength(2);
    pass(1);
    await topicMetadata(env, "t");
    expect(asked).toHaveLength(3);
  });

  test("[CLU-5] one that was requested too long ago is waited for", async () => {
    await topicMetadata(env, "t");
    topics = [topic("t", "id", 7)];
    pass(METADATA_STALE_MS);
    expect(await topicMetadata(env, "t")).toMatchObject({ partitions: 7 });
    expect(left).toEqual([]);
  });

  test("[CLU-4] the request that finds out that it is gone continues, and the next one is told", async () => {
    await topicMetadata(env, "t");
    topics = [];
    pass(LONGEST_FRESH_MS);
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "id" });
    await settle();
    await expect(topicMetadata(env, "t")).rejects.toMatchObject({
      code: "UNKNOWN_TOPIC_OR_PARTITION",
    });
    expect(asked).toHaveLength(2);
  });
});

describe("while the cluster is out of reach", () => {
  test("[ERR-2] known data of a topic counts, however old; unknown data is an error", async () => {
    await topicMetadata(env, "t");
    isDown = true;
    pass(3_600_000);
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "id" });
    expect(asked).toEqual(["t", "t"]);
    // A failed question is not asked again at once.
    expect(await topicById(env, "id")).toMatchObject({ name: "t" });
    expect(asked).toEqual(["t", "t"]);
    pass(METADATA_RENEWAL_MS);
    expect(await topicById(env, "id")).toMatchObject({ name: "t" });
    expect(asked).toEqual(["t", "t", "id"]);
    expect(await newestMetadata(env, "t")).toMatchObject({ topicId: "id" });
    await expect(topicMetadata(env, "other")).rejects.toThrow("Network connection lost");
    await expect(topicById(env, "other")).rejects.toThrow("Network connection lost");
    await expect(newestMetadata(env, "other")).rejects.toThrow("Network connection lost");
    isDown = false;
    topics = [];
    pass(METADATA_RENEWAL_MS);
    await expect(topicMetadata(env, "t")).rejects.toThrow("there is none");
    // A topic that has gone is forgotten.
    isDown = true;
    pass(UNKNOWN_TOPIC_AGE_MS);
    await expect(topicMetadata(env, "t")).rejects.toThrow("Network connection lost");
    await expect(topicById(env, "id")).rejects.toThrow("Network connection lost");
  });

  test("[FIL-1] a group is asked itself, and its yes is not remembered", async () => {
    isDown = true;
    const look = async () => ({ ok: true }) as const;
    expect(await lookAtGroup(env, "none", look)).toEqual({ ok: true });
    isDown = false;
    expect(await lookAtGroup(env, "none", look)).toMatchObject({ error: "GROUP_ID_NOT_FOUND" });
  });
});

describe("topics", () => {
  test("[CLU-4] a name that now belongs to another topic leads to it, and the old id to none", async () => {
    await topicById(env, "id");
    topics = [topic("t", "new")];
    pass(METADATA_STALE_MS);
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "new" });
    await expect(topicById(env, "id")).rejects.toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
    expect(await topicById(env, "new")).toMatchObject({ name: "t" });
    expect(asked).toEqual(["id", "t", "id"]);
  });

  test("[CLU-4] an id of no topic takes the name that it had with it", async () => {
    await topicById(env, "id");
    topics = [];
    pass(METADATA_STALE_MS);
    await expect(topicById(env, "id")).rejects.toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
    topics = [topic("t", "new")];
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "new" });
  });

  test.each([".", "", "a/b", "x".repeat(250)])(
    "[CLU-1] a name that no topic can have is rejected, and nobody asked: %j",
    async (name) => {
      await expect(topicMetadata(env, name)).rejects.toMatchObject({
        code: "INVALID_TOPIC_EXCEPTION",
      });
      expect(asked).toEqual([]);
    },
  );

  test("[CLU-3] a partition beyond the known ones makes the cluster be asked, once", async () => {
    await assertPartitionById(env, "id", null, 0);
    expect(asked).toEqual(["id"]);
    const refused = {
      code: "UNKNOWN_TOPIC_OR_PARTITION",
      message: expect.stringContaining("0 to 0"),
    };
    await expect(assertPartitionById(env, "id", null, 1)).rejects.toMatchObject(refused);
    expect(asked).toHaveLength(2);
    topics = [topic("t", "id", 2)];
    await assertPartitionById(env, "id", null, 1);
    await assertPartitionById(env, "id", null, 1);
    expect(asked).toHaveLength(3);
    await atPartition(env, "t", 1, async () => null);
    expect(asked).toHaveLength(3);
    await expect(atPartition(env, "t", 2, async () => null)).rejects.toMatchObject({
      code: "UNKNOWN_TOPIC_OR_PARTITION",
    });
    expect(asked).toHaveLength(4);
  });

  test("[CLU-4] a partition that says its topic is gone makes the cluster be asked, and is tried at the new one, once", async () => {
    const ids: string[] = [];
    const gone = (until: string) => (topicId: string) => {
      ids.push(topicId);
      if (topicId !== until) throw new BrokerError("UNKNOWN_TOPIC_ID", "gone");
      return Promise.resolve(topicId);
    };
    await topicMetadata(env, "t");
    topics = [topic("t", "new")];
    expect(await atPartition(env, "t", 0, async (id) => gone("new")(id))).toBe("new");
    expect(ids).toEqual(["id", "new"]);
    await expect(atPartition(env, "t", 0, async (id) => gone("")(id))).rejects.toThrow("gone");
    expect(ids).toEqual(["id", "new", "new", "new"]);
    let tries = 0;
    const other = atPartition(env, "t", 0, async () => {
      tries++;
      throw new BrokerError("INVALID_RECORD", "wrong");
    });
    await expect(other).rejects.toThrow("wrong");
    expect(tries).toBe(1);
  });

  test("[BND-1] a bounded number is remembered, the newest", async () => {
    topics = Array.from({ length: METADATA_CACHE_TOPICS + 1 }, (_, i) => topic(`t${i}`, `id${i}`));
    for (const { name } of topics) await topicMetadata(env, name);
    expect(isolate.topics.size).toBe(METADATA_CACHE_TOPICS);
    expect(isolate.topicNames.size).toBe(METADATA_CACHE_TOPICS);
    expect(isolate.topics.has("t0")).toBe(false);
    expect(isolate.topicNames.has("id1")).toBe(true);
    // One that was requested again is new again.
    pass(METADATA_STALE_MS);
    await topicMetadata(env, "t1");
    await topicMetadata(env, "t0");
    expect(["t0", "t1", "t2"].map((name) => isolate.topics.has(name))).toEqual([true, true, false]);
    for (let i = 0; i <= UNKNOWN_TOPICS; i++) await topicById(env, `no${i}`).catch(() => {});
    expect(isolate.unknownTopics.size).toBe(UNKNOWN_TOPICS);
    expect(isolate.unknownTopics.has("id no0")).toBe(false);
    pass(1_000);
    await topicById(env, "no1").catch(() => {});
    await topicById(env, "no").catch(() => {});
    expect(["no", "no1", "no2"].map((id) => isolate.unknownTopics.has(`id ${id}`))).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe("groups", () => {
  const look = async () => ({ ok: true }) as const;

  test("[FIL-1] one that does not exist is not asked anything, and looked for again each time", async () => {
    const looked: unknown[] = [];
    const tell = async (group: unknown) => {
      looked.push(group);
      return { ok: true } as const;
    };
    expect(await lookAtGroup(env, "none", tell)).toMatchObject({ error: "GROUP_ID_NOT_FOUND" });
    groups.add("none");
    expect(await lookAtGroup(env, "none", tell)).toEqual({ ok: true });
    expect(looked).toHaveLength(1);
    expect(asked).toEqual(["none", "none"]);
  });

  test("[FIL-1] one that says that it is not there is looked for again", async () => {
    const gone = async () => fail("GROUP_ID_NOT_FOUND", "gone");
    const other = async () => fail("NON_EMPTY_GROUP", "not now");
    await lookAtGroup(env, "g", look);
    expect(await lookAtGroup(env, "g", other)).toMatchObject({ error: "NON_EMPTY_GROUP" });
    expect(await lookAtGroup(env, "g", gone)).toMatchObject({ error: "GROUP_ID_NOT_FOUND" });
    expect(asked).toEqual(["g"]);
    await lookAtGroup(env, "g", look);
    expect(asked).toEqual(["g", "g"]);
  });

  test("[BND-1] a bounded number is remembered, the newest", async () => {
    for (let i = 0; i <= METADATA_CACHE_GROUPS; i++) groups.add(`g${i}`);
    for (const each of groups) if (each !== "g") await lookAtGroup(env, each, look);
    expect(isolate.groups.size).toBe(METADATA_CACHE_GROUPS);
    expect(isolate.groups.has("g0")).toBe(false);
    // One that was requested again is new again.
    pass(GROUP_KNOWN_MS);
    await lookAtGroup(env, "g1", look);
    await lookAtGroup(env, "g", look);
    expect(isolate.groups.size).toBe(METADATA_CACHE_GROUPS);
    expect(["g1", "g2", "g"].map((each) => isolate.groups.has(each))).toEqual([true, false, true]);
  });

  test("[BND-1] one that has gone is not remembered", async () => {
    await lookAtGroup(env, "g", look);
    groups.clear();
    pass(GROUP_KNOWN_MS);
    expect(await lookAtGroup(env, "g", look)).toMatchObject({ error: "GROUP_ID_NOT_FOUND" });
    expect(isolate.groups.size).toBe(0);
  });
});
