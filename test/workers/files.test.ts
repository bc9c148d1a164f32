// What the cluster remembers of partitions that were used, and what a partition does that has lost what it stored.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { FAN_OUT } from "../../src/core/limits.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import { forgetTroubles } from "../../src/storage-health.ts";
import {
  call,
  createTopic,
  env,
  evict,
  expectStatus,
  fetchRecords,
  produce,
  readAs,
  recordBatch,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

const cluster = clusterStub(env);

/** The tables of a partition: one that was never called has none, nor has one that was only looked at. */
function tablesOf({ topicId }: TopicJson, partition: number): Promise<number> {
  return runInDurableObject(
    partitionStub(env, topicId, partition),
    (_, { storage }) => [...storage.sql.exec("SELECT name FROM sqlite_master")].length,
  );
}

describe("first use", () => {
  test.each(TWINS)(
    "[FIL-1] only partitions that were used are remembered, configured, described and destroyed$when",
    async ({ interrupt }) => {
      const topic = await createTopic(4);
      await produce(topic.name, [{ value: "a", partition: 2 }]);
      await interrupt(cluster, partitionStub(env, topic.topicId, 2));
      expect(await cluster.usedPartitions([topic.topicId])).toEqual([[2]]);
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, {
        config: { "retention.ms": 100_000 },
      });
      expect(await cluster.usedPartitions([topic.topicId])).toEqual([[2]]);
      const group = unique("group");
      await expectStatus(200, "PATCH", `/v1/groups/${group}`, { config: {} });
      await expectStatus(200, "POST", `/v1/groups/${group}/offsets`, {
        offsets: [{ topic: topic.name, partition: 2, offset: 0 }],
      });
      const { offsets } = await expectStatus<{ offsets: { partition: number; lag: number }[] }>(
        200,
        "GET",
        `/v1/groups/${group}`,
      );
      expect(offsets.map(({ partition, lag }) => [partition, lag])).toEqual([
        [0, null],
        [1, null],
        [2, 1],
        [3, null],
      ]);
      expect(await cluster.usedPartitions([topic.topicId])).toEqual([[2]]);
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      expect(await cluster.usedPartitions([topic.topicId])).toEqual([null]);
      expect(await tablesOf(topic, 2)).toBe(0);
    },
  );

  test("[FIL-1] of a topic from before this was remembered every partition is visited", async () => {
    const topic = await createTopic(2);
    await produce(topic.name, [{ value: "a", partition: 1 }]);
    await runInDurableObject(cluster, (_, { storage }) => {
      storage.sql.exec("DROP TABLE partition_use");
      storage.sql.exec("DROP TABLE groups_made");
    });
    await evict(cluster);
    expect(await cluster.usedPartitions([topic.topicId])).toEqual([null]);
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect(await tablesOf(topic, 1)).toBe(0);
  });
});

describe("storage that is gone", () => {
  /** Everything the partition stored is gone, as with its file. */
  async function lose(topic: TopicJson): Promise<void> {
    const stub = partitionStub(env, topic.topicId, 0);
    await runInDurableObject(stub, (_, { storage }) => storage.deleteAll());
    await evict(stub);
  }

  test.each(TWINS)(
    "[FIL-3] stops the partition, and no offset is given out again, until the topic is deleted$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const stub = partitionStub(env, topic.topicId, 0);
      await produce(topic.name, [{ value: "a" }, { value: "b" }]);
      await cluster.noteLogEnd(topic.topicId, 0, 2);
      await lose(topic);
      const gone = {
        ok: false,
        error: "KAFKA_STORAGE_ERROR",
        retriable: false,
        detail: expect.stringMatching(/^topic-.*\/0: its storage is gone, though .* ended at 2/),
      };
      const owner = { group: "g", incarnation: 1, memberEpoch: 1, memberNumber: 1 };
      const asked = [
        () => stub.append(recordBatch(["c"])),
        () => stub.read({ offset: 0, maxBytes: 1 }),
        () => stub.readAs(owner, { offset: "earliest", maxBytes: 1 }),
        () => stub.offsets(),
        () => stub.findBatchByTimestamp(0, 0),
        () => stub.maxTimestamp(),
        () => stub.deleteRecords(1),
        () => stub.beginRequest("key", "hash", null),
      ];
      for (const ask of asked) expect(await ask()).toMatchObject(gone);
      await interrupt(stub, cluster);
      for (const ask of asked) expect(await ask()).toMatchObject(gone);
      const answer = await call("POST", `/v1/topics/${topic.name}/records`, {
        records: [{ value: "c" }],
      });
      expect(answer).toMatchObject({
        status: 503,
        body: { code: "KAFKA_STORAGE_ERROR", retriable: false },
      });
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      expect(await stub.offsets()).toMatchObject({ error: "UNKNOWN_TOPIC_ID" });
    },
  );

  test("[FIL-3] what was begun and never stored anything is no loss", async () => {
    const topic = await createTopic(1);
    expect(await cluster.usePartition(topic.topicId, 0)).toMatchObject({ knownLogEnd: null });
    expect(await produce(topic.name, [{ value: "a" }])).toMatchObject([{ offset: 0 }]);
  });

  test("[FIL-4] what the cluster is told never goes back", async () => {
    const topic = await createTopic(1);
    for (const end of [0, 7, 3]) await cluster.noteLogEnd(topic.topicId, 0, end);
    expect(await cluster.usePartition(topic.topicId, 0)).toMatchObject({ knownLogEnd: 7 });
    await cluster.noteLogEnd(crypto.randomUUID(), 0, 7); // Of a topic that is gone meanwhile.
  });

  test.each(TWINS)(
    "[FIL-6] a group that has stored something does not begin anew$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }]);
      const group = unique("group");
      await readAs(group, topic, { 0: 1 });
      await cluster.noteGroupMade(group);
      const stub = groupStub(env, group);
      await runInDurableObject(stub, (_, { storage }) => storage.deleteAll());
      await evict(stub);
      await interrupt(cluster);
      const poll = { instanceId: "i", topics: [topic.name] };
      for (const [method, path, body] of [
        ["POST", "/poll", poll],
        ["PATCH", "", { config: {} }],
        ["GET", ""],
        ["GET", "/config"],
        ["GET", "/history"],
        ["POST", "/offsets", { to: "earliest" }],
        ["DELETE", `/offsets?topics=${topic.name}`],
      ] as const)
        expect(await call(method, `/v1/groups/${group}${path}`, body)).toMatchObject({
          status: 503,
          body: { code: "KAFKA_STORAGE_ERROR", retriable: false },
        });
      await call("DELETE", `/v1/groups/${group}`);
      await interrupt(stub, cluster);
      await expectStatus(200, "POST", `/v1/groups/${group}/poll`, poll);
    },
  );
});

describe("storage that is another's", () => {
  afterEach(() => {
    vi.restoreAllMocks();
    forgetTroubles();
  });

  const refused = { status: 503, body: { code: "KAFKA_STORAGE_ERROR", retriable: false } };

  /** The lines that tell the operator of it. */
  function listen(): () => string[] {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    return () => log.mock.calls.map(([line]) => String(line));
  }

  /** As where the file of this object is another's. */
  async function put(stub: DurableObjectStub, statement: string): Promise<void> {
    await runInDurableObject(stub, (_, { storage }) => {
      storage.sql.exec(statement);
    });
    await evict(stub);
  }

  const otherTopic = crypto.randomUUID();
  const STRANGERS = [
    {
      what: "another partition's",
      set: "'$.partition', 7",
      of: /that of partition .*\/7, of topic/,
    },
    { what: "another topic's", set: `'$.topicId', '${otherTopic}'`, of: new RegExp(otherTopic) },
  ];
  test.each(STRANGERS.flatMap((stranger) => TWINS.map((twin) => ({ ...stranger, ...twin }))))(
    "[FIL-7] of a partition: $what is neither served nor written, until each has its own again$when",
    async ({ set, of, interrupt }) => {
      const topic = await createTopic(1);
      const stub = partitionStub(env, topic.topicId, 0);
      await produce(topic.name, [{ value: "a" }, { value: "b" }]);
      const told = listen();
      await put(stub, `UPDATE partition SET topic = json_set(topic, ${set})`);
      const strange = {
        ok: false,
        error: "KAFKA_STORAGE_ERROR",
        retriable: false,
        detail: expect.stringMatching(of),
      };
      const owner = { group: "g", incarnation: 1, memberEpoch: 1, memberNumber: 1 };
      const asked = [
        () => stub.append(recordBatch(["c"])),
        () => stub.read({ offset: 0, maxBytes: 1 }),
        () => stub.readAs(owner, { offset: "earliest", maxBytes: 1 }),
        () => stub.offsets(),
        () => stub.findBatchByTimestamp(0, 0),
        () => stub.maxTimestamp(),
        () => stub.deleteRecords(1),
        () => stub.beginRequest("key", "hash", null),
      ];
      for (const ask of asked) expect(await ask()).toMatchObject(strange);
      await interrupt(stub);
      for (const ask of asked) expect(await ask()).toMatchObject(strange);
      const path = `/v1/topics/${topic.name}`;
      const upgrade = { upgrade: "websocket" };
      expect(await call("GET", `${path}/partitions/0/socket`, undefined, upgrade)).toMatchObject(
        refused,
      );
      expect(await call("GET", "/health")).toMatchObject({ status: 503, body: { failing: 1 } });
      const own = `partition ${topic.topicId}/0`;
      expect(told()).toContainEqual(expect.stringMatching(`storage damaged: ${own}, .*${stub.id}`));
      expect(told().join()).toMatch(of);
      await expectStatus(200, "PATCH", path, { config: { "retention.ms": 100_000 } });
      await put(
        stub,
        `UPDATE partition SET topic = json_set(topic, '$.topicId', '${topic.topicId}', '$.partition', 0)`,
      );
      expect((await fetchRecords(topic.name, 0)).highWatermark).toBe(2);
    },
  );

  test.each(TWINS)(
    "[FIL-7] what is another topic's does not go with the topic$when",
    async ({ interrupt }) => {
      const count = FAN_OUT + 2;
      const topic = await createTopic(count);
      const stub = partitionStub(env, topic.topicId, 0);
      const partitions = Array.from({ length: count }, (_, partition) => partition);
      await produce(
        topic.name,
        partitions.map((partition) => ({ value: "a", partition })),
      );
      const told = listen();
      await put(stub, `UPDATE partition SET topic = json_set(topic, '$.topicId', '${otherTopic}')`);
      await interrupt(stub);
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      expect(told().join()).toContain("it will be tried again");
      for (const partition of partitions)
        expect((await tablesOf(topic, partition)) > 0, `${partition}`).toBe(partition === 0);
      await put(
        stub,
        `UPDATE partition SET topic = json_set(topic, '$.topicId', '${topic.topicId}')`,
      );
      await runDurableObjectAlarm(cluster);
      expect(await tablesOf(topic, 0)).toBe(0);
    },
  );

  test.each(TWINS)(
    "[FIL-7] a partition of an earlier release says which it is from its next append on$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const stub = partitionStub(env, topic.topicId, 1);
      await produce(topic.name, [{ value: "a", partition: 1 }]);
      await put(stub, "UPDATE partition SET topic = json_remove(topic, '$.partition')");
      await produce(topic.name, [{ value: "b", partition: 1 }]);
      await interrupt(stub);
      const stored = await runInDurableObject(
        stub,
        (_, { storage }) =>
          [...storage.sql.exec("SELECT topic ->> '$.partition' AS number FROM partition")][0],
      );
      expect(stored).toEqual({ number: 1 });
      expect((await fetchRecords(topic.name, 1)).highWatermark).toBe(2);
    },
  );

  test.each(TWINS)(
    "[FIL-7] a group does not take another's members and positions, on any way in$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }, { value: "b" }]);
      const group = unique("group");
      await readAs(group, topic, { 0: 1 });
      const stub = groupStub(env, group);
      const told = listen();
      await put(stub, "UPDATE group_state SET group_id = 'other'");
      const poll = { instanceId: "i", topics: [topic.name] };
      const path = `/v1/groups/${group}`;
      for (const [method, to, body, headers] of [
        ["POST", "/poll", poll],
        ["PATCH", "", { config: {} }],
        ["GET", ""],
        ["GET", "/config"],
        ["GET", "/history"],
        ["POST", "/offsets", { to: "earliest" }],
        ["DELETE", `/offsets?topics=${topic.name}`],
        ["DELETE", ""],
        ["GET", "/socket", undefined, { upgrade: "websocket" }],
      ] as const) {
        const answer = await call<{ detail: string }>(method, `${path}${to}`, body, headers);
        expect(answer, `${method} ${to}`).toMatchObject(refused);
        expect(answer.body.detail).toBe(
          `group ${group}: its storage is that of group other; put each file back in its place`,
        );
      }
      await interrupt(stub);
      expect(await call("GET", "/health")).toMatchObject({ status: 503, body: { failing: 1 } });
      expect(told()).toContainEqual(
        expect.stringMatching(`storage damaged: group ${group}, .*${stub.id}: .* group other`),
      );
    },
  );
});
