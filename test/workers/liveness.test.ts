// The detection of a member's death, line by line of the table in ARCHITECTURE.md. Time is the test's: it sets when each
// socket last answered a ping. It rings the alarms of the group and of its partitions in the order in which they are due, as
// the runtime does. Nothing else wakes an object.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GroupObject } from "../../durable-objects/group/group-object.ts";
import { TailReaders } from "../../durable-objects/partition/tail-readers.ts";
import { fromSet, type PartitionKey, partitionKey } from "../../src/core/group/partition-key.ts";
import { DEFAULT_SESSION_TIMEOUT_MS, SAFETY_ALARM_MS } from "../../src/core/limits.ts";
import { clusterStub, type GroupStub, groupStub, partitionStub } from "../../src/env.ts";
import type { AssignmentMessage, CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import { heartbeatIntervalMs } from "../../src/protocol/heartbeat.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import { CLASSIC_JOIN, nativeBeat, nativeJoin, WATCHED_KINDS, watch } from "./kafka-members.ts";
import { meteredFromStart } from "./metering.ts";
import {
  alarmOf,
  createTopic,
  env,
  eventually,
  expectStatus,
  isBytes,
  produce,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

const SESSION_MS = DEFAULT_SESSION_TIMEOUT_MS;
const MINUTE_MS = 60_000;
/** A silent member that something has found gets the time of one more heartbeat, and a second. */
const GRACE_MS = heartbeatIntervalMs(SESSION_MS) + 1_000;

/** The members that answer pings, by member id in the group, and by group and member number at a partition. */
const heardMs = new Map<string, number>();
const living = new Set<{ readonly names: readonly string[] }>();
let nowMs = 0;
/** The owners that partitions have found silent, and the groups that have heard of one. */
let reported = 0;
let noticed = 0;

beforeEach(async () => {
  nowMs = Date.now() + 10 * 3_600_000; // No alarm rings by itself.
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(nowMs);
  heardMs.clear();
  living.clear();
  [reported, noticed] = [0, 0];
  const methods = await runInDurableObject(
    clusterStub(env),
    (_, state) => Object.getPrototypeOf(state) as DurableObjectState,
  );
  vi.spyOn(methods, "getWebSocketAutoResponseTimestamp").mockImplementation((socket) => {
    const atMs = heardMs.get(nameOf(socket));
    return atMs === undefined ? null : new Date(atMs);
  });
  const { takeSilentOwners } = TailReaders.prototype;
  vi.spyOn(TailReaders.prototype, "takeSilentOwners").mockImplementation(function (
    this: TailReaders,
    ...args
  ) {
    const owners = takeSilentOwners.apply(this, args);
    reported += owners.length;
    return owners;
  });
  const { noticeSilence } = GroupObject.prototype;
  vi.spyOn(GroupObject.prototype, "noticeSilence").mockImplementation(async function (
    this: GroupObject,
    ...args
  ) {
    return await noticeSilence.apply(this, args).finally(() => noticed++);
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function nameOf(socket: WebSocket): string {
  const attachment = socket.deserializeAttachment() as {
    memberId?: string;
    watches?: string;
    tail?: { owner: { group: string; memberNumber: number } | null };
  } | null;
  const owner = attachment?.tail?.owner;
  if (owner) return `${owner.group}/${owner.memberNumber}`;
  return attachment?.memberId ?? attachment?.watches ?? "";
}

/** Everything alive answers the ping of this time. */
function turnTo(ms: number): void {
  nowMs = ms;
  vi.setSystemTime(ms);
  for (const member of living) for (const name of member.names) heardMs.set(name, ms);
}

class Member {
  readonly memberId = unique("m");
  readonly socket: TestSocket<CoordinatorMessage>;
  readonly #group: TestGroup;
  readonly #held = new Set<PartitionKey>();
  latest: AssignmentMessage | null = null;

  private constructor(group: TestGroup, socket: TestSocket<CoordinatorMessage>) {
    this.#group = group;
    this.socket = socket;
  }

  /** Joins, and gives up what it is told to while it lives. */
  static async join(group: TestGroup, topic: TopicJson): Promise<Member> {
    let take: (message: AssignmentMessage) => void = () => {};
    const socket = await TestSocket.open<CoordinatorMessage>(
      `/v1/groups/${group.id}/socket`,
      (event) => {
        if (isAssignment(event)) take(event);
      },
    );
    const member = new Member(group, socket);
    take = (message) => member.#take(message);
    living.add(member);
    const { memberId } = member;
    socket.send({ type: "join", memberId, memberEpoch: 0, topics: [topic.name] });
    await socket.until(() => member.latest !== null, "the answer to the join");
    return member;
  }

  get names(): string[] {
    return [this.memberId, `${this.#group.id}/${this.latest?.memberNumber}`];
  }

  get partitions(): number[] {
    return (this.latest?.partitions ?? []).map(({ partition }) => partition).sort((a, b) => a - b);
  }

  #take(assignment: AssignmentMessage): void {
    this.latest = assignment;
    const now = new Set(
      assignment.partitions.map(({ topicId, partition }) => partitionKey(topicId, partition)),
    );
    const revoked = this.#held.difference(now);
    for (const key of now) this.#held.add(key);
    if (!living.has(this) || revoked.size === 0) return;
    for (const key of revoked) this.#held.delete(key);
    this.socket.send({ type: "revoked", partitions: fromSet(revoked) });
  }

  async until(state: string, count: number): Promise<void> {
    await this.socket.until(
      () => this.latest?.state === state && this.latest.partitions.length === count,
      `${count} partitions, ${state}`,
    );
  }

  /** Reads a partition that it has, from its beginning. */
  async attach(topic: TopicJson, partition: number): Promise<TestSocket<PartitionMessage>> {
    const path = `/v1/topics/${topic.name}/partitions/${partition}/socket`;
    const socket = await TestSocket.open<PartitionMessage>(path);
    const { incarnation = 0, memberEpoch = 0, memberNumber = 0 } = this.latest ?? {};
    const owner = { group: this.#group.id, incarnation, memberEpoch, memberNumber };
    socket.send({
      ...{ type: "attach", attachId: 1, offset: "earliest" },
      owner: { ...owner, sessionTimeoutMs: SESSION_MS },
    });
    await socket.next(
      (message): message is PartitionMessage =>
        typeof message === "object" && !isBytes(message) && message.type === "attached",
    );
    return socket;
  }

  /** From now on it is silent. Its sockets stay open. */
  fallSilent(): void {
    living.delete(this);
  }

  /** Like a machine that stood still and continues. */
  goOn(): void {
    living.add(this);
  }

  async commit(topic: TopicJson): Promise<void> {
    const [partition = 0] = this.partitions;
    const offsets = [{ topicId: topic.topicId, partition, offset: 0 }];
    const memberEpoch = this.latest?.memberEpoch ?? 0;
    this.socket.send({ type: "commit", requestId: 1, memberEpoch, offsets });
    const answer = await this.socket.next(
      (message): message is CoordinatorMessage =>
        typeof message === "object" && "requestId" in message,
    );
    expect(answer).toMatchObject({ type: "committed", rejected: [] });
  }
}

function isAssignment(message: unknown): message is AssignmentMessage {
  return (
    typeof message === "object" && (message as { type?: string } | null)?.type === "assignment"
  );
}

class TestGroup {
  readonly id = unique("group");
  readonly stub: GroupStub = groupStub(env, this.id);
  readonly #interrupt: (...stubs: DurableObjectStub[]) => Promise<void>;
  readonly #partitions: DurableObjectStub[] = [];
  /** When the group's alarm has rung. */
  readonly rings: number[] = [];

  constructor(interrupt: (...stubs: DurableObjectStub[]) => Promise<void>) {
    this.#interrupt = interrupt;
  }

  /** The alarms of these partitions ring, too. */
  reads({ topicId, partitions }: TopicJson): void {
    for (let i = 0; i < partitions; i++) this.#partitions.push(partitionStub(env, topicId, i));
  }

  /** All objects sleep, in a twin. */
  sleep(): Promise<void> {
    return this.#interrupt(this.stub, ...this.#partitions);
  }

  /** Time advances, and every alarm rings when it is due. */
  async advance(toMs: number): Promise<void> {
    for (let rings = 0; ; rings++) {
      if (rings > 200) throw new Error("the alarms ring all the time");
      let next: { stub: DurableObjectStub; atMs: number } | null = null;
      for (const stub of [this.stub, ...this.#partitions]) {
        const atMs = await alarmOf(stub);
        if (atMs !== null && atMs <= toMs && (next === null || atMs < next.atMs))
          next = { stub, atMs };
      }
      if (next === null) break;
      await this.sleep();
      turnTo(Math.max(nowMs, next.atMs));
      if (next.stub === this.stub) this.rings.push(nowMs);
      await runDurableObjectAlarm(next.stub);
      await eventually(async () => noticed === reported, "the group to hear of silent owners");
    }
    turnTo(toMs);
    await this.sleep();
  }

  /** True if it is stored that some member is silent. */
  async hasNotedLoss(): Promise<boolean> {
    const query = "SELECT json FROM stored_members UNION ALL SELECT json FROM classic";
    const rows = await runInDurableObject(this.stub, (_, { storage }) =>
      storage.sql.exec<{ json: string }>(query).toArray(),
    );
    return rows.some(({ json }) => /"silentSinceMs":\d/.test(json));
  }

  /** The members that the group has stored, of any kind. */
  async members(): Promise<string[]> {
    const query = `SELECT member_id AS id FROM members UNION ALL
      SELECT json_extract(value, '$.memberId') FROM classic, json_each(classic.json, '$.members')`;
    const rows = await runInDurableObject(this.stub, (_, { storage }) =>
      storage.sql.exec<{ id: string }>(query).toArray(),
    );
    return rows.map(({ id }) => id).sort();
  }
}

/** Two members with a partition each, that have been there for a while and are heard from. */
async function settledPair(interrupt: (...stubs: DurableObjectStub[]) => Promise<void>) {
  const topic = await createTopic(2);
  for (const partition of [0, 1]) await produce(topic.name, [{ value: "read", partition }]);
  const group = new TestGroup(interrupt);
  group.reads(topic);
  const a = await Member.join(group, topic);
  const b = await Member.join(group, topic);
  await a.until("STABLE", 1);
  await b.until("STABLE", 1);
  for (const member of [a, b]) {
    const socket = await member.attach(topic, member.partitions[0] as number);
    const frame = await socket.next(isBytes);
    socket.send({ type: "window", attachId: 1, bytes: frame.length }); // It has read all there is.
  }
  await group.advance(nowMs + 10 * MINUTE_MS);
  expect(await group.members()).toEqual([a.memberId, b.memberId].sort());
  return { topic, group, a, b, startMs: nowMs };
}

describe.each(TWINS)("a member with a socket$when", ({ interrupt }) => {
  test("[GRP-17] that is silent while records wait for it is removed, and not before its session ends", async () => {
    const { topic, group, a, b, startMs } = await settledPair(interrupt);
    a.fallSilent();
    turnTo(startMs + 1_000);
    await produce(topic.name, [{ value: "unread", partition: a.partitions[0] as number }]);
    await group.advance(startMs + SESSION_MS - 1);
    expect(await group.members()).toHaveLength(2);
    await group.advance(startMs + 1_000 + SESSION_MS + GRACE_MS);
    expect(await a.socket.closed).toMatchObject({ code: 4003 });
    await b.until("STABLE", 2);
  });

  test("[GRP-17] that has not returned what it was sent is removed as well", async () => {
    const { topic, group, a, b, startMs } = await settledPair(interrupt);
    await produce(topic.name, [{ value: "in hand", partition: a.partitions[0] as number }]);
    await group.advance(startMs + 5 * MINUTE_MS);
    expect(await group.members()).toHaveLength(2); // It works on it for long, and is heard from.
    a.fallSilent();
    await group.advance(startMs + 5 * MINUTE_MS + 2 * SESSION_MS + GRACE_MS);
    expect(await a.socket.closed).toMatchObject({ code: 4003 });
    await b.until("STABLE", 2);
  });

  test("[GRP-17] that has left, and reads on, is cut off, and no alarm rings for it again", async () => {
    const { topic, group, a, startMs } = await settledPair(interrupt);
    const partition = a.partitions[0] as number;
    const reader = await a.attach(topic, partition);
    a.socket.send({ type: "leave" });
    await a.socket.closed;
    a.fallSilent();
    await produce(topic.name, [{ value: "too much at once", partition }]);
    await group.advance(startMs + 2 * SESSION_MS);
    expect(await reader.closed).toMatchObject({ code: 4001 });
    const before = reported;
    await group.advance(startMs + 10 * SESSION_MS);
    expect(reported).toBe(before);
  });

  test("[GRP-7] [GRP-17] that is silent and has nothing to read stays until the safety alarm", async () => {
    const { group, a, b, startMs } = await settledPair(interrupt);
    a.fallSilent();
    const safetyMs = (await alarmOf(group.stub)) ?? 0;
    expect(safetyMs).toBeGreaterThan(startMs + SESSION_MS);
    await group.advance(safetyMs - 1);
    expect(await group.members()).toHaveLength(2);
    expect(safetyMs).toBeLessThanOrEqual(startMs + SAFETY_ALARM_MS);
    await group.advance(safetyMs);
    expect(await a.socket.closed).toMatchObject({ code: 4003 });
    await b.until("STABLE", 2);
  });

  test("[GRP-7] that owes partitions is removed when its session ends", async () => {
    const topic = await createTopic(2);
    const group = new TestGroup(interrupt);
    const a = await Member.join(group, topic);
    await group.advance(nowMs + 10 * MINUTE_MS);
    const silentMs = nowMs;
    a.fallSilent();
    turnTo(silentMs + 5_000);
    const b = await Member.join(group, topic);
    await a.until("UNREVOKED_PARTITIONS", 1);
    await group.advance(silentMs + SESSION_MS - 1);
    expect(await group.members()).toHaveLength(2);
    await group.advance(silentMs + SESSION_MS);
    expect(await a.socket.closed).toMatchObject({ code: 4003 });
    await b.until("STABLE", 2);
  });

  test("[GRP-7] that was just given partitions is removed a session timeout later", async () => {
    const { group, a, b, startMs } = await settledPair(interrupt);
    a.fallSilent();
    turnTo(startMs + 5_000);
    b.socket.send({ type: "leave" });
    await a.until("STABLE", 2);
    await group.advance(startMs + SESSION_MS - 1);
    expect(await group.members()).toEqual([a.memberId]);
    // Members that join together share the alarm, so it waits a second.
    await group.advance(startMs + 6_000 + SESSION_MS);
    expect(await group.members()).toEqual([]);
    expect(await a.socket.closed).toMatchObject({ code: 4003 });
  });

  test("[GRP-7] that was just given partitions is removed although the alarm rings for others meanwhile", async () => {
    const { topic, group, a, b, startMs } = await settledPair(interrupt);
    const other = await createTopic(1);
    const poll = { instanceId: "i", topics: [other.name], sessionTimeoutMs: 10_000 };
    await expectStatus(200, "POST", `/v1/groups/${group.id}/poll`, poll);
    a.fallSilent();
    turnTo(startMs + 5_000);
    b.socket.send({ type: "leave" });
    await a.until("STABLE", 2);
    await group.advance(startMs + 20_000);
    expect(group.rings.at(-1)).toBeGreaterThan(startMs + 5_000); // The poller has gone.
    expect(await group.members()).toEqual([a.memberId]);
    await group.advance(startMs + 5_000 + SESSION_MS + GRACE_MS);
    expect(await group.members()).toEqual([]);
    expect(topic.partitions).toBe(2);
  });

  test("[GRP-7] that is silent is found by the commit of another", async () => {
    const { topic, group, a, b, startMs } = await settledPair(interrupt);
    a.fallSilent();
    await group.advance(startMs + 5 * MINUTE_MS);
    expect(await group.members()).toHaveLength(2);
    await b.commit(topic);
    await group.advance(startMs + 5 * MINUTE_MS + GRACE_MS - 1);
    expect(await group.members()).toHaveLength(2);
    await group.advance(startMs + 5 * MINUTE_MS + GRACE_MS);
    expect(await a.socket.closed).toMatchObject({ code: 4003 });
    await b.until("STABLE", 2);
  });

  test("[GRP-7] that stood still, and is found, stays if its next heartbeat is heard", async () => {
    const { topic, group, a, b, startMs } = await settledPair(interrupt);
    a.fallSilent();
    await group.advance(startMs + 5 * MINUTE_MS);
    await b.commit(topic);
    a.goOn();
    await group.advance(startMs + 5 * MINUTE_MS + 2 * GRACE_MS);
    expect(await group.members()).toEqual([a.memberId, b.memberId].sort());
    expect(a.socket.received.at(-1)).toMatchObject({ type: "assignment" });
  });

  test("[GRP-11] [COST-1] in a quiet group wakes nobody for half an hour", async () => {
    const { group, a, b, startMs } = await settledPair(interrupt);
    const before = group.rings.length;
    const dayMs = 24 * 60 * MINUTE_MS;
    await group.advance(startMs + dayMs);
    const rings = group.rings.slice(before);
    expect(rings.length).toBeLessThanOrEqual(dayMs / SAFETY_ALARM_MS);
    for (const [index, atMs] of rings.entries())
      if (index > 0) expect(atMs - (rings[index - 1] ?? 0)).toBeGreaterThanOrEqual(SAFETY_ALARM_MS);
    expect((await alarmOf(group.stub)) ?? 0).toBeGreaterThan(rings.at(-1) ?? 0);
    expect(await group.members()).toEqual([a.memberId, b.memberId].sort());
  });
});

describe.each(TWINS)("a member that polls$when", ({ interrupt }) => {
  test("[GRP-7] [POL-1] is removed a session timeout after its last poll, and not before", async () => {
    const { topic, group, a, b, startMs } = await settledPair(interrupt);
    const poll = () =>
      expectStatus(200, "POST", `/v1/groups/${group.id}/poll`, {
        ...{ instanceId: "i", topics: [topic.name], sessionTimeoutMs: SESSION_MS },
      });
    await poll();
    await group.advance(startMs + 30_000);
    await poll();
    await group.advance(startMs + 30_000 + SESSION_MS - 1);
    expect(await group.members()).toHaveLength(3);
    await group.advance(startMs + 30_000 + SESSION_MS);
    expect(await group.members()).toEqual([a.memberId, b.memberId].sort());
  });
});

describe.each(
  TWINS.flatMap(({ when, interrupt }) =>
    WATCHED_KINDS.map(({ kind, join }) => ({ kind: `${kind}${when}`, interrupt, join })),
  ),
)("$kind", ({ interrupt, join }) => {
  /** One that a connection watches for, and reports alive. */
  const watched = async () => {
    const group = new TestGroup(interrupt);
    const memberId = await join(group.stub, SESSION_MS);
    const socket = await watch(group.stub, memberId);
    const client = { names: [memberId] };
    living.add(client);
    await group.advance(nowMs + 10 * MINUTE_MS);
    expect(await group.members()).toEqual([memberId]);
    return { group, memberId, socket, client, startMs: nowMs };
  };

  test("[KFK-20] [GRP-7] whose watch is silent is removed when its session ends", async () => {
    const { group, client, startMs } = await watched();
    living.delete(client);
    await group.advance(startMs + SESSION_MS - 1);
    expect(await group.members()).toHaveLength(1);
    await group.advance(startMs + SESSION_MS);
    expect(await group.members()).toEqual([]);
  });

  test("[KFK-20] [GRP-7] whose watch is lost is removed a session timeout later", async () => {
    const { group, client, socket, startMs } = await watched();
    living.delete(client);
    turnTo(startMs + 5_000);
    socket.close(1000);
    await eventually(() => group.hasNotedLoss(), "the loss to be noted");
    await group.advance(startMs + 5_000 + SESSION_MS - 1);
    expect(await group.members()).toHaveLength(1);
    await group.advance(startMs + 5_000 + SESSION_MS);
    expect(await group.members()).toEqual([]);
  });

  test("[KFK-20] [COST-1] whose watch is heard costs one alarm in a session timeout, which reads no member", async () => {
    const { group, memberId, startMs } = await watched();
    const before = group.rings.length;
    await group.advance(startMs + 10 * SESSION_MS);
    expect(group.rings.length - before).toBeLessThanOrEqual(10 + 1);
    const dueMs = (await alarmOf(group.stub)) ?? 0;
    turnTo(dueMs);
    await group.sleep();
    const { read, written, statements } = await meteredFromStart(group.stub, () =>
      runDurableObjectAlarm(group.stub),
    );
    expect(read, statements.join("\n")).toBeLessThanOrEqual(50);
    expect(written, statements.join("\n")).toBe(1); // The next alarm.
    expect(statements.filter((each) => / json FROM stored_members/.test(each))).toEqual([]);
    expect(await group.members()).toEqual([memberId]);
  });
});

describe("a watched member that is silent because it is not asked", () => {
  /** Rings at most this often: for each of two members, once in a session timeout. */
  const mostRings = (ms: number) => 2 * Math.ceil(ms / SESSION_MS);
  const never = async () => {};

  test("[CLS-3] [KFK-20] since it waits for others stays, and no alarm rings all the time", async () => {
    const group = new TestGroup(never);
    const { stub } = group;
    const timeoutMs = 5 * MINUTE_MS;
    const timeouts = { sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: timeoutMs };
    const join = (memberId: string, newMemberId: string) =>
      stub.joinClassic({ ...CLASSIC_JOIN, ...timeouts, memberId, newMemberId });
    const sync = (memberId: string, generation: number) =>
      stub.syncClassic({
        ...{ memberId, generation, instanceId: null, protocolType: null, protocolName: null },
        assignments: ["a", "b"].map((each) => ({ memberId: each, assignment: new Uint8Array() })),
      });
    await join("", "a");
    await sync("a", 1);
    const joined = join("", "b");
    await eventually(async () => (await group.members()).length === 2, "the other to be there");
    await Promise.all([joined, join("a", "")]);
    await Promise.all([sync("a", 2), sync("b", 2)]);
    for (const memberId of ["a", "b"]) await watch(group.stub, memberId);
    living.add({ names: ["b"] }); // It is heard from, and does not join again.
    await group.advance(nowMs + 5_000);
    const startMs = nowMs;
    let answered = false;
    const waits = join("a", "").then((answer) => {
      answered = true;
      return answer;
    });
    await eventually(
      async () => (await stub.describeClassic()).groupState === "PreparingRebalance",
      "the rebalance to begin",
    );
    const before = group.rings.length;
    await group.advance(startMs + 4 * MINUTE_MS);
    expect(group.rings.length - before).toBeLessThanOrEqual(mostRings(4 * MINUTE_MS));
    expect(await group.members()).toEqual(["a", "b"]);
    expect(answered).toBe(false);
    await group.advance(startMs + timeoutMs + SESSION_MS);
    expect(await waits).toMatchObject({ errorCode: 0, generation: 3 });
  });

  test("[KFK-20] [KCG-1] since it asks the group itself stays, and no alarm rings all the time", async () => {
    const group = new TestGroup(never);
    const { name } = await createTopic(1);
    expect(await group.stub.heartbeat(nativeJoin("m", name))).toMatchObject({ ok: true });
    await watch(group.stub, "m");
    const startMs = nowMs;
    for (let ms = 10_000; ms <= 5 * MINUTE_MS; ms += 10_000) {
      await group.advance(startMs + ms);
      expect(await group.stub.heartbeat(nativeBeat("m", 1))).toMatchObject({ ok: true });
    }
    expect(group.rings.length).toBeLessThanOrEqual(mostRings(5 * MINUTE_MS));
    expect(await group.members()).toEqual(["m"]);
  });
});
