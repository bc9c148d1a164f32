// The group socket: `/v1/groups/:group/socket`, one JSON object a frame, besides the heartbeat, which is
// the bare text "ping" answered by the runtime with "pong" without waking the object. PROTOCOL.md tells
// the conversation; this file is its schema. Clients import the types only.
import * as z from "zod";
import type { ErrorName } from "../core/errors.ts";
import type { MemberState } from "../core/group/state.ts";
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
const topicPartitions = z.strictObject({
  topicId: z.string().min(1).max(64),
  partitions: z.array(integer(0, MAX_PARTITIONS_PER_TOPIC - 1)).max(MAX_PARTITIONS_PER_TOPIC),
});

/** Of any number of topics: a pattern may match them all. */
const heldPartitions = z.array(topicPartitions).max(MAX_TOPICS);

export const joinMessage = z.strictObject({
  type: z.literal("join"),
  /** Chosen by the client, a UUID; kept over reconnects. */
  memberId: identifier,
  /** 0 joins anew; the last epoch received resumes after a lost connection. */
  memberEpoch: integer(0, Number.MAX_SAFE_INTEGER),
  instanceId: identifier.nullish(),
  clientId: identifier.nullish(),
  /** Names, a pattern, or both; at least one of them. */
  topics: z
    .array(z.string().min(1).max(MAX_TOPIC_NAME_LENGTH))
    .max(MAX_TOPICS_PER_MEMBER)
    .default([]),
  /** RE2; all topics whose whole name matches, those of the future too. */
  topicPattern: z.string().min(1).max(MAX_TOPIC_PATTERN_LENGTH).nullish(),
  sessionTimeoutMs: integer(MIN_SESSION_TIMEOUT_MS, MAX_SESSION_TIMEOUT_MS).default(
    DEFAULT_SESSION_TIMEOUT_MS,
  ),
  rebalanceTimeoutMs: integer(MIN_REBALANCE_TIMEOUT_MS, MAX_REBALANCE_TIMEOUT_MS).default(
    DEFAULT_REBALANCE_TIMEOUT_MS,
  ),
  /** Echoed in the assignment that answers: what was sent before it says nothing about this join. */
  requestId: integer(0, Number.MAX_SAFE_INTEGER).optional(),
  /** What the member consumes now; empty for epoch 0. */
  owned: heldPartitions.default([]),
});

/** The member has stopped consuming these partitions. */
export const revokedMessage = z.strictObject({
  type: z.literal("revoked"),
  partitions: heldPartitions,
});

export const commitMessage = z.strictObject({
  type: z.literal("commit"),
  requestId: integer(0, Number.MAX_SAFE_INTEGER),
  memberEpoch: integer(0, Number.MAX_SAFE_INTEGER),
  offsets: z
    .array(
      z.strictObject({
        topicId: z.string().min(1).max(64),
        partition: integer(0, MAX_PARTITIONS_PER_TOPIC - 1),
        offset: integer(0, Number.MAX_SAFE_INTEGER),
        metadata: z.string().max(MAX_OFFSET_METADATA_LENGTH).optional(),
        /** Set after a seek: lets the committed offset go back. */
        isRewind: z.boolean().optional(),
      }),
    )
    .min(1)
    .max(MAX_OFFSETS_PER_COMMIT),
});

export const leaveMessage = z.strictObject({ type: z.literal("leave") });

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
  /** Where the group stands, or null where it has committed nothing. */
  readonly committedOffset: number | null;
}

/** The group's word on where to begin where nothing is committed, which goes above the member's own. */
export type InitialOffset = "earliest" | "latest" | { readonly durationMs: number };

/** The member's whole assignment. Sent after a join and whenever the assignment or the epoch changes. */
export interface AssignmentMessage {
  readonly type: "assignment";
  /** Set where it answers a join that had one. */
  readonly requestId?: number;
  readonly memberId: string;
  readonly memberEpoch: number;
  /** With the epoch, the token that partitions are attached with. */
  readonly incarnation: number;
  readonly memberNumber: number;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
  readonly state: MemberState;
  readonly partitions: readonly AssignedPartition[];
  /** Subscribed topics that do not exist now; they are assigned once they are created. */
  readonly missingTopics: readonly string[];
  /** Absent where each member begins where it wants. */
  readonly initialOffset?: InitialOffset;
}

export interface CommittedMessage {
  readonly type: "committed";
  readonly requestId: number;
  /** Partitions whose offset was refused; the others are committed. */
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
  /** Set where the error answers a commit. */
  readonly requestId?: number;
}

export type CoordinatorMessage = AssignmentMessage | CommittedMessage | ErrorMessage;
