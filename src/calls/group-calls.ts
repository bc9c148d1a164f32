// The calls that a GroupObject answers. The names are on the wire: see calls.ts.

import type { TopicDescription } from "../core/cluster/topics.ts";
import type { ConfigOverrides } from "../core/config-table.ts";
import type { Result } from "../core/errors.ts";
import type { GroupConfig } from "../core/group/config.ts";
import type {
  ClassicDescription,
  GroupDescription,
  GroupSummary,
  ShareGroupDescription,
} from "../core/group/describe.ts";
import type { HistoryEntry } from "../core/group/history.ts";
import type { PartitionSet, TopicPartitions } from "../core/group/partition-key.ts";
import type {
  ClassicJoin,
  ClassicLeave,
  ClassicSync,
  ClassicToken,
  Delivery,
  Found,
  Heartbeat,
  NamedOffset,
  Position,
} from "../core/group/requests.ts";
import type { GroupSnapshot } from "../core/metrics/snapshot.ts";
import type { TopicPartition } from "../core/record.ts";
import type { ShareTerms } from "../core/share/share-terms.ts";
import type { PollAnswer, PollRequest, RejectedAck } from "../protocol/poll.ts";
import type { Changed } from "./calls.ts";
import type { JoinedReply, SyncedReply } from "./kafka-replies.ts";
import type { RecoveryPoint, Restored } from "./recovery.ts";

/** A heartbeat in the form of a call, which cannot contain sets. */
export type HeartbeatRequest = Omit<Heartbeat, "owned"> &
  Creating & {
    readonly owned: readonly TopicPartitions[] | null;
  };

/** [QUO-5] The bounds on the number of groups, for a request that may create one. */
type Creating = Pick<Found, "rooms">;

export interface HeartbeatReply {
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** Null if the member already knows it. */
  readonly assignment: TopicPartitions[] | null;
}

/** A committed offset in a topic. The names are on disk: the cluster stores the offsets of deleted topics. */
export interface KeptPosition {
  readonly partition: number;
  readonly offset: number;
  readonly metadata?: string;
  readonly leaderEpoch?: number;
}

/** The offsets that a group had in a topic. */
export interface ForgottenPositions {
  readonly topicId: string;
  readonly positions: readonly KeptPosition[];
}

export interface GroupCalls {
  /** [RPT-1] Returns the group's report, or null if it does not exist. Called by the MetricsObject. */
  snapshot(): Promise<GroupSnapshot | null>;

  describe(): Promise<Result<{ group: GroupDescription }>>;

  /** [HIS-1] Returns the newest `limit` events in this group, oldest first. */
  history(request: {
    limit: number;
  }): Promise<Result<{ history: (HistoryEntry & { readonly atMs: number })[] }>>;

  /**
   * [OFF-4] Sets committed offsets, including ones in topics that the group has not read. The caller must have resolved
   * and clamped them.
   */
  resetOffsets(request: { offsets: readonly Position[] }): Promise<Result<object>>;

  /** [OFF-7] Deletes the group's offsets in these topics. */
  deleteOffsets(request: { topics: readonly string[] }): Promise<Result<object>>;

  /** [GCF-1] Returns the group's overrides, and the config in effect. */
  config(): Promise<Result<{ overrides: ConfigOverrides; config: GroupConfig }>>;

  /** [GCF-1] Changes the config. This creates a group that does not exist yet. */
  alterConfig(
    request: { changes: Readonly<Record<string, unknown>> } & Creating,
  ): Promise<Result<{ overrides: ConfigOverrides; config: GroupConfig } & Changed>>;

  /** [GRP-10] Deletes an empty group with all its data. A group that is only listed is removed from the list. */
  destroy(): Promise<Result<object>>;

  /** True if the group exists or is about to be created. Called by the cluster. */
  isNeeded(): Promise<boolean>;

  /** [QUO-6] Returns the topics and patterns of whose changes the group must be notified. Called by the cluster. */
  subscriptions(): Promise<{ names: readonly string[]; patterns: readonly string[] }>;

  /** [CLK-5] True if this is the group's current incarnation. Called by a partition whose clock is behind it. */
  hasIncarnation(request: { incarnation: number }): Promise<boolean>;

  /** [ATT-5] True if the member owns the partition. Called by the partition for an owner without a signature. */
  isOwner(request: {
    incarnation: number;
    memberNumber: number;
    /** The epoch must not exceed the member's own. Otherwise it would fence the member. */
    memberEpoch: number;
    topicId: string;
    partition: number;
  }): Promise<boolean>;

  /**
   * [GRP-17] Reports that a partition has records for an owner and has not heard from it for a session timeout. Called
   * by the partition. Returns false if the owner is not a member.
   */
  noticeSilence(request: { incarnation: number; memberNumber: number }): Promise<boolean>;

  /** [RCV-1] Finds the state that was stored at a time. It changes nothing. */
  recoveryPoint(request: { toMs: number }): Promise<Result<RecoveryPoint>>;

  /** [RCV-2] Starts a new life with the state of a bookmark. Later changes are lost. */
  recoverTo(request: { bookmark: string }): Promise<Result<Restored>>;

  /**
   * [RCV-4] Starts anew with the group's offsets and config: without members, and with another incarnation. So no
   * partition considers its next owners older than those before the recovery.
   */
  beginAnew(request: { incarnation: number }): Promise<Result<object>>;

  /** [RCV-4] Returns the current incarnation of the group. 0 if the group does not exist. */
  incarnation(): Promise<{ incarnation: number }>;

  /** [CLK-4] Notes that the clock was set back. Called by the Worker. It does not answer if a new life must start. */
  noticeClock(): Promise<void>;

  /**
   * [GRP-9] Notes that the topic was created, grown or (null) deleted. Called by the cluster. Returns the offsets that
   * the group has forgotten together with a topic of that name. Releases up to 0.3 return nothing.
   */
  changeTopic(request: {
    name: string;
    topic: TopicDescription | null;
  }): Promise<{ forgotten: ForgottenPositions | null } | undefined>;

  /** [DEL-3] Restores offsets in a topic that was restored, where the group has none. Called by the cluster. */
  restorePositions(request: {
    topic: TopicDescription;
    positions: readonly KeptPosition[];
  }): Promise<void>;

  /**
   * [POL-1] Serves a member without a socket. First it commits the member's acknowledgements, the last action on the
   * records of the previous poll. Then the member joins or stays, and gets its assignment. A repeated call changes
   * nothing more.
   */
  poll(request: PollRequest & Creating): Promise<Result<PollAnswer>>;

  /**
   * [POL-4] [POL-5] Notes the start and end of the records that the member will get. Called by the Worker before it
   * answers a poll. Returns the partitions that still belong to the member.
   */
  deliver(request: {
    memberId: string;
    memberEpoch: number;
    deliveries: readonly Delivery[];
  }): Promise<PartitionSet>;

  /** [GRP-5] Removes a polling member. */
  leave(request: {
    memberId: string;
    acks: PollRequest["acks"];
  }): Promise<Result<{ rejected: readonly RejectedAck[] }>>;

  /**
   * [SHR-16] Makes the group a share group, unless it is a consumer group: GROUP_ID_NOT_FOUND. It hears what becomes of
   * these topics from now on.
   */
  openShare(
    request: { topics: readonly string[] } & Creating,
  ): Promise<Result<{ incarnation: number; terms: ShareTerms }>>;

  /**
   * [SHR-17] Notes that the partition keeps delivery states for the share group, and returns the group's terms. Called by
   * the partition at its first use by the group, and once in each of its lives.
   */
  useShare(request: {
    incarnation: number;
    topic: Pick<TopicDescription, "topicId" | "name" | "partitions">;
    partition: number;
  }): Promise<Result<{ incarnation: number; terms: ShareTerms }>>;

  /** Describes a share group, without its partitions' states. GROUP_ID_NOT_FOUND for a group of another kind. */
  describeShare(): Promise<Result<{ group: ShareGroupDescription }>>;

  /** [ACL-8] Closes the sockets that were opened with this API key. Called by the Worker when the key is revoked. */
  revokeKey(request: { keyId: string }): Promise<void>;

  // Calls for Kafka's clients.

  /** [CLS-1] Answers when all members have joined, or after the longest wait. */
  joinClassic(request: ClassicJoin & Creating): Promise<JoinedReply>;
  syncClassic(request: ClassicSync): Promise<SyncedReply>;
  /** Returns an error code, 0 if the member may continue. */
  heartbeatClassic(request: ClassicToken): Promise<number>;
  /** Returns an error code for each member. */
  leaveClassic(request: { members: readonly ClassicLeave[] }): Promise<number[]>;

  /** [KCG-1] Answers a heartbeat (KIP-848). The assignment is included if the member does not know it yet. */
  heartbeat(request: HeartbeatRequest): Promise<Result<HeartbeatReply>>;

  /**
   * [CLS-6] Commits offsets. `errorCode` rejects all of them. Otherwise each has its own code. [GRP-13] If nothing is
   * committed, nothing is created: neither the group nor a topic in it.
   */
  commitOffsets(
    request: { token: ClassicToken; offsets: readonly NamedOffset[] } & Creating,
  ): Promise<{ errorCode: number; errorCodes: number[] }>;

  /**
   * Deletes these offsets. Returns an error code for each, or one for all. With `asksDeleted`, it also returns which of
   * them existed, except from an object of an older release.
   */
  deletePositions(request: {
    positions: readonly TopicPartition[];
    asksDeleted?: boolean;
  }): Promise<number | number[] | { codes: number[]; deleted: readonly boolean[] }>;

  /**
   * Returns the committed offsets by topic and partition, or an error code. In a group with native members, a `member`
   * that asks must be in the group (KIP-848).
   */
  committedOffsets(request: {
    member: { memberId: string; memberEpoch: number } | null;
  }): Promise<{ offsets: number | NamedOffset[] }>;

  /** Describes the group as DescribeGroups does. A group that does not exist or has native members is Dead. */
  describeClassic(): Promise<ClassicDescription>;

  /** Describes the group as ConsumerGroupDescribe does: the native members and their subscriptions. */
  describeConsumers(): Promise<
    Result<{
      group: GroupDescription;
      subscriptions: Record<string, { topics: readonly string[]; topicPattern: string | null }>;
    }>
  >;

  /** Describes the group as ListGroups does. Null if it does not exist. */
  summary(): Promise<GroupSummary | null>;
}

/** The fields of a call. */
export type GroupRequest<Method extends keyof GroupCalls> = Parameters<GroupCalls[Method]>[0];

/** [VER-10] True for calls that may run twice without harm. The platform may repeat those whose answer was lost. */
export const GROUP_CALLS: Readonly<Record<keyof GroupCalls, boolean>> = {
  describe: true,
  history: true,
  resetOffsets: true,
  deleteOffsets: true,
  config: true,
  alterConfig: true,
  destroy: false,
  isNeeded: true,
  snapshot: true,
  subscriptions: true,
  hasIncarnation: true,
  isOwner: true,
  revokeKey: true,
  noticeSilence: true,
  recoveryPoint: true,
  recoverTo: false,
  beginAnew: true,
  incarnation: true,
  noticeClock: true,
  changeTopic: true,
  restorePositions: true,
  poll: true,
  openShare: true,
  useShare: true,
  describeShare: true,
  deliver: true,
  leave: false,
  joinClassic: false,
  syncClassic: true,
  heartbeatClassic: true,
  leaveClassic: false,
  heartbeat: true,
  commitOffsets: true,
  deletePositions: true,
  committedOffsets: true,
  describeClassic: true,
  describeConsumers: true,
  summary: true,
};
