// A group as people see it: the names and shapes that its coordinator, the HTTP API, the wire and the SDK share. These
// are types only. The SDK publishes them, so they must not import anything of the coordinator [PKG-5].

/**
 * KIP-848's states of a group.
 * - ASSIGNING: the group has changed since its target assignment was computed.
 * - RECONCILING: members are moving to the target.
 * - DEAD: the group does not exist. A request about it gets GROUP_ID_NOT_FOUND instead.
 */
export type GroupStateName = "EMPTY" | "ASSIGNING" | "RECONCILING" | "STABLE" | "DEAD";

/**
 * A member's stage on the way to its target assignment.
 * - STABLE: it has its target, at its epoch.
 * - UNREVOKED_PARTITIONS: it was asked to give up partitions and has not confirmed that it did.
 * - UNRELEASED_PARTITIONS: it waits for partitions that other members have not given up yet.
 */
export type MemberState = "STABLE" | "UNREVOKED_PARTITIONS" | "UNRELEASED_PARTITIONS";

/** The states of a member that uses Kafka's classic protocol. They follow its group's state. */
export type ClassicMemberState = "STABLE" | "ASSIGNING" | "RECONCILING";

/** Partitions of one topic. */
export interface TopicAssignment {
  readonly topic: string;
  readonly partitions: readonly number[];
}

/** A member of a group. */
export interface MemberInfo {
  readonly memberId: string;
  readonly instanceId?: string;
  readonly clientId?: string;
  readonly memberEpoch: number;
  readonly state: MemberState | ClassicMemberState;
  /** False while its connection is lost and its session timeout runs. */
  readonly connected: boolean;
  /** The partitions that it may consume now. */
  readonly assignment: readonly TopicAssignment[];
  /** The partitions that it was asked to give up and has not confirmed. Absent if there are none. */
  readonly revoking?: readonly TopicAssignment[];
  /** The partitions that it will consume once all members have given up partitions that are no longer theirs. */
  readonly target: readonly TopicAssignment[];
}

/** A group, with its members and their offsets. */
export interface GroupInfo {
  readonly groupId: string;
  /** "share" for a share group, whose partitions keep its positions: see docs/queues.md. Absent for a consumer group. */
  readonly kind?: "share";
  readonly state: GroupStateName;
  readonly epoch: number;
  readonly assignor: string;
  readonly members: readonly MemberInfo[];
  readonly offsets: readonly GroupOffsetInfo[];
  /**
   * The partitions whose logs do not answer, with the reasons. `offset` is the group's committed offset there, or 0.
   */
  readonly unreadable?: readonly RefusedPlace[];
}

/** The position of a group in one partition. */
export interface GroupOffsetInfo {
  readonly topic: string;
  readonly partition: number;
  /** The committed offset: the next offset that the group will read. Null if it has committed nothing. */
  readonly committedOffset: number | null;
  /** The offset that the next record of the partition will get. */
  readonly logEndOffset: number;
  /** The number of unread records. Null if nothing was committed. */
  readonly lag: number | null;
  /** The age of the oldest unread record, in milliseconds. Null if there is none, or none that can be read. */
  readonly oldestUnreadMs: number | null;
}

/** An offset of a partition, with the error that occurred there. */
export interface RefusedPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The error's name. */
  readonly code: string;
  readonly detail: string;
}

/** The offsets to which a group was reset, or would be in a dry run. */
export interface ResetResult {
  readonly groupId: string;
  readonly dryRun: boolean;
  readonly offsets: readonly {
    readonly topic: string;
    readonly partition: number;
    /** The group's committed offset before. Null if there was none. */
    readonly committedOffset: number | null;
    readonly offset: number;
  }[];
}

/** The type of an entry in a group's history. */
export type HistoryType =
  /** A new member joined. */
  | "joined"
  /** A connection was lost. The session timeout runs. */
  | "disconnected"
  /** The member came back in time. */
  | "resumed"
  | "subscribed"
  /**
   * `reason`: left, session timeout, rebalance timeout, or replaced by another member with the same instanceId of its
   * instanceId.
   */
  | "removed"
  | "topic changed"
  | "topic removed"
  /** A new target assignment was computed. `reason` names the cause. */
  | "rebalanced"
  /** The member was asked to give up these partitions. */
  | "revoking"
  /** The member has given them up. */
  | "revoked"
  /** The member may consume these partitions from now on. */
  | "assigned"
  | "offsets reset"
  | "offsets deleted"
  | "offsets expired"
  /** `reason` contains the new config. */
  | "config changed";

/** One event in a group's history. Absent fields do not apply to its type. */
export interface HistoryEntry {
  readonly type: HistoryType;
  /** The group's epoch before the change. */
  readonly epoch: number;
  readonly memberId?: string;
  readonly instanceId?: string;
  readonly clientId?: string;
  readonly memberEpoch?: number;
  /** Set for `rebalanced`: the group's new epoch. */
  readonly newEpoch?: number;
  readonly reason?: string;
  readonly topic?: string;
  /**
   * The first partitions: at most MAX_HISTORY_PARTITIONS, and at most MAX_HISTORY_PARTITIONS_PER_OPERATION including
   * those of earlier entries.
   */
  readonly partitions?: readonly TopicAssignment[];
  /** The number of all partitions of the event, including those that `partitions` leaves out. */
  readonly partitionCount?: number;
}

/** An entry of a group's history. */
export interface HistoryInfo extends HistoryEntry {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}
