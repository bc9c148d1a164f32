// The group socket: `/v1/groups/:group/socket`. Each frame is one JSON object, except for the heartbeat: the bare text
// "ping", which the runtime answers with "pong" without waking the object. PROTOCOL.md explains the conversation, and
// this file is its schema. Clients import only the types.
import * as z from "zod";
import type { ErrorName } from "../core/errors.ts";
import type { MemberState } from "../core/group-info.ts";
import {
  DEFAULT_REBALANCE_TIMEOUT_MS,
  DEFAULT_SESSION_TIMEOUT_MS,
  MAX_CLIENT_ID_LENGTH,
  MAX_OFFSET_METADATA_LENGTH,
  MAX_OFFSETS_PER_COMMIT,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_REBALANCE_TIMEOUT_MS,
  MAX_SESSION_TIMEOUT_MS,
  MAX_TOPIC_NAME_LENGTH,
  MAX_TOPIC_PATTERN_LENGTH,
  MAX_TOPICS,
  MAX_TOPICS_PER_MEMBER,
  MIN_REBALANCE_TIMEOUT_MS,
  MIN_SESSION_TIMEOUT_MS,
} from "../core/limits.ts";
import { integer } from "./parse.ts";

const identifier = z.string().min(1).max(MAX_CLIENT_ID_LENGTH);
const topicPartitions = z.object({
  topicId: z.string().min(1).max(64),
  partitions: z.array(integer(0, MAX_PARTITIONS_PER_TOPIC - 1)).max(MAX_PARTITIONS_PER_TOPIC),
});

/** Partitions of any number of topics, because a pattern may match all topics. */
const heldPartitions = z.array(topicPartitions).max(MAX_TOPICS);

export const joinMessage = z.object({
  type: z.literal("join"),
  /** A UUID that the client chooses and keeps across reconnects. */
  memberId: identifier,
  /** 0 joins anew. The last received epoch resumes after a lost connection. */
  memberEpoch: integer(0, Number.MAX_SAFE_INTEGER),
  instanceId: identifier.nullish(),
  clientId: identifier.nullish(),
  /** Names, a pattern, or both. At least one of the two is required. */
  topics: z
    .array(z.string().min(1).max(MAX_TOPIC_NAME_LENGTH))
    .max(MAX_TOPICS_PER_MEMBER)
    .default([]),
  /** RE2. All topics whose whole name matches, including future ones. */
  topicPattern: z.string().min(1).max(MAX_TOPIC_PATTERN_LENGTH).nullish(),
  sessionTimeoutMs: integer(MIN_SESSION_TIMEOUT_MS, MAX_SESSION_TIMEOUT_MS).default(
    DEFAULT_SESSION_TIMEOUT_MS,
  ),
  rebalanceTimeoutMs: integer(MIN_REBALANCE_TIMEOUT_MS, MAX_REBALANCE_TIMEOUT_MS).default(
    DEFAULT_REBALANCE_TIMEOUT_MS,
  ),
  /** Echoed in the assignment that answers. Earlier assignments do not reflect this join. */
  requestId: integer(0, Number.MAX_SAFE_INTEGER).optional(),
  /** The partitions that the member consumes now. Empty for epoch 0. */
  owned: heldPartitions.default([]),
});

/** The member's report that it has stopped consuming these partitions. */
export const revokedMessage = z.object({
  type: z.literal("revoked"),
  partitions: heldPartitions,
});

export const commitMessage = z.object({
  type: z.literal("commit"),
  requestId: integer(0, Number.MAX_SAFE_INTEGER),
  memberEpoch: integer(0, Number.MAX_SAFE_INTEGER),
  offsets: z
    .array(
      z.object({
        topicId: z.string().min(1).max(64),
        partition: integer(0, MAX_PARTITIONS_PER_TOPIC - 1),
        offset: integer(0, Number.MAX_SAFE_INTEGER),
        metadata: z.string().max(MAX_OFFSET_METADATA_LENGTH).optional(),
        /** Set after a seek. It lets the committed offset go back. */
        isRewind: z.boolean().optional(),
      }),
    )
    .min(1)
    .max(MAX_OFFSETS_PER_COMMIT),
});

export const leaveMessage = z.object({ type: z.literal("leave") });

export const memberMessage = z.discriminatedUnion("type", [
  joinMessage,
  revokedMessage,
  commitMessage,
  leaveMessage,
]);
export type MemberMessage = z.input<typeof memberMessage>;

export interface AssignedPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** The group's committed offset, or null if there is none. */
  readonly committedOffset: number | null;
  /**
   * [OFF-14] True if the partition was added after the group first subscribed to its topic. Without a committed offset,
   * reading then starts at its beginning, whatever the group or the member chose.
   */
  readonly isAdded?: boolean;
  /** [ATT-5] Belongs into `owner` when the member attaches to the partition. Absent if the group could not sign. */
  readonly signature?: string;
}

/** The group's start position in partitions without a committed offset. It overrides the member's own. */
export type InitialOffset = "earliest" | "latest" | { readonly durationMs: number };

/** The member's whole assignment. It is sent after a join and whenever the assignment or the epoch changes. */
export interface AssignmentMessage {
  readonly type: "assignment";
  /** Set if it answers a join with a `requestId`. */
  readonly requestId?: number;
  readonly memberId: string;
  readonly memberEpoch: number;
  /** Together with the epoch, this is the token for attaching to partitions. */
  readonly incarnation: number;
  readonly memberNumber: number;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
  readonly state: MemberState;
  readonly partitions: readonly AssignedPartition[];
  /** Subscribed topics that do not exist now. Their partitions are assigned once they are created. */
  readonly missingTopics: readonly string[];
  /** Absent if each member chooses its own start position. */
  readonly initialOffset?: InitialOffset;
}

export interface CommittedMessage {
  readonly type: "committed";
  readonly requestId: number;
  /** The partitions whose offset was rejected. The others are committed. */
  readonly rejected: readonly {
    readonly topicId: string;
    readonly partition: number;
    readonly code: ErrorName;
    readonly detail: string;
  }[];
}

export interface ErrorMessage {
  readonly type: "error";
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly detail: string;
  /** Set if the error answers a commit. */
  readonly requestId?: number;
}

export type CoordinatorMessage = AssignmentMessage | CommittedMessage | ErrorMessage;
