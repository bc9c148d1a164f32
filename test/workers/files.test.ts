// The cluster's memory of used partitions, and the behavior of a partition that has lost its data.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ERRORS } from "../../src/core/errors.ts";
import { FAN_OUT } from "../../src/core/limits.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import * as messages from "../support/kafka-schemas.ts";
import { messagesIn } from "../support/log-lines.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  createFreedTopic as createTopic,
  env,
  evict,
  expectStatus,
  fetchRecords,
  listedGroups,
  produce,
  readAs,
  recordBatch,
  ringLater,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const cluster = clusterStub(env);

/** The tables of a partition: one that was never called has none, nor has one that was only queried. */
function tablesOf({ topicId }: TopicJson, partition: number): Promise<number> {
  return runInDurableObject(
    partitionStub(env, topicId, partition),
    (_, { storage }) => [...storage.sql.exec("SELECT name FROM sqlite_master")].length,
  );
}

describe("first use", () => {
  test.each(TWINS)(
    "[FIL-1] only used partitions are remembered, configured, described and destroyed$when",
    async ({ interrupt }) => {
      const topic = await createTopic(4);
      await produce(topic.name, [{ value: "a", partition: 2 }]);
      await interrupt(cluster, partitionStub(env, topic.topicId, 2));
      expect(await cluster.usedPartitions({ topicIds: [topic.topicId] })).toEqual([[2]]);
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, {
        config: { "retention.ms": 100_000 },
      });
      expect(await cluster.usedPartitions({ topicIds: [topic.topicId] })).toEqual([[2]]);
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
      expect(await cluster.usedPartitions({ topicIds: [topic.topicId] })).toEqual([[2]]);
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      expect(await cluster.usedPartitions({ topicIds: [topic.topicId] })).toEqual([null]);
      expect(await tablesOf(topic, 2)).toBe(0);
    },
  );

  test("[FIL-1] every partition of a topic from before this was remembered is visited", async () => {
    const topic = await createTopic(2);
    await produce(topic.name, [{ value: "a", partition: 1 }]);
    await runInDurableObject(cluster, (_, { storage }) => {
      storage.sql.exec("DROP TABLE partition_use");
      storage.sql.exec("DROP TABLE groups_made");
      storage.sql.exec("DROP TABLE schema_version");
    });
    await evict(cluster);
    expect(await cluster.usedPartitions({ topicIds: [topic.topicId] })).toEqual([null]);
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect(await tablesOf(topic, 1)).toBe(0);
  });
});

describe("storage that is gone", () => {
  /** Everything that the partition stored is gone, as with its file. */
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
      await cluster.noteLogEnd({ topicId: topic.topicId, partition: 0, logEnd: 2 });
      await lose(topic);
      const gone = {
        ok: false,
        error: "KAFKA_STORAGE_ERROR",
        retriable: false,
        detail: expect.stringMatching(/^topic-.*\/0: its storage is gone, though .* ended at 2/),
      };
      const owner = { group: "g", incarnation: 1, memberEpoch: 1, memberNumber: 1 };
      const asked = [
        () => stub.append({ batches: recordBatch(["c"]) }),
        () => stub.read({ offset: 0, maxBytes: 1 }),
        () => stub.readAs({ owner, offset: "earliest", maxBytes: 1 }),
        () => stub.offsets(),
        () => stub.findBatchByTimestamp({ timestamp: 0, from: 0 }),
        () => stub.maxTimestamp(),
        () => stub.deleteRecords({ before: 1 }),
        () => stub.beginRequest({ key: "key", bodyHash: "hash", plan: null }),
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
    expect(await cluster.usePartition({ topicId: topic.topicId, partition: 0 })).toMatchObject({
      knownLogEnd: null,
    });
    expect(await produce(topic.name, [{ value: "a" }])).toMatchObject([{ offset: 0 }]);
  });

  test("[FIL-4] the end reported to the cluster never goes back", async () => {
    const topic = await createTopic(1);
    for (const end of [0, 7, 3])
      await cluster.noteLogEnd({ topicId: topic.topicId, partition: 0, logEnd: end });
    expect(await cluster.usePartition({ topicId: topic.topicId, partition: 0 })).toMatchObject({
      knownLogEnd: 7,
    });
    await cluster.noteLogEnd({ topicId: crypto.randomUUID(), partition: 0, logEnd: 7 }); // Of a topic that is gone meanwhile.
  });

  const LOSSES: Record<string, string | null> = {
    "has lost what it stored": null,
    "has a damaged config": "UPDATE group_state SET overrides = '{'",
    "has a damaged topic": "DROP INDEX topic_ids; UPDATE topics SET json = '{'", // The index would refuse it.
    "has a topic without fields": "UPDATE topics SET json = '{}'",
    "has a damaged member": "INSERT INTO members VALUES ('x', '{')",
    "has a member without fields": "INSERT INTO members VALUES ('x', '{}')",
    "has a damaged target": "INSERT INTO targets VALUES ('poll:i', '[')", // Only a target that is needed is read.
    "has damaged classic members": "INSERT INTO classic VALUES (1, '{')",
  };

  test.each(TWINS.flatMap((twin) => Object.keys(LOSSES).map((how) => ({ ...twin, how }))))(
    "[FIL-6] [ERR-2] a group that $how says so on every interface, and does not begin again$when",
    async ({ interrupt, how }) => {
      const said = vi.spyOn(console, "error").mockImplementation(() => {});
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }]);
      const group = unique("group");
      await readAs(group, topic, { 0: 1 });
      const stub = groupStub(env, group);
      const spoil = LOSSES[how] ?? null;
      if (spoil === null) await cluster.noteGroupMade({ groupId: group });
      await runInDurableObject(stub, async (_, { storage }) => {
        if (spoil === null) await storage.deleteAll();
        else storage.sql.exec(spoil);
      });
      await evict(stub);
      await interrupt(cluster);
      const poll = { instanceId: "i", topics: [topic.name] };
      const path = `/v1/groups/${group}`;
      for (const [method, rest, body] of [
        ["POST", "/poll", poll],
        ["PATCH", "", { config: {} }],
        ["GET", ""],
        ["GET", "/config"],
        ["GET", "/history"],
        ["POST", "/offsets", { to: "earliest" }],
        ["DELETE", `/offsets?topics=${topic.name}`],
      ] as const)
        expect(await call(method, `${path}${rest}`, body), `${method} ${rest}`).toMatchObject({
          status: 503,
          body: {
            code: "KAFKA_STORAGE_ERROR",
            retriable: false,
            detail: expect.stringMatching(new RegExp(`^group ${group}: .*delete the group`)),
          },
        });
      expect(await call("GET", "/health")).toMatchObject({ status: 503 });
      const lines = said.mock.calls.flat().filter((line) => String(line).includes(group));
      expect(lines, "[ERR-3] told once").toHaveLength(1);
      const kafka = await Kafka.open();
      const code = ERRORS.KAFKA_STORAGE_ERROR.code;
      expect(await commitByHand(kafka, group, topic.name)).toBe(code);
      expect(await kafka.ask(messages.JOIN_GROUP, 3, { ...JOIN, groupId: group })).toMatchObject({
        errorCode: code,
      });
      expect(
        await kafka.ask(messages.OFFSET_FETCH, 7, { groupId: group, topics: null }),
      ).toMatchObject({ errorCode: code });
      const { groups } = await kafka.ask<{ groups: { groupId: string }[] }>(
        messages.LIST_GROUPS,
        4,
        { statesFilter: [] },
      );
      expect(groups.map(({ groupId }) => groupId)).toContain(group);
      const socket = await TestSocket.open(`${path}/socket`);
      said.mockClear();
      socket.send({ type: "join", memberId: "m", memberEpoch: 0, topics: [topic.name] });
      await socket.until(() => socket.received.length > 0, "an answer");
      expect(socket.received[0]).toMatchObject({ type: "error", code: "KAFKA_STORAGE_ERROR" });
      expect(messagesIn(said.mock.calls), "[ERR-3] told for a socket").toEqual([
        expect.stringMatching(new RegExp(`^group ${group}: .*delete the group`)),
      ]);
      await runDurableObjectAlarm(stub);
      expect(await listedGroups()).toContain(group);
      await interrupt(stub);
      await expectStatus(204, "DELETE", path);
      expect(await call("DELETE", path)).toMatchObject({ status: 404 });
      await interrupt(stub, cluster);
      await expectStatus(200, "POST", `${path}/poll`, poll);
    },
  );
});

describe("storage that is another's", () => {
  const refused = { status: 503, body: { code: "KAFKA_STORAGE_ERROR", retriable: false } };

  /** The lines that report it to the operator. */
  function listen(): () => string[] {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    return () => messagesIn(log.mock.calls);
  }

  /** As if the file of this object were another's. */
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
        () => stub.append({ batches: recordBatch(["c"]) }),
        () => stub.read({ offset: 0, maxBytes: 1 }),
        () => stub.readAs({ owner, offset: "earliest", maxBytes: 1 }),
        () => stub.offsets(),
        () => stub.findBatchByTimestamp({ timestamp: 0, from: 0 }),
        () => stub.maxTimestamp(),
        () => stub.deleteRecords({ before: 1 }),
        () => stub.beginRequest({ key: "key", bodyHash: "hash", plan: null }),
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
    "[FIL-7] another topic's data does not go with the topic$when",
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
      await ringLater(cluster);
      expect(await tablesOf(topic, 0)).toBe(0);
    },
  );

  test.each(TWINS)(
    "[FIL-7] a partition of an earlier release says which it is once it is opened$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const stub = partitionStub(env, topic.topicId, 1);
      await produce(topic.name, [{ value: "a", partition: 1 }]);
      await put(
        stub,
        "UPDATE partition SET topic = json_remove(topic, '$.partition'); DROP TABLE schema_version",
      );
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
    "[FIL-7] a group does not take another's members and committed offsets, on any interface$when",
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

/** For a member that names its own protocol. */
const JOIN = {
  memberId: "",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 1_000,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array() }],
};

async function commitByHand(kafka: Kafka, groupId: string, name: string) {
  const { topics } = await kafka.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(
    messages.OFFSET_COMMIT,
    7,
    {
      groupId,
      generationId: -1,
      memberId: "",
      topics: [{ name, partitions: [{ partition: 0, committedOffset: 1 }] }],
    },
  );
  return topics[0]?.partitions[0]?.errorCode;
}
