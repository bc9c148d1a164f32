// The state of one consumer group, after KIP-848, and the events that change it. Only `replay` changes state, and the
// object has to persist the events that `replay` gets.
import type { ConfigOverrides } from "../config-table.ts";
import type { MemberState } from "../group-info.ts";
import type { PartitionKey, PartitionSet } from "./partition-key.ts";
import { subscribes } from "./topic-pattern.ts";

export interface GroupTopic {
  readonly topicId: string;
  readonly name: string;
  readonly partitions: number;
  /**
   * [OFF-14] The partition count when the group first subscribed to the topic, 0 if the topic was created while a
   * member was there that had subscribed to it.
   * Absent while no partition has been added since.
   */
  readonly initialPartitions?: number;
}

export interface Member {
  readonly memberId: string;
  /** Grows with each join of the group. It tells a static member from the one that it replaced. */
  readonly memberNumber: number;
  readonly instanceId: string | null;
  readonly clientId: string | null;
  /** Subscribed topic names, ascending. */
  readonly topics: readonly string[];
  /** All topics whose names match are subscribed to as well (RE2). */
  readonly topicPattern: string | null;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly memberEpoch: number;
  readonly state: MemberState;
  /** The partitions that the member may consume. */
  readonly assigned: PartitionSet;
  /** The partitions that it was told to give up. It still owns them until it says that it gave them up. */
  readonly revoking: PartitionSet;
  /**
   * The epoch at which it got each partition of `assigned` and `revoking` (KIP-1251). A commit of an older epoch was
   * sent before the partition was given to it, or given back.
   */
  readonly assignmentEpochs: ReadonlyMap<PartitionKey, number>;
  /**
   * The offset after the last record that a polling member was sent, for each partition. Its acknowledgements count up
   * to there. Without an entry, it was sent nothing since it got the partition.
   */
  readonly delivered: ReadonlyMap<PartitionKey, number>;
  /** The offset that a polling member acknowledged in a partition although it was sent nothing of it. */
  readonly refusedAcks: ReadonlyMap<PartitionKey, number>;
  /** When the member is fenced unless it has given up `revoking`. Null unless UNREVOKED_PARTITIONS. */
  readonly revokeDeadlineMs: number | null;
  /** True if it holds no connection but polls. Each poll starts its session anew. */
  readonly polls: boolean;
  /** True if it speaks by Kafka's ConsumerGroupHeartbeat (KIP-848). Commits in its name must then come the same way. */
  readonly heartbeats: boolean;
  /**
   * When its connection was lost, or its last poll came. Its session
   * ends `sessionTimeoutMs` later. Null while connected.
   */
  readonly silentSinceMs: number | null;
}

export interface CommittedOffset {
  /** The next offset that the group will read. */
  readonly offset: number;
  readonly metadata: string;
  /** [OFF-13] The leader epoch of the last record read, as a Kafka client told it. */
  readonly leaderEpoch?: number;
  readonly committedAtMs: number;
}

export interface GroupState {
  readonly groupId: string;
  /** Grows when a group is deleted and created again. 0 until the group exists. */
  incarnation: number;
  /** Grows with every change of members, subscriptions or topics. */
  groupEpoch: number;
  /** The group epoch that the target assignment was computed for. */
  assignmentEpoch: number;
  nextMemberNumber: number;
  /** The config values set for this group, by key. */
  overrides: ConfigOverrides;
  /** When the last member went, or the group was created without one. Null while there are members. */
  emptySinceMs: number | null;
  readonly members: Map<string, Member>;
  /** The target assignment: the partitions that each member will own. Without an entry, a member will own none. */
  readonly targets: Map<string, PartitionSet>;
  /** The topics that are or were subscribed to and still exist, by name. */
  readonly topics: Map<string, GroupTopic>;
  readonly offsets: Map<PartitionKey, CommittedOffset>;
  /** Derived: the current owner of each partition, `revoking` included. No partition has two owners [GRP-1]. */
  readonly owners: Map<PartitionKey, string>;
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
    }
  | { readonly type: "member"; readonly member: Member }
  | { readonly type: "member-removed"; readonly memberId: string; readonly reason: RemovalReason }
  | { readonly type: "target"; readonly memberId: string; readonly partitions: PartitionSet }
  | { readonly type: "topic"; readonly topic: GroupTopic }
  | {
      readonly type: "topic-removed";
      readonly name: string;
      readonly reason: TopicRemovalReason;
    }
  | { readonly type: "offset"; readonly key: PartitionKey; readonly committed: CommittedOffset }
  | { readonly type: "offset-removed"; readonly key: PartitionKey };

export type TopicRemovalReason = "topic removed" | "offsets deleted" | "offsets expired";

export type RemovalReason = "left" | "session timeout" | "rebalance timeout" | "replaced";

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
    targets: new Map(),
    topics: new Map(),
    offsets: new Map(),
    owners: new Map(),
  };
}

/** True if any member subscribes to the topic, by its name or by a pattern. */
export function hasSubscriber(state: GroupState, topic: string): boolean {
  for (const member of state.members.values()) if (subscribes(member, topic)) return true;
  return false;
}

/**
 * [OFF-14] True if the partition was added after the group first subscribed to its topic. While nothing is committed in
 * it, the partition is read from its start: all of it came while the group was there to read it.
 */
export function isAddedPartition(
  { partitions, initialPartitions }: GroupTopic,
  partition: number,
): boolean {
  return partition >= (initialPartitions ?? partitions);
}

/** Applies one event. It is deterministic: replaying the same events gives the same state. */
export function replay(state: GroupState, event: GroupEvent): void {
  switch (event.type) {
    case "group":
      state.incarnation = event.incarnation;
      state.groupEpoch = event.groupEpoch;
      state.assignmentEpoch = event.assignmentEpoch;
      state.nextMemberNumber = event.nextMemberNumber;
      state.overrides = event.overrides;
      state.emptySinceMs = event.emptySinceMs;
      return;
    case "member":
      disown(state, event.member.memberId);
      state.members.set(event.member.memberId, event.member);
      for (const key of event.member.assigned) state.owners.set(key, event.member.memberId);
      for (const key of event.member.revoking) state.owners.set(key, event.member.memberId);
      return;
    case "member-removed":
      disown(state, event.memberId);
      state.members.delete(event.memberId);
      state.targets.delete(event.memberId);
      return;
    case "target":
      state.targets.set(event.memberId, event.partitions);
      return;
    case "topic":
      state.topics.set(event.topic.name, event.topic);
      return;
    case "topic-removed":
      state.topics.delete(event.name);
      return;
    case "offset":
      state.offsets.set(event.key, event.committed);
      return;
    case "offset-removed":
      state.offsets.delete(event.key);
      return;
  }
}

/**
 * Returns the member with these partitions. It forgets all that it knew about other
 * partitions. New partitions are its own from `epoch` on.
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
