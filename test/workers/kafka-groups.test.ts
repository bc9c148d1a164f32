// A group's object with Kafka clients, where several things happen at a time.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { GroupObject } from "../../durable-objects/group/group-object.ts";
import { message } from "../../durable-objects/shared/message.ts";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { type PartitionKey, partitionKey } from "../../src/core/group/partition-key.ts";
import { clusterStub, groupStub } from "../../src/env.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import type { PollRequest } from "../../src/protocol/poll.ts";
import { callInside } from "./calls.ts";
import { CLASSIC_JOIN, joinClassic, nativeJoin, watch } from "./kafka-members.ts";
import {
  alarmOf,
  call,
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  eventually,
  evict,
  expectStatus,
  listedGroups,
  readAs,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
  whileAsked,
} from "./support.ts";

test("[KCG-1] of concurrent joins of a new group with the classic protocol and KIP-848, one kind is refused", async () => {
  const { name } = await createTopic(1);
  const stub = groupStub(env, unique("group"));
  const [native, classic] = await Promise.all([
    stub.heartbeat(nativeJoin("native", name)),
    stub.joinClassic(CLASSIC_JOIN),
  ]);
  expect([native.ok, classic.errorCode === 0]).toContain(false);
  expect([native.ok, classic.errorCode === 0]).toContain(true);
});

test("[CLS-6] a member that leaves while the topic of its commit is looked up commits nothing", async () => {
  const { name } = await createTopic(1);
  const stub = groupStub(env, unique("group"));
  const token = await joinClassic(stub);
  const { memberId } = token;
  const [committed] = await Promise.all([
    stub.commitOffsets({
      token,
      offsets: [{ topic: name, partition: 0, offset: 1, metadata: "" }],
    }),
    stub.leaveClassic({ members: [{ memberId, instanceId: null }] }),
  ]);
  expect(committed.errorCode).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
  const described = await stub.describe();
  expect(described).toMatchObject({ group: { offsets: [] } });
});

const ASKS_FOR_ID = { ...CLASSIC_JOIN, mustKnowId: true, sessionTimeoutMs: 1_800_000 };

test.each([
  { title: "asks for its id", join: ASKS_FOR_ID, code: KAFKA_ERRORS.MEMBER_ID_REQUIRED },
  {
    title: "names an unknown id",
    join: { ...CLASSIC_JOIN, memberId: "stranger" },
    code: ERRORS.UNKNOWN_MEMBER_ID.code,
  },
  {
    title: "names no protocol",
    join: { ...CLASSIC_JOIN, protocols: [] },
    code: KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL,
  },
])("[CLS-10] [GRP-13] one that $title creates no group", async ({ join, code }) => {
  const group = unique("group");
  const stub = groupStub(env, group);
  expect((await stub.joinClassic(join)).errorCode).toBe(code);
  expect(await listedGroups()).not.toContain(group);
  expect(await tablesOf(stub)).toEqual([]);
  expect(await call("GET", `/v1/groups/${group}`)).toMatchObject({ status: 404 });
});

/** Each is done in a group in which somebody was given an id. */
const WITH_A_PENDING_ID: Record<string, (group: string, topic: string) => Promise<void>> = {
  "a member of KIP-848 joins": async (group, topic) => {
    const joined = await groupStub(env, group).heartbeat(nativeJoin("native", topic));
    expect(joined).toMatchObject({ ok: true });
  },
  "a poller joins": async (group, topic) => {
    await expectStatus(200, "POST", `/v1/groups/${group}/poll`, {
      instanceId: "i",
      topics: [topic],
    });
  },
  "a commit is made by hand": async (group, topic) => {
    const token = { memberId: "", instanceId: null, generation: -1 };
    const offset = { topic, partition: 0, offset: 0, metadata: "" };
    const committed = await groupStub(env, group).commitOffsets({ token, offsets: [offset] });
    expect(committed).toEqual({ errorCode: 0, errorCodes: [0] });
  },
  "positions are reset": async (group, topic) => {
    await expectStatus(200, "POST", `/v1/groups/${group}/offsets`, {
      topics: [topic],
      to: "earliest",
    });
    expect(await committedOffsets(group, topic)).toEqual([0]);
  },
  "the group is deleted": async (group) => {
    await expectStatus(204, "DELETE", `/v1/groups/${group}`);
  },
};

describe.each(Object.entries(WITH_A_PENDING_ID))("where an id was given out, %s", (_, act) => {
  test.each(TWINS)("[CLS-10] [GRP-14] as if it had not been$when", async ({ interrupt }) => {
    const { name } = await createTopic(1);
    const group = unique("group");
    const stub = groupStub(env, group);
    await stub.alterConfig({ changes: { "group.max.size": 1 } });
    const asked = await stub.joinClassic(ASKS_FOR_ID);
    expect(asked.errorCode).toBe(KAFKA_ERRORS.MEMBER_ID_REQUIRED);
    await interrupt(stub);
    await act(group, name);
  });
});

const isMessage = (message: unknown): message is CoordinatorMessage =>
  typeof message === "object" && message !== null && "type" in message;

function pollOf(topic: TopicJson, more: Partial<PollRequest> = {}): PollRequest {
  return {
    memberId: "poll:i",
    instanceId: "i",
    clientId: null,
    topics: [topic.name],
    topicPattern: null,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    acks: [],
    ...more,
  };
}

/** A classic member that is alone in the group and has its assignment. */
async function settle(group: string) {
  const stub = groupStub(env, group);
  return joinClassic(stub);
}

/** Joins over a socket, and waits for the response. */
async function joinOver(group: string, topic: TopicJson, more: object = {}) {
  const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
  const join = { type: "join", memberId: "m", memberEpoch: 0, topics: [topic.name], ...more };
  socket.send(join);
  return { socket, answer: await socket.next(isMessage) };
}

/** Each joins as a native member. Returns the error that it is refused with. */
const JOINS: Record<string, (group: string, topic: TopicJson) => Promise<string | null>> = {
  "by a poll": async (group, topic) => {
    const polled = await groupStub(env, group).poll(pollOf(topic));
    return polled.ok ? null : polled.error;
  },
  "by a heartbeat": async (group, { name }) => {
    const joined = await groupStub(env, group).heartbeat(nativeJoin("native", name));
    return joined.ok ? null : joined.error;
  },
  "over a socket": async (group, topic) => {
    const { answer } = await joinOver(group, topic);
    return answer.type === "error" ? answer.code : null;
  },
};

describe.each(Object.entries(JOINS))("who joins %s", (_, join) => {
  test("[GRP-14] is refused if a classic member joins while the cluster is asked", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    whileAsked("subscribe", () => groupStub(env, group).joinClassic(CLASSIC_JOIN));
    expect(await join(group, topic)).toBe("NON_EMPTY_GROUP");
    expect(await listedGroups()).toContain(group);
    expect(await groupStub(env, group).summary()).toMatchObject({ groupType: "classic" });
    expect((await describeGroup(group)).members).toMatchObject([{ memberId: "classic" }]);
  });

  test("[GRP-10] while the group is being deleted keeps it, with its commits", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await readAs(group, topic, { 0: 7 });
    whileAsked("retireIncarnation", () =>
      groupStub(env, group).heartbeat(nativeJoin("native", topic.name)),
    );
    expect(await groupStub(env, group).destroy()).toMatchObject({ error: "NON_EMPTY_GROUP" });
    expect(await committedOffsets(group, topic.name)).toEqual([7]);
    expect(await join(group, topic)).toBe(null);
  });
});

test("[GRP-13] a socket that closes while the cluster is asked leaves no group behind", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  const socket = await TestSocket.open(`/v1/groups/${group}/socket`);
  let isClosed = false;
  whileAsked("subscribe", async () => {
    while (!isClosed) await new Promise((resolve) => setTimeout(resolve, 1));
  });
  socket.send({ type: "join", memberId: "m", memberEpoch: 0, topics: [topic.name] });
  socket.close(1000);
  await socket.closed;
  isClosed = true;
  await eventually(async () => !(await listedGroups()).includes(group), "it to be unlisted");
  expect(await tablesOf(groupStub(env, group))).toEqual([]);
});

describe("a poll", () => {
  /** A member that was sent the records before `offset` of partition 0. */
  async function delivered(group: string, topic: TopicJson, offset: number) {
    const stub = groupStub(env, group);
    const polled = await stub.poll(pollOf(topic));
    if (!polled.ok) throw new Error(polled.detail);
    const delivery = { key: partitionKey(topic.topicId, 0), beginOffset: null, nextOffset: offset };
    const { memberEpoch } = polled.assignment;
    return {
      stub,
      own: await stub.deliver({ memberId: "poll:i", memberEpoch, deliveries: [delivery] }),
    };
  }
  const ack = (topic: TopicJson, offset: number) => ({ topic: topic.name, partition: 0, offset });

  test.each([
    {
      what: "with an illegal session",
      more: { sessionTimeoutMs: 1 },
      error: "INVALID_SESSION_TIMEOUT",
    },
    {
      what: "with an invalid pattern",
      more: { topicPattern: "(" },
      error: "INVALID_REGULAR_EXPRESSION",
    },
    {
      what: "for a topic with an illegal name",
      more: { topics: ["no topic"] },
      error: "INVALID_TOPIC_EXCEPTION",
    },
    { what: "for a member over a socket", more: { memberId: "m" }, error: "UNKNOWN_MEMBER_ID" },
  ])("[POL-5] $what is rejected, and acknowledges nothing", async ({ more, error }) => {
    const topic = await createTopic(1);
    const group = unique("group");
    const { stub, own } = await delivered(group, topic, 5);
    expect(own).toEqual(new Set<PartitionKey>([partitionKey(topic.topicId, 0)]));
    if ("memberId" in more) await joinOver(group, topic);
    const acks = [ack(topic, 3)];
    expect(await stub.poll(pollOf(topic, { acks, ...more }))).toMatchObject({ error });
    expect(await committedOffsets(group, topic.name)).toEqual([null]);
    expect(await stub.poll(pollOf(topic, { acks }))).toMatchObject({ ok: true, rejected: [] });
    expect(await committedOffsets(group, topic.name)).toEqual([4]);
  });

  test.each(TWINS)(
    "[POL-1] for an existing subscription of the member asks the cluster nothing$when",
    async ({ interrupt }) => {
      const [topic, other] = [await createTopic(1), await createTopic(1)];
      const stub = groupStub(env, unique("group"));
      const asked = vi.spyOn(ClusterObject.prototype, "subscribe");
      const poll = async (more: Partial<PollRequest> = {}) => {
        await interrupt(stub);
        const before = asked.mock.calls.length;
        expect(await stub.poll(pollOf(topic, more))).toMatchObject({ ok: true });
        return asked.mock.calls.length - before;
      };
      expect([await poll(), await poll()]).toEqual([1, 0]);
      expect(await poll({ topics: [topic.name, other.name] })).toBe(1);
      asked.mockRestore();
    },
  );

  test("[POL-5] a leave that acknowledges what was not sent is rejected, and the member stays", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const { stub } = await delivered(group, topic, 5);
    expect(await stub.leave({ memberId: "poll:i", acks: [ack(topic, 5)] })).toMatchObject({
      error: "INVALID_REQUEST",
    });
    expect((await describeGroup(group)).members).toHaveLength(1);
    expect(await stub.leave({ memberId: "poll:i", acks: [ack(topic, 4)] })).toEqual({
      ok: true,
      rejected: [],
    });
    expect(await committedOffsets(group, topic.name)).toEqual([5]);
    expect((await describeGroup(group)).members).toEqual([]);
  });

  test("[GRP-15] that leaves under the id of a member over a socket does not remove it", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const { socket } = await joinOver(group, topic, { memberId: "poll:i" });
    const body = { instanceId: "i", leave: true };
    expect(await call("POST", `/v1/groups/${group}/poll`, body)).toMatchObject({
      body: { code: "UNKNOWN_MEMBER_ID" },
    });
    expect(await socket.untilPong()).toEqual([]);
    expect((await describeGroup(group)).members).toHaveLength(1);
  });
});

test("[OFF-6] a member is described with what it says of itself", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  await joinOver(group, topic, { clientId: "c", instanceId: "i" });
  await groupStub(env, group).poll(pollOf(topic, { clientId: "d", instanceId: "j" }));
  expect((await describeGroup(group)).members).toMatchObject([
    { memberId: "m", clientId: "c", instanceId: "i", connected: true },
    { memberId: "poll:i", clientId: "d", instanceId: "j" },
  ]);
});

test("[FIL-6] on a machine's disk the cluster learns once that a group has data, and again if that failed", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  const stub = groupStub(env, group);
  const noted = vi.spyOn(ClusterObject.prototype, "noteGroupMade");
  const isMade = () => clusterStub(env).isGroupMade({ groupId: group });
  await stub.poll(pollOf(topic));
  expect(await isMade()).toBe(false); // Here no disk can lose it.
  noted.mockRejectedValueOnce(new Error("out of reach, for the test") as never);
  await runInDurableObject(stub, async (_, state) => {
    const inFile = new GroupObject(state, { ...env, RIVULET_FILES: "1" });
    const change = (size: number) =>
      callInside(inFile, "group", "alterConfig", { changes: { "group.max.size": size } });
    await change(2);
    await eventually(async () => noted.mock.calls.length === 1, "the cluster to be told");
    await message();
    await eventually(async () => {
      await change(2 + noted.mock.calls.length);
      return (await isMade()) && noted.mock.calls.length === 2;
    }, "the cluster to be told again");
    await change(9);
  });
  expect(noted).toHaveBeenCalledTimes(2);
  noted.mockRestore();
});

describe("a member's socket", () => {
  test.each(TWINS)(
    "[CLS-12] ends when an admin removes its static member, with the reason$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      const { socket } = await joinOver(group, topic, { instanceId: "kiosk" });
      const other = await joinOver(group, topic, { memberId: "other" });
      await interrupt(groupStub(env, group));
      const left = await groupStub(env, group).leaveClassic({
        members: [{ memberId: "", instanceId: "kiosk" }],
      });
      expect(left).toEqual([0]);
      expect(await socket.closed).toEqual({ code: 4003, reason: "UNKNOWN_MEMBER_ID: left" });
      expect(await other.socket.next(isMessage)).toMatchObject({ partitions: [{ partition: 0 }] });
    },
  );

  test("[OFF-1] that has not joined commits and releases nothing, and is told so", async () => {
    const { topicId } = await createTopic(1);
    const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${unique("g")}/socket`);
    const offsets = [{ topicId, partition: 0, offset: 0 }];
    socket.send({ type: "commit", requestId: 5, memberEpoch: 1, offsets });
    const refused = { type: "error", code: "UNKNOWN_MEMBER_ID", retriable: false };
    expect(await socket.next(isMessage)).toMatchObject({ ...refused, requestId: 5 });
    socket.send({ type: "revoked", partitions: [] });
    const answer = await socket.next(isMessage);
    expect(answer).toMatchObject(refused);
    expect(answer).not.toHaveProperty("requestId");
    socket.send({ type: "leave" });
    expect(await socket.closed).toEqual({ code: 1000, reason: "left" });
  });

  test.each(TWINS)(
    "[GRP-10] ends when the group is deleted, and so does a watch$when",
    async ({ interrupt }) => {
      const group = unique("group");
      const stub = groupStub(env, group);
      await stub.alterConfig({ changes: { "group.max.size": 1 } });
      const socket = await TestSocket.open(`/v1/groups/${group}/socket`);
      const watched = await watch(stub, "gone");
      await interrupt(stub);
      expect(await stub.destroy()).toEqual({ ok: true });
      const deleted = { code: 4003, reason: "the group was deleted" };
      expect([await socket.closed, await watched.closed]).toEqual([deleted, deleted]);
    },
  );
});

test("[GRP-7] a deleted group sets an alarm again when it begins again", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  await readAs(group, topic, { 0: 1 });
  const stub = groupStub(env, group);
  expect(await alarmOf(stub)).not.toBe(null);
  await stub.destroy();
  expect(await alarmOf(stub)).toBe(null);
  await stub.poll(pollOf(topic));
  expect(await alarmOf(stub)).not.toBe(null);
});

test.each(TWINS)(
  "[CLK-5] a group knows the incarnation of its life, and no other$when",
  async ({ interrupt }) => {
    const topic = await createTopic(1);
    const stub = groupStub(env, unique("group"));
    expect(await stub.hasIncarnation({ incarnation: 0 })).toBe(false);
    const polled = await stub.poll(pollOf(topic));
    const incarnation = polled.ok ? polled.assignment.incarnation : 0;
    await interrupt(stub);
    expect(await stub.hasIncarnation({ incarnation })).toBe(true);
    expect(await stub.hasIncarnation({ incarnation: incarnation + 1 })).toBe(false);
    await stub.leave({ memberId: "poll:i", acks: [] });
    await stub.destroy();
    expect(await stub.hasIncarnation({ incarnation })).toBe(false);
  },
);

test("[GRP-13] a group that is only listed is unlisted by its alarm", async () => {
  const group = unique("group");
  await clusterStub(env).subscribe({ groupId: group, names: [], pattern: null });
  const stub = groupStub(env, group);
  await runInDurableObject(stub, (_, { storage }) => storage.setAlarm(Date.now() + 3_600_000));
  await runDurableObjectAlarm(stub);
  expect(await listedGroups()).not.toContain(group);
});

test("[GRP-7] an alarm that cannot do its work is set again, for soon", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  vi.setSystemTime(Date.now() + 36_000_000); // So that no alarm rings by itself.
  const group = unique("group");
  await clusterStub(env).subscribe({ groupId: group, names: [], pattern: null });
  const stub = groupStub(env, group);
  await runInDurableObject(stub, (_, { storage }) => storage.setAlarm(Date.now() + 3_600_000));
  const log = vi.spyOn(console, "error").mockReturnValue();
  whileAsked("isGroupMade", () => Promise.reject(new Error("out of reach, for the test")));
  await runDurableObjectAlarm(stub);
  expect(await alarmOf(stub)).toBe(Date.now() + 1_000);
  expect(log.mock.calls.flat().join()).toContain("the alarm failed, it will be tried again");
  log.mockRestore();
  await runDurableObjectAlarm(stub);
  expect(await listedGroups()).not.toContain(group);
});

describe("classic members", () => {
  test("[CLS-9] of a topic that has grown continue in their generation", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const stub = groupStub(env, group);
    const token = await settle(group);
    const commit = () =>
      stub.commitOffsets({
        token,
        offsets: [{ topic: topic.name, partition: 0, offset: 1, metadata: "" }],
      });
    expect(await commit()).toEqual({ errorCode: 0, errorCodes: [0] });
    await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 2 });
    expect(await stub.heartbeatClassic(token)).toBe(0);
    expect(await commit()).toEqual({ errorCode: 0, errorCodes: [0] });
    expect(await committedOffsets(group, topic.name)).toEqual([1, null]);
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect(await stub.heartbeatClassic(token)).toBe(KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
    expect(await commit()).toEqual({
      errorCode: 0,
      errorCodes: [KAFKA_ERRORS.ILLEGAL_GENERATION],
    });
  });

  test("[CLS-7] are unchanged after an eviction, bytes and all", async () => {
    const stub = groupStub(env, unique("group"));
    const protocols = [{ name: "range", metadata: new Uint8Array([0, 255]) }];
    const join = { protocols, clientId: "base64" };
    const token = await joinClassic(stub, join, new Uint8Array([7, 0]));
    const before = await stub.describeClassic();
    expect(before.members).toMatchObject([
      { memberMetadata: new Uint8Array([0, 255]), memberAssignment: new Uint8Array([7, 0]) },
    ]);
    await evict(stub);
    expect(await stub.describeClassic()).toEqual(before);
    expect(await stub.heartbeatClassic(token)).toBe(0);
  });

  test("[CLS-7] that nobody watches have a session from when the group wakes, across further evictions", async () => {
    const group = unique("group");
    const stub = groupStub(env, group);
    await settle(group);
    const silentSince = () =>
      runInDurableObject(stub, (_, { storage }) => {
        const { json } = storage.sql.exec("SELECT json FROM classic").one();
        return JSON.parse(String(json)).members[0].silentSinceMs;
      });
    expect(await silentSince()).toBe(null);
    await evict(stub);
    const first = await silentSince();
    expect(first).toBeGreaterThan(0);
    await evict(stub);
    expect(await silentSince()).toBe(first);
  });

  test("[GRP-9] a change of a topic does not create a missing group", async () => {
    const topic = await createTopic(1);
    const stub = groupStub(env, unique("group"));
    const known = await clusterStub(env).topic({ name: topic.name });
    if (!known.ok) throw new Error(known.detail);
    await stub.changeTopic({ name: topic.name, topic: known.topic });
    await stub.changeTopic({ name: topic.name, topic: null });
    expect(await tablesOf(stub)).toEqual([]);
  });
});

/** The tables that the object has made for itself. */
function tablesOf(stub: DurableObjectStub): Promise<string[]> {
  return runInDurableObject(stub, (_, { storage }) =>
    [
      ...storage.sql.exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      ),
    ].map(({ name }) => name),
  );
}

/** Each sets the committed offset of partition 0, in a group of its own kind. */
const WAYS: {
  way: string;
  begin(group: string, topic: TopicJson): Promise<(offset: number) => Promise<unknown>>;
}[] = [
  {
    way: "by hand",
    begin: async (group, topic) => (offset) =>
      commitKafka(group, topic, { memberId: "", generation: -1, instanceId: null }, offset),
  },
  {
    way: "by a classic member",
    begin: async (group, topic) => {
      const token = await settle(group);
      return (offset) => commitKafka(group, topic, token, offset);
    },
  },
  {
    way: "by a member of KIP-848",
    begin: async (group, topic) => {
      const joined = await groupStub(env, group).heartbeat(nativeJoin("m", topic.name));
      if (!joined.ok) throw new Error(joined.detail);
      const token = { memberId: "m", generation: joined.memberEpoch, instanceId: null };
      return (offset) => commitKafka(group, topic, token, offset);
    },
  },
  {
    way: "by a reset",
    begin: async (group, topic) => {
      await expectStatus(200, "PATCH", `/v1/groups/${group}`, { config: {} });
      const { topicId, name } = topic;
      return async (offset) => {
        const answer = await groupStub(env, group).resetOffsets({
          offsets: [{ topic: name, topicId, partition: 0, offset }],
        });
        expect(answer).toMatchObject({ ok: true });
      };
    },
  },
];

async function commitKafka(
  group: string,
  topic: TopicJson,
  token: { memberId: string; generation: number; instanceId: string | null },
  offset: number,
): Promise<void> {
  const offsets = [{ topic: topic.name, partition: 0, offset, metadata: "" }];
  const answer = await groupStub(env, group).commitOffsets({ token, offsets });
  expect(answer).toEqual({ errorCode: 0, errorCodes: [0] });
}

describe.each(WAYS)("a position that is set $way", ({ begin }) => {
  test("[OFF-1] [HIB-1] is kept, even if that is what wakes the group, and across further lives", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const stub = groupStub(env, group);
    const set = await begin(group, topic);
    // More often than the storage keeps changes one by one.
    for (let offset = 1; offset <= 40; offset++) {
      await set(offset);
      await evict(stub);
      if (offset % 3 === 0) expect(await committedOffsets(group, topic.name)).toEqual([offset]);
    }
    expect(await committedOffsets(group, topic.name)).toEqual([40]);
  });
});

test("[OFF-7] [HIB-1] a committed offset deleted by the request that wakes the group is gone, and stays so", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  const stub = groupStub(env, group);
  const byHand = { memberId: "", generation: -1, instanceId: null };
  const positions = [{ topic: topic.name, partition: 0 }];
  for (let round = 0; round < 20; round++) {
    await commitKafka(group, topic, byHand, 7);
    await evict(stub);
    expect(await stub.deletePositions({ positions })).toEqual([0]);
    await evict(stub);
    expect(await committedOffsets(group, topic.name)).toEqual([null]);
  }
});
