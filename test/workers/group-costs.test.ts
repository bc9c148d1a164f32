// The rows that a group reads and writes, counted from the constructor on. A group sleeps most of the time, so the cost of
// waking for one request counts, and it must not grow with the group.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { GroupStore } from "../../durable-objects/group/group-store.ts";
import { storageOf } from "../../durable-objects/shared/sql.ts";
import { upgradeFor } from "../../src/calls/socket-caller.ts";
import { ANYBODY } from "../../src/core/access/caller.ts";
import { type ClassicMember, NO_CLASSIC_MEMBERS } from "../../src/core/group/classic-state.ts";
import {
  fromSet,
  type PartitionKey,
  parsePartitionKey,
  partitionKey,
} from "../../src/core/group/partition-key.ts";
import { type GroupEvent, type Member, replay } from "../../src/core/group/state.ts";
import { MAX_METRICS_WEIGHT, METRICS_INTERVAL_MS } from "../../src/core/limits.ts";
import { clusterStub, type GroupStub, groupStub } from "../../src/env.ts";
import type { AssignmentMessage, CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import { nativeBeat, watch } from "./kafka-members.ts";
import { meteredFromStart } from "./metering.ts";
import { createTopic, env, evict, TestSocket, type TopicJson, TWINS, unique } from "./support.ts";

/** Waking for one request may read this many rows, however large the group is. */
const MAX_READ = 50;
/** They make large groups. */
const TIMEOUT_MS = 120_000;
/** See stored-positions.ts. */
const RING_ROWS = 16;
const SESSION_MS = 30 * 60_000;

type Socket = TestSocket<CoordinatorMessage>;

async function open(stub: GroupStub, path = "https://group/"): Promise<Socket> {
  const { webSocket } = await stub.fetch(path, upgradeFor(ANYBODY));
  if (webSocket === null) throw new Error("there is no socket");
  const socket = new TestSocket<CoordinatorMessage>(webSocket, () => {});
  webSocket.accept();
  return socket;
}

function isAssignment(message: unknown): message is AssignmentMessage {
  return typeof message === "object" && (message as { type?: string }).type === "assignment";
}

/** Joins over a socket, as a new member or as one that the group knows. */
async function join(
  stub: GroupStub,
  memberId: string,
  topics: readonly TopicJson[],
  resume: { memberEpoch: number; owned: ReadonlySet<PartitionKey> } | null = null,
): Promise<{ socket: Socket; assignment: AssignmentMessage }> {
  const socket = await open(stub);
  socket.send({
    type: "join",
    memberId,
    memberEpoch: resume?.memberEpoch ?? 0,
    sessionTimeoutMs: SESSION_MS,
    topics: topics.map(({ name }) => name),
    owned: fromSet(resume?.owned ?? new Set()),
  });
  return { socket, assignment: await socket.next(isAssignment) };
}

/** A member that gives up at once what it is told to give up. */
async function joinObedient(
  stub: GroupStub,
  memberId: string,
  topic: TopicJson,
): Promise<TestSocket<CoordinatorMessage>> {
  const { webSocket } = await stub.fetch("https://group/", upgradeFor(ANYBODY));
  if (webSocket === null) throw new Error("there is no socket");
  let held = new Set<PartitionKey>();
  const socket: Socket = new TestSocket<CoordinatorMessage>(webSocket, (event) => {
    if (!isAssignment(event)) return;
    const now = new Set(
      event.partitions.map(({ topicId, partition }) => partitionKey(topicId, partition)),
    );
    const revoked = held.difference(now);
    held = now;
    if (revoked.size > 0) socket.send({ type: "revoked", partitions: fromSet(revoked) });
  });
  webSocket.accept();
  const topics = [topic.name];
  socket.send({ type: "join", memberId, memberEpoch: 0, sessionTimeoutMs: SESSION_MS, topics });
  await socket.next(
    (message): message is AssignmentMessage => isAssignment(message) && message.state === "STABLE",
  );
  return socket;
}

async function commit(
  socket: Socket,
  memberEpoch: number,
  partitions: Iterable<{ topicId: string; partition: number }>,
  offset: number,
): Promise<void> {
  const offsets = Array.from(partitions, (each) => ({ ...each, offset }));
  socket.send({ type: "commit", requestId: offset, memberEpoch, offsets });
  const answer = await socket.next(
    (message): message is CoordinatorMessage =>
      typeof message === "object" && "requestId" in message,
  );
  expect(answer).toEqual({ type: "committed", requestId: offset, rejected: [] });
}

const MEMBERS = 1_000;
/** The others poll, which makes the same rows, and the test no socket. */
const CONNECTED = 100;
const TOPICS = 10;

/** A group with this stored data. It sleeps. */
async function storedGroup(events: (topics: readonly TopicJson[]) => GroupEvent[]): Promise<{
  stub: GroupStub;
  topics: TopicJson[];
}> {
  const topics: TopicJson[] = [];
  for (let i = 0; i < TOPICS; i++) topics.push(await createTopic(MEMBERS));
  const groupId = unique("large");
  const stub = groupStub(env, groupId);
  const names = topics.map(({ name }) => name);
  await clusterStub(env).subscribe({ groupId, names, pattern: null });
  const group: GroupEvent = {
    ...{ type: "group" as const, incarnation: 1, groupEpoch: 1, assignmentEpoch: 1 },
    overrides: { "consumer.session.timeout.ms": SESSION_MS }, // For members without any.
    ...{ nextMemberNumber: MEMBERS + 1, emptySinceMs: null },
  };
  const positions = topics.flatMap(({ topicId, partitions }) =>
    Array.from({ length: partitions }, (_, partition): GroupEvent => {
      const committed = { offset: 1, metadata: "", committedAtMs: Date.now() };
      return { type: "offset", key: partitionKey(topicId, partition), committed };
    }),
  );
  await runInDurableObject(stub, (_, { storage }) => {
    const store = new GroupStore(storageOf(storage, { rowsRead: 0, rowsWritten: 0 }), groupId);
    const state = store.load();
    const known = topics.map(({ topicId, name, partitions }): GroupEvent => {
      return { type: "topic", topic: { topicId, name, partitions } };
    });
    const all = [group, ...known, ...events(topics), ...positions];
    for (const event of all) replay(state, event);
    store.apply([...all, group]); // The number of its members is written with the group.
    store.setDeadline({ atMs: Date.now() + SESSION_MS, setAtMs: Date.now() });
  });
  await evict(stub);
  return { stub, topics };
}

/** Ten partitions of one topic. */
function ownOf(topics: readonly TopicJson[], index: number): PartitionKey[] {
  const { topicId } = topics[index % TOPICS] as TopicJson;
  const first = Math.floor(index / TOPICS) * TOPICS;
  return Array.from({ length: TOPICS }, (_, i) => partitionKey(topicId, first + i));
}

function nativeMembers(topics: readonly TopicJson[]): GroupEvent[] {
  return Array.from({ length: MEMBERS }, (_, index) => {
    const memberId = `m${index}`;
    const assigned = new Set(ownOf(topics, index));
    const member: Member = {
      ...{ memberId, memberNumber: index + 1, instanceId: null, clientId: null },
      ...{ topics: topics.map(({ name }) => name).sort(), topicPattern: null },
      ...{ sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: SESSION_MS },
      ...{ memberEpoch: 1, state: "STABLE", assigned, revoking: new Set() },
      ...{ assignmentEpochs: new Map([...assigned].map((key) => [key, 1])) },
      ...{ delivered: new Map(), refusedAcks: new Map(), revokeDeadlineMs: null },
      ...(index < CONNECTED
        ? { polls: false, heartbeats: index === 0, silentSinceMs: null }
        : { polls: true, heartbeats: false, silentSinceMs: Date.now() }),
    };
    return [
      { type: "member", member } as const,
      { type: "target", memberId, partitions: assigned } as const,
    ];
  }).flat();
}

const CLASSIC_IDS = Array.from({ length: MEMBERS }, (_, index) => `c${index}`);

function classicMembers(): GroupEvent[] {
  const members = new Map(
    CLASSIC_IDS.map((memberId): [string, ClassicMember] => [
      memberId,
      {
        ...{ memberId, instanceId: null, clientId: "c", clientHost: "/h" },
        ...{ sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: SESSION_MS },
        protocols: [{ name: "range", metadata: new Uint8Array(40) }],
        ...{ assignment: new Uint8Array(40), silentSinceMs: null },
      },
    ]),
  );
  const named = { protocolType: "consumer", protocolName: "range", leaderId: "c0" };
  const classic = { ...NO_CLASSIC_MEMBERS, phase: "STABLE", generation: 1, ...named, members };
  return [{ type: "classic", classic, isStored: true, reason: "left" } as GroupEvent];
}

/** Its sockets break, and nobody wakes it to hear of it: many leaving members would rebalance for long. */
async function abandon(stub: GroupStub): Promise<void> {
  await evict(stub, "close");
}

/**
 * Each wakes the group, and reads little. An object may report to the metrics in one minute of eight, so all of them are
 * tried.
 */
async function expectLittle(
  stub: GroupStub,
  wakes: Record<string, (minute: number) => Promise<unknown>>,
): Promise<void> {
  const startMs = Date.now();
  for (let minute = 0; minute < MAX_METRICS_WEIGHT; minute++) {
    vi.setSystemTime(startMs + minute * METRICS_INTERVAL_MS);
    for (const [what, wake] of Object.entries(wakes)) {
      await evict(stub);
      const { read, statements } = await meteredFromStart(stub, () => wake(minute));
      expect(read, `${what}: ${statements.join("\n")}`).toBeLessThanOrEqual(MAX_READ);
    }
  }
}

afterEach(() => {
  vi.useRealTimers();
});

describe(`a group of ${MEMBERS} members and ${MEMBERS * TOPICS} positions`, {
  timeout: TIMEOUT_MS,
}, () => {
  test("[COST-1] [HIB-1] of native members wakes cheaply", async () => {
    const { stub, topics } = await storedGroup(nativeMembers);
    try {
      await watch(stub, "m0");
      const sockets: Socket[] = [];
      for (let index = 1; index < CONNECTED; index++) {
        const resume = { memberEpoch: 1, owned: new Set(ownOf(topics, index)) };
        const { socket, assignment } = await join(stub, `m${index}`, topics, resume);
        expect(assignment).toMatchObject({ state: "STABLE", memberEpoch: 1 });
        sockets.push(socket);
      }
      const beat = async () => {
        const answer = await stub.heartbeat(nativeBeat("m0", 1));
        expect(answer).toMatchObject({ ok: true, memberEpoch: 1 });
      };
      await beat(); // It is back, too.
      const last = sockets.at(-1) as Socket;
      const own = ownOf(topics, CONNECTED - 1).map(parsePartitionKey);
      let offset = 2;
      // The commits since the last full write of the offsets are read at every wake-up. There are no more than these.
      for (; offset < 2 + RING_ROWS - 1; offset++) await commit(last, 1, own, offset);
      await expectLittle(stub, {
        "a heartbeat (KIP-848)": beat,
        "the safety alarm": () => runDurableObjectAlarm(stub),
        "a commit": (minute) => commit(last, 1, own, offset + minute),
      });
    } finally {
      await abandon(stub);
    }
  });

  test("[COST-1] [HIB-1] of classic members wakes cheaply", async () => {
    const { stub, topics } = await storedGroup(classicMembers);
    const token = { memberId: "c0", instanceId: null, generation: 1 };
    const beat = async () => expect(await stub.heartbeatClassic(token)).toBe(0);
    await beat(); // All are silent now, and this one is not.
    const [{ name = "" } = {}] = topics;
    const own = Array.from({ length: TOPICS }, (_, partition) => partition);
    const commitAt = async (offset: number) => {
      const offsets = own.map((partition) => ({ topic: name, partition, offset, metadata: "" }));
      const answer = await stub.commitOffsets({ token, offsets });
      expect(answer).toMatchObject({ errorCode: 0, errorCodes: own.map(() => 0) });
    };
    let offset = 2;
    for (; offset < 2 + RING_ROWS - 1; offset++) await commitAt(offset);
    await expectLittle(stub, {
      "a heartbeat": beat,
      "an alarm": () => runDurableObjectAlarm(stub),
      "a commit": (minute) => commitAt(offset + minute),
    });
    offset += MAX_METRICS_WEIGHT - 1;
    await evict(stub);
    const { offsets } = await stub.committedOffsets({ member: null });
    const committed =
      typeof offsets === "number"
        ? []
        : offsets.filter(({ topic, partition }) => topic === name && partition < TOPICS);
    expect(committed.map((each) => each.offset)).toEqual(own.map(() => offset));
  });
});

const PARTITIONS = 12;

/** A member with a socket that has twelve partitions to itself. */
async function consumerOf12() {
  const topic = await createTopic(PARTITIONS);
  const stub = groupStub(env, unique("few"));
  const { socket, assignment } = await join(stub, "m", [topic]);
  expect(assignment).toMatchObject({ state: "STABLE", memberEpoch: 1 });
  const own = assignment.partitions.map(({ topicId, partition }) => ({ topicId, partition }));
  return { stub, socket, own };
}

async function positionsOf(stub: GroupStub): Promise<number[]> {
  const { offsets } = await stub.committedOffsets({ member: null });
  return typeof offsets === "number" ? [] : offsets.map(({ offset }) => offset);
}

/** Returns two rows of each member: the member, and its target. */
async function rowsOf(stub: GroupStub): Promise<Map<string, string>> {
  return await runInDurableObject(stub, (_, { storage }) => {
    const query =
      "SELECT 'member ' || member_id AS id, json FROM stored_members UNION ALL SELECT 'target ' || member_id, json FROM targets";
    const rows = storage.sql.exec<{ id: string; json: string }>(query);
    return new Map(Array.from(rows, ({ id, json }) => [id, json]));
  });
}

/** The costs while the group is awake, and after it has slept before each step. */
describe.each(TWINS)("a group of few$when", { timeout: TIMEOUT_MS }, ({ interrupt }) => {
  test("[COST-1] [OFF-1] a commit of 12 partitions costs a row", async () => {
    const { stub, socket, own } = await consumerOf12();
    await interrupt(stub);
    expect(await meteredFromStart(stub, () => commit(socket, 1, own, 1))).toMatchObject({
      written: 1,
    });
    expect(await positionsOf(stub)).toEqual(own.map(() => 1));
  });

  test("[COST-1] [OFF-1] a consumer of 12 partitions that commits every 5 s costs 12 rows a minute", async () => {
    const { stub, socket, own } = await consumerOf12();
    let written = 0;
    // Two minutes, so that the offsets are once written as a whole.
    for (let offset = 1; offset <= 24; offset++) {
      await interrupt(stub);
      const rows = await meteredFromStart(stub, () => commit(socket, 1, own, offset));
      written += rows.written;
      expect(rows.read, rows.statements.join("\n")).toBeLessThanOrEqual(MAX_READ);
    }
    expect(written).toBe(24);
    expect(await positionsOf(stub)).toEqual(own.map(() => 24));
  });

  test("[COST-1] [GRP-16] a join in a group of 40 writes what changes, and nothing of the others", async () => {
    const topic = await createTopic(80);
    const stub = groupStub(env, unique("many"));
    for (let i = 0; i < 40; i++) await joinObedient(stub, `m${i}`, topic);
    const before = await rowsOf(stub);
    await interrupt(stub);
    const rows = await meteredFromStart(stub, () => joinObedient(stub, "new", topic));
    const after = await rowsOf(stub);
    const changed = [...after.keys()].filter((row) => before.get(row) !== after.get(row));
    // Everything that the newcomer has came from one member.
    expect(changed.sort()).toEqual([
      expect.stringMatching(/^member m/),
      "member new",
      expect.stringMatching(/^target m/),
      "target new",
    ]);
    // A join, and a release: each writes both members and its line of the history, and the join the targets and the group.
    expect(rows.written, rows.statements.join("\n")).toBe(2 * (2 + 1) + 2 + 1);
  });
});
