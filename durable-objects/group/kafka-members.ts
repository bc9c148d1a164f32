// The calls of Kafka's clients to a group: the classic protocol, KIP-848's heartbeat, offsets, descriptions. They come
// from the Worker, which speaks Kafka's protocol (src/worker/kafka/apis). A member without a socket shows that it is alive by
// its calls, and through the connection that watches for it.
import type {
  ClassicLeave,
  HeartbeatAnswer,
  HeartbeatRequest,
  NamedOffset,
} from "../../src/calls/group-calls.ts";
import { whyNotTopicName } from "../../src/core/cluster/topics.ts";
import {
  ERRORS,
  errorOf,
  type Failure,
  fail,
  KAFKA_ERRORS,
  type Result,
} from "../../src/core/errors.ts";
import {
  classicJoinErrorCode,
  committerOf,
  type GroupMembers,
  offsetFetchErrorCode,
  whyNotForgetTopic,
  whyNotNativeJoin,
} from "../../src/core/group/admission.ts";
import {
  type ClassicJoin,
  type ClassicJoined,
  type ClassicSync,
  type ClassicSynced,
  type ClassicToken,
  notJoinedClassic,
} from "../../src/core/group/classic.ts";
import { readAssignment } from "../../src/core/group/classic-assignment.ts";
import type { Coordinator, JoinRequest } from "../../src/core/group/coordinator.ts";
import { describeGroup, type GroupDescription } from "../../src/core/group/describe.ts";
import { applyHeartbeat, type Heartbeat, joinOf } from "../../src/core/group/heartbeat.ts";
import {
  equalSets,
  fromSet,
  parsePartitionKey,
  partitionKey,
  toSet,
} from "../../src/core/group/partition-key.ts";
import type { GroupEvent, GroupTopic, Member } from "../../src/core/group/state.ts";
import { whyNotTopicPattern } from "../../src/core/group/topic-pattern.ts";
import { MAX_OFFSET_METADATA_LENGTH, MAX_TOPICS_PER_MEMBER } from "../../src/core/limits.ts";
import { heartbeatIntervalMs } from "../../src/protocol/heartbeat.ts";
import type { ClassicMembers } from "./classic-members.ts";
import type { GroupClock } from "./group-clock.ts";
import type { Watchers } from "./watchers.ts";

/** The parts of the group's object that are needed here. */
export interface GroupParts {
  readonly coordinator: Coordinator;
  readonly classic: ClassicMembers;
  subscribe(
    topics: readonly string[],
    topicPattern: string | null,
  ): Promise<Result<{ topics: readonly GroupTopic[] }>>;
  /** Does the same as `subscribe` for topics that exist. Other names leave no trace. */
  learn(topics: readonly string[]): Promise<Result<{ topics: readonly GroupTopic[] }>>;
  /** The members of every kind. */
  members(): GroupMembers;
  whyNotJoin(request: JoinRequest): Failure | null;
  persistAndTell(): Promise<void>;
  unlist(): Promise<void>;
}

export class KafkaMembers {
  readonly #group: GroupParts;
  readonly #watchers: Watchers;
  readonly #clock: GroupClock;
  /** When each member that heartbeats (KIP-848) last did so by a call, and the assignment that it was told. */
  readonly #heardMs = new Map<string, number>();
  readonly #lastSent = new Map<string, string>();

  constructor(group: GroupParts, watchers: Watchers, clock: GroupClock) {
    this.#group = group;
    this.#watchers = watchers;
    this.#clock = clock;
  }

  // Signs of life.

  /** True if the member is known to be alive although it has no socket. */
  isHeard(memberId: string): boolean {
    return this.#heardMs.has(memberId) || this.#watchers.has(memberId);
  }

  seenMs(memberId: string): number {
    return Math.max(this.#heardMs.get(memberId) ?? 0, this.#watchers.seenMs(memberId));
  }

  /** [CLK-4] Starts all sessions anew. */
  beginSessionsAnew(nowMs: number): void {
    for (const memberId of this.#heardMs.keys()) this.#heardMs.set(memberId, nowMs);
    this.#watchers.beginSessionsAnew(nowMs);
  }

  /** Handles a member whose watching connection has gone. Its session ends in time, unless the member is heard from. */
  unwatched(memberId: string, nowMs: number): void {
    this.#heardMs.delete(memberId);
    this.#group.coordinator.disconnect(memberId, nowMs);
    this.#group.classic.unwatched(memberId, nowMs);
  }

  /** Makes the next heartbeats of changed members come to the group, and forgets members that have gone. */
  notify(events: readonly GroupEvent[]): void {
    for (const event of events) {
      if (event.type === "member") this.#watchers.notify(event.member.memberId);
      if (event.type !== "member-removed") continue;
      this.#watchers.notify(event.memberId);
      this.#heardMs.delete(event.memberId);
      this.#lastSent.delete(event.memberId);
    }
  }

  // The classic protocol.

  /** [CLS-1] Answers when everyone has joined, or has been waited for long enough. */
  async joinClassic(request: ClassicJoin): Promise<ClassicJoined> {
    const group = this.#group;
    const refused = this.#refuseClassic(request);
    if (refused !== null) return refused;
    // [CLS-10] Only a member brings the group into being.
    const mayMakeGroup = !group.coordinator.exists && group.classic.group.mayAddMember(request);
    if (mayMakeGroup) {
      const listed = await group.subscribe([], null);
      if (!listed.ok) {
        throwIfLost(listed);
        return notJoinedClassic(ERRORS.COORDINATOR_NOT_AVAILABLE.code, request.memberId);
      }
      const refusedNow = this.#refuseClassic(request); // Others may have joined meanwhile.
      if (refusedNow !== null) return refusedNow;
    }
    const joined = group.classic.join(request, group.coordinator.config.maxSize, this.#clock.now());
    await group.persistAndTell();
    if (mayMakeGroup && !group.coordinator.exists) await group.unlist();
    return joined;
  }

  #refuseClassic({ sessionTimeoutMs, memberId }: ClassicJoin): ClassicJoined | null {
    const { config } = this.#group.coordinator;
    const isLegal =
      sessionTimeoutMs >= config.minSessionTimeoutMs &&
      sessionTimeoutMs <= config.maxSessionTimeoutMs;
    if (!isLegal) return notJoinedClassic(ERRORS.INVALID_SESSION_TIMEOUT.code, memberId);
    const refused = classicJoinErrorCode(this.#group.members());
    return refused === KAFKA_ERRORS.NONE ? null : notJoinedClassic(refused, memberId);
  }

  async syncClassic(request: ClassicSync): Promise<ClassicSynced> {
    const synced = this.#group.classic.sync(request, this.#clock.now());
    await this.#group.persistAndTell();
    const assigned = request.assignments.flatMap(({ assignment }) => readAssignment(assignment));
    await this.#learn(assigned.map(({ topic }) => topic));
    return synced;
  }

  /** [CLS-8] Learns topics that are read, with all their partitions, before anything in them is committed. */
  async #learn(topics: readonly string[]): Promise<void> {
    const unknown = this.#unknown(topics).slice(0, MAX_TOPICS_PER_MEMBER);
    if (unknown.length === 0) return;
    const found = await this.#group.learn(unknown);
    if (!found.ok) return; // The next assignment or commit tries again.
    this.#group.coordinator.offsets.commitClassic([], found.topics, this.#clock.now());
    await this.#group.persistAndTell();
  }

  async heartbeatClassic(token: ClassicToken): Promise<number> {
    const errorCode = this.#group.classic.heartbeat(token, this.#clock.now());
    await this.#group.persistAndTell();
    return errorCode;
  }

  async leaveClassic(members: readonly ClassicLeave[]): Promise<number[]> {
    const nowMs = this.#clock.now();
    const errorCodes = members.map(({ memberId, instanceId }) =>
      memberId === "" && this.#leaveNative(instanceId, nowMs)
        ? KAFKA_ERRORS.NONE
        : this.#group.classic.leave(memberId, instanceId, nowMs),
    );
    await this.#group.persistAndTell();
    return errorCodes;
  }

  /**
   * [CLS-12] Removes a native static member that is named by its instance id alone, as Kafka's admins do. By a member id
   * nobody may speak for a member that joined in another way [GRP-15].
   */
  #leaveNative(instanceId: string | null, nowMs: number): boolean {
    if (instanceId === null) return false;
    const { coordinator } = this.#group;
    for (const member of coordinator.state.members.values()) {
      if (member.instanceId !== instanceId) continue;
      coordinator.leave(member.memberId, nowMs);
      return true;
    }
    return false;
  }

  /** Returns the topics that the cluster has to be asked for. A topic with an illegal name cannot exist anywhere. */
  #unknown(topics: readonly string[]): string[] {
    const names = new Set(topics.filter((name) => whyNotTopicName(name) === null));
    return [...names.difference(this.#group.coordinator.state.topics)];
  }

  // KIP-848.

  /** [KCG-1] Answers a heartbeat. The assignment is included if it is news to the member. */
  async heartbeat(request: HeartbeatRequest): Promise<Result<HeartbeatAnswer>> {
    const group = this.#group;
    const heartbeat = { ...request, owned: request.owned === null ? null : toSet(request.owned) };
    const { memberId, memberEpoch } = heartbeat;
    const join = joinOf(group.coordinator, heartbeat);
    let topics: readonly GroupTopic[] = [];
    if (join !== null) {
      const refused = group.whyNotJoin(join) ?? whyNotTopicPattern(join.topicPattern);
      if (refused !== null) return refused;
      const subscribed = await group.subscribe(join.topics, join.topicPattern);
      if (!subscribed.ok) return subscribed;
      topics = subscribed.topics;
      const refusedNow = whyNotNativeJoin(group.members());
      if (refusedNow !== null) return refusedNow;
    }
    const result = applyHeartbeat(group.coordinator, heartbeat, join, topics, this.#clock.now());
    if (result.ok && result.member !== null) this.#heardMs.set(memberId, this.#clock.now());
    else this.#heardMs.delete(memberId);
    await group.persistAndTell();
    if (!group.coordinator.exists) await group.unlist();
    if (!result.ok) return result;
    const { member } = result;
    if (member === null) return { ok: true, memberEpoch, heartbeatIntervalMs: 0, assignment: null };
    const assignment = fromSet(member.assigned);
    const told = JSON.stringify(assignment);
    // It is also news to a member that may have missed an answer. Such a member asks in full,
    // at an epoch before its own (0 if it joins), or owns something else.
    const isNews =
      isFull(heartbeat) ||
      memberEpoch < member.memberEpoch ||
      this.#lastSent.get(memberId) !== told ||
      (heartbeat.owned !== null && !equalSets(heartbeat.owned, member.assigned));
    this.#lastSent.set(memberId, told);
    return {
      ok: true,
      memberEpoch: member.memberEpoch,
      heartbeatIntervalMs: this.heartbeatIntervalMs(member),
      assignment: isNews ? assignment : null,
    };
  }

  /** [GCF-5] Three heartbeats fit into any session. A native member waits no longer than its protocol says. */
  heartbeatIntervalMs({
    sessionTimeoutMs,
    heartbeats,
  }: Pick<Member, "sessionTimeoutMs" | "heartbeats">): number {
    const atMostMs = heartbeats
      ? Math.floor(sessionTimeoutMs / 3)
      : heartbeatIntervalMs(sessionTimeoutMs);
    return Math.min(atMostMs, this.#group.coordinator.config.heartbeatIntervalMs);
  }

  // Offsets.

  /**
   * [CLS-6] Commits offsets. `errorCode` refuses all of them. Otherwise each has its own code. [GRP-13] If nothing is
   * committed, nothing is created: neither a group nor a topic in it.
   */
  async commitOffsets(
    token: ClassicToken,
    offsets: readonly NamedOffset[],
  ): Promise<{ errorCode: number; errorCodes: number[] }> {
    const group = this.#group;
    const before = committerOf(group.members(), token);
    if (before.kind === "refused") return { errorCode: before.errorCode, errorCodes: [] };
    const illegal = offsets.map(offsetErrorCode);
    const legal = offsets.filter((_, i) => illegal[i] === KAFKA_ERRORS.NONE);
    const unknown = this.#unknown(legal.map(({ topic }) => topic));
    const learned = unknown.length === 0 ? null : await group.learn(unknown);
    if (learned?.ok === false) {
      throwIfLost(learned);
      return { errorCode: ERRORS.COORDINATOR_NOT_AVAILABLE.code, errorCodes: [] };
    }
    // Checks again. The member may have left or lost its generation meanwhile, and others may have joined.
    const committer = committerOf(group.members(), token);
    if (committer.kind === "refused") {
      if (!group.coordinator.exists) await group.unlist();
      return { errorCode: committer.errorCode, errorCodes: [] };
    }
    const found = learned?.topics ?? [];
    const ids = new Map(
      [...group.coordinator.state.topics.values(), ...found].map((topic) => [topic.name, topic]),
    );
    const isGone = ({ topic }: NamedOffset) =>
      committer.kind === "classic" && group.classic.group.isTopicGone(topic);
    const wrong = offsets.map((each, i) =>
      isGone(each) ? KAFKA_ERRORS.ILLEGAL_GENERATION : (illegal[i] ?? KAFKA_ERRORS.NONE),
    );
    const fitting = offsets.filter((_, i) => wrong[i] === KAFKA_ERRORS.NONE);
    const committed = new Set<string>();
    const commits = fitting.map(({ topic, partition, offset, metadata, leaderEpoch }) => {
      const known = ids.get(topic);
      const isThere = known !== undefined && partition >= 0 && partition < known.partitions;
      if (isThere) committed.add(topic);
      const key = partitionKey(isThere ? known.topicId : "", partition);
      const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
      return { key, offset, metadata, ...epoch, isRewind: true };
    });
    const nowMs = this.#clock.now();
    if (committer.kind === "manual" && committed.size > 0)
      group.coordinator.setOccupied(false, nowMs);
    const news = found.filter(({ name }) => committed.has(name));
    const { offsets: positions } = group.coordinator;
    const result =
      committer.kind === "native"
        ? positions.commitSince(token.memberId, token.generation, commits, nowMs)
        : { ok: true as const, rejected: positions.commitClassic(commits, news, nowMs) };
    await group.persistAndTell();
    if (!group.coordinator.exists && learned !== null) await group.unlist();
    if (!result.ok) return { errorCode: ERRORS[result.error].code, errorCodes: [] };
    const rejected = new Map(result.rejected.map(({ key, error }) => [key, ERRORS[error].code]));
    const outcomes = commits.map(({ key }) => rejected.get(key) ?? KAFKA_ERRORS.NONE).values();
    return {
      errorCode: KAFKA_ERRORS.NONE,
      errorCodes: wrong.map((code) =>
        code === KAFKA_ERRORS.NONE ? (outcomes.next().value ?? code) : code,
      ),
    };
  }

  /** Forgets these positions. A topic that is subscribed to is refused with GROUP_SUBSCRIBED_TO_TOPIC. */
  async deletePositions(
    positions: readonly { readonly topic: string; readonly partition: number }[],
  ): Promise<number | number[]> {
    const { coordinator } = this.#group;
    if (!coordinator.exists) return ERRORS.GROUP_ID_NOT_FOUND.code;
    const group = this.#group.members();
    const topics = new Set(positions.map(({ topic }) => topic));
    const refusals = new Map([...topics].map((topic) => [topic, whyNotForgetTopic(group, topic)]));
    if ([...refusals.values()].some((refused) => refused?.error === "NON_EMPTY_GROUP"))
      return ERRORS.NON_EMPTY_GROUP.code;
    const errorCodes = positions.map(({ topic, partition }) => {
      const deleted = refusals.get(topic) ?? coordinator.offsets.deletePosition(topic, partition);
      return deleted.ok ? KAFKA_ERRORS.NONE : ERRORS[deleted.error].code;
    });
    await this.#group.persistAndTell();
    return errorCodes;
  }

  /**
   * Returns the committed offsets by topic and partition, or an error code.
   * In a native group, a `member` that asks must be in the group (KIP-848).
   */
  committedOffsets(member: { memberId: string; memberEpoch: number } | null): {
    offsets: number | NamedOffset[];
  } {
    const { offsets, topics } = this.#group.coordinator.state;
    const refused =
      member === null ? KAFKA_ERRORS.NONE : offsetFetchErrorCode(this.#group.members(), member);
    if (refused !== KAFKA_ERRORS.NONE) return { offsets: refused };
    const names = new Map([...topics.values()].map(({ topicId, name }) => [topicId, name]));
    return {
      offsets: [...offsets].map(([key, { offset, metadata, leaderEpoch }]) => {
        const { topicId, partition } = parsePartitionKey(key);
        const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
        return { topic: names.get(topicId) ?? "", partition, offset, metadata, ...epoch };
      }),
    };
  }

  // Descriptions.

  /**
   * Describes the group as Kafka's DescribeGroups does. A group that does
   * not exist, or has members of the other kind, is Dead.
   */
  describeClassic() {
    const { coordinator, classic } = this.#group;
    const { members, phase, protocolType, protocolName } = classic.group;
    const isThere = coordinator.exists && coordinator.state.members.size === 0;
    return {
      groupState: isThere ? CLASSIC_STATES[phase] : "Dead",
      protocolType: protocolType ?? (coordinator.exists ? "consumer" : ""),
      protocolData: protocolName ?? "",
      members: [...members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        memberMetadata:
          member.protocols.find(({ name }) => name === protocolName)?.metadata ?? new Uint8Array(),
        memberAssignment: member.assignment,
      })),
    };
  }

  /**
   * Describes the group as Kafka's ConsumerGroupDescribe does: the
   * members that are not classic, and their subscriptions.
   */
  describeConsumers(): Result<{
    group: GroupDescription;
    subscriptions: Record<string, { topics: readonly string[]; topicPattern: string | null }>;
  }> {
    const { coordinator, classic } = this.#group;
    if (!coordinator.exists || classic.group.members.size > 0)
      return fail("GROUP_ID_NOT_FOUND", "there is no group of this kind and name");
    const subscriptions = Object.fromEntries(
      [...coordinator.state.members].map(([memberId, { topics, topicPattern }]) => [
        memberId,
        { topics, topicPattern },
      ]),
    );
    return { ok: true, group: describeGroup(coordinator, classic.group), subscriptions };
  }

  /** Describes the group as Kafka's ListGroups does. Null if there is none. */
  summary(): { protocolType: string; groupState: string; groupType: string } | null {
    const { coordinator, classic } = this.#group;
    if (!coordinator.exists) return null;
    const { members, phase, protocolType, generation } = classic.group;
    // The last members were classic, and no other member has joined since.
    const wasClassic = coordinator.state.groupEpoch === 0 && generation > 0;
    if (members.size > 0 || wasClassic)
      return {
        protocolType: protocolType ?? "consumer",
        groupState: CLASSIC_STATES[phase],
        groupType: "classic",
      };
    const name = coordinator.stateName.toLowerCase();
    const groupState = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
    return { protocolType: "consumer", groupState, groupType: "consumer" };
  }
}

/**
 * [FIL-6] Throws if the group's data is lost. Clients must not be told to try again, because that would mend nothing.
 */
function throwIfLost(failure: Failure): void {
  if (failure.error === "KAFKA_STORAGE_ERROR") throw errorOf(failure);
}

function offsetErrorCode({ offset, metadata }: NamedOffset): number {
  if (!Number.isSafeInteger(offset) || offset < 0) return ERRORS.INVALID_REQUEST.code;
  return metadata.length > MAX_OFFSET_METADATA_LENGTH
    ? KAFKA_ERRORS.OFFSET_METADATA_TOO_LARGE
    : KAFKA_ERRORS.NONE;
}

/** KIP-848: a member that states everything is told everything. */
function isFull({ rebalanceTimeoutMs, topics, topicPattern, owned }: Heartbeat): boolean {
  const isSubscribing = topics !== null || topicPattern !== null;
  return rebalanceTimeoutMs > 0 && isSubscribing && owned !== null;
}

/** The states in Kafka's words. */
const CLASSIC_STATES = {
  EMPTY: "Empty",
  PREPARING: "PreparingRebalance",
  COMPLETING: "CompletingRebalance",
  STABLE: "Stable",
} as const;
