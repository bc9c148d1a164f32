// Kafka's requests, one by one: which object is asked what, and the client's response.
import { describe, expect, test, vi } from "vitest";
import { resolveConfig } from "../../../../src/core/cluster/config.ts";
import { ERRORS, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import type { Env } from "../../../../src/env.ts";
import { createPartitions } from "../../../../src/worker/kafka/apis/create-partitions.ts";
import { createTopics } from "../../../../src/worker/kafka/apis/create-topics.ts";
import { deleteRecords } from "../../../../src/worker/kafka/apis/delete-records.ts";
import { deleteTopics } from "../../../../src/worker/kafka/apis/delete-topics.ts";
import { describeConfigs } from "../../../../src/worker/kafka/apis/describe-configs.ts";
import { describeTopicPartitions } from "../../../../src/worker/kafka/apis/describe-topic-partitions.ts";
import { listOffsets } from "../../../../src/worker/kafka/apis/list-offsets.ts";
import { metadata } from "../../../../src/worker/kafka/apis/metadata.ts";
import { offsetForLeaderEpoch } from "../../../../src/worker/kafka/apis/offset-for-leader-epoch.ts";
import { produce } from "../../../../src/worker/kafka/apis/produce.ts";
import { AppendOrder } from "../../../../src/worker/kafka/append-order.ts";
import type { Service } from "../../../../src/worker/kafka/context.ts";
import { Nodes } from "../../../../src/worker/kafka/nodes.ts";
import { ZERO_UUID } from "../../../../src/worker/kafka/wire.ts";
import { batchAt } from "./feed-bench.ts";
import {
  ask,
  asked,
  brokerOf,
  freshQuietIsolate,
  type PerPartition,
  partitionsOf,
  UNKNOWN,
} from "./kafka-bench.ts";

freshQuietIsolate();

describe("ListOffsets", () => {
  const log = {
    offsets: async () => ({ ok: true, logStartOffset: 3, highWatermark: 9 }),
    findOffset: async () => ({ ok: true, offset: 5, timestamp: 70 }),
    offsetForTimestamp: async () => ({ ok: true, offset: 5, timestamp: 70 }),
  };

  test.each([
    ["the end", -1, { errorCode: 0, offset: 9, timestamp: -1, leaderEpoch: 0 }],
    ["the beginning", -2, { errorCode: 0, offset: 3, timestamp: -1 }],
    ["the beginning on local disks", -4, { errorCode: 0, offset: 3, timestamp: -1 }],
    [
      "the end of what was moved elsewhere: nothing",
      -5,
      { errorCode: 0, offset: -1, timestamp: -1 },
    ],
    ["what nobody knows", -6, { errorCode: ERRORS.UNSUPPORTED_VERSION.code }],
  ])("[KFK-13] returns %s", async (_, timestamp, expected) => {
    const env = brokerOf({ t: 1 }, { partition: log });
    const answer = await ask<PerPartition>(listOffsets, env, asked({ partition: 0, timestamp }));
    expect(partitionsOf(answer)).toMatchObject([{ partition: 0, ...expected }]);
  });

  test("[KFK-13] [BND-16] answers for each partition, and rejects those that it cannot answer for", async () => {
    const env = brokerOf({ t: 2 }, { partition: log });
    const questions = asked(
      { partition: 0, timestamp: -1 },
      { partition: 1, timestamp: -1 },
      { partition: 2, timestamp: -1 },
      { partition: 1, timestamp: -2 },
    );
    expect(partitionsOf(await ask(listOffsets, env, questions))).toMatchObject([
      { partition: 0, errorCode: 0, offset: 9 },
      { partition: 1, errorCode: ERRORS.INVALID_REQUEST.code },
      { partition: 2, errorCode: UNKNOWN },
    ]);
    const other = new Nodes(
      [1, 2].map((port) => ({ host: "h", port })),
      1 -
        new Nodes(
          [1, 2].map((port) => ({ host: "h", port })),
          null,
        ).leaderOf("id-t", 0).nodeId,
    );
    const there = await ask<PerPartition>(
      listOffsets,
      env,
      asked({ partition: 0, timestamp: -1 }),
      { nodes: other },
    );
    expect(partitionsOf(there)).toMatchObject([{ errorCode: KAFKA_ERRORS.NOT_LEADER_OR_FOLLOWER }]);
  });
});

describe("Metadata", () => {
  interface Described {
    topics: Iterable<{
      errorCode: number;
      name: string | null;
      topicId: string;
      partitions: Iterable<object>;
    }>;
  }
  const told = async (env: Env, topics: object[] | null, version: number) => {
    const request = { topics, allowAutoTopicCreation: false };
    return [...(await ask<Described>(metadata, env, request, { version })).topics];
  };
  const named = (name: string | null, topicId = ZERO_UUID) => ({ name, topicId });

  test("[KFK-13] returns all topics if none is named, in version 0 by an empty list", async () => {
    const env = brokerOf({ t: 2, u: 1 });
    for (const [topics, version, names] of [
      [null, 1, ["t", "u"]],
      [[], 0, ["t", "u"]],
      [[], 1, []],
    ] as [object[] | null, number, string[]][])
      expect((await told(env, topics, version)).map(({ name }) => name)).toEqual(names);
    const [first] = await told(env, null, 12);
    expect(first).toMatchObject({ errorCode: 0, topicId: "id-t" });
    expect([...(first as { partitions: Iterable<object> }).partitions]).toEqual([
      { partition: 0, leaderId: 0, leaderEpoch: 0, replicaNodes: [0], isrNodes: [0] },
      { partition: 1, leaderId: 0, leaderEpoch: 0, replicaNodes: [0], isrNodes: [0] },
    ]);
  });

  test.each([1, 101])(
    "[KFK-25] returns each named topic, %i and more, by name or id",
    async (count) => {
      const env = brokerOf({ t: 1 });
      const others = Array.from({ length: count }, (_, i) => named(`other-${i}`));
      const questions = [
        named("t"),
        named("a/b"),
        named(null, "no"),
        named("any name", "id-t"),
        ...others,
      ];
      const answers = await told(env, questions, 12);
      expect(
        answers.slice(0, 5).map(({ errorCode, name, topicId }) => [errorCode, name, topicId]),
      ).toEqual([
        [0, "t", "id-t"],
        [ERRORS.INVALID_TOPIC_EXCEPTION.code, "a/b", ZERO_UUID],
        [ERRORS.UNKNOWN_TOPIC_ID.code, null, "no"],
        [0, "t", "id-t"],
        [UNKNOWN, "other-0", ZERO_UUID],
      ]);
      expect(answers).toHaveLength(4 + count);
    },
  );

  test("[KFK-24] a name is empty if it may not be null", async () => {
    const [answer] = await told(brokerOf({}), [named(null, "no")], 11);
    expect(answer).toMatchObject({ name: "", topicId: "no" });
  });
});

describe("Produce", () => {
  const records = batchAt(0, "a");
  const stored = { baseOffset: 4, logAppendTimeMs: null };
  const appending = (answer: object = stored) => ({
    appends: { order: new AppendOrder(), append: vi.fn(async (..._: unknown[]) => answer) },
  });

  test("[KFK-5] says where the records are, and when and where the log begins", async () => {
    const env = brokerOf({ t: 1 });
    const request = { transactionalId: null, acks: -1, ...asked({ partition: 0, records }) };
    const { appends } = appending();
    const [answer] = partitionsOf(await ask(produce, env, request, { appends }));
    expect(answer).toMatchObject({
      partition: 0,
      errorCode: 0,
      baseOffset: 4,
      logAppendTimeMs: -1,
      logStartOffset: 0,
    });
    expect(appends.append.mock.calls).toEqual([["id-t", 0, records, false, expect.anything()]]);
    const late = appending({ baseOffset: 4, logAppendTimeMs: 5, logStartOffset: 2 });
    expect(partitionsOf(await ask(produce, env, request, late))).toMatchObject([
      { logAppendTimeMs: 5, logStartOffset: 2 },
    ]);
  });

  test.each([
    ["acks 0", { acks: 0 }, null, 1],
    ["acks 1", { acks: 1 }, 0, 1],
    ["acks -1", { acks: -1 }, 0, 1],
    ["acks -2", { acks: -2 }, KAFKA_ERRORS.INVALID_REQUIRED_ACKS, 0],
    ["acks 2", { acks: 2 }, KAFKA_ERRORS.INVALID_REQUIRED_ACKS, 0],
    ["a transaction", { transactionalId: "x" }, ERRORS.UNSUPPORTED_VERSION.code, 0],
    ["an old version", { version: 2 }, ERRORS.UNSUPPORTED_VERSION.code, 0],
    ["the first version", { version: 3 }, 0, 1],
  ] as [
    string,
    { acks?: number; transactionalId?: string; version?: number },
    number | null,
    number,
  ][])(
    "[KFK-5] [KFK-27] with %s",
    async (_, { acks = 1, transactionalId = null, version = 9 }, errorCode, count) => {
      const { appends } = appending();
      const request = { transactionalId, acks, ...asked({ partition: 0, records }) };
      const answer = await ask<PerPartition | null>(produce, brokerOf({ t: 1 }), request, {
        version,
        appends,
      });
      if (errorCode === null) expect(answer).toBeNull();
      else
        expect(partitionsOf(answer as PerPartition)).toMatchObject([{ partition: 0, errorCode }]);
      expect(appends.append).toHaveBeenCalledTimes(count);
    },
  );

  test("[KFK-5] each partition is stored or refused by itself", async () => {
    const idempotent = new Uint8Array(records);
    new DataView(idempotent.buffer).setBigInt64(43, 7n);
    const { appends } = appending();
    const request = {
      transactionalId: null,
      acks: 1,
      ...asked(
        { partition: 0, records: null },
        { partition: 0, records: new Uint8Array() },
        { partition: 0, records: idempotent },
        { partition: 1, records },
        { partition: 0, records: new Uint8Array(7) },
      ),
    };
    expect(
      partitionsOf(await ask(produce, brokerOf({ t: 1 }), request, { appends })),
    ).toMatchObject([
      { partition: 0, errorCode: ERRORS.INVALID_RECORD.code, baseOffset: -1 },
      { partition: 0, errorCode: ERRORS.INVALID_RECORD.code, baseOffset: -1 },
      { partition: 0, errorCode: 0, baseOffset: 4 },
      { partition: 1, errorCode: UNKNOWN, baseOffset: -1 },
      { partition: 0, errorCode: ERRORS.CORRUPT_MESSAGE.code, baseOffset: -1 },
    ]);
    expect(appends.append.mock.calls).toEqual([["id-t", 0, idempotent, true, expect.anything()]]);
  });

  test("[CLU-4] a topic that was created again under its client accepts what it sends", async () => {
    const ids: string[] = [];
    const appends = {
      order: new AppendOrder(),
      append: async ({ batches: topicId }: { batches: string }) => {
        ids.push(topicId);
        return ids.length === 1 ? { code: "UNKNOWN_TOPIC_ID", detail: "gone", data: {} } : stored;
      },
    };
    const request = { transactionalId: null, acks: 1, ...asked({ partition: 0, records }) };
    const answer = await ask<PerPartition>(produce, brokerOf({ t: 1 }), request, { appends });
    expect(partitionsOf(answer)).toMatchObject([{ errorCode: 0, baseOffset: 4 }]);
    const refused = appending({ code: "INVALID_RECORD", detail: "no key", data: {} });
    expect(partitionsOf(await ask(produce, brokerOf({ t: 1 }), request, refused))).toMatchObject([
      { errorCode: ERRORS.INVALID_RECORD.code, errorMessage: "no key", baseOffset: -1 },
    ]);
  });
});

describe("DescribeTopicPartitions", () => {
  interface Told {
    topics: { name: string; errorCode: number; partitions: Iterable<{ partition: number }> }[];
    nextCursor: { topicName: string; partition: number } | null;
  }
  const cursorAt = (topicName: string, partition: number) => ({ topicName, partition });

  test.each([
    ["all where there is room", 10, null, { a: [0, 1, 2], b: [0, 1] }, null],
    ["exactly as many as are asked for", 5, null, { a: [0, 1, 2], b: [0, 1] }, null],
    ["some of the last", 4, null, { a: [0, 1, 2], b: [0] }, cursorAt("b", 1)],
    ["none of the last", 3, null, { a: [0, 1, 2] }, cursorAt("b", 0)],
    ["one at least", 0, null, { a: [0] }, cursorAt("a", 1)],
    ["from the cursor on", 10, cursorAt("a", 2), { a: [2], b: [0, 1] }, null],
    ["from a later topic on", 10, cursorAt("b", 1), { b: [1] }, null],
    ["from behind the end", 10, cursorAt("a", 9), { a: [], b: [0, 1] }, null],
    ["from before the beginning", 10, cursorAt("a", -3), { a: [0, 1, 2], b: [0, 1] }, null],
  ])("[KFK-13] returns %s", async (_, responsePartitionLimit, cursor, expected, nextCursor) => {
    const topics = ["b", "a", "b"].map((name) => ({ name }));
    const request = { topics, responsePartitionLimit, cursor };
    const answer = await ask<Told>(describeTopicPartitions, brokerOf({ a: 3, b: 2 }), request);
    const told = answer.topics.map(({ name, partitions }) => [
      name,
      [...partitions].map(({ partition }) => partition),
    ]);
    expect(Object.fromEntries(told)).toEqual(expected);
    expect(answer.nextCursor).toEqual(nextCursor);
  });

  test("[KFK-13] returns at most 2,000, and says that a missing topic is missing", async () => {
    const request = {
      topics: [{ name: "a" }, { name: "none" }],
      responsePartitionLimit: 9_999,
      cursor: null,
    };
    const env = brokerOf({ a: 1_000 });
    const { topics } = await ask<Told>(describeTopicPartitions, env, request);
    expect(topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ["a", 0],
      ["none", UNKNOWN],
    ]);
    const many = brokerOf({ c: 1_500, d: 1_500 });
    const both = {
      topics: [{ name: "c" }, { name: "d" }],
      responsePartitionLimit: 9_999,
      cursor: null,
    };
    expect((await ask<Told>(describeTopicPartitions, many, both)).nextCursor).toEqual(
      cursorAt("d", 500),
    );
  });
});

test("[KFK-13] OffsetForLeaderEpoch answers for the only epoch", async () => {
  const partition = { offsets: async () => ({ ok: true, logStartOffset: 0, highWatermark: 9 }) };
  const questions = asked(
    { partition: 0, leaderEpoch: 0 },
    { partition: 0, leaderEpoch: 1 },
    { partition: 7, leaderEpoch: 0 },
  );
  const answer = await ask<PerPartition>(
    offsetForLeaderEpoch,
    brokerOf({ t: 1 }, { partition }),
    questions,
  );
  expect(partitionsOf(answer)).toEqual([
    { partition: 0, errorCode: 0, leaderEpoch: 0, endOffset: 9 },
    { partition: 0, errorCode: 0 },
    { partition: 7, errorCode: UNKNOWN },
  ]);
});

test("[KFK-13] [LOG-8] DeleteRecords deletes before an offset, or all, and says where the log begins", async () => {
  const before: number[] = [];
  const partition = {
    offsets: async () => ({ ok: true, logStartOffset: 0, highWatermark: 9 }),
    deleteRecords: async ({ before: offset }: { before: number }) => {
      before.push(offset);
      return { ok: true, logStartOffset: offset };
    },
  };
  const env = brokerOf({ t: 4 }, { partition });
  const request = asked(
    { partition: 0, offset: 4 },
    { partition: 1, offset: -1 },
    { partition: 2, offset: -2 },
    { partition: 3, offset: 0 },
  );
  expect(partitionsOf(await ask(deleteRecords, env, request))).toMatchObject([
    { partition: 0, errorCode: 0, lowWatermark: 4 },
    { partition: 1, errorCode: 0, lowWatermark: 9 },
    { partition: 2, errorCode: ERRORS.OFFSET_OUT_OF_RANGE.code, lowWatermark: -1 },
    { partition: 3, errorCode: 0, lowWatermark: 0 },
  ]);
  expect(before.sort()).toEqual([0, 4, 9]);
});

describe("CreateTopics", () => {
  const { INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT } = KAFKA_ERRORS;
  const at = (...partitions: number[]) =>
    partitions.map((partition) => ({ partition, brokerIds: [0] }));

  test.each([
    ["as many replicas as the broker wants", { replicationFactor: -1 }, 0],
    ["one replica", { replicationFactor: 1 }, 0],
    ["three replicas", { replicationFactor: 3 }, 0],
    ["no replicas", { replicationFactor: 0 }, INVALID_REPLICATION_FACTOR],
    ["fewer than no replicas", { replicationFactor: -2 }, INVALID_REPLICATION_FACTOR],
    ["each partition once", { assignments: at(0, 1) }, 0],
    ["each partition, in any order", { assignments: at(1, 0) }, 0],
    ["a partition twice", { assignments: at(0, 0, 1) }, INVALID_REPLICA_ASSIGNMENT],
    ["a partition left out", { assignments: at(0, 2) }, INVALID_REPLICA_ASSIGNMENT],
    ["a partition below 0", { assignments: at(-1, 0) }, INVALID_REPLICA_ASSIGNMENT],
    [
      "assignments and a number of partitions",
      { assignments: at(0, 1), numPartitions: 2 },
      INVALID_REPLICA_ASSIGNMENT,
    ],
    [
      "assignments and a number of replicas",
      { assignments: at(0, 1), replicationFactor: 1 },
      INVALID_REPLICA_ASSIGNMENT,
    ],
  ])("[KFK-13] %s", async (_, own, errorCode) => {
    for (const validateOnly of [true, false]) {
      const createTopic = vi.fn(
        async ({ name, partitions }: { name: string; partitions: number }) => ({
          ok: true,
          topic: { name, topicId: "id", partitions, overrides: {}, config: resolveConfig({}) },
        }),
      );
      const defaults = async () => ({ overrides: {} });
      const env = brokerOf({}, { cluster: { createTopic, defaults } });
      const numPartitions = "assignments" in own ? -1 : 2;
      const topic = { name: "new", numPartitions, replicationFactor: -1, assignments: [] };
      const request = { topics: [{ ...topic, configs: [], ...own }], validateOnly };
      const { topics } = await ask<{ topics: object[] }>(createTopics, env, request);
      const shown = errorCode === 0 ? { numPartitions: 2, replicationFactor: 1 } : {};
      expect(topics).toMatchObject([{ name: "new", errorCode, ...shown }]);
      const isDone = errorCode === 0 && !validateOnly;
      expect(createTopic.mock.calls).toEqual(
        isDone ? [[{ name: "new", partitions: 2, overrides: {} }]] : [],
      );
    }
  });
});

test.each([
  ["fewer", 1, null, ERRORS.INVALID_PARTITIONS.code],
  ["as many", 2, null, ERRORS.INVALID_PARTITIONS.code],
  ["more", 3, null, 0],
  ["more, with an assignment for each", 4, [{}, {}], 0],
  ["more, with an assignment too few", 4, [{}], KAFKA_ERRORS.INVALID_REPLICA_ASSIGNMENT],
])("[KFK-13] CreatePartitions: %s", async (_, count, assignments, errorCode) => {
  for (const validateOnly of [true, false]) {
    const alterTopic = vi.fn(async () => ({
      ok: true,
      topic: { name: "t", topicId: "id-t", partitions: count, overrides: {} },
    }));
    const env = brokerOf({ t: 2 }, { cluster: { alterTopic } });
    const request = { topics: [{ name: "t", count, assignments }], validateOnly };
    const { topics } = await ask<{ topics: object[] }>(createPartitions, env, request);
    expect(topics).toMatchObject([{ name: "t", errorCode }]);
    const isDone = errorCode === 0 && !validateOnly;
    expect(alterTopic.mock.calls).toEqual(isDone ? [[{ name: "t", partitions: count }]] : []);
  }
});

test("[KFK-30] DescribeConfigs says of each config where its value comes from, and whether it can be set", async () => {
  interface Entry {
    readonly name: string;
    readonly value: string;
  }
  const resources = [{ resourceType: 2, resourceName: "t", configurationKeys: null }];
  const request = { resources, includeSynonyms: true, includeDocumentation: false };
  const { results } = await ask<{ results: { configs: Iterable<Entry> }[] }>(
    describeConfigs,
    brokerOf({ t: 1 }),
    request,
  );
  const configs = new Map(
    [...(results[0] as { configs: Iterable<Entry> }).configs].map((each) => [each.name, each]),
  );
  const own = { value: "1000", readOnly: false, isDefault: false, configSource: 1, configType: 5 };
  expect(configs.get("retention.ms")).toMatchObject({
    ...own,
    documentation: null,
    synonyms: [{ name: "retention.ms", value: "1000", source: 1 }],
  });
  expect(configs.get("segment.bytes")).toMatchObject({
    readOnly: false,
    isDefault: true,
    configSource: 5,
    configType: 3,
  });
  expect(configs.get("min.insync.replicas")).toMatchObject({
    value: "1",
    readOnly: true,
    isDefault: true,
  });
  expect(configs.get("cleanup.policy")).toMatchObject({ value: "delete", configType: 7 });
});

test("[KFK-30] DescribeConfigs returns the broker's defaults, and what it was started with", async () => {
  const overrides = { "retention.ms": 5 };
  const defaults = async () => ({ config: resolveConfig(overrides), overrides });
  const env = brokerOf({}, { cluster: { defaults } });
  const resources = [{ resourceType: 4, resourceName: "0", configurationKeys: null }];
  const request = { resources, includeSynonyms: false, includeDocumentation: false };
  const { results } = await ask<{
    results: { errorCode: number; configs: Iterable<{ name: string }> }[];
  }>(describeConfigs, env, request);
  expect(results).toMatchObject([{ errorCode: 0, resourceType: 4, resourceName: "0" }]);
  const configs = new Map([...(results[0]?.configs ?? [])].map((each) => [each.name, each]));
  expect(configs.get("retention.ms")).toMatchObject({ value: "5", isDefault: false });
  expect(configs.get("num.partitions")).toMatchObject({ readOnly: true });
});

test.each([1, 3, 8])("[KFK-30] configs of type %i are unknown", async (resourceType) => {
  const resources = [{ resourceType, resourceName: "x", configurationKeys: null }];
  const request = { resources, includeSynonyms: false, includeDocumentation: false };
  expect(await ask(describeConfigs, brokerOf({}), request)).toMatchObject({
    results: [{ errorCode: ERRORS.INVALID_REQUEST.code, configs: [] }],
  });
});
test.each([
  ["CreateTopics", createTopics, false, { numPartitions: 1, replicationFactor: 1 }],
  ["CreatePartitions", createPartitions, true, { count: 2, assignments: null }],
  ["DeleteTopics", deleteTopics, true, { topicId: ZERO_UUID }],
  ["Metadata", metadata, false, { topicId: ZERO_UUID }],
] as [string, Service, boolean, object][])(
  "[BND-16] others have their turn after each topic that %s changes",
  async (_, service, exist, more) => {
    const names = Array.from({ length: 20 }, (_, i) => `t${i}`);
    const changed: string[] = [];
    const change = async ({ name }: { name: string }) => {
      changed.push(name);
      return { ok: true, topic: { name, topicId: "id", partitions: 1, overrides: {} } };
    };
    const cluster = { createTopic: change, alterTopic: change, deleteTopic: change };
    const topics = exist ? Object.fromEntries(names.map((name) => [name, 1])) : {};
    const env = { ...brokerOf(topics, { cluster }), AUTO_CREATE_TOPICS_ENABLE: "true" } as Env;
    const request = {
      topics: names.map((name) => ({ name, assignments: [], configs: [], ...more })),
      topicNames: [],
      validateOnly: false,
      allowAutoTopicCreation: true,
    };
    let turns = 0;
    const pause = async () => void turns++;
    await ask(service, env, request, { work: { made: () => {}, pause } });
    expect(changed.toSorted()).toEqual(names.toSorted());
    expect(turns).toBe(names.length);
  },
);
