// The calls that a GroupObject answers. The names are on the wire: see calls.ts.

import type { TopicDescription } from "../core/cluster/topics.ts";
import type { ConfigOverrides } from "../core/config-table.ts";
import type { Result } from "../core/errors.ts";
import type { GroupConfig } from "../core/group/config.ts";
import type { ClassicDescription, GroupDescription, GroupSummary } from "../core/group/describe.ts";
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
import type { PollAnswer, PollRequest, RejectedAck } from "../protocol/poll.ts";
import type { Changed } from "./calls.ts";
import type { JoinedReply, SyncedReply } from "./kafka-replies.ts";
import type { RecoveryPoint, Restored } from "./recovery.ts";

/** A heartbeat as it crosses the call, which cannot carry sets. */
export type HeartbeatRequest = Omit<Heartbeat, "owned"> &
  Creating & {
    readonly owned: readonly TopicPartitions[] | null;
  };

/** [QUO-5] The bounds on the number of groups for whoever brings one into being. */
type Creating = Pick<Found, "rooms">;

export interface HeartbeatReply {
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** Null if it is no news to the member. */
  readonly assignment: TopicPartitions[] | null;
}

/** A position in a topic. The names are on disk: the cluster keeps those of deleted topics. */
export interface KeptPosition {
  readonly partition: number;
  readonly offset: number;
  readonly metadata?: string;
  readonly leaderEpoch?: number;
}

/** The positions that a group had in a topic. */
export interface ForgottenPositions {
  readonly topicId: string;
  readonly positions: readonly KeptPosition[];
}

export interface GroupCalls {
  /** [RPT-1] Returns what the group tells of itself, or null if there is none. Called by the MetricsObject. */
  snapshot(): Promise<GroupSnapshot | null>;

  describe(): Promise<Result<{ group: GroupDescription }>>;

  /** [HIS-1] Returns the newest `limit` events in this group, oldest first. */
  history(request: {
    limit: number;
  }): Promise<Result<{ history: (HistoryEntry & { readonly atMs: number })[] }>>;

  /**
   * [OFF-4] Sets committed offsets, also in topics that the group has not read. The caller has resolved and clamped them.
   */
  resetOffsets(request: { offsets: readonly Position[] }): Promise<Result<object>>;

  /** [OFF-7] Forgets the positions in these topics. */
  deleteOffsets(request: { topics: readonly string[] }): Promise<Result<object>>;

  /** [GCF-1] Returns the config that is set for this group, and the config in effect. */
  config(): Promise<Result<{ overrides: ConfigOverrides; config: GroupConfig }>>;

  /** [GCF-1] Changes the config. This also creates a group that nobody has joined yet. */
  alterConfig(
    request: { changes: Readonly<Record<string, unknown>> } & Creating,
  ): Promise<Result<{ overrides: ConfigOverrides; config: GroupConfig } & Changed>>;

  /** [GRP-10] Deletes an empty group and everything it remembers. A group that is only listed leaves the list. */
  destroy(): Promise<Result<object>>;

  /** True if the group exists or is about to. Called by the cluster. */
  isNeeded(): Promise<boolean>;

  /** [QUO-6] Returns the topics and patterns that the group has to be told of. Called by the cluster. */
  subscriptions(): Promise<{ names: readonly string[]; patterns: readonly string[] }>;

  /** [CLK-5] True if this life of the group has the incarnation. Called by a partition whose clock is behind it. */
  hasIncarnation(request: { incarnation: number }): Promise<boolean>;

  /** [ATT-5] True if the member owns the partition. Called by the partition about an owner without a signature. */
  isOwner(request: {
    incarnation: number;
    memberNumber: number;
    /** It must not be beyond the member's own, or it would fence the member out. */
    memberEpoch: number;
    topicId: string;
    partition: number;
  }): Promise<boolean>;

  /**
   * [GRP-17] Tells the group that a partition has records for an owner, and has not heard from it in a session timeout.
   * Called by the partition. Returns false if it is no member.
   */
  noticeSilence(request: { incarnation: number; memberNumber: number }): Promise<boolean>;

  /** [RCV-1] Finds the state that was stored at a time. It changes nothing. */
  recoveryPoint(request: { toMs: number }): Promise<Result<RecoveryPoint>>;

  /** [RCV-2] Begins a new life with the state of a bookmark. What was stored since is gone. */
  recoverTo(request: { bookmark: string }): Promise<Result<Restored>>;

  /**
   * [RCV-4] Begins anew with the positions and the config that it has: without members, and with another incarnation, so
   * that no partition takes its next owners for older than those before the recovery.
   */
  beginAnew(request: { incarnation: number }): Promise<Result<object>>;

  /** [RCV-4] Returns the incarnation of this life of the group. 0 where there is no group. */
  incarnation(): Promise<{ incarnation: number }>;

  /** [CLK-4] Notes that the clock was set back. Called by the Worker. It does not answer if a new life has to begin. */
  noticeClock(): Promise<void>;

  /**
   * [GRP-9] Notes that the topic was created, grown or (null) deleted. Called by the cluster. Returns the positions that the
   * group has forgotten with a topic of that name. Releases up to 0.3 return nothing.
   */
  changeTopic(request: {
    name: string;
    topic: TopicDescription | null;
  }): Promise<{ forgotten: ForgottenPositions | null } | undefined>;

  /** [DEL-3] Sets positions in a topic that was brought back, where the group has none. Called by the cluster. */
  restorePositions(request: {
    topic: TopicDescription;
    positions: readonly KeptPosition[];
  }): Promise<void>;

  /**
   * [POL-1] Serves a member without a socket. First it commits what the member acknowledges, the last action on the
   * records of the previous poll. Then the member joins or keeps its place, and is told what it owns. A repeated call
   * changes nothing more.
   */
  poll(request: PollRequest & Creating): Promise<Result<PollAnswer>>;

  /**
   * [POL-4] [POL-5] Notes where the member begins and what it will be sent. Called by the Worker before it answers a
   * poll. Returns the partitions that still belong to the member.
   */
  deliver(request: {
    memberId: string;
    memberEpoch: number;
    deliveries: readonly Delivery[];
  }): Promise<PartitionSet>;

  /** [GRP-5] Removes a member that polls. */
  leave(request: {
    memberId: string;
    acks: PollRequest["acks"];
  }): Promise<Result<{ rejected: readonly RejectedAck[] }>>;

  /** [ACL-8] Closes the sockets that were opened with this API key. Called by the Worker when it is revoked. */
  revokeKey(request: { keyId: string }): Promise<void>;

  // For Kafka's clients.

  /** [CLS-1] Answers when everyone has joined, or has been waited for long enough. */
  joinClassic(request: ClassicJoin & Creating): Promise<JoinedReply>;
  syncClassic(request: ClassicSync): Promise<SyncedReply>;
  /** Returns an error code, 0 if the member may go on. */
  heartbeatClassic(request: ClassicToken): Promise<number>;
  /** Returns an error code for each member. */
  leaveClassic(request: { members: readonly ClassicLeave[] }): Promise<number[]>;

  /** [KCG-1] Answers a heartbeat (KIP-848). The assignment is included if it is news to the member. */
  heartbeat(request: HeartbeatRequest): Promise<Result<HeartbeatReply>>;

  /**
   * [CLS-6] Commits offsets. `errorCode` refuses all of them. Otherwise each has its own code. [GRP-13] If nothing is
   * committed, nothing is created: neither a group nor a topic in it.
   */
  commitOffsets(
    request: { token: ClassicToken; offsets: readonly NamedOffset[] } & Creating,
  ): Promise<{ errorCode: number; errorCodes: number[] }>;

  /**
   * Forgets these positions. Returns an error code for each, or one for all. Whoever `asksDeleted` is also told which of them
   * there were, except by an object of an older release.
   */
  deletePositions(request: {
    positions: readonly TopicPartition[];
    asksDeleted?: boolean;
  }): Promise<number | number[] | { codes: number[]; deleted: readonly boolean[] }>;

  /**
   * Returns the committed offsets by topic and partition, or an error code. In a native group, a `member` that asks must
   * be in the group (KIP-848).
   */
  committedOffsets(request: {
    member: { memberId: string; memberEpoch: number } | null;
  }): Promise<{ offsets: number | NamedOffset[] }>;

  /** Describes the group as DescribeGroups does. A group that does not exist, or has other members, is Dead. */
  describeClassic(): Promise<ClassicDescription>;

  /** Describes the group as ConsumerGroupDescribe does: the members that are not classic, and their subscriptions. */
  describeConsumers(): Promise<
    Result<{
      group: GroupDescription;
      subscriptions: Record<string, { topics: readonly string[]; topicPattern: string | null }>;
    }>
  >;

  /** Describes the group as ListGroups does. Null if there is none. */
  summary(): Promise<GroupSummary | null>;
}

/** The fields of a call. */
export type GroupRequest<Method extends keyof GroupCalls> = Parameters<GroupCalls[Method]>[0];

/** [VER-10] The calls that do no harm if they run twice. The platform may repeat those whose answer was lost. */
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
