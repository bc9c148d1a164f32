// The cluster's bounds, the effects of its changes, and its memory of groups and partitions. The tests show whom it informs,
// what it retries and when, and what it forgets.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { ClusterStore } from "../../durable-objects/cluster/cluster-store.ts";
import { GroupObject } from "../../durable-objects/group/group-object.ts";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import {
  MAX_GROUPS,
  MAX_NAMES_PER_GROUP,
  MAX_PATTERNS_PER_GROUP,
  MAX_TOPICS,
  MAX_WRITERS_TOLD_OF_CLOCK,
} from "../../src/core/limits.ts";
import { clusterStub, partitionStub } from "../../src/env.ts";
import { callInside, requestIn } from "./calls.ts";
import {
  alarmOf,
  createFreedTopic as createTopic,
  env,
  evict,
  expectStatus,
  FREED,
  produce,
  refuse,
  ringLater,
  stopWall,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const cluster = clusterStub(env);

/** The stored data about a partition's use, or a group's subscriptions. */
function rows(query: string, ...bindings: string[]): Promise<Record<string, SqlStorageValue>[]> {
  return runInDurableObject(cluster, (_, { storage }) =>
    Array.from(storage.sql.exec(query, ...bindings)),
  );
}

const tasksOf = async (what: string) =>
  (await rows("SELECT task FROM tasks"))
    .map(({ task }) => String(task))
    .filter((task) => task.includes(what));

describe("bounds", () => {
  /** The maximum number, or one less. */
  const many = (bound: number, name: string) => Array.from({ length: bound }, () => name);

  test("[CLU-1] topics up to the bound are created, and no more", async () => {
    const spy = vi.spyOn(ClusterStore.prototype, "topicCount", "get");
    spy.mockReturnValueOnce(MAX_TOPICS);
    expect(
      await cluster.createTopic({ name: unique("t"), partitions: 1, overrides: {} }),
    ).toMatchObject({
      error: "THROTTLING_QUOTA_EXCEEDED",
      detail: `there are ${MAX_TOPICS} topics, the bound`,
    });
    spy.mockReturnValueOnce(MAX_TOPICS - 1);
    expect(
      await cluster.createTopic({ name: unique("t"), partitions: 1, overrides: {} }),
    ).toMatchObject({ ok: true });
  });

  test("[CLU-1] groups up to the bound are listed, and a listed one may always ask", async () => {
    const [listed, next] = [unique("g"), unique("g")];
    await cluster.subscribe({ groupId: listed, names: [], pattern: null });
    const spy = vi.spyOn(ClusterStore.prototype, "groupCount", "get");
    spy.mockReturnValue(MAX_GROUPS);
    expect(await cluster.subscribe({ groupId: next, names: [], pattern: null })).toMatchObject({
      error: "THROTTLING_QUOTA_EXCEEDED",
      detail: `there are ${MAX_GROUPS} groups, the bound`,
    });
    expect(await cluster.subscribe({ groupId: listed, names: [], pattern: null })).toMatchObject({
      ok: true,
    });
    spy.mockReturnValue(MAX_GROUPS - 1);
    expect(await cluster.subscribe({ groupId: next, names: [], pattern: null })).toMatchObject({
      ok: true,
    });
  });

  test("[PAT-1] a group subscribes to patterns up to the bound, and to known ones always", async () => {
    const group = unique("g");
    await cluster.subscribe({ groupId: group, names: [], pattern: "known.*" });
    const patterns = vi.spyOn(ClusterStore.prototype, "patternsOf");
    patterns.mockReturnValue([...many(MAX_PATTERNS_PER_GROUP - 1, "p"), "known.*"]);
    expect(await cluster.subscribe({ groupId: group, names: [], pattern: "new.*" })).toMatchObject({
      error: "THROTTLING_QUOTA_EXCEEDED",
      detail: expect.stringContaining(`${MAX_PATTERNS_PER_GROUP} patterns, the bound`),
    });
    expect(
      await cluster.subscribe({ groupId: group, names: [], pattern: "known.*" }),
    ).toMatchObject({ ok: true });
    expect(await cluster.subscribe({ groupId: group, names: [], pattern: null })).toMatchObject({
      ok: true,
    });
    patterns.mockReturnValue(many(MAX_PATTERNS_PER_GROUP - 1, "p"));
    expect(await cluster.subscribe({ groupId: group, names: [], pattern: "new.*" })).toMatchObject({
      ok: true,
    });
  });

  describe.each(TWINS)("of a group's subscriptions$when", ({ interrupt }) => {
    const subscribed = async (group: string) =>
      (
        await Promise.all(
          ["topic FROM subscriptions", "pattern FROM patterns"].map((from) =>
            rows(`SELECT ${from} WHERE group_id = ? ORDER BY 1`, group),
          ),
        )
      ).map((found) => found.map((row) => Object.values(row)[0]));
    const poll = (group: string, instanceId: string, topics: string[], pattern?: string) => {
      const body = { instanceId, topics, ...(pattern ? { pattern } : {}) };
      return expectStatus(200, "POST", `/v1/groups/${group}/poll`, body);
    };

    test("[QUO-6] topics without a subscriber are forgotten before anything is refused", async () => {
      const group = unique("g");
      const { name } = await createTopic(1);
      await poll(group, "a", [name, "kept"], "kept.*");
      await cluster.subscribe({ groupId: group, names: ["stale"], pattern: "stale.*" });
      await interrupt(cluster);
      vi.spyOn(ClusterStore.prototype, "subscriptionCounts").mockReturnValueOnce({
        known: MAX_NAMES_PER_GROUP,
        added: 1,
      });
      expect(
        await cluster.subscribe({ groupId: group, names: ["new"], pattern: null }),
      ).toMatchObject({ ok: true });
      expect(await subscribed(group)).toEqual([["kept", "new", name].sort(), ["kept.*"]]);
    });

    test("[QUO-6] subscriptions are refused beyond the bound, and known ones never", async () => {
      const group = unique("g");
      await poll(group, "a", ["one"]);
      const counts = vi.spyOn(ClusterStore.prototype, "subscriptionCounts");
      counts.mockReturnValue({ known: MAX_NAMES_PER_GROUP, added: 1 });
      await interrupt(cluster);
      const refused = await cluster.subscribe({ groupId: group, names: ["two"], pattern: null });
      expect(refused).toMatchObject({ error: "THROTTLING_QUOTA_EXCEEDED" });
      expect(await subscribed(group)).toEqual([["one"], []]);
      counts.mockReturnValue({ known: MAX_NAMES_PER_GROUP, added: 0 });
      const known = await cluster.subscribe({ groupId: group, names: ["one"], pattern: null });
      expect(known).toMatchObject({ ok: true });
    });

    test("[QUO-6] so are those of two concurrent requests", async () => {
      const group = unique("g");
      await poll(group, "a", ["one"]);
      const crowded = { known: MAX_NAMES_PER_GROUP, added: 1 };
      const counts = vi.spyOn(ClusterStore.prototype, "subscriptionCounts");
      const subscribe = (name: string) =>
        clusterStub(env).subscribe({ groupId: group, names: [name], pattern: null });
      vi.spyOn(GroupObject.prototype, "subscriptions")
        .mockImplementationOnce(async () => {
          counts.mockReturnValueOnce(crowded);
          await subscribe("two"); // It asks as well, and is answered first.
          await subscribe("three");
          return { names: ["one"], patterns: [] };
        })
        .mockImplementationOnce(async () => ({ names: ["one"], patterns: [] }));
      counts.mockReturnValueOnce(crowded);
      await interrupt(cluster);
      expect(await subscribe("four")).toMatchObject({ ok: true });
      expect(await subscribed(group)).toEqual([["four", "one", "three", "two"], []]);
    });

    test("[QUO-6] topics that others subscribe to meanwhile stay", async () => {
      const group = unique("g");
      await poll(group, "a", ["one"]);
      vi.spyOn(GroupObject.prototype, "subscriptions").mockImplementationOnce(async () => {
        await clusterStub(env).subscribe({ groupId: group, names: ["three"], pattern: "p.*" });
        return { names: ["one"], patterns: [] };
      });
      vi.spyOn(ClusterStore.prototype, "subscriptionCounts").mockReturnValueOnce({
        known: MAX_NAMES_PER_GROUP,
        added: 1,
      });
      await interrupt(cluster);
      expect(
        await cluster.subscribe({ groupId: group, names: ["two"], pattern: null }),
      ).toMatchObject({ ok: true });
      expect(await subscribed(group)).toEqual([["one", "three", "two"], ["p.*"]]);
    });
  });

  test("[CLK-1] the partitions written to last learn of the clock, each once, the oldest forgotten", async () => {
    // In a separate life of the cluster, so that nobody else's partitions are among them.
    const told = await runInDurableObject(cluster, async (_, state) => {
      const other = new ClusterObject(state, env);
      const written = (partition: number) =>
        callInside(other, "cluster", "noteLogEnd", { topicId: "nobody's", partition, logEnd: 1 });
      for (let i = 0; i <= MAX_WRITERS_TOLD_OF_CLOCK; i++) {
        await written(i);
        if (i > 2) await written(1); // It writes all the time.
      }
      return (await other.noticeClock()).partitions;
    });
    expect(told).toHaveLength(MAX_WRITERS_TOLD_OF_CLOCK);
    const numbers = told.map(({ partition }) => partition);
    expect(numbers.slice(0, 3)).toEqual([2, 3, 4]);
    expect(numbers.slice(-2)).toEqual([MAX_WRITERS_TOLD_OF_CLOCK, 1]);
    expect(told[0]).toEqual({ topicId: "nobody's", partition: 2 });
  });
});

describe("subscriptions", () => {
  test.each(TWINS)(
    "[GRP-9] a change of a topic is sent once to each group that reads it, and to no other$when",
    async ({ interrupt }) => {
      const name = unique("topic");
      const [byName, byPattern, byBoth, other] = ["a", "b", "c", "d"].map((prefix) =>
        unique(prefix),
      ) as [string, string, string, string];
      await cluster.subscribe({ groupId: byName, names: [name], pattern: null });
      await cluster.subscribe({ groupId: byPattern, names: [], pattern: `${name}.*` });
      await cluster.subscribe({ groupId: byBoth, names: [name], pattern: `${name}.*` });
      await cluster.subscribe({ groupId: other, names: [unique("topic")], pattern: `x${name}` });
      const told: string[] = [];
      vi.spyOn(GroupObject.prototype, "changeTopic").mockImplementation(async function (
        this: GroupObject,
        ...args
      ) {
        const { name: changed, topic } = requestIn("group", "changeTopic", args);
        const { id } = (this as unknown as { ctx: DurableObjectState }).ctx;
        if (changed === name) told.push(`${id.name} ${topic?.partitions ?? "gone"}`);
        return { forgotten: null };
      });
      const take = () => told.splice(0).sort();
      const all = (what: number | string) =>
        [byName, byPattern, byBoth].map((group) => `${group} ${what}`).sort();
      await interrupt(cluster);
      await cluster.createTopic({ name, partitions: 1, overrides: FREED });
      expect(take()).toEqual(all(1));
      await cluster.alterTopic({ name, partitions: 1 });
      await cluster.alterTopic({ name, config: { "retention.ms": 5 } });
      expect(take(), "nothing that concerns a group").toEqual([]);
      await interrupt(cluster);
      await cluster.alterTopic({ name, partitions: 3 });
      expect(take()).toEqual(all(3));
      await cluster.deleteTopic({ name });
      expect(take()).toEqual(all("gone"));
    },
  );

  test("[GRP-13] a lookup of topics that must exist lists no group for names that do not", async () => {
    const [group, missing] = [unique("g"), unique("missing")];
    const topic = await createTopic(1);
    expect(
      await cluster.subscribe({ groupId: group, names: [missing], pattern: null, mustExist: true }),
    ).toMatchObject({ topics: [] });
    expect(await cluster.hasGroup({ groupId: group })).toBe(false);
    expect(
      await cluster.subscribe({
        groupId: group,
        names: [missing, topic.name],
        pattern: null,
        mustExist: true,
      }),
    ).toMatchObject({
      topics: [{ name: topic.name }],
    });
    const subscribed = "SELECT topic FROM subscriptions WHERE group_id = ?";
    expect(await rows(subscribed, group)).toEqual([{ topic: topic.name }]);
    await cluster.subscribe({ groupId: group, names: [missing], pattern: null });
    expect(await rows(subscribed, group)).toHaveLength(2);
  });

  test.each([
    { what: "group id", group: "", names: [], pattern: null, error: "INVALID_GROUP_ID" },
    { what: "topic", names: ["t", "no topic"], pattern: null, error: "INVALID_TOPIC_EXCEPTION" },
    { what: "pattern", names: [], pattern: "(", error: "INVALID_REGULAR_EXPRESSION" },
  ])("[GRP-13] an illegal $what is rejected, and lists nothing", async (row) => {
    const group = row.group ?? unique("g");
    expect(
      await cluster.subscribe({ groupId: group, names: row.names, pattern: row.pattern }),
    ).toMatchObject({
      error: row.error,
    });
    expect(await cluster.hasGroup({ groupId: group })).toBe(false);
    expect(await rows("SELECT * FROM subscriptions WHERE group_id = ?", group)).toEqual([]);
  });

  test("[PAT-1] a subscription finds the topics that it names or matches, each once", async () => {
    const name = unique("topic");
    const [a, b] = [await createTopic(1, {}, `${name}-a`), await createTopic(1, {}, `${name}-b`)];
    const named = (topics: readonly string[], pattern: string | null) =>
      cluster
        .subscribe({ groupId: unique("g"), names: topics, pattern })
        .then((found) => (found.ok ? found.topics.map((each) => each.name) : found.error));
    expect(await named([b.name], null)).toEqual([b.name]);
    expect(await named([b.name], `${name}-.*`)).toEqual([a.name, b.name]);
    expect(await named([], `${name}-a`)).toEqual([a.name]);
  });
});

describe("groups that end", () => {
  test.each(TWINS)(
    "[CLK-5] the newest incarnation of any deleted group is given to the next, and never an older one$when",
    async ({ interrupt }) => {
      const told = async () => {
        await interrupt(cluster);
        const answer = await cluster.subscribe({ groupId: unique("g"), names: [], pattern: null });
        return answer.ok ? answer.retiredIncarnation : -1;
      };
      const newest = Math.max(await told(), Date.now()) + 10;
      await cluster.retireIncarnation({ incarnation: newest });
      expect(await told()).toBe(newest);
      // A group that has lost its data does not know its own, which was at most one more than the newest.
      for (const older of [newest - 1, 0]) {
        const before = await told();
        await cluster.retireIncarnation({ incarnation: older });
        expect(await told()).toBe(before + 1);
      }
      await cluster.retireIncarnation({ incarnation: newest + 9 });
      expect(await told()).toBe(newest + 9);
    },
  );

  test("[FIL-6] only a listed group is noted to have stored something", async () => {
    const [listed, stranger] = [unique("g"), unique("g")];
    await cluster.subscribe({ groupId: listed, names: [], pattern: null });
    for (const group of [listed, stranger]) await cluster.noteGroupMade({ groupId: group });
    expect(await cluster.isGroupMade({ groupId: listed })).toBe(true);
    expect(await cluster.isGroupMade({ groupId: stranger })).toBe(false);
    expect(await cluster.subscribe({ groupId: listed, names: [], pattern: null })).toMatchObject({
      isMade: true,
    });
    expect(await cluster.subscribe({ groupId: stranger, names: [], pattern: null })).toMatchObject({
      isMade: false,
    });
  });

  test("[GRP-13] a group that subscribes while it is asked whether it is needed stays", async () => {
    const group = unique("g");
    await cluster.subscribe({ groupId: group, names: [], pattern: null });
    const isNeeded = vi.spyOn(GroupObject.prototype, "isNeeded");
    isNeeded.mockImplementationOnce((async () => {
      await clusterStub(env).subscribe({ groupId: group, names: [], pattern: null });
      return false;
    }) as () => Promise<boolean>);
    await cluster.forgetGroup({ groupId: group });
    expect(await cluster.hasGroup({ groupId: group })).toBe(true);
    isNeeded.mockResolvedValueOnce(true);
    await cluster.forgetGroup({ groupId: group });
    expect(await cluster.hasGroup({ groupId: group })).toBe(true);
    isNeeded.mockResolvedValueOnce(false);
    await cluster.forgetGroup({ groupId: group });
    expect(await cluster.hasGroup({ groupId: group })).toBe(false);
  });

  test("[GRP-13] of two questions whether a group is needed the later one counts", async () => {
    const group = unique("g");
    await cluster.subscribe({ groupId: group, names: [], pattern: null });
    const isNeeded = vi.spyOn(GroupObject.prototype, "isNeeded");
    isNeeded.mockImplementationOnce((async () => {
      isNeeded.mockResolvedValueOnce(true);
      await clusterStub(env).forgetGroup({ groupId: group });
      return false; // An earlier answer.
    }) as () => Promise<boolean>);
    await cluster.forgetGroup({ groupId: group });
    expect(await cluster.hasGroup({ groupId: group })).toBe(true);
  });
});

describe("partitions", () => {
  test("[FIL-4] nothing is remembered of partitions that do not exist", async () => {
    const topic = await createTopic(2);
    const gone = crypto.randomUUID();
    const used = () =>
      rows("SELECT partition FROM partition_use WHERE topic_id IN (?, ?)", topic.topicId, gone);
    expect(await used()).toEqual([{ partition: -1 }]);
    await cluster.noteLogEnd({ topicId: gone, partition: 0, logEnd: 7 });
    expect(await cluster.usePartition({ topicId: gone, partition: 0 })).toMatchObject({
      error: "UNKNOWN_TOPIC_ID",
    });
    expect(await cluster.usePartition({ topicId: topic.topicId, partition: 2 })).toMatchObject({
      knownLogEnd: null,
    });
    expect(await used()).toEqual([{ partition: -1 }]);
    expect(await cluster.usePartition({ topicId: topic.topicId, partition: 1 })).toMatchObject({
      knownLogEnd: null,
    });
    expect(await cluster.usedPartitions({ topicIds: [topic.topicId, gone] })).toEqual([[1], null]);
  });

  test("[FIL-1] a change goes to used partitions only, and a topic without one needs no task", async () => {
    const topic = await createTopic(3);
    await produce(topic.name, [{ value: "a", partition: 1 }]);
    const places: string[] = [];
    const note = (what: string) =>
      async function (this: PartitionObject) {
        const { id } = (this as unknown as { ctx: DurableObjectState }).ctx;
        if (id.name?.startsWith(topic.topicId)) places.push(`${what} ${id.name.split("/")[1]}`);
      };
    vi.spyOn(PartitionObject.prototype, "configure").mockImplementation(note("configure"));
    vi.spyOn(PartitionObject.prototype, "destroy").mockImplementation(note("destroy"));
    await cluster.alterTopic({ name: topic.name, partitions: 4 });
    expect(places).toEqual([]);
    await cluster.alterTopic({ name: topic.name, config: { "retention.ms": 7 } });
    expect(places.splice(0)).toEqual(["configure 1"]);
    await cluster.deleteTopic({ name: topic.name });
    expect(places).toEqual(["destroy 1"]);
  });

  test("[CLU-4] a partition that cannot be freed delays no other, and only its topic is retried", async () => {
    const [topic, other] = [await createTopic(2), await createTopic(1)];
    for (const partition of [0, 1]) await produce(topic.name, [{ value: "a", partition }]);
    await produce(other.name, [{ value: "a" }]);
    vi.spyOn(console, "error").mockReturnValue();
    const { destroy } = PartitionObject.prototype;
    const stuck = vi.spyOn(PartitionObject.prototype, "destroy").mockImplementation(async function (
      this: PartitionObject,
    ) {
      const { id } = (this as unknown as { ctx: DurableObjectState }).ctx;
      if (id.name === `${topic.topicId}/0`) throw new Error("damaged, for the test");
      return destroy.call(this);
    });
    await cluster.deleteTopic({ name: topic.name });
    await cluster.deleteTopic({ name: other.name });
    const refused = { ok: false, error: "UNKNOWN_TOPIC_ID" };
    expect(await partitionStub(env, topic.topicId, 1).offsets()).toMatchObject(refused);
    expect(await tasksOf(topic.topicId)).toHaveLength(1);
    expect(await tasksOf(other.topicId)).toEqual([]);
    stuck.mockRestore();
    await ringLater(cluster);
    expect(await tasksOf(topic.topicId)).toEqual([]);
  });
});

describe("tasks that fail", () => {
  /** Kept deleted topics have their own alarm. */
  beforeEach(async () => {
    for (const { topic } of (await cluster.deletedTopics({ limit: 1_000 })).topics)
      await cluster.purgeTopic({ topicId: topic.topicId });
  });

  test("[CLU-4] [CLU-8] they are retried after a second, then ever later, up to an hour, and soon if nothing has failed yet", async () => {
    const [topic, next] = [await createTopic(1), await createTopic(1)];
    for (const { name } of [topic, next]) await produce(name, [{ value: "a" }]);
    vi.spyOn(console, "error").mockReturnValue();
    const failing = new Set([topic.topicId, next.topicId]);
    const tried: string[] = [];
    const { destroy } = PartitionObject.prototype;
    vi.spyOn(PartitionObject.prototype, "destroy").mockImplementation(async function (
      this: PartitionObject,
    ) {
      const { id } = (this as unknown as { ctx: DurableObjectState }).ctx;
      const [topicId = ""] = (id.name ?? "").split("/");
      tried.push(topicId);
      if (failing.has(topicId)) throw new Error("out of reach, for the test");
      return destroy.call(this);
    });
    // In a life of the cluster whose time the test moves.
    await evict(cluster);
    let nowMs = Date.now();
    const turnTo = (ms: number) => {
      nowMs = ms;
      return runInDurableObject(cluster, (_, { storage }) => {
        Reflect.deleteProperty(storage.sql, "exec");
        stopWall(storage.sql, ms);
      });
    };
    const waitMs = async () => ((await alarmOf(cluster)) ?? Number.POSITIVE_INFINITY) - nowMs;
    await turnTo(nowMs + 3_600_000); // No alarm of this test rings by itself.
    await cluster.deleteTopic({ name: topic.name });
    expect(tried).toEqual([topic.topicId]);
    for (let i = 0; i < 14; i++) {
      const wait = Math.min(3_600_000, 1_000 * 2 ** i);
      expect(await waitMs(), `after ${i + 1}`).toBe(wait);
      await turnTo(nowMs + wait / 2);
      await runDurableObjectAlarm(cluster);
      expect(tried, "not yet").toHaveLength(i + 1);
      await turnTo(nowMs + wait / 2);
      await runDurableObjectAlarm(cluster);
      expect(tried).toHaveLength(i + 2);
    }
    // Another one that fails begins with a second.
    await cluster.deleteTopic({ name: next.name });
    expect(await waitMs()).toBe(1_000);
    failing.clear();
    await turnTo(nowMs + 2 * 3_600_000);
    await runDurableObjectAlarm(cluster);
    expect([await tasksOf(""), await alarmOf(cluster)]).toEqual([[], null]);
  });

  test("[CLU-4] a cluster that wakes up with tasks sets an alarm, and without sets none", async () => {
    await evict(cluster);
    await cluster.topics();
    expect(await alarmOf(cluster)).toBe(null);
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }]);
    vi.spyOn(console, "error").mockReturnValue();
    vi.spyOn(PartitionObject.prototype, "destroy").mockRejectedValueOnce(new Error("once"));
    await cluster.deleteTopic({ name: topic.name });
    await runInDurableObject(cluster, (_, { storage }) => storage.deleteAlarm());
    await evict(cluster);
    await cluster.topics();
    expect(await alarmOf(cluster)).not.toBe(null);
    await runDurableObjectAlarm(cluster);
    expect(await tasksOf(topic.topicId)).toEqual([]);
  });

  test("[ALM-1] [CRC-2] a damaged task is reported, and delays no other", async () => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }]);
    await runInDurableObject(cluster, (_, { storage }) => {
      storage.sql.exec("INSERT INTO tasks (task) VALUES ('{{')");
    });
    await evict(cluster);
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect(await tasksOf(topic.topicId)).toEqual([]);
    expect(await alarmOf(cluster)).not.toBe(null); // There may be others from an earlier life.
    await runDurableObjectAlarm(cluster);
    expect(log.mock.calls.flat().join("\n")).toContain("tasks.task is damaged");
    expect(await alarmOf(cluster)).toBe(null);
    expect(await rows("SELECT task FROM tasks")).toEqual([{ task: "{{" }]);
    await rows("DELETE FROM tasks");
  });

  test("[ALM-1] an alarm whose storage throws comes back", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }]);
    vi.spyOn(PartitionObject.prototype, "destroy").mockRejectedValueOnce(new Error("once"));
    await cluster.deleteTopic({ name: topic.name });
    const restore = await refuse(cluster, /FROM tasks/);
    await runDurableObjectAlarm(cluster);
    expect(restore()).toBeGreaterThan(0);
    expect(await alarmOf(cluster)).not.toBe(null);
    await ringLater(cluster);
    expect([await tasksOf(topic.topicId), await alarmOf(cluster)]).toEqual([[], null]);
  });

  test("[CFG-3] a config that cannot reach a topic that is deleted meanwhile delays nothing", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }]);
    vi.spyOn(console, "error").mockReturnValue();
    const stuck = vi.spyOn(PartitionObject.prototype, "configure");
    stuck.mockRejectedValueOnce(new Error("once"));
    await cluster.alterTopic({ name: topic.name, config: { "retention.ms": 7 } });
    expect(await tasksOf(topic.topicId)).toHaveLength(1);
    const other = await createTopic(1);
    await cluster.deleteTopic({ name: other.name });
    await cluster.deleteTopic({ name: topic.name });
    expect(await tasksOf(other.topicId)).toEqual([]);
    expect((await tasksOf(topic.topicId)).join()).not.toContain("destroy-topic");
    await ringLater(cluster);
    expect(await tasksOf(topic.topicId)).toEqual([]);
    expect(stuck).toHaveBeenCalledTimes(1);
  });
});
