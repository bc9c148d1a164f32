// The requests of a member without a socket: those that it makes over HTTP, and those that the Worker makes to the
// group for it.
import * as z from "zod";
import type { ErrorName } from "../core/errors.ts";
import type { PartitionKey } from "../core/group/partition-key.ts";
import type { JoinRequest } from "../core/group/requests.ts";
import {
  DEFAULT_FETCH_RECORDS,
  DEFAULT_SESSION_TIMEOUT_MS,
  MAX_CLIENT_ID_LENGTH,
  MAX_FETCH_RECORDS,
  MAX_OFFSETS_PER_COMMIT,
  MAX_SESSION_TIMEOUT_MS,
  MAX_TOPIC_PATTERN_LENGTH,
  MAX_TOPICS_PER_MEMBER,
  MAX_WAIT_MS,
  MIN_SESSION_TIMEOUT_MS,
} from "../core/limits.ts";
import type { TopicPartition } from "../core/record.ts";
import type { AssignmentMessage } from "./group-socket.ts";
import { integer } from "./parse.ts";

/** The instance id. With a prefix, it becomes the member's id. */
const instanceId = z
  .string()
  .min(1)
  .max(MAX_CLIENT_ID_LENGTH - 5);

export const pollSchema = z
  .strictObject({
    instanceId: instanceId.describe(
      "Identifies the polling client: the same in each of its requests, and unique",
    ),
    topics: z
      .array(z.string())
      .max(MAX_TOPICS_PER_MEMBER)
      .default([])
      .describe("The topics to consume"),
    pattern: z
      .string()
      .min(1)
      .max(MAX_TOPIC_PATTERN_LENGTH)
      .optional()
      .describe("An RE2 expression: all topics whose whole name matches"),
    clientId: z.string().min(1).max(MAX_CLIENT_ID_LENGTH).optional(),
    from: z
      .enum(["earliest", "latest"])
      .default("earliest")
      .describe("The start in partitions for which the group has committed nothing"),
    maxRecords: integer(1, MAX_FETCH_RECORDS).default(DEFAULT_FETCH_RECORDS),
    waitMs: integer(0, MAX_WAIT_MS)
      .default(0)
      .describe("How long to wait if there are no records, in milliseconds"),
    sessionTimeoutMs: integer(MIN_SESSION_TIMEOUT_MS, MAX_SESSION_TIMEOUT_MS)
      .default(DEFAULT_SESSION_TIMEOUT_MS)
      .describe("The member is removed when this time has passed since its last poll"),
    ack: z
      .array(
        z.strictObject({
          topic: z.string(),
          partition: integer(0, 2 ** 31 - 1),
          offset: integer(0, Number.MAX_SAFE_INTEGER - 1),
        }),
      )
      .max(MAX_OFFSETS_PER_COMMIT)
      .default([])
      .describe("Acknowledges records of earlier answers, up to and including these offsets"),
    leave: z
      .boolean()
      .default(false)
      .describe("True acknowledges and leaves; other members get the partitions at once"),
  })
  .superRefine(({ topics, pattern, leave: leaves }, context) => {
    if (topics.length > 0 || pattern !== undefined || leaves) return;
    const message = "must name at least one topic, or there must be a pattern";
    context.addIssue({ code: "custom", path: ["topics"], message });
  });

/** The Worker's request for a member without a socket. */
export interface PollRequest
  extends Pick<
    JoinRequest,
    | "memberId"
    | "instanceId"
    | "clientId"
    | "topics"
    | "topicPattern"
    | "readable"
    | "sessionTimeoutMs"
    | "rebalanceTimeoutMs"
  > {
  /** Acknowledges up to and including these offsets. */
  readonly acks: readonly (TopicPartition & { readonly offset: number })[];
}

export interface RejectedAck {
  readonly topic: string;
  readonly partition: number;
  /** The acknowledged offset. */
  readonly offset: number;
  readonly code: ErrorName;
  readonly detail: string;
}

export interface PollAnswer {
  readonly assignment: AssignmentMessage;
  readonly rejected: readonly RejectedAck[];
  /** The end of the records that the member was sent in each partition since it got it. */
  readonly delivered: ReadonlyMap<PartitionKey, number>;
}
