// The native members of a group: KIP-848's rules as a pure state machine. Members join, get partitions and give them up,
// and every change is an event (changes.ts).
import { isReadable, type NamePattern } from "../access/grants.ts";
import { type ConfigOverrides, isSameOverrides } from "../config-table.ts";
import type { Result } from "../errors.ts";
import { unknownMember, whyNotJoin } from "./admission.ts";
import { ASSIGNORS } from "./assignor/assignors.ts";
import type { Changes } from "./changes.ts";
import {
  changeConfigOf,
  changeGroupConfig,
  type GroupConfig,
  resolveGroupConfig,
  sessionTimeoutOf,
} from "./config.ts";
import type { GroupOffsets } from "./offsets.ts";
import { EMPTY_SET, equalSets, type PartitionKey, type PartitionSet } from "./partition-key.ts";
import { reconcile } from "./reconcile.ts";
import type { Delivery, JoinRequest } from "./requests.ts";
import { type Sight, sessionDeadlineMs, sessionEndMs } from "./session.ts";
import {
  exists,
  type GroupState,
  type GroupTopic,
  holderOf,
  isSettled,
  type Member,
  newestEpoch,
  type RemovalReason,
  subscriberTest,
  withPartitions,
} from "./state.ts";
import { hasSameRights, isSameSubscription, subscribes } from "./topic-pattern.ts";

const NOTHING: ReadonlyMap<PartitionKey, number> = new Map();

export class Coordinator {
  readonly #changes: Changes;
  readonly #offsets: GroupOffsets;

  constructor(changes: Changes, offsets: GroupOffsets) {
    this.#changes = changes;
    this.#offsets = offsets;
  }

  get #state(): GroupState {
    return this.#changes.state;
  }

  get #config(): GroupConfig {
    return resolveGroupConfig(this.#state.overrides);
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
    const refused = whyNotJoin(this.#state, this.#config, request);
    if (refused !== null) return refused;
    const known = this.#state.members.get(request.memberId);
    const replaced = known === undefined ? holderOf(this.#state, request.instanceId) : undefined;
    const subscribed = [...new Set(request.topics)].sort();
    const before = known ?? replaced;
    const memberNumber = known?.memberNumber ?? this.#state.nextMemberNumber;
    this.#changes.occupy(true, nowMs);
    if (known === undefined) this.#changes.emitGroup({ nextMemberNumber: memberNumber + 1 });
    // Partitions that it no longer consumes are given up, even if it could not report that.
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
      ...(request.readable === undefined ? {} : { readable: request.readable }),
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
    const awaited = new Set(topics.map(({ name }) => name).filter(subscriberTest(this.#state)));
    if (replaced !== undefined) this.#replaceMember(replaced, member);
    else this.#changes.emit({ type: "member", member });

    const hasNewTopics = this.#updateTopics(topics, ({ name }) => awaited.has(name));
    const hasNewSubscription = before === undefined || !isSameSubscription(before, request);
    if (hasNewTopics || hasNewSubscription) this.#retarget();
    this.#reconcileOne(request.memberId, request.owned, nowMs);
    this.#reconcileAll(nowMs);
    return { ok: true, member: this.#member(request.memberId) };
  }

  /** [GRP-8] Lets a static member come back under a new id. It takes over the membership without a rebalance. */
  #replaceMember(old: Member, member: Member): void {
    const target = this.#state.targets.get(old.memberId) ?? EMPTY_SET;
    this.#changes.emit({ type: "member-removed", memberId: old.memberId, reason: "replaced" });
    this.#changes.emit({ type: "member", member });
    this.#changes.emit({ type: "target", memberId: member.memberId, partitions: target });
  }

  /**
   * [GRP-2] Notes that the member has stopped consuming these partitions and made its last commits. Only now may they
   * go to another member. Partitions that it was not asked to give up are ignored.
   */
  revoked(memberId: string, partitions: PartitionSet, nowMs: number): Result<object> {
    const member = this.#state.members.get(memberId);
    if (member === undefined) return unknownMember(memberId);
    const left = member.revoking.difference(partitions);
    if (left.size === member.revoking.size) return { ok: true };
    const rest = { assigned: member.assigned, revoking: left };
    if (left.size > 0)
      this.#changes.emit({
        type: "member",
        member: withPartitions(member, rest, member.memberEpoch),
      });
    else this.#reconcileOne(memberId, member.assigned, nowMs);
    this.#reconcileAll(nowMs);
    return { ok: true };
  }

  /**
   * [POL-5] Notes that a polling member is about to get records, read under the assignment of `memberEpoch`. Its
   * acknowledgements count up to the ends of these records. [POL-4] The start offsets are committed. Returns the
   * partitions that are still the member's own. Records of the others must not be sent.
   */
  deliver(
    memberId: string,
    memberEpoch: number,
    deliveries: readonly Delivery[],
    nowMs: number,
  ): PartitionSet {
    const member = this.#state.members.get(memberId);
    const own = deliveries.filter(
      ({ key }) =>
        this.#state.owners.get(key) === memberId &&
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
      this.#changes.emit({ type: "member", member: { ...member, delivered } });
    }
    const begun = own.flatMap(({ key, beginOffset, committedOffset }) => {
      const current = this.#state.offsets.get(key)?.offset ?? null;
      // [OFF-3] A later poll of the same instance may have been faster.
      const isOld = committedOffset !== undefined && committedOffset !== current;
      if (beginOffset === null || isOld) return [];
      return [{ key, offset: beginOffset, metadata: "", isRewind: true }];
    });
    this.#offsets.commitSince(this.#member(memberId), memberEpoch, begun, nowMs);
    return new Set(own.map(({ key }) => key));
  }

  /** [GRP-5] Removes a leaving member at once. It is not an error if the member is already gone. */
  leave(memberId: string, nowMs: number): void {
    if (this.#state.members.has(memberId)) this.#remove([{ memberId, reason: "left" }], nowMs);
  }

  /** [ACL-7] Removes assignments that the member may no longer read, and adds those that it may read now. */
  alterRights(
    memberId: string,
    readable: readonly NamePattern[] | undefined,
    nowMs: number,
  ): Result<object> {
    const known = this.#state.members.get(memberId);
    if (known === undefined) return unknownMember(memberId);
    if (hasSameRights(known, { readable })) return { ok: true };
    const { readable: _before, ...rest } = known;
    const member = readable === undefined ? rest : { ...rest, readable };
    this.#changes.emit({ type: "member", member });
    this.#retarget();
    this.#reconcileAll(nowMs);
    return { ok: true };
  }

  /** [GRP-6] Starts the session timeout after a lost connection. The member keeps all its partitions until it ends. */
  disconnect(memberId: string, nowMs: number): void {
    const member = this.#state.members.get(memberId);
    if (member === undefined || member.silentSinceMs !== null) return;
    this.#changes.emit({ type: "member", member: { ...member, silentSinceMs: nowMs } });
  }

  /**
   * [HIB-2] Starts the session timeouts of members without a sign of life. A restart of the machine loses all sockets.
   * A lost socket may also have gone unnoticed because the storage failed.
   */
  noteLost(sight: Sight, nowMs: number): void {
    for (const memberId of [...this.#state.members.keys()])
      if (sight.lastSeenMs(memberId) === 0) this.disconnect(memberId, nowMs);
  }

  /** [GRP-7] Removes members whose session timeout or rebalance timeout has passed. */
  expire(sight: Sight, nowMs: number): void {
    const removed: { memberId: string; reason: RemovalReason }[] = [];
    for (const member of this.#state.members.values()) {
      const { memberId, revokeDeadlineMs } = member;
      if (sessionEndMs(member, sight) <= nowMs) {
        removed.push({ memberId, reason: "session timeout" });
      } else if (revokeDeadlineMs !== null && revokeDeadlineMs <= nowMs) {
        removed.push({ memberId, reason: "rebalance timeout" });
      }
    }
    // All are removed at once, so no member gets partitions that the next removal would take away.
    if (removed.length > 0) this.#remove(removed, nowMs);
  }

  /** The time at which `expire` must be called for one of these members. Infinity if nothing can expire. */
  nextDeadlineMs(sight: Sight, members: Iterable<Member> = this.#state.members.values()): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const member of members) {
      const { revokeDeadlineMs } = member;
      // Other members wait for a member that must give up partitions.
      const endMs =
        revokeDeadlineMs === null
          ? sessionDeadlineMs(member, sight)
          : Math.min(revokeDeadlineMs, sessionEndMs(member, sight));
      earliest = Math.min(earliest, endMs);
    }
    return earliest;
  }

  /**
   * [GRP-9] Notes that topics were created, grown or deleted. `deleted` lists names. The offsets of deleted topics are
   * deleted too.
   */
  changeTopics(topics: readonly GroupTopic[], deleted: readonly string[], nowMs: number): void {
    const hasSubscriber = subscriberTest(this.#state);
    const isOurs = (name: string) => this.#state.topics.has(name) || hasSubscriber(name);
    const ours = topics.filter((topic) => isOurs(topic.name));
    let hasChanged = this.#updateTopics(ours, () => true);
    for (const name of deleted) {
      const topic = this.#state.topics.get(name);
      if (topic === undefined) continue;
      this.#offsets.forgetTopic(topic, "topic removed");
      hasChanged = true;
    }
    // A group without members assigns nothing. Its epoch stays at 0 until the first native member joins.
    if (!hasChanged || this.#state.members.size === 0) return;
    this.#retarget();
    this.#reconcileAll(nowMs);
  }

  /** [GCF-1] Returns the resulting overrides, or the error in the changes. */
  validateConfig(
    changes: Readonly<Record<string, unknown>>,
  ): Result<{ overrides: ConfigOverrides }> {
    const { groupId, overrides } = this.#state;
    if (!exists(this.#state)) return changeGroupConfig(overrides, changes);
    return changeConfigOf(groupId, overrides, changes);
  }

  /**
   * [GCF-1] Changes the group's config. `null` removes a key. A group that does not exist is created, so it can be
   * configured before anybody joins. On INVALID_CONFIG nothing changes.
   */
  alterConfig(
    changes: Readonly<Record<string, unknown>>,
    nowMs: number,
  ): Result<{ overrides: ConfigOverrides; isChanged: boolean }> {
    const changed = this.validateConfig(changes);
    if (!changed.ok) return changed;
    const isChanged =
      !exists(this.#state) || !isSameOverrides(this.#state.overrides, changed.overrides);
    const before = this.#config;
    if (!exists(this.#state)) this.#changes.occupy(false, nowMs);
    this.#changes.emitGroup({ overrides: changed.overrides });
    this.#retime(before);
    if (this.#config.assignor !== before.assignor && this.#state.members.size > 0) {
      this.#retarget();
      this.#reconcileAll(nowMs);
    }
    return { ...changed, isChanged };
  }

  /**
   * [GCF-5] Gives the group's session timeout to Kafka's consumers, which do not send one. The event also makes each
   * one's next heartbeat reach the group, so it learns its heartbeat interval.
   */
  #retime(before: GroupConfig): void {
    const sessionTimeoutMs = sessionTimeoutOf(this.#config);
    const isSame =
      sessionTimeoutMs === sessionTimeoutOf(before) &&
      this.#config.heartbeatIntervalMs === before.heartbeatIntervalMs;
    if (isSame) return;
    for (const member of [...this.#state.members.values()])
      if (member.heartbeats)
        this.#changes.emit({ type: "member", member: { ...member, sessionTimeoutMs } });
  }

  /**
   * [CLK-4] Restarts the timeouts of silent members and of members with partitions to give up, because the clock was
   * set.
   */
  beginSessionsAnew(nowMs: number): void {
    for (const member of [...this.#state.members.values()]) {
      const { silentSinceMs, revokeDeadlineMs, rebalanceTimeoutMs } = member;
      if (silentSinceMs === null && revokeDeadlineMs === null) continue;
      this.#changes.emit({
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
      this.#changes.emit({ type: "member-removed", memberId, reason });
    }
    this.#changes.noteMembers(nowMs);
    this.#retarget();
    this.#reconcileAll(nowMs);
  }

  /**
   * Returns true if a topic is new or has grown. [OFF-14] All partitions of a topic count as added in two cases. The
   * group subscribed to it before it existed, or it replaces another topic of the same name.
   */
  #updateTopics(topics: readonly GroupTopic[], isAwaited: (topic: GroupTopic) => boolean): boolean {
    let hasChanged = false;
    for (const topic of topics) {
      const known = this.#state.topics.get(topic.name);
      // Partition counts only grow. A smaller count is outdated.
      if (known?.topicId === topic.topicId && known.partitions >= topic.partitions) continue;
      if (known !== undefined && known.topicId !== topic.topicId)
        this.#offsets.forgetTopic(known, "topic removed");
      const isCreated = known?.topicId !== topic.topicId;
      const initialPartitions = isCreated ? 0 : (known.initialPartitions ?? known.partitions);
      const isFirstSeen = known === undefined && !isAwaited(topic);
      this.#changes.emit({
        type: "topic",
        topic: isFirstSeen ? topic : { ...topic, initialPartitions },
      });
      hasChanged = true;
    }
    return hasChanged;
  }

  /** Starts a new group epoch and computes a target assignment for it. */
  #retarget(): void {
    const epoch = newestEpoch(this.#state) + 1;
    const members = [...this.#state.members.values()].map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      topicIds: this.#subscribedIds(member),
      previous: this.#state.targets.get(member.memberId) ?? EMPTY_SET,
    }));
    const assign = ASSIGNORS[this.#config.assignor];
    for (const [memberId, partitions] of assign(members, [...this.#state.topics.values()])) {
      const previous = this.#state.targets.get(memberId);
      if (previous === undefined || !equalSets(previous, partitions)) {
        this.#changes.emit({ type: "target", memberId, partitions });
      }
    }
    this.#changes.emitGroup({ groupEpoch: epoch, assignmentEpoch: epoch });
  }

  #subscribedIds(member: Member): Set<string> {
    const ids = new Set<string>();
    for (const name of member.topics) {
      const topic = this.#state.topics.get(name);
      if (topic !== undefined && isReadable(member.readable, name)) ids.add(topic.topicId);
    }
    if (member.topicPattern === null) return ids; // The common case. No other topic is looked at.
    for (const { name, topicId } of this.#state.topics.values())
      if (subscribes(member, name)) ids.add(topicId);
    return ids;
  }

  /** Lets every member advance as far as it can. The loop ends, because each pass either frees or grants partitions. */
  #reconcileAll(nowMs: number): void {
    for (let hasChanged = true; hasChanged; ) {
      hasChanged = false;
      for (const member of [...this.#state.members.values()]) {
        if (!isSettled(this.#state, member) && this.#reconcileOne(member.memberId, null, nowMs))
          hasChanged = true;
      }
    }
  }

  #reconcileOne(memberId: string, owned: PartitionSet | null, nowMs: number): boolean {
    const member = this.#member(memberId);
    const next = reconcile({
      member,
      target: this.#state.targets.get(memberId) ?? EMPTY_SET,
      assignmentEpoch: this.#state.assignmentEpoch,
      owned,
      ownerOf: (key) => this.#state.owners.get(key),
      nowMs,
    });
    if (next === member) return false;
    const isOnlyEpoch =
      next.state === "STABLE" &&
      member.state === "STABLE" &&
      equalSets(next.assigned, member.assigned);
    this.#changes.emit({ type: "member", member: next, ...(isOnlyEpoch ? { isOnlyEpoch } : {}) });
    return true;
  }

  #member(memberId: string): Member {
    const member = this.#state.members.get(memberId);
    if (member === undefined) throw new Error(`member ${memberId} vanished`);
    return member;
  }
}
