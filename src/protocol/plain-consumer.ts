// The plain consumer: `/v1/groups/:group/consume`, JSON objects over any WebSocket client without the SDK.
import * as z from "zod";
import { whyNotGroupId, whyNotTopicName } from "../core/cluster/topics.ts";
import type { Failure } from "../core/errors.ts";
import {
  DEFAULT_PLAIN_COMMIT_INTERVAL_MS,
  DEFAULT_PLAIN_WINDOW_RECORDS,
  DEFAULT_SESSION_TIMEOUT_MS,
  MAX_CLIENT_ID_LENGTH,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_PLAIN_COMMIT_INTERVAL_MS,
  MAX_PLAIN_WINDOW_RECORDS,
  MAX_SESSION_TIMEOUT_MS,
  MAX_TOPIC_PATTERN_LENGTH,
  MAX_TOPICS_PER_MEMBER,
  MIN_PLAIN_COMMIT_INTERVAL_MS,
  MIN_SESSION_TIMEOUT_MS,
} from "../core/limits.ts";
import type { TopicPartition } from "../core/record.ts";
import type { ErrorMessage } from "./group-socket.ts";
import type { JsonRecord } from "./json-record.ts";
import { integer, queryInteger } from "./parse.ts";
import { filterParameters } from "./record-filter.ts";

/** Makes the schema of a comma-separated list of names in a query. `whyNot` returns the error in a name. */
function nameList(what: string, whyNot: (name: string) => Failure | null) {
  return z
    .string(`must name at least one ${what}, separated by commas`)
    .transform((text) => [...new Set(text.split(",").map((name) => name.trim()))])
    .superRefine((names, context) => {
      if (names.length > MAX_TOPICS_PER_MEMBER) {
        context.addIssue({
          code: "custom",
          message: `names ${names.length} ${what}s, the bound is ${MAX_TOPICS_PER_MEMBER}`,
        });
      }
      for (const name of names) {
        const invalid = whyNot(name);
        if (invalid !== null) context.addIssue({ code: "custom", message: invalid.detail });
      }
    });
}

export const topicList = nameList("topic", whyNotTopicName);
export const groupList = nameList("group", whyNotGroupId);

/** The version of the conversation (version.ts). */
export const socketVersion = queryInteger(0, Number.MAX_SAFE_INTEGER)
  .optional()
  .describe("The client's version of the conversation");

/** The parameters that all plain sockets share, with or without a group. */
const deliveryParameters = {
  window: queryInteger(1, MAX_PLAIN_WINDOW_RECORDS)
    .default(DEFAULT_PLAIN_WINDOW_RECORDS)
    .describe(
      `The most unacknowledged records per partition, ${DEFAULT_PLAIN_WINDOW_RECORDS} by default`,
    ),
  sessionTimeoutMs: queryInteger(MIN_SESSION_TIMEOUT_MS, MAX_SESSION_TIMEOUT_MS)
    .default(DEFAULT_SESSION_TIMEOUT_MS)
    .describe(`The session timeout in milliseconds, ${DEFAULT_SESSION_TIMEOUT_MS} by default`),
  ...filterParameters,
  v: socketVersion,
};

export const consumeQuery = z.strictObject({
  topics: topicList
    .optional()
    .describe("Names separated by commas; `topics` or `pattern` is required"),
  pattern: z
    .string()
    .min(1)
    .max(MAX_TOPIC_PATTERN_LENGTH)
    .optional()
    .describe(
      "An RE2 expression: all topics whose whole name matches, including topics created later",
    ),
  ack: z
    .enum(["explicit", "auto"])
    .default("explicit")
    .describe("explicit: an `ack` commits; auto: a record counts as done once it is sent"),
  from: z
    .enum(["earliest", "latest"])
    .default("earliest")
    .describe("The start in partitions for which the group has committed nothing"),
  instanceId: z
    .string()
    .min(1)
    .max(MAX_CLIENT_ID_LENGTH)
    .optional()
    .describe("Makes a static member, whose partitions stay reserved while it is away"),
  clientId: z.string().min(1).max(MAX_CLIENT_ID_LENGTH).optional(),
  memberId: z
    .uuid()
    .optional()
    .describe(
      "The member's id, made by the client; connecting again with it resumes the membership",
    ),
  commitIntervalMs: queryInteger(MIN_PLAIN_COMMIT_INTERVAL_MS, MAX_PLAIN_COMMIT_INTERVAL_MS)
    .default(DEFAULT_PLAIN_COMMIT_INTERVAL_MS)
    .describe(
      `The longest time before an acknowledged record is committed while others are acknowledged, ${DEFAULT_PLAIN_COMMIT_INTERVAL_MS} by default`,
    ),
  ...deliveryParameters,
});

/** The delivery options of a plain socket. */
export interface DeliveryOptions {
  readonly ack: "explicit" | "auto";
  readonly window: number;
  readonly sessionTimeoutMs: number;
  /** Set for members of a group: only they commit. */
  readonly commitIntervalMs?: number | undefined;
  readonly key?: string | undefined;
  readonly header?: Readonly<Record<string, string>> | undefined;
}

/** The position in each partition that has one, as `0:42,1:7`. */
export const EVENT_ID = /^\d{1,4}:\d{1,16}(,\d{1,4}:\d{1,16})*$/;

/** The start of a reader without a group: an end of the log, an offset, or the positions of an earlier stream. */
const streamStart = z
  .string()
  .refine((from) => /^(earliest|latest|\d{1,16})$/.test(from) || EVENT_ID.test(from), {
    error: "must be earliest, latest, an offset, or the id of an event",
  });

/** The query of `/v1/topics/:topic/stream`, over SSE or a WebSocket. */
export const streamQuery = z.strictObject({
  partition: queryInteger(0, MAX_PARTITIONS_PER_TOPIC - 1)
    .optional()
    .describe("Only this partition; all partitions by default"),
  from: streamStart
    .default("latest")
    .describe("earliest, latest, the id of an event, or an offset of `partition`"),
  ack: z
    .enum(["explicit", "auto"])
    .default("auto")
    .describe("For a WebSocket; auto: a record counts as done once it is sent"),
  ...deliveryParameters,
});
export type StreamOptions = z.output<typeof streamQuery>;

const topic = z.string();
const partition = integer(0, Number.MAX_SAFE_INTEGER);
const offset = integer(0, Number.MAX_SAFE_INTEGER);

export const plainClientMessage = z.discriminatedUnion("type", [
  /** Acknowledges up to and including this record. It commits, and frees window space. */
  z.object({ type: z.literal("ack"), topic, partition, offset }),
  z.object({ type: z.literal("seek"), topic, partition, offset }),
  z.object({ type: z.literal("pause"), topic, partition }),
  z.object({ type: z.literal("resume"), topic, partition }),
  z.object({ type: z.literal("leave") }),
  /** Shows that the client is alive while it works on unacknowledged records. */
  z.object({ type: z.literal("ping") }),
]);

export type PlainServerMessage =
  | {
      readonly type: "assigned";
      readonly partitions: readonly (TopicPartition & { readonly offset: number })[];
    }
  /** If `lost`, others may already own them. Otherwise acks are accepted until all sent records are acknowledged. */
  | {
      readonly type: "revoked";
      readonly partitions: readonly TopicPartition[];
      readonly lost?: true;
    }
  | (TopicPartition & { readonly type: "records"; readonly records: readonly JsonRecord[] })
  | Omit<ErrorMessage, "requestId">;
