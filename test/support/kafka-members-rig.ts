// The members of a group that speak Kafka's protocol, over a real coordinator and a real classic group, but without an
// object around them: the test says what the cluster answers, and sees what the group stores and lists.

import { afterEach, beforeEach, vi } from "vitest";
import { ClassicMembers, type ClassicStore } from "../../durable-objects/group/classic-members.ts";
import { GroupClock } from "../../durable-objects/group/group-clock.ts";
import { type GroupParts, KafkaMembers } from "../../durable-objects/group/kafka-members.ts";
import { Watchers } from "../../durable-objects/group/watchers.ts";
import type { ObjectSockets } from "../../durable-objects/shared/socket.ts";
import type { Sql, SqlValue } from "../../durable-objects/shared/sql.ts";
import type { HeartbeatRequest, NamedOffset } from "../../src/calls/group-calls.ts";
import { type Failure, fail, type Result } from "../../src/core/errors.ts";
import { type GroupMembers, whyNotNativeJoin } from "../../src/core/group/admission.ts";
import type { ClassicJoin, ClassicState } from "../../src/core/group/classic.ts";
import { Coordinator } from "../../src/core/group/coordinator.ts";
import { emptyGroup, type GroupTopic } from "../../src/core/group/state.ts";
import { subscribes } from "../../src/core/group/topic-pattern.ts";
import { consumerAssignment } from "./classic-bytes.ts";
import { fakeSocket, type TestedSocket } from "./fake-socket.ts";

/** For every test of a file: Date stands until the test sets it. */
export function standingDate(): void {
  beforeEach(() => void vi.useFakeTimers({ now: 1_700_000_000_000, toFake: ["Date"] }));
  afterEach(() => void vi.useRealTimers());
}

/** The wall clock is Date.now(), which the test may set. */
const sql: Sql = {
  exec<Row extends Record<string, SqlValue>>() {
    return [{ ms: Date.now() } as unknown as Row];
  },
};

export class KafkaMembersRig {
  readonly coordinator = new Coordinator(emptyGroup("g"));
  /** The topics of the cluster. */
  readonly topics: GroupTopic[] = [
    { name: "t", topicId: "t", partitions: 3 },
    { name: "u", topicId: "u", partitions: 2 },
  ];
  /** The names that the cluster was asked for, call by call. */
  readonly asked: (readonly string[])[] = [];
  /** What happened, in order: "stored", "unlisted". */
  readonly steps: string[] = [];
  /** The cluster answers with this failure if there is one. */
  refusal: Failure | null = null;
  /** Called while the cluster is asked. */
  meanwhile: () => void = () => {};
  readonly clock = new GroupClock(sql, () => {});
  readonly sockets: TestedSocket[] = [];
  readonly tags = new Map<WebSocket, readonly string[]>();
  readonly alive = new Map<WebSocket, Date>();
  watchers = this.newWatchers();
  classicState: ClassicState | null = null;
  /** The storage refuses with it if there is one. */
  storageError: Error | null = null;
  classicWrites = 0;
  classic = this.newClassic();
  kafka = this.newKafka();
  #ids = 0;

  newWatchers(): Watchers {
    const sockets: ObjectSockets = {
      acceptWebSocket: (socket, tags) => {
        this.sockets.push(socket as TestedSocket);
        this.tags.set(socket, tags);
      },
      getWebSockets: (tag) => this.sockets.filter((each) => this.tags.get(each)?.includes(tag)),
      getWebSocketAutoResponseTimestamp: (socket) => this.alive.get(socket) ?? null,
    };
    return new Watchers(sockets, this.clock);
  }

  newClassic(): ClassicMembers {
    const store: ClassicStore = {
      loadClassic: () => this.classicState,
      setClassic: (state) => {
        if (this.storageError !== null) throw this.storageError;
        this.classicWrites++;
        this.classicState = structuredClone(state);
      },
    };
    return new ClassicMembers(store, this.watchers, this.clock, () => {
      const isOccupied = this.classic.group.members.size > 0;
      if (isOccupied || this.coordinator.exists)
        this.coordinator.setOccupied(isOccupied, this.clock.now());
    });
  }

  newKafka(): KafkaMembers {
    const rig = this;
    const parts: GroupParts = {
      get coordinator() {
        return rig.coordinator;
      },
      get classic() {
        return rig.classic;
      },
      members: () => this.members,
      subscribe: (names, pattern) => this.#find(names, pattern),
      learn: (names) => this.#find(names, null),
      whyNotJoin: (request) =>
        whyNotNativeJoin(this.members) ?? this.coordinator.whyNotJoin(request),
      persistAndTell: async () => {
        this.steps.push("stored");
        this.kafka.notify(this.coordinator.takeEvents());
      },
      unlist: async () => void this.steps.push("unlisted"),
    };
    return new KafkaMembers(parts, this.watchers, this.clock);
  }

  get members(): GroupMembers {
    return { state: this.coordinator.state, classic: this.classic.group };
  }

  async #find(
    names: readonly string[],
    topicPattern: string | null,
  ): Promise<Result<{ topics: readonly GroupTopic[] }>> {
    this.asked.push(names);
    await Promise.resolve();
    this.meanwhile();
    if (this.refusal !== null) return this.refusal;
    const subscription = { topics: names, topicPattern };
    return { ok: true, topics: this.topics.filter(({ name }) => subscribes(subscription, name)) };
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
    const joined = this.coordinator.join(request, found, this.clock.now());
    if (!joined.ok) throw new Error(joined.detail);
    this.kafka.notify(this.coordinator.takeEvents());
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

  /** A classic member that is alone in the group, and has its assignment. */
  async settledClassic(options: Partial<ClassicJoin> = {}) {
    const { memberId, generation } = await this.kafka.joinClassic(this.classicJoin(options));
    const token = { memberId, instanceId: options.instanceId ?? null, generation };
    await this.syncClassic(token, {});
    return token;
  }

  /** The leader, or another member, syncs. `read`: the partitions of each topic that the leader gives to itself. */
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

  /** Opens a watch for the member, as the connection that serves it does. */
  watch(memberId: string): TestedSocket {
    const socket = fakeSocket();
    this.watchers.accept(socket, memberId, this.clock.now());
    return socket;
  }
}

export const OUT_OF_REACH = fail("COORDINATOR_NOT_AVAILABLE", "the cluster is out of reach");
export const LOST = {
  ...fail("KAFKA_STORAGE_ERROR", "its storage is gone"),
  retriable: false as const,
};

/** A commit by no member. */
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
