// The calls of Kafka clients to a group, over the real parts of its object except the object itself, which needs the Workers
// runtime. The test sets the cluster's responses, and sees what the group stores and lists.

import { afterEach, beforeEach, vi } from "vitest";
import { GroupClock } from "../../durable-objects/group/group-clock.ts";
import { GroupKeeper } from "../../durable-objects/group/group-keeper.ts";
import { type Cluster, GroupServer } from "../../durable-objects/group/group-server.ts";
import { GroupStore } from "../../durable-objects/group/group-store.ts";
import { Presence } from "../../durable-objects/group/presence.ts";
import type { Sql, SqlValue, Transactional } from "../../durable-objects/shared/sql.ts";
import type { GroupCalls, HeartbeatReply, HeartbeatRequest } from "../../src/calls/group-calls.ts";
import {
  codeOfFailure,
  codeOfOutcome,
  type JoinedReply,
  joinedReply,
  type SyncedReply,
  syncedReply,
} from "../../src/calls/kafka-replies.ts";
import {
  type BrokerError,
  type Failure,
  fail,
  KAFKA_ERRORS,
  type Result,
  unwrap,
} from "../../src/core/errors.ts";
import { unknownGroup, whyNotFetch } from "../../src/core/group/admission.ts";
import { readAssignment } from "../../src/core/group/classic-assignment.ts";
import type { ClassicState } from "../../src/core/group/classic-state.ts";
import {
  describeClassic,
  describeConsumers,
  positionsOf,
  summaryOf,
} from "../../src/core/group/describe.ts";
import type { Lookup } from "../../src/core/group/group.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import { fromSet, toSet } from "../../src/core/group/partition-key.ts";
import type {
  ClassicJoin,
  ClassicLeave,
  ClassicSync,
  ClassicToken,
  Found,
  NamedOffset,
} from "../../src/core/group/requests.ts";
import type { GroupState, GroupTopic } from "../../src/core/group/state.ts";
import { subscribes } from "../../src/core/group/topic-pattern.ts";
import { DEFAULT_SESSION_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { TopicPartition } from "../../src/core/record.ts";
import { consumerAssignment } from "./classic-bytes.ts";
import { FakeObjectSockets } from "./fake-object-sockets.ts";
import { fakeSocket, type TestedSocket } from "./fake-socket.ts";
import { nodeSql } from "./node-sql.ts";
import { plain } from "./plain-state.ts";

/** For every test of a file: Date stands still until the test sets it. */
export function standingDate(): void {
  beforeEach(() => void vi.useFakeTimers({ now: 1_700_000_000_000, toFake: ["Date"] }));
  afterEach(() => void vi.useRealTimers());
}

/** The wall clock is Date.now(), which the test may set. */
export const DATE_SQL: Sql = {
  exec<Row extends Record<string, SqlValue>>() {
    return [{ ms: Date.now() } as unknown as Row];
  },
};

/** Storage that outlives the group's object. It refuses what the test wants it to refuse. */
class RigStorage implements Transactional {
  /** The error with which storage refuses, if any. */
  error: Error | null = null;
  /** The number of writes of the classic members. */
  classicWrites = 0;
  /** Every request to it. */
  readonly queries: string[] = [];
  readonly #storage = nodeSql();

  readonly sql = {
    /** Its size, which the test sets. */
    databaseSize: 0,
    exec: <Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]) => {
      this.queries.push(query);
      if (query.startsWith("INSERT OR REPLACE INTO classic")) this.classicWrites++;
      return this.#storage.sql.exec<Row>(query, ...bindings);
    },
  };

  transactionSync<T>(body: () => T): T {
    return this.#storage.transactionSync(() => {
      const result = body();
      if (this.error !== null) throw this.error;
      return result;
    });
  }
}

export class KafkaMembersRig implements Cluster {
  /** The topics of the cluster. */
  readonly topics: GroupTopic[] = [
    { name: "t", topicId: "t", partitions: 3 },
    { name: "u", topicId: "u", partitions: 2 },
  ];
  /** The names in each request to the cluster. */
  readonly asked: (readonly string[])[] = [];
  /** The steps in order: "stored", "told" (the members), "unlisted". */
  readonly steps: string[] = [];
  /** The failure with which the cluster responds, if any. */
  refusal: Failure | null = null;
  /** Called when stored data turns out to be damaged. Returns the response to every request from then on. */
  damaged: (error: BrokerError) => BrokerError = (error) => error;
  /** Called while the cluster handles a request. */
  meanwhile: () => void = () => {};
  readonly clock = new GroupClock(DATE_SQL, () => {});
  readonly sockets = new FakeObjectSockets();
  readonly storage = new RigStorage();
  presence = new Presence(this.sockets, this.clock);
  store = new GroupStore(this.storage, "g");
  keeper = this.#newKeeper();
  server = this.#newServer();
  readonly kafka = new KafkaCalls(this);
  #ids = 0;
  #historyRead = 0;

  /** The object is evicted and wakes with its stored data and its sockets. */
  evict(): void {
    this.presence = new Presence(this.sockets, this.clock);
    this.store = new GroupStore(this.storage, "g");
    this.keeper = this.#newKeeper();
    this.server = this.#newServer();
  }

  #newKeeper(): GroupKeeper {
    const { store } = this;
    return new GroupKeeper(
      {
        groupId: "g",
        get attachedMembers() {
          return store.attachedMembers;
        },
        load: () => store.load(),
        whyNoSpace: () => store.whyNoSpace(),
        apply: (events, history, nowMs) => {
          const isStored = store.apply(events, history, nowMs);
          if (isStored) this.steps.push("stored");
          return isStored;
        },
      },
      this.presence,
      this.clock,
      (error) => this.damaged(error),
    );
  }

  #newServer(): GroupServer {
    return new GroupServer(this.keeper, this, async () => void this.steps.push("told"));
  }

  // The cluster.

  async subscribe({ names, pattern, mustExist }: Lookup): Promise<Result<Found>> {
    this.asked.push(names);
    await Promise.resolve();
    this.meanwhile();
    if (this.refusal !== null) return this.refusal;
    const subscription = { topics: names, topicPattern: mustExist ? null : pattern };
    const found = this.topics.filter(({ name }) => subscribes(subscription, name));
    return { ok: true, found, newIncarnation: 1 };
  }

  async unlist(): Promise<void> {
    this.steps.push("unlisted");
  }

  // The group.

  get state(): GroupState {
    return this.keeper.group.state;
  }

  get exists(): boolean {
    return this.keeper.group.exists;
  }

  /** The group as it is stored. */
  get stored(): GroupState {
    return plain(new GroupStore(this.storage, "g").load());
  }

  get classic(): ClassicState {
    return this.state.classic;
  }

  /** Returns the history since the last call. */
  takeHistory(): HistoryEntry[] {
    const all = new GroupStore(this.storage, "g").history(1_000);
    const news = all.slice(this.#historyRead);
    this.#historyRead = all.length;
    return news;
  }

  alterConfig(changes: Readonly<Record<string, unknown>>) {
    return this.keeper.handle({ type: "alterConfig", changes, newIncarnation: 1 });
  }

  changeTopic(name: string, topic: GroupTopic | null): void {
    this.keeper.handle({ type: "changeTopic", name, topic });
  }

  /** A member joins over a socket, as Rivulet's own do. */
  joinNative(memberId: string, options: { instanceId?: string; topics?: string[] } = {}): void {
    const { instanceId = null, topics = ["t"] } = options;
    const request = {
      ...{ memberId, memberEpoch: 0, instanceId, clientId: null, topics, topicPattern: null },
      ...{ sessionTimeoutMs: 45_000, rebalanceTimeoutMs: 60_000, owned: new Set<never>() },
      ...{ polls: false, heartbeats: false },
    };
    const found = this.topics.filter(({ name }) => topics.includes(name));
    const joined = this.keeper.handle({ type: "join", ...request, found, newIncarnation: 1 });
    if (!joined.ok) throw new Error(joined.detail);
  }

  leaveNative(memberId: string): void {
    this.keeper.handle({ type: "leave", memberId });
  }

  classicJoin(options: Partial<ClassicJoin> = {}): ClassicJoin {
    return {
      memberId: "",
      newMemberId: `c${++this.#ids}`,
      instanceId: null,
      clientId: "client",
      clientHost: "/host",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: new Uint8Array([1]) }],
      mustKnowId: false,
      canSkipAssignment: true,
      ...options,
    };
  }

  /** A classic member joins in this turn, without the cluster. */
  joinAtOnce(options: Partial<ClassicJoin> = {}): void {
    const join = this.classicJoin(options);
    void this.keeper.ask({ type: "joinClassic", ...join, newIncarnation: 1 });
  }

  /** A classic member that is alone in the group, and has its assignment. */
  async settledClassic(options: Partial<ClassicJoin> = {}) {
    const { memberId, generation } = await this.kafka.joinClassic(this.classicJoin(options));
    const token = { memberId, instanceId: options.instanceId ?? null, generation };
    await this.syncClassic(token, {});
    return token;
  }

  /** The leader, or another member, syncs. `read`: the partitions of each topic that the leader assigns to itself. */
  syncClassic(
    token: { memberId: string; instanceId: string | null; generation: number },
    read: Readonly<Record<string, readonly number[]>>,
  ) {
    const assignments = [{ memberId: token.memberId, assignment: consumerAssignment(read) }];
    return this.kafka.syncClassic({
      ...token,
      protocolType: null,
      protocolName: null,
      assignments,
    });
  }

  /** Opens a watch for the member, as its connection does. */
  watch(memberId: string): TestedSocket {
    const socket = fakeSocket();
    const { members, classic } = this.state;
    const { sessionTimeoutMs } = members.get(memberId) ??
      classic.members.get(memberId) ?? { sessionTimeoutMs: DEFAULT_SESSION_TIMEOUT_MS };
    this.presence.watch(socket, memberId, sessionTimeoutMs, this.clock.now());
    return socket;
  }

  /** The socket has gone. */
  lose(socket: TestedSocket): void {
    const memberId = this.presence.lost(socket);
    if (memberId !== null) this.keeper.handle({ type: "lost", memberId });
  }
}

/** The calls as group-object.ts answers them. It only converts, and so does this. */
class KafkaCalls {
  readonly #rig: KafkaMembersRig;

  constructor(rig: KafkaMembersRig) {
    this.#rig = rig;
  }

  async joinClassic(request: ClassicJoin): Promise<JoinedReply> {
    const answer = await this.#rig.server.serve({ type: "joinClassic", ...request });
    return joinedReply(answer, request.memberId);
  }

  async syncClassic(request: ClassicSync): Promise<SyncedReply> {
    const { server } = this.#rig;
    const synced = await server.serve({ type: "syncClassic", ...request });
    if (!synced.ok) return syncedReply(synced);
    const assigned = request.assignments.flatMap(({ assignment }) => readAssignment(assignment));
    await server.serve({ type: "learnTopics", names: assigned.map(({ topic }) => topic) });
    return syncedReply(synced);
  }

  async heartbeatClassic(token: ClassicToken): Promise<number> {
    const answer = await this.#rig.server.serve({ type: "heartbeatClassic", ...token });
    return answer.ok ? KAFKA_ERRORS.NONE : codeOfFailure(answer);
  }

  async leaveClassic(members: readonly ClassicLeave[]): Promise<number[]> {
    const answer = await this.#rig.server.serve({ type: "leaveClassic", members });
    return unwrap(answer).outcomes.map(codeOfOutcome);
  }

  async heartbeat({ owned, ...request }: HeartbeatRequest): Promise<Result<HeartbeatReply>> {
    const partitions = owned === null ? null : toSet(owned);
    const heartbeat = { type: "heartbeat", ...request, owned: partitions } as const;
    const answer = await this.#rig.server.serve(heartbeat);
    if (!answer.ok) return answer;
    return { ...answer, assignment: answer.assignment && fromSet(answer.assignment) };
  }

  async commitOffsets(token: ClassicToken, offsets: readonly NamedOffset[]) {
    const answer = await this.#rig.server.serve({ type: "commitOffsets", token, offsets });
    return answer.ok
      ? { errorCode: KAFKA_ERRORS.NONE, errorCodes: answer.outcomes.map(codeOfOutcome) }
      : { errorCode: codeOfFailure(answer), errorCodes: [] };
  }

  async deletePositions(positions: readonly TopicPartition[]): Promise<number | number[]> {
    const { server, exists } = this.#rig;
    const answer = exists
      ? await server.serve({ type: "deletePositions", positions })
      : unknownGroup("g");
    return answer.ok ? answer.outcomes.map(codeOfOutcome) : codeOfFailure(answer);
  }

  committedOffsets(member: Parameters<GroupCalls["committedOffsets"]>[0]["member"]) {
    const { state } = this.#rig;
    const refused = whyNotFetch(state, member);
    return { offsets: refused === null ? positionsOf(state) : codeOfFailure(refused) };
  }

  describeClassic() {
    return describeClassic(this.#rig.state);
  }

  describeConsumers() {
    return describeConsumers(this.#rig.state);
  }

  summary() {
    return summaryOf(this.#rig.state);
  }

  /** True if the member is known to be alive although it has no socket. */
  isHeard(memberId: string): boolean {
    return this.seenMs(memberId) > 0;
  }

  seenMs(memberId: string): number {
    return this.#rig.presence.lastSeenMs(memberId);
  }
}

export const OUT_OF_REACH = fail("COORDINATOR_NOT_AVAILABLE", "the cluster is out of reach");
export const LOST = {
  ...fail("KAFKA_STORAGE_ERROR", "its storage is gone"),
  retriable: false as const,
};

/** A commit without a member. */
export const BY_HAND = { memberId: "", instanceId: null, generation: -1 };

export const offset = (
  topic: string,
  partition = 0,
  more: Partial<NamedOffset> = {},
): NamedOffset => ({
  topic,
  partition,
  offset: 5,
  metadata: "",
  ...more,
});

/** A heartbeat that joins. */
export const beat = (memberId: string, more: Partial<HeartbeatRequest> = {}): HeartbeatRequest => ({
  memberId,
  memberEpoch: 0,
  instanceId: null,
  clientId: null,
  rebalanceTimeoutMs: 60_000,
  topics: ["t"],
  topicPattern: null,
  owned: [],
  ...more,
});
