// [CLU-5] The cluster object is unreachable: records, members and committed offsets of known topics and groups continue to
// work.
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { ERRORS } from "../../src/core/errors.ts";
import { groupStub, partitionStub } from "../../src/env.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import { ZERO_UUID } from "../../src/worker/kafka/wire.ts";
import { METADATA } from "../support/kafka-schemas.ts";
import { joinClassic, nativeBeat, nativeJoin } from "./kafka-members.ts";
import { Kafka } from "./kafka-socket.ts";
import { sdkClient } from "./sdk-client.ts";
import {
  call,
  closeSockets,
  committedOffsets,
  createTopic,
  env,
  eventually,
  expectStatus,
  fetchRecords,
  type JsonRecord,
  produce,
  readAs,
  stopCluster,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

let restart: () => string[] = () => [];
const stop = () => {
  restart = stopCluster();
};

afterEach(() => {
  restart();
  restart = () => [];
  closeSockets();
  vi.restoreAllMocks();
});

const objectsOf = ({ topicId, partitions }: TopicJson, group?: string) => [
  ...Array.from({ length: partitions }, (_, partition) => partitionStub(env, topicId, partition)),
  ...(group === undefined ? [] : [groupStub(env, group)]),
];

interface Described {
  readonly name: string;
  readonly errorCode: number;
}

/** The retriable errors. */
const LATER = { body: { retriable: true } };

describe.each(TWINS)("while the cluster is out of reach$when", ({ interrupt }) => {
  test("[CLU-5] records of known topics are appended and read, also at partitions that were never used", async () => {
    const topic = await createTopic(3);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    stop();
    await interrupt(...objectsOf(topic));
    for (const partition of [0, 1]) {
      await produce(topic.name, [{ value: "b", partition }]);
      await interrupt(...objectsOf(topic));
      const { records } = await fetchRecords(topic.name, partition);
      expect(records.at(-1)).toMatchObject({ value: "b" });
    }
    expect((await fetchRecords(topic.name, 2)).records).toEqual([]);
    const keyed = { records: [{ value: "once", partition: 2 }] };
    for (let i = 0; i < 2; i++) {
      const headers = { "idempotency-key": unique("key").slice(0, 3) + topic.topicId };
      await expectStatus(200, "POST", `/v1/topics/${topic.name}/records`, keyed, headers);
      await interrupt(...objectsOf(topic));
    }
    expect(await expectStatus(200, "GET", `/v1/topics/${topic.name}`)).toMatchObject({
      topicId: topic.topicId,
    });
    const ends = `/v1/topics/${topic.name}/partitions/0/offsets?at=latest`;
    expect(await expectStatus(200, "GET", ends)).toMatchObject({ offset: 2 });
  });

  test("[CLU-5] a member resumes, rejoins and commits over its socket", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    await readAs(group, topic, { 0: 0 });
    stop();
    await interrupt(...objectsOf(topic, group));
    const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
    const memberId = unique("m");
    const join = { type: "join", memberId, memberEpoch: 0, topics: [topic.name] };
    member.send(join);
    const assigned = await member.next(
      (each): each is CoordinatorMessage & { type: "assignment" } =>
        typeof each === "object" && "type" in each && each.type === "assignment",
    );
    expect(assigned.partitions).toHaveLength(2);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    await interrupt(groupStub(env, group));
    const offsets = [{ topicId: topic.topicId, partition: 0, offset: 1 }];
    member.send({ type: "commit", requestId: 1, memberEpoch: assigned.memberEpoch, offsets });
    const committed = await member.next(
      (each): each is CoordinatorMessage & { type: "committed" } =>
        typeof each === "object" && "type" in each && each.type === "committed",
    );
    expect(committed.rejected).toEqual([]);
    const again = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
    again.send({ ...join, memberEpoch: assigned.memberEpoch });
    await again.next(
      (each): each is CoordinatorMessage =>
        typeof each === "object" && "type" in each && each.type === "assignment",
    );
    expect(await committedOffsets(group, topic.name)).toEqual([1, null]);
  });

  test("[CLU-5] a member polls, has its acks committed, and a new one joins its group", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    interface Polled {
      records: (JsonRecord & { partition: number })[];
      assignment: { partitions: number[] }[];
    }
    const poll = (instanceId: string, ack: object[] = []) =>
      expectStatus<Polled>(200, "POST", `/v1/groups/${group}/poll`, {
        ...{ instanceId, topics: [topic.name], ack, from: "earliest" },
      });
    await poll("a");
    stop();
    await interrupt(...objectsOf(topic, group));
    await produce(topic.name, [
      { value: "x", partition: 0 },
      { value: "y", partition: 1 },
    ]);
    const { records } = await poll("a");
    expect(records.map(({ value }) => value).sort()).toEqual(["x", "y"]);
    await interrupt(...objectsOf(topic, group));
    await poll(
      "a",
      records.map(({ partition, offset }) => ({ topic: topic.name, partition, offset })),
    );
    expect(await committedOffsets(group, topic.name)).toEqual([1, 1]);
    await poll("b");
    const shares = await eventually(async () => {
      const both = [await poll("a"), await poll("b")];
      const counts = both.map(({ assignment }) => assignment.flatMap((each) => each.partitions));
      return counts.every(({ length }) => length === 1) && counts;
    }, "each of them to have a partition");
    expect(shares.flat().sort()).toEqual([0, 1]);
  });

  test("[CLU-5] Kafka's members rejoin, beat and commit, of both protocols", async () => {
    const topic = await createTopic(1);
    const [classic, native] = [groupStub(env, unique("group")), groupStub(env, unique("group"))];
    const first = await joinClassic(classic);
    const offsets = [{ topic: topic.name, partition: 0, offset: 0, metadata: "" }];
    expect(await classic.commitOffsets({ token: first, offsets })).toMatchObject({ errorCode: 0 });
    expect(await native.heartbeat(nativeJoin("m", topic.name))).toMatchObject({ ok: true });
    stop();
    await interrupt(classic, native);
    const { memberId, instanceId } = first;
    await classic.leaveClassic({ members: [{ memberId, instanceId }] });
    const token = await joinClassic(classic, { newMemberId: "again" });
    await interrupt(classic);
    expect(await classic.heartbeatClassic(token)).toBe(0);
    const committed = [{ topic: topic.name, partition: 0, offset: 1, metadata: "" }];
    expect(await classic.commitOffsets({ token, offsets: committed })).toMatchObject({
      errorCode: 0,
      errorCodes: [0],
    });
    expect(await native.heartbeat(nativeBeat("m", 1))).toMatchObject({ ok: true });
    await interrupt(native);
    expect(await native.heartbeat(nativeJoin("n", topic.name))).toMatchObject({ ok: true });
  });

  test("[CLU-5] the SDK's consumer continues, and another one takes its place", async () => {
    const rivulet = sdkClient();
    const topic = await createTopic(2);
    const group = unique("group");
    const read: string[] = [];
    const start = () => {
      const consumer = rivulet.consumer({
        groupId: group,
        topics: [topic.name],
        from: "earliest",
      });
      const eachRecord = ({ value }: { value: Uint8Array | null }) =>
        void read.push(new TextDecoder().decode(value ?? new Uint8Array()));
      const ended = consumer.run({ eachRecord });
      return { close: () => consumer.close(), ended };
    };
    let consumer = start();
    onTestFinished(() => consumer.close());
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    await eventually(async () => read.includes("a"), "the first record");
    stop();
    await interrupt(...objectsOf(topic, group));
    await produce(topic.name, [
      { value: "b", partition: 0 },
      { value: "c", partition: 1 },
    ]);
    await eventually(async () => read.includes("b") && read.includes("c"), "two records more");
    consumer.close();
    await consumer.ended;
    consumer = start();
    await produce(topic.name, [{ value: "d", partition: 1 }]);
    await eventually(async () => read.includes("d"), "a record for the next consumer");
    consumer.close();
    await consumer.ended;
    expect(await committedOffsets(group, topic.name)).toEqual([2, 2]);
    expect(read.sort()).toEqual(["a", "b", "c", "d"]);
  });

  test("[CLU-5] a Kafka client that connects gets all topics as last listed, and those created since", async () => {
    const before = await createTopic(2);
    const client = await Kafka.open();
    const all = () => client.ask<{ topics: Described[] }>(METADATA, 12, { topics: null });
    await all();
    const [since, deleted] = [await createTopic(1), await createTopic(1)];
    await expectStatus(204, "DELETE", `/v1/topics/${deleted.name}`);
    const listed = await all();
    stop();
    await interrupt(...objectsOf(before));
    expect(await all()).toEqual(listed);
    const names = listed.topics.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([before.name, since.name]));
    expect(names).not.toContain(deleted.name);
    // More than are looked up one by one.
    const many = Array.from({ length: 150 }, (_, i) => unique(`none-${i}`));
    const asked = [before.name, "not a name", ...many];
    const { topics } = await client.ask<{ topics: Described[] }>(METADATA, 12, {
      topics: asked.map((name) => ({ name, topicId: ZERO_UUID })),
    });
    expect(topics.map(({ name }) => name)).toEqual(asked);
    const codes = topics.map(({ errorCode }) => errorCode);
    expect(codes.slice(0, 2)).toEqual([0, ERRORS.INVALID_TOPIC_EXCEPTION.code]);
    // Nobody can tell now whether these exist.
    expect(new Set(codes.slice(2))).toEqual(new Set([ERRORS.REQUEST_TIMED_OUT.code]));
    client.close();
  });

  test("[CLU-5] a topic whose deletion fails continues", async () => {
    const topic = await createTopic(1);
    stop();
    await interrupt(...objectsOf(topic));
    expect(await call("DELETE", `/v1/topics/${topic.name}`)).toMatchObject(LATER);
    await produce(topic.name, [{ value: "a" }]);
    expect((await fetchRecords(topic.name, 0)).records).toHaveLength(1);
    restart();
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect((await call("GET", `/v1/topics/${topic.name}`)).status).toBe(404);
  });

  test("[CLU-5] operations that need it say so with a retriable error, and work later", async () => {
    const topic = await createTopic(1);
    const [name, group] = [unique("topic"), unique("group")];
    stop();
    await interrupt(...objectsOf(topic));
    const creation = { name, partitions: 1 };
    const poll = { instanceId: "i", topics: [topic.name] };
    const all = [
      ["POST", "/v1/topics", creation],
      ["POST", `/v1/groups/${group}/poll`, poll],
      ["PATCH", `/v1/topics/${topic.name}`, { partitions: 2 }],
      ["GET", "/v1/topics"],
      ["GET", "/v1/groups"],
    ] as const;
    for (const [method, path, body] of all) {
      const answer = await call(method, path, body);
      expect(answer, `${method} ${path}`).toMatchObject(LATER);
      expect(answer.status, `${method} ${path}`).toBeGreaterThanOrEqual(500);
    }
    restart();
    for (const [method, path, body] of all)
      expect((await call(method, path, body)).status, `${method} ${path}`).toBeLessThan(300);
  });
});

test("[CLU-5] known topics are used without a question, whatever is requested of them", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  await readAs(group, topic, { 0: 0 });
  await produce(topic.name, [{ value: "a" }]);
  stop();
  for (let i = 0; i < 20; i++) {
    await produce(topic.name, [{ value: "b" }]);
    await fetchRecords(topic.name, 0);
    await call("GET", `/v1/topics/${topic.name}/partitions/0/offsets?at=earliest`);
  }
  expect(restart().filter((method) => method === "topic" || method === "topicById")).toEqual([]);
});
