// The bytes that Kafka clients send and take word for word, where other clients' requests would hide a difference.
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { MAX_TOPICS_PER_KAFKA_MEMBER } from "../../src/core/limits.ts";
import { batches } from "../../src/core/log/record-batch.ts";
import { clusterStub, groupStub } from "../../src/env.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { FETCH, fetch } from "../../src/worker/kafka/apis/fetch.ts";
import type { RequestContext } from "../../src/worker/kafka/context.ts";
import { ZERO_UUID } from "../../src/worker/kafka/wire.ts";
import * as messages from "../support/kafka-schemas.ts";
import { nativeJoin } from "./kafka-members.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  createTopic,
  describeGroup,
  env,
  eventually,
  expectStatus,
  listedGroups,
  produce,
  recordBatch,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.useRealTimers());

const { NONE } = KAFKA_ERRORS;

interface Member {
  readonly memberId: string;
  readonly generationId: number;
}

/** Joins a classic group as its only member, as clients of JoinGroup 9 do. */
async function joinClassic(kafka: Kafka, groupId: string): Promise<Member> {
  const join = {
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 1_000,
    groupInstanceId: null,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array() }],
    reason: null,
  };
  const told = await kafka.ask<Member>(messages.JOIN_GROUP, 9, { ...join, memberId: "" });
  const { memberId, generationId } = await kafka.ask<Member>(messages.JOIN_GROUP, 9, {
    ...join,
    memberId: told.memberId,
  });
  await kafka.ask(messages.SYNC_GROUP, 5, {
    groupId,
    generationId,
    memberId,
    groupInstanceId: null,
    protocolType: "consumer",
    protocolName: "range",
    assignments: [{ memberId, assignment: new Uint8Array() }],
  });
  return { memberId, generationId };
}

describe("a fetch of positions that names a member and its epoch", () => {
  const fetchAs = async (kafka: Kafka, groupId: string, name: string, asked: object) => {
    const answer = await kafka.ask<{
      groups: {
        errorCode: number;
        topics: { partitions: { committedOffset: number }[] }[];
      }[];
    }>(messages.OFFSET_FETCH, 9, {
      groups: [{ groupId, topics: [{ name, partitions: [0] }], ...asked }],
      requireStable: true,
    });
    const [group] = answer.groups;
    return group?.errorCode === NONE
      ? group.topics[0]?.partitions[0]?.committedOffset
      : `error ${group?.errorCode}`;
  };
  const commit = (groupId: string, topic: string, token: object) =>
    groupStub(env, groupId).commitOffsets({
      token: { memberId: "", instanceId: null, generation: -1, ...token },
      offsets: [{ topic, partition: 0, offset: 7, metadata: "" }],
    });

  test.each(TWINS)("[CLS-11] is answered to a classic member$when", async ({ interrupt }) => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    const { memberId, generationId } = await joinClassic(kafka, groupId);
    await commit(groupId, name, { memberId, generation: generationId });
    await interrupt(groupStub(env, groupId));
    for (const memberEpoch of [-1, generationId, 9])
      expect(await fetchAs(kafka, groupId, name, { memberId, memberEpoch })).toBe(7);
    const left = { groupId, members: [{ memberId, groupInstanceId: null, reason: null }] };
    await kafka.ask(messages.LEAVE_GROUP, 5, left);
    const asked = { memberId, memberEpoch: generationId };
    expect(await fetchAs(kafka, groupId, name, asked)).toBe(7);
  });

  test.each(TWINS)("[CLS-11] is answered for commits by hand$when", async ({ interrupt }) => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    await commit(groupId, name, {});
    await interrupt(groupStub(env, groupId));
    const asked = { memberId: "anybody", memberEpoch: 3 };
    expect(await fetchAs(kafka, groupId, name, asked)).toBe(7);
  });

  test("[CLS-11] [FIL-1] finds nothing in a missing group, and creates none", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    for (const memberId of [null, "", "anybody"])
      for (const memberEpoch of [-1, 0, 1])
        expect(await fetchAs(kafka, groupId, name, { memberId, memberEpoch })).toBe(-1);
    expect(await listedGroups()).not.toContain(groupId);
  });

  test("[CLS-11] [GRP-14] is refused to a stranger of a group that a native member created", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    const joined = await groupStub(env, groupId).heartbeat(nativeJoin("n", name));
    const memberEpoch = joined.ok ? joined.memberEpoch : -1;
    const fetched = (memberId: string) => fetchAs(kafka, groupId, name, { memberId, memberEpoch });
    expect(await fetched("n")).toBe(-1);
    expect(await fetched("x")).toBe(`error ${ERRORS.UNKNOWN_MEMBER_ID.code}`);
  });
});

/** Lists the places of nulls in a response. Elements of lists are not told apart. */
function nulls(value: unknown, path = ""): string[] {
  if (value === null) return [path];
  if (typeof value !== "object" || value instanceof Uint8Array) return [];
  const isList = Array.isArray(value);
  const found = Object.entries(value).flatMap(([key, each]) =>
    nulls(each, isList ? path : `${path}.${key}`),
  );
  return [...new Set(found)];
}

describe("null in an answer", () => {
  const FETCHED = ".topics.partitions.abortedTransactions";
  const asked = { topicId: "", name: "" };
  const fetchOf = (isolationLevel: number, partition: number) => () => ({
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1_000,
    isolationLevel,
    topics: [{ ...asked, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1_000 }] }],
  });
  const newTopic = (name: string) => ({
    name,
    numPartitions: 1,
    replicationFactor: 1,
    assignments: [],
    configs: [],
  });
  const resources = () => [{ resourceType: 2, resourceName: asked.name, configs: [] }];
  const aclNames = { resourceName: "t", principal: "User:x", host: "*" };
  const acl = {
    resourceType: 1,
    resourceName: null,
    patternType: 1,
    principal: null,
    host: null,
    operation: 1,
    permissionType: 1,
  };

  /** Questions, and the places where Kafka's broker returns null because there is nothing to say. */
  const ANSWERS: readonly [
    what: string,
    api: Api,
    request: () => object,
    allowed: readonly string[],
  ][] = [
    ["", messages.FETCH, fetchOf(0, 0), [FETCHED]],
    [" of committed records", messages.FETCH, fetchOf(1, 0), []],
    [" of a partition that does not exist", messages.FETCH, fetchOf(0, 99), []],
    ["", messages.METADATA, () => ({ topics: [asked] }), [".brokers.rack"]],
    [
      " of a topic that does not exist",
      messages.METADATA,
      () => ({ topics: [{ topicId: ZERO_UUID, name: "missing" }] }),
      [".brokers.rack"],
    ],
    ["", messages.OFFSET_FETCH, () => ({ groups: [{ groupId: "g", topics: [] }] }), []],
    [
      "",
      messages.FIND_COORDINATOR,
      () => ({ keyType: 0, keys: ["g"] }),
      [".coordinators.errorMessage", ".errorMessage"], // The second is not in this version.
    ],
    [
      " that is refused",
      messages.JOIN_GROUP,
      () => ({ groupId: "", sessionTimeoutMs: 1, memberId: "", protocolType: "", protocols: [] }),
      [".protocolType", ".protocolName"],
    ],
    ["", messages.DESCRIBE_GROUPS, () => ({ groups: ["missing"] }), []],
    ["", messages.LIST_GROUPS, () => ({ statesFilter: [], typesFilter: [] }), []],
    ["", messages.API_VERSIONS, () => ({}), []],
    [
      "",
      messages.CREATE_TOPICS,
      () => ({ topics: [newTopic(unique("topic"))], timeoutMs: 1_000 }),
      [".topics.errorMessage"],
    ],
    [
      " that is refused",
      messages.CREATE_TOPICS,
      () => ({ topics: [newTopic("a name!")], timeoutMs: 1_000 }),
      [],
    ],
    [
      "",
      messages.CREATE_PARTITIONS,
      () => ({ topics: [{ name: asked.name, count: 9, assignments: null }] }),
      [".topics.errorMessage"],
    ],
    [
      "",
      messages.DESCRIBE_CONFIGS,
      () => ({ resources: resources().map((each) => ({ ...each, configurationKeys: null })) }),
      [".results.errorMessage", ".results.configs.documentation"],
    ],
    [
      "",
      messages.INCREMENTAL_ALTER_CONFIGS,
      () => ({ resources: resources() }),
      [".resources.errorMessage"],
    ],
    ["", messages.ALTER_CONFIGS, () => ({ resources: resources() }), [".resources.errorMessage"]],
    ["", messages.DESCRIBE_ACLS, () => acl, []],
    [" that is refused", messages.DESCRIBE_ACLS, () => ({ ...acl, operation: 0 }), []],
    ["", messages.CREATE_ACLS, () => ({ creations: [{ ...acl, ...aclNames }] }), []],
    ["", messages.DELETE_ACLS, () => ({ filters: [acl] }), []],
    ["", messages.DESCRIBE_CLUSTER, () => ({}), [".errorMessage", ".brokers.rack"]],
    ["", messages.CONSUMER_GROUP_DESCRIBE, () => ({ groupIds: ["missing"] }), []],
    [
      "",
      messages.DESCRIBE_TOPIC_PARTITIONS,
      () => ({ topics: [asked], responsePartitionLimit: 9, cursor: null }),
      [".nextCursor"],
    ],
    [
      " of a topic that does not exist",
      messages.DESCRIBE_TOPIC_PARTITIONS,
      () => ({ topics: [{ name: "missing" }], responsePartitionLimit: 9, cursor: null }),
      [".nextCursor"],
    ],
  ];

  test.each(ANSWERS.map(([what, api, ...rest]) => ({ title: `${api.name}${what}`, api, rest })))(
    "[KFK-24] is where Kafka's broker sends it: $title",
    async ({ api, rest: [request, allowed] }) => {
      const { name, topicId } = await createTopic(2);
      Object.assign(asked, { name, topicId });
      const kafka = await Kafka.open();
      const answer = await kafka.ask<object>(api, api.versions[1], {
        ...(api.request.absent as object),
        ...request(),
      });
      expect(nulls(answer).filter((path) => !allowed.includes(path))).toEqual([]);
    },
  );
});

describe("a topic that is named by its id", () => {
  /** The ways in which clients omit the name. Java's sends it empty. Before version 12 it cannot be null. */
  const NAMELESS = [
    [10, ""],
    [11, ""],
    [12, ""],
    [12, null],
    [12, "another"],
  ] as const;

  test.each(NAMELESS)(
    "[KFK-25] is described by Metadata %i, where the name is %j",
    async (version, noName) => {
      const { name, topicId } = await createTopic(2);
      const kafka = await Kafka.open();
      const missing = crypto.randomUUID();
      const unknown = {
        errorCode: ERRORS.UNKNOWN_TOPIC_ID.code,
        name: version < 12 ? "" : null,
        topicId: missing,
        partitions: [],
      };
      const known = { errorCode: NONE, name, topicId };
      const ask = (ids: readonly string[]) =>
        kafka.ask<{ topics: { partitions: unknown[] }[] }>(messages.METADATA, version, {
          topics: ids.map((id) => ({ topicId: id, name: noName })),
          allowAutoTopicCreation: false,
        });
      const { topics } = await ask([topicId, missing]);
      expect(topics).toMatchObject([known, unknown]);
      expect(topics[0]?.partitions).toHaveLength(2);
      // More of them are looked up in another way.
      const many = await ask([
        topicId,
        missing,
        ...Array.from({ length: 100 }, () => crypto.randomUUID()),
      ]);
      expect(many.topics.slice(0, 2)).toMatchObject([known, unknown]);
    },
  );

  test.each([null, ""])("[KFK-25] is deleted, where the name is %j", async (noName) => {
    const { name, topicId } = await createTopic(1);
    const kafka = await Kafka.open();
    const remove = (topic: object) =>
      kafka.ask(messages.DELETE_TOPICS, 6, { topics: [topic], timeoutMs: 1_000 });
    expect(await remove({ name, topicId })).toMatchObject({
      topics: [{ errorCode: ERRORS.INVALID_REQUEST.code }],
    });
    expect(await remove({ name: noName, topicId })).toMatchObject({
      topics: [{ errorCode: NONE, name, topicId }],
    });
    expect(await remove({ name: noName, topicId })).toMatchObject({
      topics: [{ errorCode: ERRORS.UNKNOWN_TOPIC_ID.code, name: null, topicId }],
    });
  });

  test("[KFK-25] is fetched from, and an unknown one has its own code", async () => {
    const { topicId } = await createTopic(1);
    const kafka = await Kafka.open();
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }];
    const missing = crypto.randomUUID();
    const answer = await kafka.ask(messages.FETCH, 16, {
      ...FETCH.request.absent,
      maxBytes: 1_000,
      topics: [topicId, missing, ZERO_UUID].map((id) => ({ topicId: id, partitions })),
    });
    const unknown = { partitions: [{ errorCode: ERRORS.UNKNOWN_TOPIC_ID.code }] };
    expect(answer).toMatchObject({
      topics: [{ partitions: [{ errorCode: NONE }] }, unknown, unknown],
    });
  });
});

describe("a fetch of many partitions that all have records", () => {
  const PARTITIONS = 6;
  const EACH = 4;

  interface Fetched {
    readonly topics: {
      readonly partitions: { readonly partition: number; readonly records: Uint8Array }[];
    }[];
  }

  /** Produces to each partition, in batches of one record each. Returns the size of a batch. */
  async function fill(kafka: Kafka, name: string): Promise<number> {
    for (let i = 0; i < EACH; i++)
      await produce(
        name,
        Array.from({ length: PARTITIONS }, (_, partition) => ({
          value: "v".repeat(500),
          partition,
        })),
      );
    const { topics } = await fetchFrom(kafka, name, [0], { maxBytes: 1 });
    return topics[0]?.partitions[0]?.records.length ?? 0;
  }

  function fetchFrom(
    kafka: Kafka,
    name: string,
    offsets: readonly number[],
    {
      partitionMaxBytes = 1_000_000,
      ...more
    }: { partitionMaxBytes?: number; maxBytes?: number } = {},
  ) {
    return kafka.ask<Fetched>(messages.FETCH, 11, {
      maxWaitMs: 5_000,
      minBytes: 1,
      maxBytes: 10_000_000,
      topics: [
        {
          name,
          partitions: offsets.map((fetchOffset, partition) => ({
            partition,
            fetchOffset,
            partitionMaxBytes,
          })),
        },
      ],
      ...more,
    });
  }

  const countsOf = ({ topics }: Fetched) =>
    topics.flatMap(({ partitions }) =>
      partitions.map(({ records }) => [...batches(records)].length),
    );
  const BEGINNINGS: readonly number[] = Array.from({ length: PARTITIONS }, () => 0);

  test("[KFK-26] returns them all in one response", async () => {
    const { name } = await createTopic(PARTITIONS);
    await fill(await Kafka.open(), name);
    const kafka = await Kafka.open();
    const answer = await fetchFrom(kafka, name, BEGINNINGS);
    expect(countsOf(answer)).toEqual(BEGINNINGS.map(() => EACH));
  });

  test("[KFK-26] returns as much as fits, in the requested order, and at least one batch", async () => {
    const { name } = await createTopic(PARTITIONS);
    const size = await fill(await Kafka.open(), name);
    const fetched = async (maxBytes: number) =>
      countsOf(await fetchFrom(await Kafka.open(), name, BEGINNINGS, { maxBytes }));
    expect(await fetched(1)).toEqual([1, 0, 0, 0, 0, 0]);
    expect(await fetched(size * EACH)).toEqual([EACH, 0, 0, 0, 0, 0]);
    expect(await fetched(size * (EACH + 1))).toEqual([EACH, 1, 0, 0, 0, 0]);
  });

  test("[KFK-26] continues with all of them if one response could not hold everything", async () => {
    const { name } = await createTopic(PARTITIONS);
    await fill(await Kafka.open(), name);
    const kafka = await Kafka.open();
    const offsets = [...BEGINNINGS];
    for (let round = 0; round < EACH; round++) {
      const { topics } = await fetchFrom(kafka, name, offsets, { partitionMaxBytes: 600 });
      for (const { partition, records } of topics[0]?.partitions ?? [])
        offsets[partition] = (offsets[partition] ?? 0) + [...batches(records)].length;
      expect(offsets).toEqual(BEGINNINGS.map(() => round + 1));
    }
  });

  test("[KFK-26] waits once for a partition that does not come, and not again until it has news", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const taken = { error: null, highWatermark: 9, logStartOffset: 0, records: [], bytes: 0 };
    const feed = (bytes: number) => ({
      error: null,
      bytes,
      isSettled: bytes > 0,
      isWaiting: false,
      isLate: false,
      take: () => taken,
    });
    const feeds = [feed(10), feed(0)];
    let waits = 0;
    const context = {
      env,
      version: 11,
      nodes: { isOwn: () => true, leaderOf: () => ({}) },
      login: { isOver: async () => false },
      feeds: {
        knownId: () => "id",
        has: () => true,
        of: (_: string, partition: number) => feeds[partition],
        news: async (waitMs: number) => {
          waits++;
          vi.setSystemTime(Date.now() + waitMs);
        },
      },
    } as unknown as RequestContext;
    const request = {
      ...FETCH.request.absent,
      maxWaitMs: 5_000,
      minBytes: 1,
      maxBytes: 1_000,
      topics: [
        { name: "t", partitions: [0, 1].map((partition) => ({ partition, fetchOffset: 0 })) },
      ],
    };
    for (let i = 0; i < 3; i++) await fetch.serve(request, context);
    expect(waits).toBe(1);
    Object.assign(feeds[1] as object, { isLate: false });
    await fetch.serve(request, context);
    expect(waits).toBe(2);
  });
});

interface Outcome {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

describe("clients that send fixed versions, as sarama does", () => {
  test("[KFK-28] find topics, their configs and the coordinator", async () => {
    const kafka = await Kafka.open();
    const name = unique("topic");
    const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
    for (const [version, errorCode] of [
      [0, NONE],
      [1, ERRORS.TOPIC_ALREADY_EXISTS.code],
    ] as const)
      expect(
        await kafka.ask(messages.CREATE_TOPICS, version, { topics: [topic], timeoutMs: 1_000 }),
      ).toMatchObject({ topics: [{ name, errorCode }] });
    for (const version of [0, 1])
      expect(await kafka.ask(messages.METADATA, version, { topics: [{ name }] })).toMatchObject({
        topics: [{ errorCode: NONE, name, partitions: [{ partition: 0 }] }],
      });
    expect(await kafka.ask(messages.FIND_COORDINATOR, 0, { key: "g" })).toMatchObject({
      errorCode: NONE,
    });
    const resources = [{ resourceType: 2, resourceName: name, configurationKeys: null }];
    const described = await kafka.ask<{
      results: { configs: { name: string; isDefault: boolean }[] }[];
    }>(messages.DESCRIBE_CONFIGS, 0, { resources });
    expect(described.results[0]?.configs).toContainEqual(
      expect.objectContaining({ name: "retention.ms", value: "604800000", isDefault: true }),
    );
    expect(
      await kafka.ask(messages.DELETE_TOPICS, 0, { topicNames: [name], timeoutMs: 1_000 }),
    ).toMatchObject({ topics: [{ name, errorCode: NONE }] });
  });

  test("[KFK-28] commit offsets and fetch them, and get each partition's error", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    const partition = { partition: 0, committedOffset: 5, commitTimestampMs: -1 };
    expect(
      await kafka.ask(messages.OFFSET_COMMIT, 1, {
        groupId,
        generationId: -1,
        memberId: "",
        topics: [{ name, partitions: [{ ...partition, committedMetadata: "m" }] }],
      }),
    ).toMatchObject({ topics: [{ name, partitions: [{ partition: 0, errorCode: NONE }] }] });
    const topics = [{ name, partitions: [0] }];
    for (const version of [1, 2])
      expect(await kafka.ask(messages.OFFSET_FETCH, version, { groupId, topics })).toMatchObject({
        topics: [{ partitions: [{ committedOffset: 5, metadata: "m", errorCode: NONE }] }],
      });
    const errorCode = ERRORS.INVALID_GROUP_ID.code;
    const nobody = { groupId: "", topics };
    expect(await kafka.ask(messages.OFFSET_FETCH, 1, nobody)).toMatchObject({
      topics: [{ name, partitions: [{ partition: 0, committedOffset: -1, errorCode }] }],
    });
    expect(await kafka.ask(messages.OFFSET_FETCH, 2, nobody)).toMatchObject({ errorCode });
  });
});

test("[KFK-29] an append returns where the log begins, by call and over a socket", async () => {
  const { name } = await createTopic(1);
  const kafka = await Kafka.open();
  const append = async () => {
    const { topics } = await kafka.ask<{
      topics: { partitions: { errorCode: number; baseOffset: number; logStartOffset: number }[] }[];
    }>(messages.PRODUCE, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1_000,
      topics: [{ name, partitions: [{ partition: 0, records: [recordBatch(["v"])] }] }],
    });
    return topics[0]?.partitions[0];
  };
  expect(await append()).toMatchObject({ errorCode: NONE, baseOffset: 0, logStartOffset: 0 });
  expect(await append()).toMatchObject({ baseOffset: 1, logStartOffset: 0 });
  await expectStatus(200, "DELETE", `/v1/topics/${name}/partitions/0/records?before=2`);
  for (let i = 2; i < 6; i++)
    expect(await append()).toMatchObject({ baseOffset: i, logStartOffset: 2 });
});

test("[CLS-12] [GRP-15] LeaveGroup removes a native static member by its instance id, and by nothing else", async () => {
  const { name } = await createTopic(1);
  const kafka = await Kafka.open();
  const groupId = unique("group");
  await expectStatus(200, "POST", `/v1/groups/${groupId}/poll`, {
    instanceId: "i",
    topics: [name],
  });
  const { members } = await describeGroup(groupId);
  const memberId = members[0]?.memberId ?? "";
  const leave = async (member: object) => {
    const answer = await kafka.ask<{ members: Outcome[] }>(messages.LEAVE_GROUP, 5, {
      groupId,
      members: [{ memberId: "", groupInstanceId: null, reason: null, ...member }],
    });
    return answer.members[0]?.errorCode;
  };
  const unknown = ERRORS.UNKNOWN_MEMBER_ID.code;
  expect(await leave({ memberId })).toBe(unknown);
  expect(await leave({ memberId, groupInstanceId: "i" })).toBe(unknown);
  expect(await leave({ groupInstanceId: "another" })).toBe(unknown);
  expect(await leave({})).toBe(unknown);
  expect((await describeGroup(groupId)).members).toHaveLength(1);
  expect(await leave({ groupInstanceId: "i" })).toBe(NONE);
  expect((await describeGroup(groupId)).members).toEqual([]);
  expect(await leave({ groupInstanceId: "i" })).toBe(unknown);
});

describe("assignments by hand", () => {
  const create = async (kafka: Kafka, partitions: readonly number[]) => {
    const name = unique("topic");
    const { topics } = await kafka.ask<{ topics: (Outcome & { numPartitions: number })[] }>(
      messages.CREATE_TOPICS,
      7,
      {
        timeoutMs: 1_000,
        topics: [
          {
            name,
            numPartitions: -1,
            replicationFactor: -1,
            assignments: partitions.map((partition) => ({ partition, brokerIds: [0] })),
            configs: [],
          },
        ],
      },
    );
    return { name, ...topics[0] };
  };

  test("[KFK-13] may name a new topic's partitions in any order, each once", async () => {
    const kafka = await Kafka.open();
    for (const partitions of [[0], [2, 0, 1], [3, 2, 1, 0]])
      expect(await create(kafka, partitions)).toMatchObject({
        errorCode: NONE,
        numPartitions: partitions.length,
      });
    for (const partitions of [[1], [0, 0], [0, 2], [-1, 0], [1, 2, 0, 1]])
      expect(await create(kafka, partitions)).toMatchObject({
        errorCode: KAFKA_ERRORS.INVALID_REPLICA_ASSIGNMENT,
      });
  });

  test("[KFK-13] must have as many entries as the topic gets partitions", async () => {
    const kafka = await Kafka.open();
    const { name } = await createTopic(1);
    const grow = async (count: number, assignments: number) => {
      const { topics } = await kafka.ask<{ topics: Outcome[] }>(messages.CREATE_PARTITIONS, 3, {
        timeoutMs: 1_000,
        topics: [
          {
            name,
            count,
            assignments: Array.from({ length: assignments }, () => ({ brokerIds: [0] })),
          },
        ],
      });
      return topics[0]?.errorCode;
    };
    expect(await grow(3, 1)).toBe(KAFKA_ERRORS.INVALID_REPLICA_ASSIGNMENT);
    expect(await grow(3, 2)).toBe(NONE);
  });
});

test("[BND-16] a topic that is named twice is rejected by itself, and the others are changed", async () => {
  const kafka = await Kafka.open();
  const [twice, once] = [unique("topic"), unique("topic")];
  const named = (names: readonly string[], more: object) =>
    names.map((name) => ({ name, assignments: [], ...more }));
  const names = [twice, once, twice];
  const refused = expect.objectContaining({ name: twice, errorCode: ERRORS.INVALID_REQUEST.code });
  const done = expect.objectContaining({ name: once, errorCode: NONE });
  const isNew = { numPartitions: 1, replicationFactor: 1, configs: [] };
  const made = await kafka.ask<{ topics: Outcome[] }>(messages.CREATE_TOPICS, 7, {
    timeoutMs: 1_000,
    topics: named(names, isNew),
  });
  expect(made.topics).toEqual([refused, done]);
  const grown = await kafka.ask<{ topics: Outcome[] }>(messages.CREATE_PARTITIONS, 3, {
    timeoutMs: 1_000,
    topics: named(names, { count: 2, assignments: null }),
  });
  expect(grown.topics).toEqual([refused, done]);
});

test("[BND-21] a consumer that names too many topics is rejected, and the cluster notes none of them", async () => {
  const kafka = await Kafka.open();
  const groupId = unique("group");
  const beat = (count: number) =>
    kafka.ask<{ errorCode: number }>(messages.CONSUMER_GROUP_HEARTBEAT, 1, {
      ...{ groupId, memberId: "m", memberEpoch: 0, instanceId: null, rackId: null },
      ...{ rebalanceTimeoutMs: 10_000, subscribedTopicRegex: null, serverAssignor: null },
      subscribedTopicNames: Array.from({ length: count }, (_, i) => `${groupId}-${i}`),
      topicPartitions: [],
    });
  const noted = () =>
    runInDurableObject(clusterStub(env), (_, { storage }) => {
      const query = "SELECT count(*) AS count FROM subscriptions WHERE group_id = ?";
      return storage.sql.exec<{ count: number }>(query, groupId).one().count;
    });
  expect(await beat(MAX_TOPICS_PER_KAFKA_MEMBER + 1)).toMatchObject({
    errorCode: ERRORS.INVALID_REQUEST.code,
  });
  expect(await noted()).toBe(0);
  expect(await beat(MAX_TOPICS_PER_KAFKA_MEMBER)).toMatchObject({ errorCode: NONE });
  expect(await noted()).toBe(MAX_TOPICS_PER_KAFKA_MEMBER);
});

describe("the times of Kafka's consumers in a group", () => {
  const GROUP = 32;
  const [SESSION, INTERVAL] = ["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"];

  test.each(TWINS)(
    "[GCF-5] are set, shown and returned with the next heartbeat$when",
    async ({ interrupt }) => {
      const { name, topicId } = await createTopic(1);
      const kafka = await Kafka.open();
      const groupId = unique("group");
      const resource = { resourceType: GROUP, resourceName: groupId };
      const alter = async (config: Readonly<Record<string, string | null>>) => {
        const configs = Object.entries(config).map(([key, value]) => ({
          name: key,
          operation: value === null ? 1 : 0,
          value,
        }));
        const { resources } = await kafka.ask<{ resources: Outcome[] }>(
          messages.INCREMENTAL_ALTER_CONFIGS,
          1,
          { resources: [{ ...resource, configs }], validateOnly: false },
        );
        return resources[0]?.errorCode;
      };
      const shown = async () => {
        const { results } = await kafka.ask<{
          results: { configs: { name: string; value: string }[] }[];
        }>(messages.DESCRIBE_CONFIGS, 4, {
          resources: [{ ...resource, configurationKeys: [SESSION, INTERVAL] }],
          includeSynonyms: false,
          includeDocumentation: false,
        });
        const byName = new Map(results[0]?.configs.map((each) => [each.name, each.value]));
        return [byName.get(SESSION), byName.get(INTERVAL)];
      };
      const beat = async (memberEpoch: number) => {
        const isNew = memberEpoch === 0;
        const owned = [{ topicId, partitions: [0] }];
        return await kafka.ask<{ memberEpoch: number; heartbeatIntervalMs: number }>(
          messages.CONSUMER_GROUP_HEARTBEAT,
          1,
          {
            groupId,
            memberId: "m",
            memberEpoch,
            instanceId: null,
            rackId: null,
            rebalanceTimeoutMs: isNew ? 10_000 : -1,
            subscribedTopicNames: isNew ? [name] : null,
            subscribedTopicRegex: null,
            serverAssignor: null,
            topicPartitions: isNew ? [] : owned,
          },
        );
      };
      expect(await shown()).toEqual(["45000", "5000"]);
      const { memberEpoch, heartbeatIntervalMs } = await beat(0);
      expect(heartbeatIntervalMs).toBe(5_000);
      for (let i = 0; i < 3; i++) await beat(memberEpoch); // Answered outside the group from then on.
      expect(await alter({ [SESSION]: "60000", [INTERVAL]: "15000" })).toBe(NONE);
      await interrupt(groupStub(env, groupId));
      expect(await shown()).toEqual(["60000", "15000"]);
      await eventually(
        async () => (await beat(memberEpoch)).heartbeatIntervalMs === 15_000,
        "the new interval",
      );
      expect(await alter({ [SESSION]: "6000" })).toBe(NONE);
      await eventually(
        async () => (await beat(memberEpoch)).heartbeatIntervalMs === 2_000,
        "a third of the session",
      );
      expect(await alter({ [SESSION]: "999" })).toBe(ERRORS.INVALID_CONFIG.code);
      expect(await alter({ [SESSION]: null, [INTERVAL]: null })).toBe(NONE);
      expect(await shown()).toEqual(["45000", "5000"]);
    },
  );
});

describe("configs", () => {
  interface Entry {
    readonly name: string;
    readonly value: string;
    readonly readOnly: boolean;
    readonly configType: number;
    readonly documentation: string | null;
  }
  const [TOPIC, BROKER, GROUP] = [2, 4, 32];
  const [SET, APPEND, SUBTRACT] = [0, 2, 3];

  async function described(
    kafka: Kafka,
    resourceType: number,
    resourceName: string,
    includeDocumentation = true,
  ): Promise<Map<string, Entry>> {
    const { results } = await kafka.ask<{ results: { configs: Entry[] }[] }>(
      messages.DESCRIBE_CONFIGS,
      4,
      {
        resources: [{ resourceType, resourceName, configurationKeys: null }],
        includeSynonyms: false,
        includeDocumentation,
      },
    );
    return new Map(results[0]?.configs.map((each) => [each.name, each]));
  }

  async function alter(
    kafka: Kafka,
    resourceType: number,
    resourceName: string,
    configs: readonly (readonly [name: string, operation: number, value: string])[],
  ) {
    const { resources } = await kafka.ask<{ resources: Outcome[] }>(
      messages.INCREMENTAL_ALTER_CONFIGS,
      1,
      {
        resources: [
          {
            resourceType,
            resourceName,
            configs: configs.map(([name, operation, value]) => ({ name, operation, value })),
          },
        ],
        validateOnly: false,
      },
    );
    return resources[0];
  }

  /** Kafka's types (ConfigDef of LogConfig and GroupConfig), by ConfigType. */
  const TYPES: Readonly<Record<number, readonly string[]>> = {
    1: ["message.downconversion.enable", "preallocate", "unclean.leader.election.enable"],
    2: ["compression.type", "message.timestamp.type", "consumer.auto.offset.reset"],
    3: [
      "max.message.bytes",
      "min.insync.replicas",
      "segment.bytes",
      "consumer.heartbeat.interval.ms",
      "consumer.session.timeout.ms",
    ],
    5: ["retention.ms", "retention.bytes", "delete.retention.ms", "segment.ms", "flush.ms"],
    6: ["min.cleanable.dirty.ratio"],
    7: ["cleanup.policy", "leader.replication.throttled.replicas"],
  };

  test("[KFK-30] have Kafka's types, and their meaning on request", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const of = (type: number, resource: string) => described(kafka, type, resource);
    const all = [await of(TOPIC, name), await of(BROKER, "0"), await of(GROUP, unique("group"))];
    const byName = new Map(all.flatMap((each) => [...each]));
    for (const [type, names] of Object.entries(TYPES))
      for (const each of names)
        expect(byName.get(each), each).toMatchObject({ name: each, configType: Number(type) });
    for (const entry of byName.values())
      expect(entry.documentation, entry.name).toEqual(expect.stringMatching(/\w.*\.$/));
    const plain = await described(kafka, TOPIC, name, false);
    for (const { documentation } of plain.values()) expect(documentation).toBeNull();
  });

  test("[KFK-30] that are accepted are described, and their own value is accepted", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    for (const [type, resource] of [
      [TOPIC, name],
      [GROUP, groupId],
    ] as const) {
      const before = await described(kafka, type, resource);
      const all = [...before.values()].map(({ name: key, value }) => [key, SET, value] as const);
      expect(all.length).toBeGreaterThan(5);
      expect(await alter(kafka, type, resource, all)).toMatchObject({ errorCode: NONE });
      const after = await described(kafka, type, resource);
      for (const [key, { value }] of before) expect(after.get(key)?.value, key).toBe(value);
    }
    // Configs of topics are not configs of a group.
    expect(await alter(kafka, GROUP, groupId, [["min.insync.replicas", SET, "2"]])).toMatchObject({
      errorCode: ERRORS.INVALID_CONFIG.code,
    });
    const wrong = { errorCode: ERRORS.INVALID_CONFIG.code };
    expect(await alter(kafka, TOPIC, name, [["min.insync.replicas", SET, "2"]])).toMatchObject({
      errorCode: NONE,
    });
    for (const [key, value] of [
      ["min.insync.replicas", "all"],
      ["preallocate", "perhaps"],
      ["compression.type", "lz4"],
    ] as const)
      expect(await alter(kafka, TOPIC, name, [[key, SET, value]])).toMatchObject({
        ...wrong,
        errorMessage: expect.stringContaining(`config ${key} is "${value}"`),
      });
    expect((await described(kafka, TOPIC, name)).get("min.insync.replicas")).toMatchObject({
      value: "1",
      readOnly: true,
    });
  });

  test("[KFK-30] that are lists are appended to and subtracted from as they are", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const change = (operation: number, value: string, key = "cleanup.policy") =>
      alter(kafka, TOPIC, name, [[key, operation, value]]);
    const policy = async () => (await described(kafka, TOPIC, name)).get("cleanup.policy")?.value;
    expect(await change(APPEND, "compact")).toMatchObject({ errorCode: NONE });
    expect(await policy()).toBe("compact,delete");
    await change(APPEND, "compact");
    expect(await policy()).toBe("compact,delete");
    await change(SUBTRACT, "delete");
    expect(await policy()).toBe("compact");
    await change(SUBTRACT, "delete");
    expect(await policy()).toBe("compact");
    const wrong = { errorCode: ERRORS.INVALID_CONFIG.code };
    expect(await change(APPEND, "shred")).toMatchObject(wrong);
    expect(await change(APPEND, "1", "retention.ms")).toMatchObject({
      ...wrong,
      errorMessage: expect.stringContaining("long"),
    });
    expect(await change(4, "1", "cleanup.policy")).toMatchObject({
      errorCode: ERRORS.INVALID_REQUEST.code,
    });
    expect(
      await alter(kafka, TOPIC, name, [
        ["cleanup.policy", APPEND, "delete"],
        ["cleanup.policy", SUBTRACT, "delete"],
      ]),
    ).toMatchObject({ errorCode: ERRORS.INVALID_REQUEST.code });
    expect(await policy()).toBe("compact");
  });
});

test.each(TWINS)(
  "[OFF-13] the leader epoch of a commit is returned$when",
  async ({ interrupt }) => {
    const { name } = await createTopic(4);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    const commit = (version: number, epochs: readonly number[]) =>
      kafka.ask(messages.OFFSET_COMMIT, version, {
        groupId,
        generationId: -1,
        memberId: "",
        groupInstanceId: null,
        topics: [
          {
            name,
            partitions: epochs.map((committedLeaderEpoch, partition) => ({
              partition,
              committedOffset: 1,
              committedLeaderEpoch,
              committedMetadata: null,
            })),
          },
        ],
      });
    const fetched = async () => {
      const { topics } = await kafka.ask<{
        topics: { partitions: { committedOffset: number; committedLeaderEpoch: number }[] }[];
      }>(messages.OFFSET_FETCH, 7, { groupId, topics: [{ name, partitions: [0, 1, 2, 3] }] });
      const partitions = topics[0]?.partitions ?? [];
      return partitions.map((each) => [each.committedOffset, each.committedLeaderEpoch]);
    };
    const uncommitted = [-1, -1];
    await commit(8, [0, 5, -1]);
    await interrupt(groupStub(env, groupId));
    expect(await fetched()).toEqual([[1, 0], [1, 5], [1, -1], uncommitted]);
    await commit(5, [9, 9]); // This version has none, and the commit replaces the earlier one.
    await interrupt(groupStub(env, groupId));
    expect(await fetched()).toEqual([[1, -1], [1, -1], [1, -1], uncommitted]);
  },
);
