// The Worker's memory of topics and groups: its age, its size, and its use while the cluster is out of reach.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Topic } from "../../../../src/core/cluster/topics.ts";
import { BrokerError, type ErrorName, fail } from "../../../../src/core/errors.ts";
import {
  METADATA_CACHE_GROUPS,
  METADATA_CACHE_TOPICS,
  UNKNOWN_TOPICS,
} from "../../../../src/core/limits.ts";
import type { Env } from "../../../../src/env.ts";
import { lookAtGroup } from "../../../../src/worker/edge/groups.ts";
import { forgetEverything, isolate } from "../../../../src/worker/edge/isolate.ts";
import {
  assertPartitionById,
  atPartition,
  topicById,
  topicMetadata,
} from "../../../../src/worker/edge/metadata.ts";

let topics: Topic[];
let groups: Set<string>;
let isDown: boolean;
/** The questions that the cluster was asked. */
let asked: string[];
const env = {
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

function answer(question: string, error: ErrorName, of: (topic: Topic) => string) {
  note(question);
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
});
afterEach(() => {
  forgetEverything();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);

/** The three things that are remembered, and how each is asked for. */
const REMEMBERED = [
  ["a topic by its name", 10_000, () => topicMetadata(env, "t"), ["t"]],
  ["a topic by its id", 10_000, () => topicById(env, "id"), ["id"]],
  ["a group that exists", 10_000, () => lookAtGroup(env, "g", async () => ({ ok: true })), ["g"]],
  ["an id of no topic", 1_000, () => topicById(env, "no").catch(() => {}), ["no"]],
] as [string, number, () => Promise<unknown>, string[]][];

describe.each(REMEMBERED)("%s", (_, forMs, ask, question) => {
  test("[COST-1] is remembered for a while, and then asked for again", async () => {
    await ask();
    pass(forMs - 1);
    await ask();
    expect(asked).toEqual(question);
    pass(1);
    await ask();
    expect(asked).toEqual([...question, ...question]);
    pass(forMs - 1);
    await ask();
    expect(asked).toHaveLength(2);
  });

  test("[CLK-3] is asked for again where the clock was set back", async () => {
    await ask();
    pass(-3_600_000);
    await ask();
    expect(asked).toEqual([...question, ...question]);
  });
});

describe("while the cluster is out of reach", () => {
  test("[ERR-2] what was known of a topic counts, however old; what was not is an error", async () => {
    await topicMetadata(env, "t");
    isDown = true;
    pass(3_600_000);
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "id" });
    expect(await topicById(env, "id")).toMatchObject({ name: "t" });
    expect(asked).toEqual(["t", "t", "id"]);
    await expect(topicMetadata(env, "other")).rejects.toThrow("Network connection lost");
    await expect(topicById(env, "other")).rejects.toThrow("Network connection lost");
    isDown = false;
    topics = [];
    await expect(topicMetadata(env, "t")).rejects.toThrow("there is none");
    // A topic that has gone is forgotten.
    isDown = true;
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
  test("[CLU-4] a name that belongs to another topic by now leads to it, and the old id to none", async () => {
    await topicById(env, "id");
    topics = [topic("t", "new")];
    pass(10_000);
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "new" });
    await expect(topicById(env, "id")).rejects.toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
    expect(await topicById(env, "new")).toMatchObject({ name: "t" });
    expect(asked).toEqual(["id", "t", "id"]);
  });

  test("[CLU-4] an id of no topic takes the name that it had with it", async () => {
    await topicById(env, "id");
    topics = [];
    pass(10_000);
    await expect(topicById(env, "id")).rejects.toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
    topics = [topic("t", "new")];
    expect(await topicMetadata(env, "t")).toMatchObject({ topicId: "new" });
  });

  test.each([".", "", "a/b", "x".repeat(250)])(
    "[CLU-1] a name that no topic has is refused, and nobody asked: %j",
    async (name) => {
      await expect(topicMetadata(env, name)).rejects.toMatchObject({
        code: "INVALID_TOPIC_EXCEPTION",
      });
      expect(asked).toEqual([]);
    },
  );

  test("[CLU-3] a partition beyond those that are known has the cluster asked, once", async () => {
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

  test("[CLU-4] a partition that says its topic is gone has the cluster asked, and is tried at the new one, once", async () => {
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

  test("[BND-1] so many are remembered, the newest", async () => {
    topics = Array.from({ length: METADATA_CACHE_TOPICS + 1 }, (_, i) => topic(`t${i}`, `id${i}`));
    for (const { name } of topics) await topicMetadata(env, name);
    expect(isolate.topics.size).toBe(METADATA_CACHE_TOPICS);
    expect(isolate.topicNames.size).toBe(METADATA_CACHE_TOPICS);
    expect(isolate.topics.has("t0")).toBe(false);
    expect(isolate.topicNames.has("id1")).toBe(true);
    // One that was asked for anew is new again.
    pass(10_000);
    await topicMetadata(env, "t1");
    await topicMetadata(env, "t0");
    expect(["t0", "t1", "t2"].map((name) => isolate.topics.has(name))).toEqual([true, true, false]);
    for (let i = 0; i <= UNKNOWN_TOPICS; i++) await topicById(env, `no${i}`).catch(() => {});
    expect(isolate.unknownTopics.size).toBe(UNKNOWN_TOPICS);
    expect(isolate.unknownTopics.has("no0")).toBe(false);
    pass(1_000);
    await topicById(env, "no1").catch(() => {});
    await topicById(env, "no").catch(() => {});
    expect(["no", "no1", "no2"].map((id) => isolate.unknownTopics.has(id))).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe("groups", () => {
  const look = async () => ({ ok: true }) as const;

  test("[FIL-1] one that does not exist is not asked for anything, and looked for again each time", async () => {
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

  test("[BND-1] so many are remembered, the newest", async () => {
    for (let i = 0; i <= METADATA_CACHE_GROUPS; i++) groups.add(`g${i}`);
    for (const each of groups) if (each !== "g") await lookAtGroup(env, each, look);
    expect(isolate.groups.size).toBe(METADATA_CACHE_GROUPS);
    expect(isolate.groups.has("g0")).toBe(false);
    // One that was asked for anew is new again.
    pass(10_000);
    await lookAtGroup(env, "g1", look);
    await lookAtGroup(env, "g", look);
    expect(isolate.groups.size).toBe(METADATA_CACHE_GROUPS);
    expect(["g1", "g2", "g"].map((each) => isolate.groups.has(each))).toEqual([true, false, true]);
  });

  test("[BND-1] one that has gone is not remembered", async () => {
    await lookAtGroup(env, "g", look);
    groups.clear();
    pass(10_000);
    expect(await lookAtGroup(env, "g", look)).toMatchObject({ error: "GROUP_ID_NOT_FOUND" });
    expect(isolate.groups.size).toBe(0);
  });
});
