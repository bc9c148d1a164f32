// A group as it is shown to people: the words and shapes that its coordinator, the HTTP API, the wire and the SDK share.
// These are types only. The SDK publishes them, so nothing of the coordinator may come with them [PKG-5].

/**
 * KIP-848's states of a group.
 * - ASSIGNING: the group has changed since its target assignment was computed.
 * - RECONCILING: members are on their way to the target.
 * - DEAD: there is no such group. A request about it gets GROUP_ID_NOT_FOUND instead.
 */
export type GroupStateName = "EMPTY" | "ASSIGNING" | "RECONCILING" | "STABLE" | "DEAD";

/**
 * A member's stage on the way to its target assignment.
 * - STABLE: it has its target, at its epoch.
 * - UNREVOKED_PARTITIONS: it was told to give up partitions and has not yet said that it did.
 * - UNRELEASED_PARTITIONS: it waits for partitions that other members have not given up yet.
 */
export type MemberState = "STABLE" | "UNREVOKED_PARTITIONS" | "UNRELEASED_PARTITIONS";

export interface TopicAssignment {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export type HistoryType =
  /** A member that was not in the group. */
  | "joined"
  /** A connection was lost; the session timeout runs. */
  | "disconnected"
  /** It came back in time. */
  | "resumed"
  | "subscribed"
  /** `reason`: left, session timeout, rebalance timeout, or replaced by another holder of its instanceId. */
  | "removed"
  | "topic changed"
  | "topic removed"
  /** A new target assignment was made. `reason` names the cause. */
  | "rebalanced"
  /** The member was told to give up these partitions. */
  | "revoking"
  /** It has given them up. */
  | "revoked"
  /** The member may consume these partitions from now on. */
  | "assigned"
  | "offsets reset"
  | "offsets deleted"
  | "offsets expired"
  /** `reason` holds the config that is set now. */
  | "config changed";

export interface HistoryEntry {
  readonly type: HistoryType;
  /** The group's epoch before. */
  readonly epoch: number;
  readonly memberId?: string;
  readonly instanceId?: string;
  readonly clientId?: string;
  readonly memberEpoch?: number;
  /** Set for `rebalanced`: the group's epoch from then on. */
  readonly newEpoch?: number;
  readonly reason?: string;
  readonly topic?: string;
  /**
   * The first of the partitions: at most MAX_HISTORY_PARTITIONS, and
   * MAX_HISTORY_PARTITIONS_PER_OPERATION together with those of earlier entries.
   */
  readonly partitions?: readonly {
    readonly topic: string;
    readonly partitions: readonly number[];
  }[];
  readonly partitionCount?: number;
}
