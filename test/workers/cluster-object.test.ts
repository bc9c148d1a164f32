// ClusterObject over its calls, and the effects in the partitions and groups. Tests that write have a twin that evicts the
// cluster in the middle.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { DEFAULT_TOPIC_CONFIG } from "../../src/core/cluster/config.ts";
import { resolveTopic, type Topic } from "../../src/core/cluster/topics.ts";
import type { ErrorName } from "../../src/core/errors.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import type { AssignmentMessage, CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import {
  call,
  env,
  eventually,
  evict,
  expectStatus,
  type Fetched,
  FREED,
  fetchRecords,
  produce,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const cluster = clusterStub(env);

const MAX_MESSAGE_BYTES = 1_048_588;

function batchOf(valueBytes: number): Uint8Array {
  const value = new Uint8Array(valueBytes);
  return encodeBatch([{ key: null, value, headers: [], timestamp: 1 }]);
}

async function create(
  name: string,
  partitions = 1,
  config: Readonly<Record<string, unknown>> = {},
): Promise<Topic> {
  const created = await cluster.createTopic({ name, partitions, overrides: config });
  if (!created.ok) throw new Error(created.detail);
  return resolveTopic(created.topic);
}

/** The tables of a partition, without the runtime's. */
function tablesOf(topic: Topic, partition: number): Promise<string[]> {
  return runInDurableObject(partitionStub(env, topic.topicId, partition), (_, { storage }) =>
    Array.from(
      storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'"),
      ({ name }) => name,
    ).filter((name) => !name.startsWith("_cf_")),
  );
}

/** True once the cluster has told everybody the effects of its changes. */
async function isWorkedOff(): Promise<boolean> {
  return runInDurableObject(cluster, (_, { storage }) => {
    const { count } = storage.sql
      .exec<{ count: number }>("SELECT count(*) AS count FROM tasks")
      .one();
    return count === 0;
  });
}

function workedOff(): Promise<boolean> {
  return eventually(isWorkedOff, "the cluster's tasks to be worked off");
}

describe("creating", () => {
  test.each(TWINS)("[CLU-1] a topic is created once$when", async ({ interrupt }) => {
    const name = unique("topic");
    const topic = await create(name, 3, { "max.message.bytes": 5_000 });
    expect(topic).toEqual({
      name,
      topicId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      partitions: 3,
      initialPartitions: 3,
      overrides: { "max.message.bytes": 5_000 },
      defaults: {},
      config: { ...DEFAULT_TOPIC_CONFIG, maxMessageBytes: 5_000 },
    });
    await interrupt(cluster);
    expect(await cluster.createTopic({ name, partitions: 7, overrides: {} })).toMatchObject({
      ok: false,
      error: "TOPIC_ALREADY_EXISTS",
      detail: expect.stringContaining(name),
    });
    expect(await cluster.topic({ name })).toMatchObject({ ok: true, topic });
  });

  test.each(TWINS)(
    "[CLU-1] of many that create a topic at once one succeeds$when",
    async ({ interrupt }) => {
      const name = unique("topic");
      await cluster.topics();
      await interrupt(cluster);
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          cluster.createTopic({ name, partitions: index + 1, overrides: {} }),
        ),
      );
      expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
      const [winner] = answers.filter((answer) => answer.ok);
      expect(await cluster.topic({ name })).toMatchObject({
        topic: { topicId: winner?.topic.topicId },
      });
    },
  );

  const long = "n".repeat(250);
  const REFUSED: readonly {
    what: string;
    name?: string;
    partitions?: number;
    config?: Record<string, unknown>;
    code: ErrorName;
    detail: RegExp;
  }[] = [
    {
      what: "an empty name",
      name: "",
      code: "INVALID_TOPIC_EXCEPTION",
      detail: /name.*0.*1 to 249/,
    },
    { what: "the name .", name: ".", code: "INVALID_TOPIC_EXCEPTION", detail: /name.*"\."/ },
    { what: "the name ..", name: "..", code: "INVALID_TOPIC_EXCEPTION", detail: /name.*"\.\."/ },
    { what: "a blank", name: "a b", code: "INVALID_TOPIC_EXCEPTION", detail: /name "a b".*a-z/ },
    { what: "a slash", name: "a/b", code: "INVALID_TOPIC_EXCEPTION", detail: /name "a\/b".*a-z/ },
    { what: "an umlaut", name: "ä", code: "INVALID_TOPIC_EXCEPTION", detail: /name "ä".*a-z/ },
    {
      what: "250 characters",
      name: long,
      code: "INVALID_TOPIC_EXCEPTION",
      detail: /250.*1 to 249/,
    },
    { what: "0 partitions", partitions: 0, code: "INVALID_PARTITIONS", detail: /is 0.*1 to 1000/ },
    {
      what: "-1 partitions",
      partitions: -1,
      code: "INVALID_PARTITIONS",
      detail: /is -1.*1 to 1000/,
    },
    {
      what: "1.5 partitions",
      partitions: 1.5,
      code: "INVALID_PARTITIONS",
      detail: /1\.5.*1 to 1000/,
    },
    { what: "1001 partitions", partitions: 1001, code: "INVALID_PARTITIONS", detail: /1001.*1000/ },
    { what: "NaN partitions", partitions: Number.NaN, code: "INVALID_PARTITIONS", detail: /NaN/ },
    {
      what: "an unknown key",
      config: { a: 1 },
      code: "INVALID_CONFIG",
      detail: /"a".*max\.message/,
    },
    ...[0, -1, MAX_MESSAGE_BYTES + 1, 1.5, "many", "", true, {}].map((value) => ({
      what: `max.message.bytes ${JSON.stringify(value)}`,
      config: { "max.message.bytes": value },
      code: "INVALID_CONFIG" as const,
      detail: new RegExp(`max\\.message\\.bytes is ${JSON.stringify(value)}.*1 to 1048588`),
    })),
  ];

  test.each(REFUSED)(
    "[CLU-1] a topic with $what is rejected and changes nothing",
    async ({ name, partitions, config, code, detail }) => {
      const before = await cluster.topics();
      const free = unique("topic");
      const answer = await cluster.createTopic({
        name: name ?? free,
        partitions: partitions ?? 1,
        overrides: config ?? {},
      });
      expect(answer).toMatchObject({
        ok: false,
        error: code,
        detail: expect.stringMatching(detail),
      });
      expect(await cluster.topics()).toEqual(before);
      expect(await cluster.topic({ name: free })).toMatchObject({
        error: "UNKNOWN_TOPIC_OR_PARTITION",
      });
    },
  );

  test.each([
    { what: "of one letter", name: "a" },
    { what: "of 249 characters", name: "n".repeat(249) },
    { what: "of all kinds of characters", name: "A.b_c-9" },
    { what: "of three dots", name: "..." },
    { what: "that JavaScript knows", name: "__proto__" },
  ])("[CLU-1] a name $what is a legal one", async ({ name }) => {
    const topic = await create(name);
    expect(await cluster.topic({ name })).toMatchObject({ ok: true, topic });
    expect(await cluster.deleteTopic({ name })).toMatchObject({ ok: true });
    await workedOff();
  });
});

describe("keeping", () => {
  test("[CLU-2] topics, their ids and configs survive eviction", async () => {
    const [a, b] = [
      await create(unique("a"), 2),
      await create(unique("b"), 5, { "max.message.bytes": "77" }),
    ];
    const group = unique("group");
    await cluster.subscribe({ groupId: group, names: [a.name], pattern: null });
    const before = { topics: await cluster.topics(), groups: await cluster.groups() };
    await evict(cluster);
    expect(await cluster.topics()).toEqual(before.topics);
    expect(await cluster.groups()).toEqual(before.groups);
    expect(before.topics).toEqual(expect.arrayContaining([a, b]));
    expect(before.groups).toContain(group);
    expect(await cluster.topicById({ topicId: b.topicId })).toMatchObject({ ok: true, topic: b });
    expect(b.overrides).toEqual({ "max.message.bytes": 77 });
    expect(b.config).toEqual({ ...DEFAULT_TOPIC_CONFIG, maxMessageBytes: 77 });
    expect(await cluster.topicById({ topicId: crypto.randomUUID() })).toMatchObject({
      error: "UNKNOWN_TOPIC_ID",
    });
  });
});

describe("changing", () => {
  test.each(TWINS)("[CLU-3] partitions grow and never shrink$when", async ({ interrupt }) => {
    const name = unique("topic");
    const topic = await create(name, 2);
    await produce(name, [{ value: "kept", partition: 1 }]);
    await interrupt(cluster);
    expect(await cluster.alterTopic({ name, partitions: 4 })).toMatchObject({
      ok: true,
      topic: { ...topic, partitions: 4 },
    });
    await interrupt(cluster);
    for (const [partitions, detail] of [
      [3, /is 3.*has 4.*grow/],
      [0, /is 0.*1 to 1000/],
      [1001, /is 1001.*1 to 1000/],
    ] as const) {
      expect(await cluster.alterTopic({ name, partitions })).toMatchObject({
        ok: false,
        error: "INVALID_PARTITIONS",
        detail: expect.stringMatching(detail),
      });
    }
    expect(await cluster.topic({ name })).toMatchObject({ topic: { ...topic, partitions: 4 } });
    // The same number is no change and no error; a new partition works, an old one has kept its records.
    expect(await cluster.alterTopic({ name, partitions: 4 })).toMatchObject({ ok: true });
    expect(await produce(name, [{ value: "new", partition: 3 }])).toMatchObject([{ offset: 0 }]);
    expect((await fetchRecords(name, 1)).records).toMatchObject([{ value: "kept" }]);
  });

  test.each(TWINS)(
    "[CLU-3] config keys that are not named stay, null resets one$when",
    async ({ interrupt }) => {
      const name = unique("topic");
      await create(name, 1, { "max.message.bytes": 500 });
      await interrupt(cluster);
      await cluster.alterTopic({ name, partitions: 2 });
      expect(await cluster.topic({ name })).toMatchObject({
        topic: { config: { maxMessageBytes: 500 } },
      });
      const refused = await cluster.alterTopic({
        name,
        partitions: 3,
        config: { "max.message.bytes": -1 },
      });
      expect(refused).toMatchObject({ error: "INVALID_CONFIG" });
      expect(await cluster.topic({ name })).toMatchObject({ topic: { partitions: 2 } });
      await cluster.alterTopic({ name, config: { "max.message.bytes": null } });
      await interrupt(cluster);
      expect(await cluster.topic({ name })).toMatchObject({
        topic: { config: { maxMessageBytes: MAX_MESSAGE_BYTES } },
      });
      const nobody = await cluster.alterTopic({ name: unique("topic"), partitions: 2 });
      expect(nobody).toMatchObject({ error: "UNKNOWN_TOPIC_OR_PARTITION" });
    },
  );

  test.each(TWINS)(
    "[CLU-3] a config change reaches partitions in use and those used later$when",
    async ({ interrupt }) => {
      const name = unique("topic");
      const topic = await create(name, 2);
      const [used, unused] = [0, 1].map((index) => partitionStub(env, topic.topicId, index));
      const append = async (stub = used) => (await stub?.append({ batches: batchOf(1_000) }))?.ok;
      expect(await append()).toBe(true);
      await cluster.alterTopic({ name, config: { "max.message.bytes": 500 } });
      await interrupt(cluster);
      await eventually(async () => (await append()) === false, "the smaller bound to be enforced");
      expect(await append(unused)).toBe(false);
      if (used !== undefined) await interrupt(used);
      expect(await append()).toBe(false);
      await cluster.alterTopic({ name, config: { "max.message.bytes": 5_000 } });
      await interrupt(cluster);
      await eventually(append, "the larger bound to be enforced");
    },
  );
});

describe("deleting", () => {
  test.each(TWINS)("[CLU-4] a deleted topic is gone at once$when", async ({ interrupt }) => {
    const name = unique("topic");
    const topic = await create(name, 2);
    await produce(name, [{ value: "doomed", partition: 0 }]);
    await interrupt(cluster);
    await expectStatus(204, "DELETE", `/v1/topics/${name}`);
    await interrupt(cluster);
    expect(await cluster.topic({ name })).toMatchObject({ error: "UNKNOWN_TOPIC_OR_PARTITION" });
    expect(await cluster.topicById({ topicId: topic.topicId })).toMatchObject({
      error: "UNKNOWN_TOPIC_ID",
    });
    expect((await cluster.topics()).map((each) => each.name)).not.toContain(name);
    for (const [method, path, body] of [
      ["GET", `/v1/topics/${name}`],
      ["DELETE", `/v1/topics/${name}`],
      ["PATCH", `/v1/topics/${name}`, { partitions: 3 }],
      ["POST", `/v1/topics/${name}/records`, { records: [{ value: "late" }] }],
      ["GET", `/v1/topics/${name}/partitions/0/records`],
    ] as const) {
      expect(await call(method, path, body), `${method} ${path}`).toMatchObject({
        status: 404,
        body: { code: "UNKNOWN_TOPIC_OR_PARTITION", errorCode: 3, retriable: true },
      });
    }
  });

  test.each(TWINS)(
    "[CLU-4] partitions of a deleted topic hold no tables and refuse everything$when",
    async ({ interrupt }) => {
      const topic = await create(unique("topic"), 3, FREED);
      const stubs = [0, 1, 2].map((index) => partitionStub(env, topic.topicId, index));
      // The last one is never used before the topic goes.
      for (const stub of stubs.slice(0, 2))
        expect(await stub.append({ batches: batchOf(10) })).toMatchObject({ ok: true });
      expect(await tablesOf(topic, 0)).toEqual(expect.arrayContaining(["partition", "segment_0"]));
      await cluster.deleteTopic({ name: topic.name });
      await interrupt(cluster);
      await workedOff();
      for (const [partition, stub] of stubs.entries()) {
        await interrupt(stub);
        const gone = { ok: false, error: "UNKNOWN_TOPIC_ID" };
        expect(await stub.append({ batches: batchOf(10) })).toMatchObject(gone);
        expect(await stub.read({ offset: 0, maxBytes: 1 })).toMatchObject(gone);
        expect(await stub.offsets()).toMatchObject(gone);
        expect(await stub.deleteRecords({ before: 0 })).toMatchObject(gone);
        expect(await stub.findBatchByTimestamp({ timestamp: 0, from: 0 })).toMatchObject(gone);
        const upgrade = await stub.fetch("https://object/socket", {
          headers: { upgrade: "websocket" },
        });
        expect([upgrade.status, upgrade.webSocket]).toEqual([404, null]);
        expect(await upgrade.json()).toMatchObject(gone);
        // The query has not brought anything back.
        expect(await tablesOf(topic, partition)).toEqual([]);
      }
    },
  );

  test.each(TWINS)(
    "[CLU-4] a partition that cannot be freed at once is freed by the alarm$when",
    async ({ interrupt }) => {
      const topic = await create(unique("topic"), 3, FREED);
      for (const partition of [0, 1, 2]) {
        const stub = partitionStub(env, topic.topicId, partition);
        expect(await stub.append({ batches: batchOf(10) })).toMatchObject({ ok: true });
      }
      vi.spyOn(console, "error").mockReturnValue(); // The cluster reports the failure.
      const outOfReach = vi
        .spyOn(PartitionObject.prototype, "destroy")
        .mockRejectedValue(new Error("out of reach, for the test"));
      expect(await cluster.deleteTopic({ name: topic.name })).toMatchObject({ ok: true });
      expect(await tablesOf(topic, 1)).not.toEqual([]);
      expect(await isWorkedOff()).toBe(false);
      outOfReach.mockRestore();
      await interrupt(cluster);
      await runDurableObjectAlarm(cluster);
      await workedOff();
      for (const partition of [0, 1, 2]) expect(await tablesOf(topic, partition)).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[CLU-4] a topic created again under the name of a deleted one is empty$when",
    async ({ interrupt }) => {
      const name = unique("topic");
      const first = await create(name, 3, { "max.message.bytes": 500, ...FREED });
      await produce(
        name,
        [0, 1, 2].map((partition) => ({ value: "past", partition })),
      );
      await cluster.deleteTopic({ name });
      await interrupt(cluster);
      const second = await create(name, 2);
      await workedOff();
      expect(second.topicId).not.toBe(first.topicId);
      expect(second.overrides).toEqual({});
      expect(second.config).toEqual(DEFAULT_TOPIC_CONFIG);
      // The Worker still remembers the first one's id; it finds out by itself.
      expect(await produce(name, [{ value: "present", partition: 1 }])).toMatchObject([
        { partition: 1, offset: 0 },
      ]);
      await interrupt(cluster, partitionStub(env, second.topicId, 1));
      const read: Fetched[] = [await fetchRecords(name, 0), await fetchRecords(name, 1)];
      expect(read.map(({ records }) => records.map(({ value }) => value))).toEqual([
        [],
        ["present"],
      ]);
      const none = await call("GET", `/v1/topics/${name}/partitions/2/records`);
      expect(none).toMatchObject({ status: 404, body: { code: "UNKNOWN_TOPIC_OR_PARTITION" } });
      expect(await tablesOf(first, 1)).toEqual([]);
    },
  );

  // This Worker was not the one that deleted the topic, so it produces with the id that it remembers.
  test.each(TWINS)(
    "[LOG-5] a record acknowledged right after its topic was created again is not lost$when",
    async ({ interrupt }) => {
      const name = unique("topic");
      await create(name, 1);
      await produce(name, [{ value: "past" }]);
      await cluster.deleteTopic({ name });
      await interrupt(cluster);
      await create(name, 1);
      await produce(name, [{ value: "present" }]);
      await workedOff();
      const { records } = await eventually(async () => {
        // The Worker may continue with the old id as long as the old partition answers.
        const answer = await call<Fetched>("GET", `/v1/topics/${name}/partitions/0/records`);
        return answer.status === 200 && answer.body;
      }, "the topic to be readable");
      expect(records.map(({ value }) => value)).toEqual(["present"]);
    },
  );

  test.each(TWINS)(
    "[CLU-4] a group does not carry offsets to a topic's namesake$when",
    async ({ interrupt }) => {
      const name = unique("topic");
      const group = unique("group");
      const topic = await create(name);
      const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      const assignment = (partitions: number) =>
        member.next(
          (message): message is AssignmentMessage =>
            typeof message === "object" &&
            "type" in message &&
            message.type === "assignment" &&
            message.partitions.length === partitions,
        );
      member.send({ type: "join", memberId: "m", memberEpoch: 0, topics: [name] });
      const { memberEpoch } = await assignment(1);
      const offsets = [{ topicId: topic.topicId, partition: 0, offset: 5 }];
      member.send({ type: "commit", requestId: 1, memberEpoch, offsets });
      await interrupt(cluster);
      await cluster.deleteTopic({ name });
      await assignment(0);
      member.send({
        type: "revoked",
        partitions: [{ topicId: topic.topicId, partitions: [0] }],
      });
      await interrupt(cluster, groupStub(env, group));
      const again = await create(name);
      expect((await assignment(1)).partitions).toMatchObject([
        { topicId: again.topicId, committedOffset: null },
      ]);
    },
  );
});
