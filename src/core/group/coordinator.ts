// The group coordinator: KIP-848's rules as a pure state machine. Each operation returns a result and leaves events
// behind (`takeEvents`). An event is replayed the moment it is emitted, and nothing else changes state. The object
// persists the events in one transaction before it answers anyone. If that fails, it must drop this coordinator and
// load the state anew, because memory is then ahead of storage.

import type { ConfigOverrides } from "../config-table.ts";
import { type Failure, fail, type Result } from "../errors.ts";
import type { GroupStateName } from "../group-info.ts";
import { ASSIGNORS } from "./assignor/assignors.ts";
import {
  changeConfigOf,
  changeGroupConfig,
  type GroupConfig,
  resolveGroupConfig,
  sessionTimeoutOf,
} from "./config.ts";
import { type HistoryEntry, HistoryRecorder } from "./history.ts";
import { GroupOffsets, unknownMember } from "./offsets.ts";
import { EMPTY_SET, equalSets, type PartitionKey, type PartitionSet } from "./partition-key.ts";
import { reconcile } from "./reconcile.ts";
import {
  type GroupEvent,
  type GroupState,
  type GroupTopic,
  hasSubscriber,
  type Member,
  type RemovalReason,
  replay,
  withPartitions,
} from "./state.ts";
import { isSameSubscription, subscribes } from "./topic-pattern.ts";

export interface JoinRequest {
  readonly memberId: string;
  /** 0 joins anew. Above 0 resumes a membership over a new connection. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly clientId: string | null;
  readonly topics: readonly string[];
  /** The caller has checked it. */
  readonly topicPattern: string | null;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** The partitions that the member consumes now. Empty if `memberEpoch` is 0. */
  readonly owned: PartitionSet;
  /** True for a member without a connection. Each join starts its session anew [POL-1]. */
  readonly polls: boolean;
  /** True if it uses Kafka's ConsumerGroupHeartbeat. */
  readonly heartbeats: boolean;
}

/** The records of a partition that a polling member is about to be sent. */
export interface Delivery {
  readonly key: PartitionKey;
  /** The offset at which it begins, unless that is committed. */
  readonly beginOffset: number | null;
  /** The offset after the last record. Null if nothing is sent. */
  readonly nextOffset: number | null;
}

const NOTHING: ReadonlyMap<PartitionKey, number> = new Map();

/** Returns when a connected member was last heard from. */
export type LastSeen = (memberId: string) => number;

export class Coordinator {
  readonly state: GroupState;
  readonly offsets: GroupOffsets;
  /** [CLK-5] The newest incarnation of a group that was deleted. The next one is later, whatever the clock shows. */
  retiredIncarnation = 0;
  #events: GroupEvent[] = [];
  readonly #history = new HistoryRecorder();

  constructor(state: GroupState) {
    this.state = state;
    this.offsets = new GroupOffsets(state, this.#history, (event) => this.#emit(event));
  }

  /** Returns the changes since the last call. They must be persisted before anyone is told. */
  takeEvents(): readonly GroupEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Returns the history since the last call, for people to read. */
  takeHistory(): readonly HistoryEntry[] {
    return this.#history.take();
  }

  get config(): GroupConfig {
    return resolveGroupConfig(this.state.overrides);
  }

  get exists(): boolean {
    return this.state.incarnation !== 0;
  }

  get stateName(): GroupStateName {
    if (this.state.members.size === 0) return "EMPTY";
    if (this.state.groupEpoch > this.state.assignmentEpoch) return "ASSIGNING";
    for (const member of this.state.members.values()) {
      if (!this.#isSettled(member)) return "RECONCILING";
    }
    return "STABLE";
  }

  /**
   * [GRP-3] Lets a member join, rejoin (epoch 0) or resume (epoch > 0). `topics` is the metadata of the subscribed
   * topics that exist. Errors: UNKNOWN_MEMBER_ID and FENCED_MEMBER_EPOCH (rejoin with epoch 0),
   * INVALID_SESSION_TIMEOUT, UNRELEASED_INSTANCE_ID, GROUP_MAX_SIZE_REACHED.
   */
  join(
    request: JoinRequest,
    topics: readonly GroupTopic[],
    nowMs: number,
  ): Result<{ member: Member }> {
    const known = this.state.members.get(request.memberId);
    const refused = this.whyNotJoin(request);
    if (refused !== null) return refused;

    const replaced = known === undefined ? this.#staticHolder(request.instanceId) : undefined;
    if (!this.exists) this.#emitGroup({ incarnation: this.#newIncarnation(nowMs) });
    const subscribed = [...new Set(request.topics)].sort();
    const before = known ?? replaced;
    const memberNumber = known?.memberNumber ?? this.state.nextMemberNumber;
    if (known === undefined)
      this.#emitGroup({ nextMemberNumber: memberNumber + 1, emptySinceMs: null });
    // It has given up the partitions that it no longer consumes, even if it could not say so.
    const revoking = (before?.revoking ?? EMPTY_SET).intersection(request.owned);
    const assigned = before?.assigned ?? EMPTY_SET;
    const isNewLife = request.memberEpoch === 0 && !request.polls;
    const held = {
      memberId: request.memberId,
      memberNumber,
      instanceId: request.instanceId,
      clientId: request.clientId,
      topics: subscribed,
      topicPattern: request.topicPattern,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      memberEpoch: before?.memberEpoch ?? 0,
      state: before?.state ?? ("STABLE" as const),
      assigned,
      revoking,
      assignmentEpochs: isNewLife ? NOTHING : (before?.assignmentEpochs ?? NOTHING),
      delivered: known?.delivered ?? NOTHING,
      refusedAcks: known?.refusedAcks ?? NOTHING,
      revokeDeadlineMs: before?.revokeDeadlineMs ?? null,
      polls: request.polls,
      heartbeats: request.heartbeats,
      silentSinceMs: request.polls ? nowMs : null,
    };
    const member: Member = withPartitions(held, { assigned, revoking }, held.memberEpoch);
    const awaited = new Set(
      topics.map(({ name }) => name).filter((name) => hasSubscriber(this.state, name)),
    );
    if (replaced !== undefined) this.#replaceMember(replaced, member);
    else this.#emit({ type: "member", member });

    const hasNewTopics = this.#updateTopics(topics, ({ name }) => awaited.has(name));
    const hasNewSubscription = before === undefined || !isSameSubscription(before, request);
    if (hasNewTopics || hasNewSubscription) this.#retarget();
    this.#reconcileOne(request.memberId, request.owned, nowMs);
    this.#reconcileAll(nowMs);
    return { ok: true, member: this.#member(request.memberId) };
  }

  /** Returns why a join would be refused now, or null. */
  whyNotJoin(request: JoinRequest): Failure | null {
    const known = this.state.members.get(request.memberId);
    const { minSessionTimeoutMs, maxSessionTimeoutMs, maxSize } = this.config;
    const { sessionTimeoutMs } = request;
    if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
      return fail(
        "INVALID_SESSION_TIMEOUT",
        `sessionTimeoutMs is ${sessionTimeoutMs}, in this group it must be ${minSessionTimeoutMs} to ${maxSessionTimeoutMs}`,
      );
    }
    if (request.memberEpoch > 0 && known === undefined) {
      return fail(
        "UNKNOWN_MEMBER_ID",
        `member ${request.memberId} is not in the group; join with epoch 0`,
      );
    }
    if (known !== undefined && isOtherKind(known, request)) return unknownMember(request.memberId);
    const holder = this.#staticHolder(request.instanceId);
    const isTaken = holder !== undefined && holder !== known;
    // A newcomer replaces a silent holder, but a member that exists beside the holder does not.
    if (isTaken && (holder.silentSinceMs === null || known !== undefined)) {
      return fail(
        "UNRELEASED_INSTANCE_ID",
        `instanceId ${request.instanceId} is held by member ${holder.memberId}`,
      );
    }
    if (known !== undefined && request.memberEpoch > 0) {
      if (request.memberEpoch > known.memberEpoch) {
        return fail(
          "FENCED_MEMBER_EPOCH",
          `memberEpoch ${request.memberEpoch} is ahead of ${known.memberEpoch}; join with epoch 0`,
        );
      }
      // [GRP-4] Partitions that it consumed while away must still be its own, or it would be a second owner.
      if (!request.owned.isSubsetOf(known.assigned.union(known.revoking))) {
        return fail(
          "FENCED_MEMBER_EPOCH",
          "owned names partitions that are no longer the member's; join with epoch 0",
        );
      }
      return null;
    }
    if (known !== undefined) return null;
    if (holder === undefined && this.state.members.size >= maxSize) {
      return fail("GROUP_MAX_SIZE_REACHED", `the group has ${maxSize} members, the bound`);
    }
    return null;
  }

  #staticHolder(instanceId: string | null): Member | undefined {
    if (instanceId === null) return undefined;
    for (const member of this.state.members.values())
      if (member.instanceId === instanceId) return member;
    return undefined;
  }

  /** [GRP-8] Lets a static member come back under a new id. It takes over as it was, without a rebalance. */
  #replaceMember(old: Member, member: Member): void {
    const target = this.state.targets.get(old.memberId) ?? EMPTY_SET;
    this.#emit({ type: "member-removed", memberId: old.memberId, reason: "replaced" });
    this.#emit({ type: "member", member });
    this.#emit({ type: "target", memberId: member.memberId, partitions: target });
  }

  /**
   * [GRP-2] Notes that the member has stopped consuming these partitions and committed what it wanted to commit. Only
   * now may they go to another member. Partitions that it was not told to give up are ignored.
   */
  revoked(memberId: string, partitions: PartitionSet, nowMs: number): Result<object> {
    const member = this.state.members.get(memberId);
    if (member === undefined) return unknownMember(memberId);
    const left = member.revoking.difference(partitions);
    if (left.size === member.revoking.size) return { ok: true };
    const rest = { assigned: member.assigned, revoking: left };
    if (left.size > 0)
      this.#emit({ type: "member", member: withPartitions(member, rest, member.memberEpoch) });
    else this.#reconcileOne(memberId, member.assigned, nowMs);
    this.#reconcileAll(nowMs);
    return { ok: true };
  }

  /**
   * [POL-5] Notes that a polling member is about to be sent records, read for the assignment of `memberEpoch`. Its
   * acknowledgements count up to the ends of these. [POL-4] The beginnings are committed. Returns the partitions that
   * are still the member's own. It must not be sent records of the others.
   */
  deliver(
    memberId: string,
    memberEpoch: number,
    deliveries: readonly Delivery[],
    nowMs: number,
  ): PartitionSet {
    const member = this.state.members.get(memberId);
    const own = deliveries.filter(
      ({ key }) =>
        this.state.owners.get(key) === memberId &&
        (member?.assignmentEpochs.get(key) ?? 0) <= memberEpoch,
    );
    if (member === undefined || own.length === 0) return EMPTY_SET;
    const news = own.filter(
      ({ key, nextOffset }) => nextOffset !== null && nextOffset > (member.delivered.get(key) ?? 0),
    );
    if (news.length > 0) {
      const ends = news.map(({ key, nextOffset }): [PartitionKey, number] => [
        key,
        nextOffset ?? 0,
      ]);
      const delivered = new Map([...member.delivered, ...ends]);
      this.#emit({ type: "member", member: { ...member, delivered } });
    }
    const begun = own.flatMap(({ key, beginOffset }) =>
      beginOffset === null ? [] : [{ key, offset: beginOffset, metadata: "", isRewind: true }],
    );
    this.offsets.commitSince(memberId, memberEpoch, begun, nowMs);
    return new Set(own.map(({ key }) => key));
  }

  /** [GRP-5] Removes a member that leaves, at once. It is not an error if the member is already gone. */
  leave(memberId: string, nowMs: number): void {
    if (this.state.members.has(memberId)) this.#remove([{ memberId, reason: "left" }], nowMs);
  }

  /** [GRP-6] Starts the session timeout after a lost connection. The member keeps everything until it ends. */
  disconnect(memberId: string, nowMs: number): void {
    const member = this.state.members.get(memberId);
    if (member === undefined || member.silentSinceMs !== null) return;
    this.#emit({ type: "member", member: { ...member, silentSinceMs: nowMs } });
  }

  /** [GRP-7] Removes members whose session has ended, or whose time to give up partitions has. */
  expire(lastSeen: LastSeen, nowMs: number): void {
    const removed: { memberId: string; reason: RemovalReason }[] = [];
    for (const member of this.state.members.values()) {
      const { memberId, revokeDeadlineMs } = member;
      if (sessionDeadline(member, lastSeen) <= nowMs) {
        removed.push({ memberId, reason: "session timeout" });
      } else if (revokeDeadlineMs !== null && revokeDeadlineMs <= nowMs) {
        removed.push({ memberId, reason: "rebalance timeout" });
      }
    }
    // All are removed at once, so no member is given partitions that another removal takes away again.
    if (removed.length > 0) this.#remove(removed, nowMs);
  }

  /** When `expire` must be called next, or `offsets.expire` for an empty group. Null if nothing can expire. */
  nextDeadlineMs(lastSeen: LastSeen): number | null {
    let earliest = Number.POSITIVE_INFINITY;
    for (const member of this.state.members.values()) {
      earliest = Math.min(
        earliest,
        sessionDeadline(member, lastSeen),
        member.revokeDeadlineMs ?? earliest,
      );
    }
    if (this.state.members.size === 0) earliest = this.offsets.nextExpiryMs;
    return earliest === Number.POSITIVE_INFINITY ? null : earliest;
  }

  /**
   * [GRP-9] Notes that topics were created, grown or deleted.
   * `deleted` holds names. Their offsets are deleted with them.
   */
  changeTopics(topics: readonly GroupTopic[], deleted: readonly string[], nowMs: number): void {
    const isOurs = (name: string) => this.state.topics.has(name) || hasSubscriber(this.state, name);
    const ours = topics.filter((topic) => isOurs(topic.name));
    let hasChanged = this.#updateTopics(ours, () => true);
    for (const name of deleted) {
      const topic = this.state.topics.get(name);
      if (topic === undefined) continue;
      this.offsets.forgetTopic(topic, "topic removed");
      hasChanged = true;
    }
    // Nothing is assigned in a group without members. Its epoch stays at 0 as long as no native member ever joined.
    if (!hasChanged || this.state.members.size === 0) return;
    this.#retarget();
    this.#reconcileAll(nowMs);
  }

  /** [GCF-1] Returns the values that would be set, or what is wrong with the changes. */
  validateConfig(
    changes: Readonly<Record<string, unknown>>,
  ): Result<{ overrides: ConfigOverrides }> {
    const { groupId, overrides } = this.state;
    if (!this.exists) return changeGroupConfig(overrides, changes);
    return changeConfigOf(groupId, overrides, changes);
  }

  /**
   * [GCF-1] Changes the group's config. `null` removes a key. A group that does not exist is created, so it can be
   * configured before anybody joins. INVALID_CONFIG changes nothing.
   */
  alterConfig(changes: Readonly<Record<string, unknown>>, nowMs: number): Result<object> {
    const changed = this.validateConfig(changes);
    if (!changed.ok) return changed;
    const before = this.config;
    if (!this.exists)
      this.#emitGroup({ incarnation: this.#newIncarnation(nowMs), emptySinceMs: nowMs });
    this.#emitGroup({ overrides: changed.overrides });
    this.#retime(before);
    if (this.config.assignor !== before.assignor && this.state.members.size > 0) {
      this.#retarget();
      this.#reconcileAll(nowMs);
    }
    return { ok: true };
  }

  /**
   * [GCF-5] Gives Kafka's consumers, which name no session timeout, that of the group. The event
   * also makes the next heartbeat of each come to the group, which tells it how often to beat.
   */
  #retime(before: GroupConfig): void {
    const sessionTimeoutMs = sessionTimeoutOf(this.config);
    const isSame =
      sessionTimeoutMs === sessionTimeoutOf(before) &&
      this.config.heartbeatIntervalMs === before.heartbeatIntervalMs;
    if (isSame) return;
    for (const member of [...this.state.members.values()])
      if (member.heartbeats)
        this.#emit({ type: "member", member: { ...member, sessionTimeoutMs } });
  }

  /** Notes that members of another kind came or went. This creates a missing group, and an empty one begins to age. */
  setOccupied(isOccupied: boolean, nowMs: number): void {
    const { incarnation, emptySinceMs, members } = this.state;
    if (incarnation !== 0 && (isOccupied ? emptySinceMs === null : emptySinceMs !== null)) return;
    if (members.size > 0) return;
    this.#emitGroup({
      incarnation: incarnation === 0 ? this.#newIncarnation(nowMs) : incarnation,
      emptySinceMs: isOccupied ? null : nowMs,
    });
  }

  #newIncarnation(nowMs: number): number {
    return Math.max(nowMs, this.retiredIncarnation + 1);
  }

  /**
   * [CLK-4] Gives silent members, and those with partitions to give
   * up, their full time anew, because the clock was set.
   */
  beginSessionsAnew(nowMs: number): void {
    for (const member of [...this.state.members.values()]) {
      const { silentSinceMs, revokeDeadlineMs, rebalanceTimeoutMs } = member;
      if (silentSinceMs === null && revokeDeadlineMs === null) continue;
      this.#emit({
        type: "member",
        member: {
          ...member,
          silentSinceMs: silentSinceMs === null ? null : nowMs,
          revokeDeadlineMs: revokeDeadlineMs === null ? null : nowMs + rebalanceTimeoutMs,
        },
      });
    }
  }

  #remove(
    members: readonly { readonly memberId: string; readonly reason: RemovalReason }[],
    nowMs: number,
  ): void {
    for (const { memberId, reason } of members) {
      this.#emit({ type: "member-removed", memberId, reason });
    }
    if (this.state.members.size === 0) this.#emitGroup({ emptySinceMs: nowMs });
    this.#retarget();
    this.#reconcileAll(nowMs);
  }

  /**
   * Returns true if a topic is new or has grown. [OFF-14] All partitions of a topic are added ones if the group awaited
   * it, which means that it subscribed to it before the topic existed, or if it has replaced another of its name.
   */
  #updateTopics(topics: readonly GroupTopic[], isAwaited: (topic: GroupTopic) => boolean): boolean {
    let hasChanged = false;
    for (const topic of topics) {
      const known = this.state.topics.get(topic.name);
      // Partitions only grow. Fewer partitions are old news that arrived late.
      if (known?.topicId === topic.topicId && known.partitions >= topic.partitions) continue;
      if (known !== undefined && known.topicId !== topic.topicId)
        this.offsets.forgetTopic(known, "topic removed");
      const isCreated = known?.topicId !== topic.topicId;
      const initialPartitions = isCreated ? 0 : (known.initialPartitions ?? known.partitions);
      const isFirstSeen = known === undefined && !isAwaited(topic);
      this.#emit({ type: "topic", topic: isFirstSeen ? topic : { ...topic, initialPartitions } });
      hasChanged = true;
    }
    return hasChanged;
  }

  /** Starts a new group epoch and computes a target assignment for it. */
  #retarget(): void {
    const epoch = this.state.groupEpoch + 1;
    const members = [...this.state.members.values()].map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      topicIds: this.#subscribedIds(member),
      previous: this.state.targets.get(member.memberId) ?? EMPTY_SET,
    }));
    const assign = ASSIGNORS[this.config.assignor];
    for (const [memberId, partitions] of assign(members, [...this.state.topics.values()])) {
      const previous = this.state.targets.get(memberId);
      if (previous === undefined || !equalSets(previous, partitions)) {
        this.#emit({ type: "target", memberId, partitions });
      }
    }
    this.#emitGroup({ groupEpoch: epoch, assignmentEpoch: epoch });
  }

  #subscribedIds(member: Member): Set<string> {
    const ids = new Set<string>();
    for (const name of member.topics) {
      const topic = this.state.topics.get(name);
      if (topic !== undefined) ids.add(topic.topicId);
    }
    if (member.topicPattern === null) return ids; // The common case. It looks at no other topic.
    for (const { name, topicId } of this.state.topics.values())
      if (subscribes(member, name)) ids.add(topicId);
    return ids;
  }

  /** Lets every member advance as far as it can. It ends, because each pass either frees or grants partitions. */
  #reconcileAll(nowMs: number): void {
    for (let hasChanged = true; hasChanged; ) {
      hasChanged = false;
      for (const member of [...this.state.members.values()]) {
        if (!this.#isSettled(member) && this.#reconcileOne(member.memberId, null, nowMs))
          hasChanged = true;
      }
    }
  }

  #reconcileOne(memberId: string, owned: PartitionSet | null, nowMs: number): boolean {
    const member = this.#member(memberId);
    const next = reconcile({
      member,
      target: this.state.targets.get(memberId) ?? EMPTY_SET,
      assignmentEpoch: this.state.assignmentEpoch,
      owned,
      ownerOf: (key) => this.state.owners.get(key),
      nowMs,
    });
    if (next === member) return false;
    this.#emit({ type: "member", member: next });
    return true;
  }

  #isSettled(member: Member): boolean {
    return member.state === "STABLE" && member.memberEpoch === this.state.assignmentEpoch;
  }

  #member(memberId: string): Member {
    const member = this.state.members.get(memberId);
    if (member === undefined) throw new Error(`member ${memberId} vanished`);
    return member;
  }

  #emitGroup(change: Partial<Omit<Extract<GroupEvent, { type: "group" }>, "type">>): void {
    const { incarnation, groupEpoch, assignmentEpoch, nextMemberNumber } = this.state;
    const { overrides, emptySinceMs } = this.state;
    this.#emit({
      type: "group",
      incarnation,
      groupEpoch,
      assignmentEpoch,
      nextMemberNumber,
      overrides,
      emptySinceMs,
      ...change,
    });
  }

  #emit(event: GroupEvent): void {
    this.#history.record(this.state, event);
    replay(this.state, event);
    this.#events.push(event);
  }
}

/**
 * [GRP-15] True if the join comes in another way than the member's own. Member ids are public, so a member may
 * speak only in the way in which it joined. A silent member may come back in another way, unless one of the two
 * polls: the id of a polling member is made of its instance id.
 */
function isOtherKind(known: Member, request: JoinRequest): boolean {
  if (known.polls !== request.polls) return true;
  return known.heartbeats !== request.heartbeats && known.silentSinceMs === null;
}

function sessionDeadline(member: Member, lastSeen: LastSeen): number {
  return (member.silentSinceMs ?? lastSeen(member.memberId)) + member.sessionTimeoutMs;
}
