// Kafka's groups inside the runtime, over the WebSocket /kafka. Each test has a twin that evicts the group in the middle.
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { GroupObject } from "../../durable-objects/group/group-object.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { MAX_FEEDS_BYTES } from "../../src/core/limits.ts";
import { groupStub } from "../../src/env.ts";
import { memory } from "../../src/memory.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  createTopic,
  decodeAll,
  env,
  eventually,
  type GroupJson,
  produce,
  refuse,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

const SESSION_MS = 30_000;
const { NONE } = KAFKA_ERRORS;
const utf8 = (text: string) => new TextEncoder().encode(text);

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A member of a classic group on a connection of its own. */
class ClassicMember {
  readonly kafka: Kafka;
  readonly groupId: string;
  memberId = "";
  generationId = -1;

  constructor(kafka: Kafka, groupId: string) {
    this.kafka = kafka;
    this.groupId = groupId;
  }

  /** Joins, and as the leader gives everyone its part: its name, unless given otherwise. Returns its own part. */
  async join(partOf: (memberId: string) => Uint8Array = utf8): Promise<string> {
    const request = {
      groupId: this.groupId,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: SESSION_MS,
      protocolType: "consumer",
      protocols: [{ name: "own", metadata: utf8("any") }],
    };
    const joined = async () => {
      const answer = await this.kafka.ask<{
        errorCode: number;
        memberId: string;
        generationId: number;
        leader: string;
        members: { memberId: string }[];
      }>(messages.JOIN_GROUP, 6, { ...request, memberId: this.memberId });
      this.memberId = answer.memberId;
      return answer;
    };
    const first = await joined();
    const { errorCode, generationId, leader, members } =
      first.errorCode === KAFKA_ERRORS.MEMBER_ID_REQUIRED ? await joined() : first;
    expect(errorCode).toBe(NONE);
    this.generationId = generationId;
    const assignments = members.map(({ memberId }) => ({ memberId, assignment: partOf(memberId) }));
    const synced = await this.kafka.ask<{ errorCode: number; assignment: Uint8Array }>(
      messages.SYNC_GROUP,
      4,
      { ...this.token, assignments: leader === this.memberId ? assignments : [] },
    );
    expect(synced.errorCode).toBe(NONE);
    return new TextDecoder().decode(synced.assignment);
  }

  get token() {
    return { groupId: this.groupId, memberId: this.memberId, generationId: this.generationId };
  }

  async beat(): Promise<number> {
    const request = { ...this.token, groupInstanceId: null };
    return (await this.kafka.ask<{ errorCode: number }>(messages.HEARTBEAT, 3, request)).errorCode;
  }
}

interface Beaten {
  readonly errorCode: number;
  readonly memberEpoch: number;
  readonly assignment: { topicPartitions: { partitions: readonly number[] }[] } | null;
}

/** A member of KIP-848 on a connection of its own. */
class Consumer {
  readonly #kafka: Kafka;
  readonly #groupId: string;
  readonly #memberId = crypto.randomUUID();
  #epoch = 0;
  #topic: TopicJson;
  #isNew = true;
  partitions: readonly number[] = [];

  constructor(kafka: Kafka, groupId: string, topic: TopicJson) {
    this.#kafka = kafka;
    this.#groupId = groupId;
    this.#topic = topic;
  }

  async beat(memberEpoch = this.#epoch): Promise<Beaten> {
    const own = [{ topicId: this.#topic.topicId, partitions: this.partitions }];
    const answer = await this.#kafka.ask<Beaten>(messages.CONSUMER_GROUP_HEARTBEAT, 1, {
      groupId: this.#groupId,
      memberId: this.#memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: SESSION_MS,
      subscribedTopicRegex: null,
      serverAssignor: null,
      subscribedTopicNames: this.#isNew ? [this.#topic.name] : null,
      topicPartitions: this.#isNew ? [] : own,
    });
    this.#isNew = false;
    this.#epoch = answer.memberEpoch;
    if (answer.assignment !== null)
      this.partitions = answer.assignment.topicPartitions.flatMap(({ partitions }) => partitions);
    return answer;
  }
}

function describeGroup(group: string): Promise<GroupJson> {
  return call<GroupJson>("GET", `/v1/groups/${group}`).then(({ body }) => body);
}

/** Heartbeats until none reaches the group. */
async function untilQuiet(calls: { mock: { calls: unknown[] } }, beat: () => Promise<unknown>) {
  await eventually(async () => {
    const before = calls.mock.calls.length;
    await beat();
    return calls.mock.calls.length === before;
  }, "a heartbeat that stays here");
}

describe.each(TWINS)("a group of Kafka's clients$when", ({ interrupt }) => {
  test("[CLS-7] [HIS-1] continues where it was: members, generation, commits, history", async () => {
    const topic = await createTopic(2);
    const groupId = unique("classic");
    const stub = groupStub(env, groupId);
    const one = new ClassicMember(await Kafka.open(), groupId);
    expect(await one.join()).toBe(one.memberId);
    await interrupt(stub);
    expect(await one.beat()).toBe(NONE);
    const two = new ClassicMember(await Kafka.open(), groupId);
    const joining = two.join();
    await eventually(
      async () => (await one.beat()) === KAFKA_ERRORS.REBALANCE_IN_PROGRESS,
      "the rebalance",
    );
    expect(await one.join()).toBe(one.memberId);
    expect(await joining).toBe(two.memberId);
    expect(two.generationId).toBe(one.generationId);
    await interrupt(stub);
    const partitions = [{ partition: 1, committedOffset: 7, committedMetadata: "m" }];
    const topics = [{ name: topic.name, partitions }];
    const commit = (generationId: number) =>
      one.kafka.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(
        messages.OFFSET_COMMIT,
        7,
        { ...one.token, generationId, topics },
      );
    const errorOf = (answer: Awaited<ReturnType<typeof commit>>) =>
      answer.topics[0]?.partitions[0]?.errorCode;
    expect(errorOf(await commit(one.generationId - 1))).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    expect(errorOf(await commit(one.generationId))).toBe(NONE);
    const nowhere = [{ name: "no such name!", partitions }];
    const lost = { ...one.token, topics: nowhere };
    expect(errorOf(await one.kafka.ask(messages.OFFSET_COMMIT, 7, lost))).toBe(
      ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code,
    );
    await interrupt(stub);
    const asked = [{ name: topic.name, partitions: [0, 1] }];
    const fetched = await two.kafka.ask(messages.OFFSET_FETCH, 7, { groupId, topics: asked });
    expect(fetched).toMatchObject({
      topics: [{ partitions: [{ committedOffset: -1 }, { committedOffset: 7, metadata: "m" }] }],
    });
    const leaving = [{ memberId: two.memberId, groupInstanceId: null }];
    await two.kafka.ask(messages.LEAVE_GROUP, 3, { groupId, members: leaving });
    await interrupt(stub);
    await eventually(
      async () => (await one.beat()) === KAFKA_ERRORS.REBALANCE_IN_PROGRESS,
      "the others to be told",
    );
    expect(await one.join()).toBe(one.memberId);
    expect((await describeGroup(groupId)).members).toHaveLength(1);
    const { body } = await call<{
      history: { type: string; newEpoch?: number; reason?: string }[];
    }>("GET", `/v1/groups/${groupId}/history`);
    const told = body.history.map(({ type, newEpoch, reason }) => [type, newEpoch ?? reason ?? ""]);
    expect(told.filter(([type]) => type !== "topic changed")).toEqual([
      ["joined", ""],
      ["rebalanced", 1],
      ["joined", ""],
      ["rebalanced", 2],
      ["removed", "left"],
      ["rebalanced", 3],
    ]);
  });

  test("[CLS-8] shows assignments, and partitions without commits", async () => {
    const topic = await createTopic(2);
    const groupId = unique("classic");
    const one = new ClassicMember(await Kafka.open(), groupId);
    const name = utf8(topic.name);
    const own = concatBytes([
      new Uint8Array([0, 1, 0, 0, 0, 1, 0, name.length]),
      name,
      new Uint8Array([0, 0, 0, 1, 0, 0, 0, 1]),
    ]);
    await one.join(() => own);
    await interrupt(groupStub(env, groupId));
    expect(await describeGroup(groupId)).toMatchObject({
      members: [{ assignment: [{ topic: topic.name, partitions: [1] }] }],
      offsets: [
        { topic: topic.name, partition: 0, committedOffset: null },
        { topic: topic.name, partition: 1, committedOffset: null },
      ],
    });
  });

  test("[KFK-20] a classic member's heartbeats stay outside the group until there is news", async () => {
    const groupId = unique("classic");
    const stub = groupStub(env, groupId);
    const calls = vi.spyOn(GroupObject.prototype, "heartbeatClassic");
    const one = new ClassicMember(await Kafka.open(), groupId);
    await one.join();
    await untilQuiet(calls, () => one.beat());
    const before = calls.mock.calls.length;
    await interrupt(stub);
    for (let i = 0; i < 5; i++) expect(await one.beat()).toBe(NONE);
    expect(calls.mock.calls).toHaveLength(before);
    // Another generation has other news.
    const [generationId, stale] = [one.generationId, one.generationId - 1];
    one.generationId = stale;
    expect(await one.beat()).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    one.generationId = generationId;
    await untilQuiet(calls, () => one.beat());
    await interrupt(stub);
    const two = new ClassicMember(await Kafka.open(), groupId);
    const joining = two.join();
    await eventually(
      async () => (await one.beat()) === KAFKA_ERRORS.REBALANCE_IN_PROGRESS,
      "the rebalance",
    );
    await one.join();
    expect(await joining).toBe(two.memberId);
  });

  test("[KFK-20] a consumer's heartbeats stay outside the group until there is news", async () => {
    const topic = await createTopic(4);
    const groupId = unique("kip848");
    const stub = groupStub(env, groupId);
    const calls = vi.spyOn(GroupObject.prototype, "heartbeat");
    const one = new Consumer(await Kafka.open(), groupId, topic);
    await one.beat();
    expect(one.partitions).toEqual([0, 1, 2, 3]);
    await untilQuiet(calls, () => one.beat());
    const before = calls.mock.calls.length;
    await interrupt(stub);
    for (let i = 0; i < 5; i++)
      expect(await one.beat()).toMatchObject({ errorCode: NONE, assignment: null });
    expect(calls.mock.calls).toHaveLength(before);
    expect((await describeGroup(groupId)).members).toMatchObject([{ connected: true }]);
    const two = new Consumer(await Kafka.open(), groupId, topic);
    await eventually(async () => {
      await one.beat();
      await two.beat();
      return one.partitions.length === 2 && two.partitions.length === 2;
    }, "two partitions each");
    expect([...one.partitions, ...two.partitions].sort()).toEqual([0, 1, 2, 3]);
    await interrupt(stub);
    expect(await two.beat(-1)).toMatchObject({ errorCode: NONE });
    await eventually(async () => {
      await one.beat();
      return one.partitions.length === 4;
    }, "all of them again");
  });

  test("[KFK-20] a member that falls silent is removed after its session, however often the group slept", async () => {
    const topic = await createTopic(1);
    const [classicId, groupId] = [unique("classic"), unique("kip848")];
    const [classic, native] = [groupStub(env, classicId), groupStub(env, groupId)];
    const kafka = await Kafka.open();
    const member = new ClassicMember(kafka, classicId);
    await member.join();
    const consumer = new Consumer(kafka, groupId, topic);
    for (let i = 0; i < 4; i++) {
      await member.beat();
      await consumer.beat();
    }
    kafka.close();
    await eventually(
      async () => (await describeGroup(groupId)).members.every((each) => !each.connected),
      "the connection to be missed",
    );
    const startMs = Date.now();
    for (const afterMs of [20_000, 44_000]) {
      await interrupt(classic, native);
      vi.setSystemTime(startMs + afterMs);
      await runDurableObjectAlarm(classic);
      await runDurableObjectAlarm(native);
    }
    expect(await describeGroup(classicId)).toMatchObject({ state: "EMPTY", members: [] });
    expect((await describeGroup(groupId)).members).toHaveLength(1);
    await interrupt(classic, native);
    vi.setSystemTime(startMs + 50_000);
    await runDurableObjectAlarm(native);
    expect(await describeGroup(groupId)).toMatchObject({ state: "EMPTY", members: [] });
  });

  test("[KCG-1] a member of one kind is refused if there are members of the other", async () => {
    const topic = await createTopic(1);
    const [classicId, groupId] = [unique("classic"), unique("kip848")];
    const member = new ClassicMember(await Kafka.open(), classicId);
    await member.join();
    await interrupt(groupStub(env, classicId));
    const late = new Consumer(await Kafka.open(), classicId, topic);
    expect(await late.beat()).toMatchObject({ errorCode: ERRORS.GROUP_ID_NOT_FOUND.code });
    const consumer = new Consumer(await Kafka.open(), groupId, topic);
    await consumer.beat();
    await interrupt(groupStub(env, groupId));
    const kafka = await Kafka.open();
    const refused = await kafka.ask(messages.JOIN_GROUP, 6, {
      groupId,
      memberId: "",
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: SESSION_MS,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: utf8("any") }],
    });
    expect(refused).toMatchObject({ errorCode: KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL });
  });
});

test("[CLS-7] what storage refuses was not decided: nobody learns of it, and all join again", async () => {
  const groupId = unique("classic");
  const stub = groupStub(env, groupId);
  const [one, two] = [await Kafka.open(), await Kafka.open()].map(
    (kafka) => new ClassicMember(kafka, groupId),
  ) as [ClassicMember, ClassicMember];
  await one.join();
  const joining = two.join();
  await eventually(async () => (await one.beat()) !== NONE, "the rebalance");
  const allow = await refuse(stub, /INSERT OR REPLACE INTO classic/);
  const outcomes = await Promise.allSettled([one.join(), joining]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await allow()).toBeGreaterThan(0);
  const both = await Promise.all([one.join(), two.join()]);
  expect(both).toEqual([one.memberId, two.memberId]);
  expect(one.generationId).toBe(two.generationId);
});

test("[KFK-4] pushed data that is not fetched is bounded, and all of it is read in the end", async () => {
  const topic = await createTopic(24);
  const value = "x".repeat(1_000_000);
  for (let partition = 0; partition < topic.partitions; partition++)
    await produce(topic.name, [{ value, partition }]);
  const kafka = await Kafka.open();
  const read = new Set<number>();
  const fetch = (partitionMaxBytes: number, maxBytes: number) =>
    kafka.ask<{ topics: { partitions: { partition: number; records: Uint8Array }[] }[] }>(
      messages.FETCH,
      11,
      {
        maxWaitMs: 1_000,
        minBytes: 1,
        maxBytes,
        topics: [
          {
            name: topic.name,
            partitions: Array.from({ length: topic.partitions }, (_, partition) => ({
              partition,
              fetchOffset: read.has(partition) ? 1 : 0,
              partitionMaxBytes,
            })),
          },
        ],
      },
    );
  let most = 0;
  for (let i = 0; read.size < topic.partitions; i++) {
    if (i === 500) throw new Error(`only ${read.size} partitions were read`);
    const { topics } = await fetch(2_000_000, 4_000_000);
    for (const { partition, records } of topics[0]?.partitions ?? [])
      if (records.length > 0) read.add(partition);
    most = Math.max(most, memory.feeds.bytes);
  }
  expect(most).toBeGreaterThan(1_000_000);
  expect(most).toBeLessThanOrEqual(MAX_FEEDS_BYTES);
});

test("[KFK-4] a connection that seeks back repeatedly is answered each time", async () => {
  const topic = await createTopic(1);
  for (let i = 0; i < 4; i++) await produce(topic.name, [{ value: "x".repeat(500_000) }]);
  const kafka = await Kafka.open();
  for (let i = 0; i < 12; i++) {
    const partition = { partition: 0, fetchOffset: i % 3, partitionMaxBytes: 400_000 };
    const { topics } = await kafka.ask<{ topics: { partitions: { records: Uint8Array }[] }[] }>(
      messages.FETCH,
      11,
      {
        maxWaitMs: 5_000,
        minBytes: 1,
        maxBytes: 1_000_000,
        topics: [{ name: topic.name, partitions: [partition] }],
      },
    );
    const records = topics[0]?.partitions[0]?.records ?? new Uint8Array();
    expect(decodeAll(records).map(({ offset }) => offset)).toEqual([i % 3]);
  }
});

test("[SASL-1] an open broker also refuses a wrong credential", async () => {
  const kafka = await Kafka.open();
  expect(await kafka.ask(messages.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" })).toEqual({
    errorCode: KAFKA_ERRORS.NONE,
    mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"],
  });
  expect(
    await kafka.ask(messages.SASL_AUTHENTICATE, 2, { authBytes: utf8("\0user\0secret") }),
  ).toMatchObject({ errorCode: ERRORS.SASL_AUTHENTICATION_FAILED.code });
});

test.each([
  ["advertise=a:1,a:1", 'advertise: "a:1" is listed twice'],
  ["advertise=a", 'advertise: must be host:port, or a comma-separated list of these; got "a"'],
  ["advertise=a:1,b:2&node=2", 'node: must be a whole number from 0 to 1; got "2"'],
  [
    `advertise=${Array.from({ length: 17 }, (_, i) => `a:${i + 1}`)}`,
    "advertise: has 17 addresses, the bound is 16",
  ],
])("[KFK-6] invalid addresses of nodes are rejected: %s", async (query, detail) => {
  const refused = await call<{ detail: string }>("GET", `/kafka?${query}`, undefined, {
    upgrade: "websocket",
  });
  expect(refused).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST", detail } });
});
