// The state of one consumer group and the events that change it. Its members are native (KIP-848) or classic, never
// both. Only `replay` changes state, and the object must persist the events that it replays.
import type { NamePattern } from "../access/grants.ts";
import type { ConfigOverrides } from "../config-table.ts";
import type { MemberState } from "../group-info.ts";
import { type ClassicMember, type ClassicState, NO_CLASSIC_MEMBERS } from "./classic-state.ts";
import type { PartitionKey, PartitionSet } from "./partition-key.ts";
import { subscribes } from "./topic-pattern.ts";

export interface GroupTopic {
  readonly topicId: string;
  readonly name: string;
  readonly partitions: number;
  /**
   * [OFF-14] The partition count when the group first subscribed to the topic. 0 if a member had already subscribed
   * when the topic was created. Absent while no partition has been added since.
   */
  readonly initialPartitions?: number;
}

export interface Member {
  readonly memberId: string;
  /** Increases with each new member of the group. It distinguishes a static member from the one that it replaced. */
  readonly memberNumber: number;
  readonly instanceId: string | null;
  readonly clientId: string | null;
  /** Subscribed topic names, ascending. */
  readonly topics: readonly string[];
  /** The pattern (RE2) of further topics to which it subscribes, matched against the whole name. */
  readonly topicPattern: string | null;
  /** [ACL-7] The topics that it may read. Absent if it may read all. */
  readonly readable?: readonly NamePattern[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly memberEpoch: number;
  readonly state: MemberState;
  /** The partitions that the member may consume. */
  readonly assigned: PartitionSet;
  /** The partitions that it was asked to give up. It owns them until it confirms that it gave them up. */
  readonly revoking: PartitionSet;
  /**
   * The epoch at which it got each partition of `assigned` and `revoking` (KIP-1251). A commit with an older epoch was
   * sent before it got the partition, or got it back.
   */
  readonly assignmentEpochs: ReadonlyMap<PartitionKey, number>;
  /**
   * For each partition, the offset after the last record that a polling member was sent. Its acknowledgements count up
   * to there. Without an entry, it was sent nothing since it got the partition.
   */
  readonly delivered: ReadonlyMap<PartitionKey, number>;
  /** The offset that a polling member acknowledged in a partition of which it was sent nothing. */
  readonly refusedAcks: ReadonlyMap<PartitionKey, number>;
  /** The time at which the member is fenced unless it has given up `revoking`. Null unless UNREVOKED_PARTITIONS. */
  readonly revokeDeadlineMs: number | null;
  /** True if it has no connection but polls. Each poll restarts its session. */
  readonly polls: boolean;
  /** True if it uses Kafka's ConsumerGroupHeartbeat (KIP-848). Its commits must then come the same way. */
  readonly heartbeats: boolean;
  /**
   * The time at which its connection was lost, or of its last poll. Its session ends `sessionTimeoutMs` later. Null
   * while connected.
   */
  readonly silentSinceMs: number | null;
}

export interface CommittedOffset {
  /** The next offset that the group will read. */
  readonly offset: number;
  readonly metadata: string;
  /** [OFF-13] The leader epoch of the last record read, as sent by a Kafka client. */
  readonly leaderEpoch?: number;
  readonly committedAtMs: number;
}

export interface GroupState {
  readonly groupId: string;
  /** Increases when a group is deleted and created again. 0 until the group exists. */
  incarnation: number;
  /** Increases with every change of members, subscriptions or topics. */
  groupEpoch: number;
  /** The group epoch for which the target assignment was computed. */
  assignmentEpoch: number;
  nextMemberNumber: number;
  /** The config values set for this group, by key. */
  overrides: ConfigOverrides;
  /** The time at which the last member left, or the group was created without one. Null while there are members. */
  emptySinceMs: number | null;
  /** The native members. */
  readonly members: MemberMap;
  /** The members that use Kafka's classic protocol. */
  classic: ClassicState;
  /** The target assignment: the partitions that each member will own. A member without an entry will own none. */
  readonly targets: Map<string, PartitionSet>;
  /** Topics with current or former subscriptions that still exist, by name. */
  readonly topics: TopicMap;
  readonly offsets: Map<PartitionKey, CommittedOffset>;
  /** [SHR-16] "share" for a share group. Null for a consumer group, and for one that nobody has used yet. */
  kind: GroupKind | null;
  /** The partitions that keep delivery states for this share group. */
  readonly sharePartitions: Set<PartitionKey>;
  /** Derived: the current owner of each partition, `revoking` included. No partition has two owners [GRP-1]. */
  readonly owners: Map<PartitionKey, string>;
  /** Not stored: the assignment that each member got in its last answer to a heartbeat. */
  readonly told: Map<string, PartitionSet>;
}

export type GroupEvent =
  | {
      readonly type: "group";
      readonly incarnation: number;
      readonly groupEpoch: number;
      readonly assignmentEpoch: number;
      readonly nextMemberNumber: number;
      readonly overrides: ConfigOverrides;
      readonly emptySinceMs: number | null;
      /** Absent for a group that is not a share group. */
      readonly kind?: GroupKind;
    }
  | {
      readonly type: "member";
      readonly member: Member;
      /** True if only the epoch of a STABLE member has advanced, together with the group's. That need not be stored. */
      readonly isOnlyEpoch?: true;
    }
  | { readonly type: "member-removed"; readonly memberId: string; readonly reason: RemovalReason }
  | { readonly type: "target"; readonly memberId: string; readonly partitions: PartitionSet }
  | { readonly type: "topic"; readonly topic: GroupTopic }
  | {
      readonly type: "topic-removed";
      readonly name: string;
      readonly reason: TopicRemovalReason;
    }
  | { readonly type: "offset"; readonly key: PartitionKey; readonly committed: CommittedOffset }
  | { readonly type: "offset-removed"; readonly key: PartitionKey }
  | { readonly type: "share-partition"; readonly key: PartitionKey }
  | {
      readonly type: "classic";
      readonly classic: ClassicState;
      /** False if a restart may forget the change. */
      readonly isStored: boolean;
      /** The reason why the missing members were removed. */
      readonly reason: RemovalReason;
    }
  // The following are not stored.
  /** The member gave a sign of life. */
  | { readonly type: "heard"; readonly memberId: string }
  /** The member has left, perhaps for a while, or its last sign of life is not trusted. */
  | { readonly type: "unheard"; readonly memberId: string }
  | { readonly type: "told"; readonly memberId: string; readonly partitions: PartitionSet };

export type TopicRemovalReason = "topic removed" | "offsets deleted" | "offsets expired";

export type RemovalReason = "left" | "session timeout" | "rebalance timeout" | "replaced";

export type GroupKind = "share";

/** Members by id. The storage knows whether there are any without reading them all. */
export interface MemberMap extends Map<string, Member> {
  readonly isEmpty?: boolean;
}

/** Topics by name. The storage also has an index by id. */
export interface TopicMap extends Map<string, GroupTopic> {
  withId?(topicId: string): GroupTopic | undefined;
}

/** Returns the topic with the id, or undefined. */
export function topicWithId({ topics }: GroupState, topicId: string): GroupTopic | undefined {
  if (topics.withId !== undefined) return topics.withId(topicId);
  for (const topic of topics.values()) if (topic.topicId === topicId) return topic;
  return undefined;
}

export function emptyGroup(groupId: string): GroupState {
  return {
    groupId,
    incarnation: 0,
    groupEpoch: 0,
    assignmentEpoch: 0,
    nextMemberNumber: 1,
    overrides: {},
    emptySinceMs: null,
    members: new Map(),
    classic: NO_CLASSIC_MEMBERS,
    targets: new Map(),
    topics: new Map(),
    offsets: new Map(),
    kind: null,
    sharePartitions: new Set(),
    owners: new Map(),
    told: new Map(),
  };
}

export function exists({ incarnation }: GroupState): boolean {
  return incarnation !== 0;
}

/** True if the group has members of any kind. */
export function hasMembers(state: GroupState): boolean {
  return state.classic.members.size > 0 || hasNativeMembers(state);
}

export function hasNativeMembers({ members }: GroupState): boolean {
  return !(members.isEmpty ?? members.size === 0);
}

/** Returns the native or classic member with the id. */
export function memberOf(
  { members, classic }: GroupState,
  memberId: string,
): Member | ClassicMember | undefined {
  return members.get(memberId) ?? classic.members.get(memberId);
}

export function holderOf({ members }: GroupState, instanceId: string | null): Member | undefined {
  if (instanceId === null) return undefined;
  for (const member of members.values()) if (member.instanceId === instanceId) return member;
  return undefined;
}

/** True if the member has its whole assignment of the newest epoch. */
export function isSettled({ assignmentEpoch }: GroupState, member: Member): boolean {
  return member.state === "STABLE" && member.memberEpoch === assignmentEpoch;
}

/**
 * The newest epoch of the group: that of its native members, or the generation of its classic ones. Each kind continues
 * from the other, so it never decreases, as when Kafka converts a group.
 */
export function newestEpoch({ groupEpoch, classic }: GroupState): number {
  return Math.max(groupEpoch, classic.generation);
}

/**
 * Returns a test for topics to which any native member subscribes, by name or by pattern. It reads the members at its
 * first call, and each of them once for any number of topics.
 */
export function subscriberTest({ members }: GroupState): (topic: string) => boolean {
  let all: ReturnType<typeof subscriptionsOf> | null = null;
  return (topic) => {
    all ??= subscriptionsOf(members);
    const { names, patterns } = all;
    return (
      names.has(topic) ||
      [...patterns].some((topicPattern) => subscribes({ topics: [], topicPattern }, topic))
    );
  };
}

/** Returns all subscribed names and patterns of the members, each once. */
function subscriptionsOf(members: ReadonlyMap<string, Member>) {
  const names = new Set<string>();
  const patterns = new Set<string>();
  for (const { topics, topicPattern } of members.values()) {
    for (const name of topics) names.add(name);
    if (topicPattern !== null) patterns.add(topicPattern);
  }
  return { names, patterns };
}

/**
 * [OFF-14] True if the partition was added after the group first subscribed to its topic. Without a committed offset,
 * such a partition is read from its start: all of its records came while the group existed to read them.
 */
export function isAddedPartition(
  { partitions, initialPartitions }: GroupTopic,
  partition: number,
): boolean {
  return partition >= (initialPartitions ?? partitions);
}

/** Applies one event. It is deterministic: replaying the same events yields the same state. */
export function replay(state: GroupState, event: GroupEvent): void {
  switch (event.type) {
    case "group":
      state.incarnation = event.incarnation;
      state.groupEpoch = event.groupEpoch;
      state.assignmentEpoch = event.assignmentEpoch;
      state.nextMemberNumber = event.nextMemberNumber;
      state.overrides = event.overrides;
      state.emptySinceMs = event.emptySinceMs;
      state.kind = event.kind ?? null;
      return;
    case "member": {
      const { member } = event;
      const before = state.members.get(member.memberId);
      // The owners may not be loaded yet, and most changes of a member do not need them.
      const isSame = before?.assigned === member.assigned && before?.revoking === member.revoking;
      if (!isSame) disown(state, member.memberId);
      state.members.set(member.memberId, member);
      if (isSame) return;
      for (const key of member.assigned) state.owners.set(key, member.memberId);
      for (const key of member.revoking) state.owners.set(key, member.memberId);
      return;
    }
    case "member-removed":
      disown(state, event.memberId);
      state.members.delete(event.memberId);
      state.targets.delete(event.memberId);
      state.told.delete(event.memberId);
      return;
    case "target":
      state.targets.set(event.memberId, event.partitions);
      return;
    case "topic":
      state.topics.set(event.topic.name, event.topic);
      return;
    case "topic-removed": {
      const topicId = state.topics.get(event.name)?.topicId;
      for (const key of state.sharePartitions)
        if (key.startsWith(`${topicId}:`)) state.sharePartitions.delete(key);
      state.topics.delete(event.name);
      return;
    }
    case "share-partition":
      state.sharePartitions.add(event.key);
      return;
    case "offset":
      state.offsets.set(event.key, event.committed);
      return;
    case "offset-removed":
      state.offsets.delete(event.key);
      return;
    case "classic":
      state.classic = event.classic;
      return;
    case "told":
      state.told.set(event.memberId, event.partitions);
      return;
    case "heard":
    case "unheard":
      return; // The object remembers signs of life.
  }
}

/**
 * Returns the member with these partitions. Its data about other partitions is dropped. New partitions are its own from
 * `epoch` on.
 */
export function withPartitions(
  member: Member,
  { assigned, revoking }: Pick<Member, "assigned" | "revoking">,
  epoch: number,
): Member {
  const owned = assigned.union(revoking);
  const ofOwned = ([key]: readonly [PartitionKey, number]) => owned.has(key);
  return {
    ...member,
    assigned,
    revoking,
    assignmentEpochs: new Map(
      [...owned].map((key) => [key, member.assignmentEpochs.get(key) ?? epoch]),
    ),
    delivered: new Map([...member.delivered].filter(ofOwned)),
    refusedAcks: new Map([...member.refusedAcks].filter(ofOwned)),
  };
}

function disown(state: GroupState, memberId: string): void {
  const member = state.members.get(memberId);
  if (member === undefined) return;
  for (const key of member.assigned)
    if (state.owners.get(key) === memberId) state.owners.delete(key);
  for (const key of member.revoking)
    if (state.owners.get(key) === memberId) state.owners.delete(key);
}
