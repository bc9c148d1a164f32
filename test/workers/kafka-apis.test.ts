// Kafka's APIs where its clients seldom go.
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { MAX_OFFSETS_PER_COMMIT } from "../../src/core/limits.ts";
import { clusterStub, groupStub } from "../../src/env.ts";
import * as messages from "../support/kafka-schemas.ts";
import { joinClassic } from "./kafka-members.ts";
import { Kafka } from "./kafka-socket.ts";
import { call, createTopic, describeGroup, env, listedGroups, produce, unique } from "./support.ts";

const { NONE } = KAFKA_ERRORS;

interface Committed {
  readonly topics: { readonly partitions: { readonly errorCode: number }[] }[];
}

/** By hand, without a member. */
async function commit(kafka: Kafka, groupId: string, topic: string, offsets: [number, string][]) {
  const partitions = offsets.map(([committedOffset, committedMetadata], partition) => ({
    partition,
    committedOffset,
    committedMetadata,
  }));
  const answer = await kafka.ask<Committed>(messages.OFFSET_COMMIT, 7, {
    groupId,
    generationId: -1,
    memberId: "",
    topics: [{ name: topic, partitions }],
  });
  return answer.topics[0]?.partitions.map(({ errorCode }) => errorCode);
}

async function committed(kafka: Kafka, groupId: string, topic: string, count: number) {
  const partitions = Array.from({ length: count }, (_, i) => i);
  const answer = await kafka.ask<{
    topics: { partitions: { committedOffset: number }[] }[];
  }>(messages.OFFSET_FETCH, 7, { groupId, topics: [{ name: topic, partitions }] });
  return answer.topics[0]?.partitions.map(({ committedOffset }) => committedOffset);
}

test("[CLS-6] an invalid offset is rejected; -1 and -2 are the end and the beginning, as KafkaJS resets a group", async () => {
  const { name } = await createTopic(5);
  await produce(name, [
    { value: "a", partition: 0 },
    { value: "b", partition: 1 },
  ]);
  const kafka = await Kafka.open();
  const groupId = unique("group");
  const outcome = await commit(kafka, groupId, name, [
    [-1, ""],
    [-2, ""],
    [-5, ""],
    [7, "m".repeat(4_097)],
    [2 ** 60, ""],
  ]);
  const wrong = ERRORS.INVALID_REQUEST.code;
  expect(outcome).toEqual([NONE, NONE, wrong, KAFKA_ERRORS.OFFSET_METADATA_TOO_LARGE, wrong]);
  expect(await committed(kafka, groupId, name, 5)).toEqual([1, 0, -1, -1, -1]);
});

const UNKNOWN_TOPIC = ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code;

/** One offset each, none of which can be committed. `name` is a topic with one partition. */
const NOTHING_TO_COMMIT: Record<
  string,
  { topic?: string; partition?: number; offset?: number; metadata?: string; code: number }
> = {
  "a topic that does not exist": { topic: "no-such-topic", code: UNKNOWN_TOPIC },
  "a topic that does not exist, at its end": {
    topic: "no-such-topic",
    offset: -1,
    code: UNKNOWN_TOPIC,
  },
  "a name that is none": { topic: "no such topic", code: UNKNOWN_TOPIC },
  "a partition that does not exist": { partition: 1, code: UNKNOWN_TOPIC },
  "a partition below 0": { partition: -1, code: UNKNOWN_TOPIC },
  "an offset that is none": { offset: -5, code: ERRORS.INVALID_REQUEST.code },
  "metadata that is too long": {
    metadata: "m".repeat(4_097),
    code: KAFKA_ERRORS.OFFSET_METADATA_TOO_LARGE,
  },
};

describe.each(Object.entries(NOTHING_TO_COMMIT))("a commit by hand of %s", (_, wrong) => {
  test.each([{ exists: false }, { exists: true }])(
    "[GRP-13] [CLS-6] creates, lists and stores nothing, where the group exists: $exists",
    async ({ exists }) => {
      const { name } = await createTopic(1);
      const kafka = await Kafka.open();
      const groupId = unique("group");
      if (exists) await groupStub(env, groupId).alterConfig({ changes: { "group.max.size": 9 } });
      const { topic = name, partition = 0, offset = 1, metadata = "", code } = wrong;
      const answer = await kafka.ask<Committed>(messages.OFFSET_COMMIT, 7, {
        groupId,
        generationId: -1,
        memberId: "",
        topics: [
          {
            name: topic,
            partitions: [{ partition, committedOffset: offset, committedMetadata: metadata }],
          },
        ],
      });
      expect(answer.topics[0]?.partitions[0]?.errorCode).toBe(code);
      expect((await listedGroups()).includes(groupId)).toBe(exists);
      expect(await rememberedNames(groupId)).not.toContain("no-such-topic");
      if (exists) expect((await describeGroup(groupId)).offsets).toEqual([]);
      else expect(await call("GET", `/v1/groups/${groupId}`)).toMatchObject({ status: 404 });
      // Correct entries beside it count.
      const outcome = await kafka.ask<Committed>(messages.OFFSET_COMMIT, 7, {
        groupId,
        generationId: -1,
        memberId: "",
        topics: [
          { name: "no-such-topic", partitions: [{ partition: 0, committedOffset: 1 }] },
          { name, partitions: [{ partition: 0, committedOffset: 1 }] },
        ],
      });
      expect(
        outcome.topics.flatMap((each) => each.partitions.map(({ errorCode }) => errorCode)),
      ).toEqual([UNKNOWN_TOPIC, NONE]);
      expect(await rememberedNames(groupId)).toEqual([name]);
      expect((await describeGroup(groupId)).offsets).toMatchObject([{ topic: name }]);
    },
  );
});

test("[GRP-13] an assignment's missing topics are not remembered", async () => {
  const { name } = await createTopic(1);
  const groupId = unique("group");
  const stub = groupStub(env, groupId);
  const topics = [name, "no-such-topic"].map((each) => new TextEncoder().encode(each));
  const assignment = new Uint8Array([
    ...[0, 0, 0, 0, 0, topics.length],
    ...topics.flatMap((utf8) => [0, utf8.length, ...utf8, 0, 0, 0, 1, 0, 0, 0, 0]),
    ...[255, 255, 255, 255],
  ]);
  await joinClassic(stub, {}, assignment);
  expect(await rememberedNames(groupId)).toEqual([name]);
});

test("[GRP-13] more offsets than one commit may name are rejected before any is looked up", async () => {
  const { name } = await createTopic(1);
  const kafka = await Kafka.open();
  const groupId = unique("group");
  const code = ERRORS.INVALID_REQUEST.code;
  const many = Array.from(
    { length: MAX_OFFSETS_PER_COMMIT + 1 },
    () => [0, ""] as [number, string],
  );
  expect(new Set(await commit(kafka, groupId, name, many))).toEqual(new Set([code]));
  expect(await listedGroups()).not.toContain(groupId);
  const partitions = many.map(() => ({ partition: 0 }));
  expect(
    await kafka.ask(messages.OFFSET_DELETE, 0, { groupId, topics: [{ name, partitions }] }),
  ).toMatchObject({ errorCode: code });
});

/** The names of topics that the cluster would report to the group. */
function rememberedNames(groupId: string): Promise<string[]> {
  return runInDurableObject(clusterStub(env), (_, { storage }) =>
    [
      ...storage.sql.exec<{ topic: string }>(
        "SELECT topic FROM subscriptions WHERE group_id = ?",
        groupId,
      ),
    ].map(({ topic }) => topic),
  );
}

test("[CLS-6] OffsetDelete forgets the partitions it names, and none of a topic that a member subscribes to", async () => {
  const { name } = await createTopic(2);
  const kafka = await Kafka.open();
  const groupId = unique("group");
  await commit(kafka, groupId, name, [
    [3, ""],
    [4, ""],
  ]);
  const forget = (partitions: number[]) =>
    kafka.ask<Committed>(messages.OFFSET_DELETE, 0, {
      groupId,
      topics: [{ name, partitions: partitions.map((partition) => ({ partition })) }],
    });
  expect((await forget([0])).topics[0]?.partitions).toMatchObject([{ errorCode: NONE }]);
  expect(await committed(kafka, groupId, name, 2)).toEqual([-1, 4]);
  // A subscription: version 0, one topic, no user data.
  const utf8 = new TextEncoder().encode(name);
  const metadata = new Uint8Array([0, 0, 0, 0, 0, 1, 0, utf8.length, ...utf8, 255, 255, 255, 255]);
  await kafka.ask(messages.JOIN_GROUP, 3, {
    groupId,
    memberId: "",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata }],
  });
  expect((await forget([1])).topics[0]?.partitions).toMatchObject([
    { errorCode: ERRORS.GROUP_SUBSCRIBED_TO_TOPIC.code },
  ]);
  expect(await committed(kafka, groupId, name, 2)).toEqual([-1, 4]);
  expect(
    await kafka.ask(messages.OFFSET_DELETE, 0, { groupId: unique("none"), topics: [] }),
  ).toMatchObject({ errorCode: ERRORS.GROUP_ID_NOT_FOUND.code });
});

test("[KCG-1] a member that may have missed a response gets its assignment again", async () => {
  const { name, topicId } = await createTopic(2);
  const groupId = unique("group");
  const kafka = await Kafka.open();
  const beat = (memberId: string, memberEpoch: number, more: object = {}) =>
    kafka.ask<{
      errorCode: number;
      memberEpoch: number;
      assignment: { topicPartitions: { partitions: readonly number[] }[] } | null;
    }>(messages.CONSUMER_GROUP_HEARTBEAT, 1, {
      groupId,
      memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: null,
      ...more,
    });
  const whole = { rebalanceTimeoutMs: 10_000, subscribedTopicNames: [name] };
  const owned = (...partitions: number[]) => ({ topicPartitions: [{ topicId, partitions }] });
  const [a, b] = ["a", "b"];
  await beat(a, 0, { ...whole, topicPartitions: [] });
  const joined = await beat(b, 0, { ...whole, topicPartitions: [] });
  await beat(a, 1); // Told to give one up.
  const { memberEpoch } = await beat(a, 1, owned(0));
  expect(memberEpoch).toBe(joined.memberEpoch);
  await beat(b, -1);
  await beat(a, memberEpoch, owned(0)); // This response is lost.
  const both = { topicPartitions: [{ partitions: [0, 1] }] };
  expect(await beat(a, memberEpoch, owned(0))).toMatchObject({ assignment: both });
  expect(await beat(a, memberEpoch)).toMatchObject({ assignment: both });
  const now = (await beat(a, memberEpoch)).memberEpoch;
  expect(now).toBeGreaterThan(memberEpoch);
  expect(await beat(a, now)).toMatchObject({ memberEpoch: now, assignment: null });
  expect(await beat(a, now, { ...whole, ...owned(0, 1) })).toMatchObject({ assignment: both });
});

test.each([
  ["an epoch below -2", { memberEpoch: -3 }],
  ["a leave for a while without a name", { memberEpoch: -2 }],
  ["a join without topics", { subscribedTopicNames: null }],
  ["a join without a timeout", { rebalanceTimeoutMs: -1 }],
  ["no member id", { memberId: "" }],
  ["an empty instance id", { instanceId: "" }],
])("[KCG-1] an invalid heartbeat is rejected, and creates no group: %s", async (_, wrong) => {
  const kafka = await Kafka.open();
  const groupId = unique("group");
  const answer = await kafka.ask(messages.CONSUMER_GROUP_HEARTBEAT, 1, {
    groupId,
    memberId: "m",
    memberEpoch: 0,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: 1_000,
    subscribedTopicNames: ["t"],
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: [],
    ...wrong,
  });
  expect(answer).toMatchObject({ errorCode: ERRORS.INVALID_REQUEST.code });
  expect(
    await kafka.ask(messages.CONSUMER_GROUP_DESCRIBE, 0, { groupIds: [groupId] }),
  ).toMatchObject({ groups: [{ errorCode: ERRORS.GROUP_ID_NOT_FOUND.code }] });
});

test("[KFK-13] configs that hold anyway are accepted, others rejected by name; no bound at all is Kafka's largest number", async () => {
  const kafka = await Kafka.open();
  const create = async (configs: Readonly<Record<string, string>>) => {
    const name = unique("topic");
    const { topics } = await kafka.ask<{ topics: { errorCode: number; errorMessage: string }[] }>(
      messages.CREATE_TOPICS,
      7,
      {
        timeoutMs: 1_000,
        topics: [
          {
            name,
            numPartitions: 1,
            replicationFactor: 3,
            assignments: [],
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
      },
    );
    return { name, ...topics[0] };
  };
  const made = await create({
    "min.insync.replicas": "2",
    "compression.type": "producer",
    "unclean.leader.election.enable": "false",
    "retention.ms": "9223372036854775807",
  });
  expect(made).toMatchObject({ errorCode: NONE });
  const resource = { resourceType: 2, resourceName: made.name };
  for (const configurationKeys of [null, []]) {
    const { results } = await kafka.ask<{
      results: { configs: { name: string; value: string }[] }[];
    }>(messages.DESCRIBE_CONFIGS, 1, { resources: [{ ...resource, configurationKeys }] });
    const configs = new Map(results[0]?.configs.map(({ name, value }) => [name, value]));
    expect(configs.get("retention.ms")).toBe("9223372036854775807");
    expect(configs.get("min.insync.replicas")).toBe("1"); // The value that holds, whatever was requested.
  }
  for (const [key, value] of [
    ["compression.type", "lz4"],
    ["no.such.config", "1"],
  ] as const) {
    const refused = await create({ [key]: value });
    expect(refused.errorCode).toBe(ERRORS.INVALID_CONFIG.code);
    expect(refused.errorMessage).toContain(key);
  }
});

test("[KFK-13] more than a hundred topics are looked up at once, each by itself", async () => {
  const { name, topicId } = await createTopic(2);
  const kafka = await Kafka.open();
  const missing = Array.from({ length: 150 }, (_, i) => ({ name: `missing-${i}` }));
  const { topics } = await kafka.ask<{
    topics: { errorCode: number; topicId: string; partitions: unknown[] }[];
  }>(messages.METADATA, 12, {
    topics: [{ name }, ...missing, { name: "no name!" }, { name: null, topicId }],
  });
  expect(topics).toHaveLength(153);
  expect(topics[0]).toMatchObject({ errorCode: NONE, topicId });
  expect(topics[1]).toMatchObject({ errorCode: ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code });
  expect(topics[151]).toMatchObject({ errorCode: ERRORS.INVALID_TOPIC_EXCEPTION.code });
  expect(topics[152]).toMatchObject({ errorCode: NONE, topicId });
  expect(topics[152]?.partitions).toHaveLength(2);
});

test("[KFK-27] transactions are refused with an error that ends them, and in clear words", async () => {
  const { name } = await createTopic(1);
  const kafka = await Kafka.open();
  const errorCode = ERRORS.UNSUPPORTED_VERSION.code;
  const refused = { errorCode, errorMessage: expect.stringContaining("transactions") };
  const asked = { key: "t", keyType: 1, keys: ["t"] };
  // librdkafka uses these versions, and treats no other error as final.
  for (const version of [1, 2])
    expect(await kafka.ask(messages.FIND_COORDINATOR, version, asked)).toMatchObject({
      ...refused,
      errorCode: KAFKA_ERRORS.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    });
  expect(await kafka.ask(messages.FIND_COORDINATOR, 3, asked)).toMatchObject(refused);
  for (const version of [4, 5, 6])
    expect(await kafka.ask(messages.FIND_COORDINATOR, version, asked)).toMatchObject({
      coordinators: [{ key: "t", ...refused }],
    });
  const init = { transactionalId: "t", transactionTimeoutMs: 1_000 };
  expect(await kafka.ask(messages.INIT_PRODUCER_ID, 1, init)).toMatchObject({ errorCode });
  const topics = [{ name, partitions: [{ partition: 0, records: [new Uint8Array(61)] }] }];
  expect(
    await kafka.ask(messages.PRODUCE, 9, { transactionalId: "t", acks: -1, topics }),
  ).toMatchObject({ topics: [{ partitions: [refused] }] });
});

const SENT_IDS = [
  [-1, -1],
  [0, 0],
  [0, 32_767],
  [7, 3],
  [2 ** 40, 1],
] as const;

test.each([0, 1, 2, 3, 4, 5])(
  "[IDM-7] InitProducerId version %i returns an unused id, whatever is sent",
  async (version) => {
    const kafka = await Kafka.open();
    const given = new Set<number>();
    for (const [producerId, producerEpoch] of [...SENT_IDS, ...SENT_IDS]) {
      const init = {
        transactionalId: null,
        transactionTimeoutMs: 1_000,
        producerId,
        producerEpoch,
      };
      const answer = await kafka.ask<{ producerId: number }>(
        messages.INIT_PRODUCER_ID,
        version,
        init,
      );
      expect(answer).toMatchObject({ errorCode: NONE, producerEpoch: 0 });
      expect(answer.producerId).not.toBe(producerId);
      given.add(answer.producerId);
    }
    expect(given.size).toBe(2 * SENT_IDS.length);
  },
);

test("[KFK-4] refused partitions delay nobody, and the others are answered as they are", async () => {
  const { name } = await createTopic(1);
  await produce(name, [{ value: "there" }]);
  const kafka = await Kafka.open();
  const place = (partition: number) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1_000 });
  const answer = await kafka.ask(messages.FETCH, 11, {
    maxWaitMs: 30_000,
    minBytes: 1_000_000,
    maxBytes: 1_000_000,
    topics: [{ name, partitions: [place(99), place(0)] }],
  });
  expect(answer).toMatchObject({
    topics: [
      {
        partitions: [
          { partition: 99, errorCode: ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code },
          { partition: 0, errorCode: NONE, highWatermark: 1 },
        ],
      },
    ],
  });
  const nothing = { maxWaitMs: 30_000, minBytes: 1, maxBytes: 1_000, topics: [] };
  expect(await kafka.ask(messages.FETCH, 11, nothing)).toMatchObject({ topics: [] });
});

test.each([4, 11, 12, 13, 16])(
  "[KFK-1] a refused partition has empty records, not null, in version %i of Fetch",
  async (version) => {
    const { name, topicId } = await createTopic(1);
    const kafka = await Kafka.open();
    const place = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 };
    const wrong = [
      { ...place, partition: 99 },
      { ...place, partition: -1 },
      { ...place, fetchOffset: -1 },
    ];
    const unknown = { name: unique("none"), topicId: crypto.randomUUID(), partitions: [place] };
    const answer = await kafka.ask<{
      topics: { partitions: { errorCode: number; records: Uint8Array | null }[] }[];
    }>(messages.FETCH, version, {
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1_000,
      topics: [{ name, topicId, partitions: wrong }, unknown],
    });
    const partitions = answer.topics.flatMap((each) => each.partitions);
    expect(partitions.length).toBe(wrong.length + 1);
    for (const { errorCode, records } of partitions) {
      expect(errorCode).not.toBe(NONE);
      expect(records).toEqual(new Uint8Array());
    }
  },
);
