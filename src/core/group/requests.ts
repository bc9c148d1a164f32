// The requests of a group by name, and the answer to each. The group's state machine handles all of them (group.ts).
import type { NamePattern, Room } from "../access/grants.ts";
import type { ConfigOverrides } from "../config-table.ts";
import type {
  ErrorName,
  Failure,
  KafkaErrorName,
  KafkaFailure,
  KafkaResult,
  Result,
} from "../errors.ts";
import type { TopicPartition } from "../record.ts";
import type { ShareTerms } from "../share/share-terms.ts";
import type { ClassicProtocol } from "./classic-state.ts";
import type { PartitionKey, PartitionSet } from "./partition-key.ts";
import type { GroupTopic, Member } from "./state.ts";

/** The operations of a group: the fields of each request, and its answer. */
export interface Operations {
  // Native members.

  /** [GRP-3] Lets a member join, rejoin (epoch 0) or resume (epoch > 0). */
  join: [JoinRequest & Found, Result<{ member: Member }>];
  /**
   * [POL-1] Serves a member without a connection. First it commits the member's acknowledgements. Then the member
   * joins, or stays in the group.
   */
  poll: [
    JoinRequest & Found & { readonly acks: readonly Ack[] },
    Result<{ member: Member; rejected: readonly RejectedAck[] }>,
  ];
  /**
   * [POL-4] [POL-5] Notes the records that a polling member is about to get. Returns the partitions that are still its
   * own.
   */
  deliver: [
    { memberId: string; memberEpoch: number; deliveries: readonly Delivery[] },
    Result<{ own: PartitionSet }>,
  ];
  /** [KCG-1] KIP-848's heartbeat: a member joins, leaves, reports its partitions, and gets its assignment. */
  heartbeat: [Heartbeat & Found, Result<HeartbeatAnswer>];
  /** [ACL-7] Notes that the member may read only these topics from now on, or all topics if the list is absent. */
  alterRights: [
    { memberId: string; readable?: readonly NamePattern[] | undefined },
    Result<object>,
  ];
  /** [GRP-2] Notes that the member has given up these partitions. */
  revoked: [{ memberId: string; partitions: PartitionSet }, Result<object>];
  /** [OFF-1] Commits offsets of a member with a socket. */
  commit: [
    { memberId: string; memberEpoch: number; offsets: readonly OffsetCommit[] },
    Result<{ rejected: readonly RejectedOffset[] }>,
  ];
  /** [GRP-5] Removes a leaving member at once. It is not an error if it is already gone. */
  leave: [{ memberId: string }, Result<object>];
  /** [GRP-5] Removes a polling member after its last acknowledgements. */
  leavePolling: [
    { memberId: string; acks: readonly Ack[] },
    Result<{ rejected: readonly RejectedAck[] }>,
  ];

  // Classic members.

  /** [CLS-1] Answers when all members have joined, or after the longest wait. */
  joinClassic: [ClassicJoin & Found, ClassicJoinAnswer];
  /** [CLS-2] Answers when the leader has sent the assignments. */
  syncClassic: [ClassicSync, ClassicSyncAnswer];
  /** [CLS-4] Notes that the member is alive. */
  heartbeatClassic: [ClassicToken, KafkaResult<object>];
  /** [CLS-12] Removes classic members, and native static members that are named by their instance id alone. */
  leaveClassic: [
    { members: readonly ClassicLeave[] },
    Result<{ outcomes: readonly (KafkaErrorName | null)[] }>,
  ];
  /** [CLS-8] Learns topics that are being read, with all their partitions, before anything in them is committed. */
  learnTopics: [{ names: readonly string[] } & Found, Result<object>];

  // Members of every kind.

  /** [GRP-6] Notes that the member's connection is lost. */
  lost: [{ memberId: string }, Result<object>];
  /** [CLS-6] Commits offsets for Kafka's clients. An error rejects all of them. Otherwise each has its own outcome. */
  commitOffsets: [
    { token: ClassicToken; offsets: readonly NamedOffset[] } & Found,
    KafkaResult<{ outcomes: readonly (KafkaErrorName | null)[] }>,
  ];
  /** [OFF-4] Sets committed offsets, including ones in topics that the group has not read yet. */
  resetOffsets: [{ offsets: readonly Position[] } & Found, Result<object>];
  /** [OFF-7] Deletes the group's offsets in these topics, all or none. */
  deleteOffsets: [{ topics: readonly string[] }, Result<object>];
  /**
   * Deletes these offsets. The topics stay known. An error rejects the whole request. Otherwise each has its own
   * outcome.
   */
  deletePositions: [
    { positions: readonly TopicPartition[] },
    Result<{ outcomes: readonly (KafkaErrorName | null)[]; deleted: readonly boolean[] }>,
  ];

  // Share groups.

  /** [SHR-16] Makes the group a share group if nobody has used it yet, and lets it know these topics. */
  openShare: [
    { topics: readonly string[] } & Found,
    Result<{ incarnation: number; terms: ShareTerms }>,
  ];
  /** [SHR-17] Notes that the partition keeps delivery states for the group from now on. */
  useShare: [
    { incarnation: number; topic: GroupTopic; partition: number } & Found,
    Result<{ incarnation: number; terms: ShareTerms }>,
  ];

  // Other operations.

  /** [GCF-1] Changes the config. A group that does not exist is created. */
  alterConfig: [
    { changes: Readonly<Record<string, unknown>> } & Found,
    Result<{ overrides: ConfigOverrides; isChanged: boolean }>,
  ];
  /** [GRP-9] Notes that a topic was created, grown or (null) deleted. */
  changeTopic: [{ name: string; topic: GroupTopic | null }, Result<object>];
  /** [DEL-3] Restores offsets in a topic that was restored, where the group has none. */
  restorePositions: [{ topic: GroupTopic; positions: readonly NamedOffset[] }, Result<object>];
  /** [GRP-7] Removes members whose session has ended, and deletes offsets that have expired. */
  expire: [object, Result<object>];
  /**
   * Continues after the object was evicted: state that was not stored begins anew. `isAnyoneMissing` is true if there
   * may be native members without a connection.
   */
  wake: [{ isAnyoneMissing: boolean }, Result<object>];
  /** [CLK-4] Restarts all session timeouts, because the clock was set. */
  beginSessionsAnew: [object, Result<object>];
}

export type OperationName = keyof Operations;

export type GroupRequest<Name extends OperationName = OperationName> = {
  [Each in Name]: { readonly type: Each } & Operations[Each][0];
}[Name];

export type AnswerTo<Request extends { readonly type: OperationName }> =
  Operations[Request["type"]][1];

/** The errors of a request. They are the ones that its kind of client knows. */
export type RefusalOf<Request extends { readonly type: OperationName }> = Extract<
  AnswerTo<Request>,
  { readonly ok: false }
>;

/** The cluster's answer about the topics that the request names, and to its other questions. */
export interface Found {
  /** The topics that exist. Absent if the cluster was not asked. */
  readonly found?: readonly GroupTopic[];
  /** [CLK-5] The group's incarnation if this request creates it. */
  readonly newIncarnation?: number;
  /** [QUO-5] Bounds on the number of groups. At least one must have room if this request creates the group. */
  readonly rooms?: readonly Room[] | undefined;
}

export interface JoinRequest {
  readonly memberId: string;
  /** 0 joins anew. A higher epoch resumes a membership over a new connection. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly clientId: string | null;
  readonly topics: readonly string[];
  readonly topicPattern: string | null;
  /** [ACL-7] The topics that it may read. Absent if it may read all. It is assigned no others. */
  readonly readable?: readonly NamePattern[] | undefined;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** The partitions that the member consumes now. Empty if `memberEpoch` is 0. */
  readonly owned: PartitionSet;
  /** True for a member without a connection. Each join starts its session anew [POL-1]. */
  readonly polls: boolean;
  /** True if it uses Kafka's ConsumerGroupHeartbeat. */
  readonly heartbeats: boolean;
}

/** The records of a partition that a polling member is about to get. */
export interface Delivery {
  readonly key: PartitionKey;
  /** The start offset, unless one is committed. */
  readonly beginOffset: number | null;
  /**
   * The committed offset that the member was sent. If another offset is committed by now, that one applies instead of
   * `beginOffset`.
   */
  readonly committedOffset?: number | null;
  /** The offset after the last record. Null if nothing is sent. */
  readonly nextOffset: number | null;
}

/** A polling member's acknowledgement of all records up to and including this offset. */
export interface Ack extends TopicPartition {
  readonly offset: number;
}

export interface RejectedAck extends Ack {
  readonly code: ErrorName;
  readonly detail: string;
}

export interface Heartbeat {
  readonly memberId: string;
  /**
   * 0 joins, -1 leaves, -2 leaves for a while (a static member). A higher number is the latest epoch that the member
   * knows.
   */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly clientId: string | null;
  /** -1 means unchanged. */
  readonly rebalanceTimeoutMs: number;
  /** Null means unchanged. Names and pattern are sent independently, but a join that names topics names all of them. */
  readonly topics: readonly string[] | null;
  /** Null means unchanged. Empty removes the pattern. */
  readonly topicPattern: string | null;
  /** [ACL-7] The topics that it may read now. Absent if it may read all. */
  readonly readable?: readonly NamePattern[] | undefined;
  /** The partitions that it consumes now. Null means unchanged. */
  readonly owned: PartitionSet | null;
}

export interface HeartbeatAnswer {
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** Null if the member already knows it. */
  readonly assignment: PartitionSet | null;
}

export interface OffsetCommit {
  readonly key: PartitionKey;
  readonly offset: number;
  readonly metadata: string;
  /** [OFF-13] Only Kafka's clients send one. */
  readonly leaderEpoch?: number;
  /** Set after a seek. Only then may a commit move an offset back [OFF-3]. */
  readonly isRewind: boolean;
}

export interface RejectedOffset extends Failure {
  readonly key: PartitionKey;
}

/** A committed offset as Kafka's clients send it. */
export interface NamedOffset extends TopicPartition {
  readonly offset: number;
  readonly metadata: string;
  /** [OFF-13] The leader epoch of the last record read. Absent if unknown. */
  readonly leaderEpoch?: number;
}

/** An offset set by a reset. */
export interface Position extends TopicPartition {
  readonly topicId: string;
  readonly offset: number;
}

export interface ClassicJoin {
  /** Empty for a client without an id. It then gets `newMemberId`. */
  readonly memberId: string;
  readonly newMemberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly ClassicProtocol[];
  /** KIP-394: a newcomer first gets an id and then joins with it. From version 4 on. */
  readonly mustKnowId: boolean;
  /** KIP-814: the answer can tell a leader to skip the assignment. From version 9 on. */
  readonly canSkipAssignment: boolean;
}

export interface ClassicJoined {
  readonly memberId: string;
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string;
  readonly skipAssignment: boolean;
  /** Only the leader gets the members. */
  readonly members: readonly {
    memberId: string;
    instanceId: string | null;
    metadata: Uint8Array;
  }[];
}

/** The answer to a classic join. MEMBER_ID_REQUIRED comes with the client's id. */
export type ClassicJoinAnswer =
  | ({ readonly ok: true } & ClassicJoined)
  | (KafkaFailure & { readonly memberId?: string });

export interface ClassicSync {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignments: readonly { memberId: string; assignment: Uint8Array }[];
  /** [ACL-7] The topics that it may read. Absent if it may read all. */
  readonly readable?: readonly NamePattern[] | undefined;
}

export interface ClassicSynced {
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Uint8Array;
}

export type ClassicSyncAnswer = KafkaResult<ClassicSynced>;

/** The sender of a heartbeat, a sync or a commit. */
export interface ClassicToken {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
}

/** A leaving member, named by its id or, if that is empty, by its instance id alone. */
export interface ClassicLeave {
  readonly memberId: string;
  readonly instanceId: string | null;
}
