// Admission to a group with a reader on any interface: nobody else moves its committed offsets. Each live member has a twin
// whose group is evicted before the others try.

import { runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { MAX_FENCES_PER_PARTITION } from "../../src/core/limits.ts";
import { groupStub, partitionStub } from "../../src/env.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import { consumerSubscription } from "../support/classic-bytes.ts";
import * as messages from "../support/kafka-schemas.ts";
import { joinClassic, nativeJoin } from "./kafka-members.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  eventually,
  evict,
  expectStatus,
  produce,
  signedOwner,
  signer,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

beforeAll(() => signer.load());

const { NONE } = KAFKA_ERRORS;
const UNKNOWN = ERRORS.UNKNOWN_MEMBER_ID.code;

function classicMember(group: string, topic: string, memberId = "classic") {
  const protocols = [{ name: "range", metadata: consumerSubscription(topic) }];
  const timeouts = { sessionTimeoutMs: 30_000, rebalanceTimeoutMs: 5_000 };
  const join = { newMemberId: memberId, ...timeouts, protocols };
  return joinClassic(groupStub(env, group), join, consumerSubscription(topic));
}

function heartbeat(group: string, memberId: string, topic: string, memberEpoch = 0) {
  return groupStub(env, group).heartbeat({ ...nativeJoin(memberId, topic), memberEpoch });
}

/** Each creates a live member of the group, of its kind, with committed offset 2. */
const MEMBERS: Record<string, (group: string, topic: TopicJson) => Promise<void>> = {
  "an SDK's socket": async (group, { name, topicId }) => {
    const socket = await TestSocket.open(`/v1/groups/${group}/socket`);
    socket.send({ type: "join", memberId: "m", memberEpoch: 0, topics: [name] });
    await socket.until(() => socket.received.length > 0, "the assignment");
    socket.send({
      type: "commit",
      requestId: 1,
      memberEpoch: 1,
      offsets: [{ topicId, partition: 0, offset: 2 }],
    });
    await eventually(
      async () => (await committedOffsets(group, name).catch(() => []))[0] === 2,
      "the commit",
    );
  },
  "a plain WebSocket": async (group, { name }) => {
    const socket = await TestSocket.open<{ type: string }>(
      `/v1/groups/${group}/consume?topics=${name}`,
    );
    await socket.until(
      () => socket.received.some((each) => (each as { type: string }).type === "records"),
      "records",
    );
    socket.send({ type: "ack", topic: name, partition: 0, offset: 1 });
    await eventually(async () => (await committedOffsets(group, name))[0] === 2, "the commit");
  },
  "a poller": async (group, { name }) => {
    const poll = (ack: object[]) =>
      expectStatus(200, "POST", `/v1/groups/${group}/poll`, {
        instanceId: "i",
        topics: [name],
        ack,
      });
    await poll([]);
    await poll([{ topic: name, partition: 0, offset: 1 }]);
  },
  "a Kafka consumer of KIP-848": async (group, { name }) => {
    const joined = await heartbeat(group, "k", name);
    const generation = joined.ok ? joined.memberEpoch : 0;
    const offsets = [{ topic: name, partition: 0, offset: 2, metadata: "" }];
    await groupStub(env, group).commitOffsets({
      token: { memberId: "k", instanceId: null, generation },
      offsets,
    });
  },
  "a classic Kafka consumer": async (group, { name }) => {
    const token = await classicMember(group, name);
    const offsets = [{ topic: name, partition: 0, offset: 2, metadata: "" }];
    await groupStub(env, group).commitOffsets({ token, offsets });
  },
};

describe.each(Object.keys(MEMBERS))("a group read by %s", (kind) => {
  test.each(TWINS)(
    "[GRP-14] is moved, reset, forgotten and deleted by nobody else, on any interface$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const { name } = topic;
      await produce(
        name,
        ["a", "b", "c"].map((value) => ({ value, partition: 0 })),
      );
      const group = unique("group");
      await MEMBERS[kind]?.(group, topic);
      expect(await committedOffsets(group, name)).toEqual([2]);
      const kafka = await Kafka.open();
      const commit = async (memberId: string, generationId: number) => {
        const { topics } = await kafka.ask<{
          topics: { partitions: { errorCode: number }[] }[];
        }>(messages.OFFSET_COMMIT, 8, {
          groupId: group,
          generationId,
          memberId,
          topics: [
            { name, partitions: [{ partition: 0, committedOffset: 0, committedMetadata: "" }] },
          ],
        });
        return topics[0]?.partitions[0]?.errorCode;
      };
      const attempts: Record<string, () => Promise<unknown>> = {
        "a commit without a member": async () => expect(await commit("", -1)).toBe(UNKNOWN),
        "a commit of nobody at a generation": async () => expect(await commit("", 1)).toBe(UNKNOWN),
        "a commit of a stranger": async () => expect(await commit("stranger", 1)).toBe(UNKNOWN),
        "a reset": async () => {
          const reset = { to: "earliest" };
          const path = `/v1/groups/${group}/offsets`;
          expect(await call("POST", path, reset)).toMatchObject({ status: 409 });
          expect(await call("POST", path, { ...reset, dryRun: true })).toMatchObject({
            status: 409,
            body: { code: "NON_EMPTY_GROUP" },
          });
        },
        "a reset in the object": async () =>
          expect(
            await groupStub(env, group).resetOffsets({
              offsets: [{ topic: name, topicId: topic.topicId, partition: 0, offset: 0 }],
            }),
          ).toMatchObject({ ok: false, error: "NON_EMPTY_GROUP" }),
        "positions forgotten": async () =>
          expect(await call("DELETE", `/v1/groups/${group}/offsets?topics=${name}`)).toMatchObject({
            status: 409,
            body: { code: "GROUP_SUBSCRIBED_TO_TOPIC" },
          }),
        OffsetDelete: async () => {
          const { topics } = await kafka.ask<{
            topics: { partitions: { errorCode: number }[] }[];
          }>(messages.OFFSET_DELETE, 0, {
            groupId: group,
            topics: [{ name, partitions: [{ partition: 0 }] }],
          });
          expect(topics[0]?.partitions[0]?.errorCode).toBe(ERRORS.GROUP_SUBSCRIBED_TO_TOPIC.code);
        },
        "the group deleted": async () =>
          expect(await call("DELETE", `/v1/groups/${group}`)).toMatchObject({
            status: 409,
            body: { code: "NON_EMPTY_GROUP" },
          }),
        DeleteGroups: async () => {
          const { results = [], groups = results } = await kafka.ask<{
            results?: { errorCode: number }[];
            groups?: { errorCode: number }[];
          }>(messages.DELETE_GROUPS, 1, { groups: [group] });
          expect(groups[0]?.errorCode).toBe(ERRORS.NON_EMPTY_GROUP.code);
        },
        "commits and heartbeats in the name of its members": async () => {
          if (kind.includes("Kafka")) return; // They use that protocol.
          for (const { memberId, memberEpoch } of (await describeGroup(group)).members) {
            expect(await commit(memberId, memberEpoch)).toBe(UNKNOWN);
            for (const epoch of [memberEpoch, 0, -1, -2])
              expect(await heartbeat(group, memberId, name, epoch)).toMatchObject({
                ok: false,
                error: "UNKNOWN_MEMBER_ID",
              });
          }
        },
        "a poll's ack": async () => {
          const isPoller = kind === "a poller";
          const answer = await call<{ rejected?: object[] }>("POST", `/v1/groups/${group}/poll`, {
            instanceId: "thief",
            topics: [name],
            ack: [{ topic: name, partition: 0, offset: 2 }],
          });
          if (answer.status === 200)
            expect(answer.body.rejected, isPoller ? "a poller" : kind).toHaveLength(1);
          else expect(answer.status).toBe(409);
          await call("POST", `/v1/groups/${group}/poll`, { instanceId: "thief", leave: true });
        },
      };
      for (const [what, attempt] of Object.entries(attempts)) {
        await interrupt(groupStub(env, group));
        await attempt();
        expect(await committedOffsets(group, name), what).toEqual([2]);
      }
    },
  );
});

test("[GRP-14] a member that joins while a reset looks up its topics is not moved by it", async () => {
  const [read, unread] = [await createTopic(1), await createTopic(1)];
  const group = unique("group");
  const stub = groupStub(env, group);
  await stub.alterConfig({ changes: { "group.max.size": 5 } });
  const target = { topic: unread.name, topicId: unread.topicId, partition: 0, offset: 0 };
  const [reset] = await Promise.all([
    stub.resetOffsets({ offsets: [target] }),
    classicMember(group, read.name),
  ]);
  expect([reset.ok, reset.ok || reset.error]).toEqual([false, "NON_EMPTY_GROUP"]);
});

test.each(TWINS)(
  "[OFF-11] a commit from before a partition was given away and back is rejected over Kafka's protocol$when",
  async ({ interrupt }) => {
    const { name } = await createTopic(2);
    const group = unique("group");
    const stub = groupStub(env, group);
    const epochOf = async (memberId: string) =>
      (await describeGroup(group)).members.find((each) => each.memberId === memberId)
        ?.memberEpoch ?? 0;
    const owned = async (memberId: string) =>
      (await describeGroup(group)).members
        .find((each) => each.memberId === memberId)
        ?.assignment.flatMap(({ partitions }) => partitions) ?? [];
    const commit = async (generation: number, partition: number, offset: number) => {
      await interrupt(stub);
      const token = { memberId: "a", instanceId: null, generation };
      const { errorCode, errorCodes } = await stub.commitOffsets({
        token,
        offsets: [{ topic: name, partition, offset, metadata: "" }],
      });
      return errorCode || errorCodes[0];
    };
    await heartbeat(group, "a", name);
    const first = await epochOf("a");
    await heartbeat(group, "b", name);
    await heartbeat(group, "a", name, first); // It owns nothing (it says), so it gives up at once.
    await heartbeat(group, "b", name, await epochOf("b"));
    const [moved = -1] = await owned("b");
    expect(await commit(first, moved, 1)).toBe(ERRORS.FENCED_MEMBER_EPOCH.code);
    await heartbeat(group, "b", name, -1);
    expect(await owned("a")).toContain(moved);
    const now = await epochOf("a");
    expect(await commit(now, moved, 9)).toBe(NONE);
    for (const old of [first, 0, -1, -99_999])
      expect(await commit(old, moved, 3), `epoch ${old}`).toBe(ERRORS.STALE_MEMBER_EPOCH.code);
    expect((await committedOffsets(group, name))[moved]).toBe(9);
  },
);

test.each(TWINS)(
  "[CLS-6] [GRP-14] a member that has left commits by hand under its former id, but not while others are there$when",
  async ({ interrupt }) => {
    const { name } = await createTopic(1);
    const group = unique("group");
    const stub = groupStub(env, group);
    const kafka = await Kafka.open();
    const commit = async (committedOffset: number) => {
      await interrupt(stub);
      const partitions = [{ partition: 0, committedOffset, committedMetadata: "" }];
      const { topics } = await kafka.ask<{
        topics: { partitions: { errorCode: number }[] }[];
      }>(messages.OFFSET_COMMIT, 8, {
        groupId: group,
        generationId: -1,
        memberId: "k",
        topics: [{ name, partitions }],
      });
      return topics[0]?.partitions[0]?.errorCode;
    };
    expect(await commit(1), "in a group that does not exist").toBe(NONE);
    await heartbeat(group, "k", name);
    expect(await commit(2), "while it is a member").toBe(ERRORS.STALE_MEMBER_EPOCH.code);
    await heartbeat(group, "k", name, -1);
    expect(await commit(3), "once it has left").toBe(NONE);
    await heartbeat(group, "other", name);
    expect(await commit(4), "while another is there").toBe(UNKNOWN);
    await heartbeat(group, "other", name, -1);
    await classicMember(group, name);
    expect(await commit(5), "while a classic one is there").toBe(UNKNOWN);
    expect(await committedOffsets(group, name)).toEqual([3]);
  },
);

test.each(TWINS)(
  "[CLS-9] records that a classic member read from a deleted topic are not committed to its namesake$when",
  async ({ interrupt }) => {
    const topic = await createTopic(1);
    const { name } = topic;
    const group = unique("group");
    const token = await classicMember(group, name);
    const stub = groupStub(env, group);
    const commit = async (generation: number) => {
      await interrupt(stub);
      const { errorCode, errorCodes } = await stub.commitOffsets({
        token: { ...token, generation },
        offsets: [{ topic: name, partition: 0, offset: 50, metadata: "" }],
      });
      return errorCode || errorCodes[0];
    };
    expect(await commit(token.generation)).toBe(NONE);
    await expectStatus(204, "DELETE", `/v1/topics/${name}`);
    expect(await commit(token.generation)).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    await expectStatus(201, "POST", "/v1/topics", { name });
    expect(await commit(token.generation)).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    expect(await stub.heartbeatClassic(token)).toBe(KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
    expect(await committedOffsets(group, name).catch(() => [])).not.toContain(50);
  },
);

test.each(TWINS)(
  "[ATT-4] a poller keeps its fence between two polls, whoever claims to attach for it or for others$when",
  async ({ interrupt }) => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    const stub = partitionStub(env, topic.topicId, 0);
    const group = unique("group");
    const poll = () =>
      expectStatus(200, "POST", `/v1/groups/${group}/poll`, {
        instanceId: "i",
        topics: [topic.name],
      });
    await poll();
    // An older release, or a socket that names the same owner, has left the fence without a note of the poll.
    await runInDurableObject(stub, (_, { storage }) => {
      storage.sql.exec("DELETE FROM fence_polls");
    });
    await interrupt(stub);
    await poll();
    await interrupt(stub);
    const before = await fencesOf(stub);
    await poll();
    expect(await fencesOf(stub)).toEqual(before); // Nothing is new, and nothing is written.
    expect(before).toMatchObject([{ group_id: group, polled_at_ms: expect.any(Number) }]);
    await runInDurableObject(stub, (_, { storage }) => {
      storage.sql.exec(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
           INSERT INTO fences SELECT 'flood' || i, 1, 1, 1, 9e15 + i FROM n`,
        MAX_FENCES_PER_PARTITION,
      );
    });
    await evict(stub); // The number of fences is counted once in a life.
    const socket = await TestSocket.open(`/v1/topics/${topic.name}/partitions/0/socket`);
    const last = { group: "last", incarnation: 1, memberEpoch: 1, memberNumber: 1 };
    const owner = signedOwner(last, { topicId: topic.topicId, partition: 0 });
    socket.send({ type: "attach", attachId: 1, offset: 0, windowBytes: 10_000, owner });
    await socket.until(() => socket.received.length > 0, "attached");
    expect(socket.received[0]).toMatchObject({ type: "attached" });
    await interrupt(stub);
    const zombie = { group, incarnation: 1, memberEpoch: 1, memberNumber: 0 };
    expect(await stub.readAs({ owner: zombie, offset: 0, maxBytes: 1 })).toMatchObject({
      ok: false,
      error: "FENCED_MEMBER_EPOCH",
    });
  },
);

/** Fences, with each group's last poll. */
function fencesOf(stub: DurableObjectStub) {
  return runInDurableObject(stub, (_, { storage }) => [
    ...storage.sql.exec("SELECT * FROM fences LEFT JOIN fence_polls USING (group_id)"),
  ]);
}

test.each(TWINS)(
  "[ATT-4] an attached owner fences older ones even if its fence was forgotten$when",
  async ({ interrupt }) => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    const stub = partitionStub(env, topic.topicId, 0);
    const group = unique("group");
    const owner = (memberEpoch: number) => ({
      group,
      incarnation: 1_000,
      memberEpoch,
      memberNumber: memberEpoch,
    });
    const attach = async (memberEpoch: number) => {
      const socket = await TestSocket.open(`/v1/topics/${topic.name}/partitions/0/socket`);
      socket.send({
        type: "attach",
        attachId: 1,
        offset: 0,
        windowBytes: 10_000,
        owner: signedOwner(owner(memberEpoch), { topicId: topic.topicId, partition: 0 }),
      });
      return socket;
    };
    const current = await attach(5);
    await current.until(() => current.received.length >= 2, "the record");
    await runInDurableObject(stub, (_, state) => {
      state.storage.sql.exec("DELETE FROM fences");
    });
    await interrupt(stub);
    const older = await attach(4);
    expect(await older.closed).toMatchObject({
      code: 4001,
      reason: expect.not.stringContaining("has not assigned"),
    });
    await interrupt(stub);
    expect(await stub.readAs({ owner: owner(3), offset: 0, maxBytes: 1 })).toMatchObject({
      ok: false,
      error: "FENCED_MEMBER_EPOCH",
    });
    await produce(topic.name, [{ value: "b", partition: 0 }]);
    await current.until(() => current.received.length >= 3, "the next record");
  },
);

describe.each(TWINS)("an id that SQLite would keep in another spelling$when", ({ interrupt }) => {
  const HALF = "\ud800";

  test("[BND-21] is rejected in a poll and a socket, and harms nobody in the group", async () => {
    const { name } = await createTopic(1);
    const group = unique("group");
    const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
    const join = { type: "join", memberEpoch: 0, topics: [name] };
    member.send({ ...join, memberId: "m" });
    await member.until(() => member.received.length > 0, "the assignment");
    const poll = await call("POST", `/v1/groups/${group}/poll`, {
      instanceId: HALF,
      topics: [name],
    });
    expect(poll).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
    for (const ids of [{ memberId: HALF }, { memberId: "x", instanceId: HALF }]) {
      const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      socket.send({ ...join, ...ids });
      await socket.until(() => socket.received.length > 0, "the refusal");
      expect(socket.received[0]).toMatchObject({
        type: "error",
        code: "INVALID_REQUEST",
      });
    }
    await interrupt(groupStub(env, group));
    expect((await describeGroup(group)).members).toMatchObject([{ memberId: "m" }]);
  });
});

test("[GRP-20] a client id with control characters is rejected in a poll, a socket and a plain socket", async () => {
  const { name } = await createTopic(1);
  const group = unique("group");
  const clientId = "a\u001b[2Jb";
  const refusal = {
    code: "INVALID_REQUEST",
    detail: 'clientId is "a\\u001b[2Jb", it must have no control characters',
  };
  const polled = { instanceId: "p", topics: [name], clientId };
  const poll = await call("POST", `/v1/groups/${group}/poll`, polled);
  expect(poll).toMatchObject({ status: 400, body: refusal });
  const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
  socket.send({ type: "join", memberId: "s", memberEpoch: 0, topics: [name], clientId });
  await socket.until(() => socket.received.length > 0, "the refusal");
  expect(socket.received[0]).toMatchObject({ type: "error", code: "INVALID_REQUEST" });
  const query = new URLSearchParams({ topics: name, clientId });
  const plain = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/consume?${query}`);
  await plain.until(() => plain.received.length > 0, "the refusal");
  expect(plain.received[0]).toMatchObject({ type: "error", code: "INVALID_REQUEST" });
  expect((await call("GET", `/v1/groups/${group}`)).status).toBe(404);
});
