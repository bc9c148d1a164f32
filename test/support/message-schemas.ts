// The messages that the broker sends over its own sockets, as schemas. The types in src/protocol have no schema, because the
// SDK carries those files. The compiler checks that both agree.
import * as z from "zod";
import type { AppendErrorMessage, AppendedMessage } from "../../src/protocol/append-frame.ts";
import type {
  AssignmentMessage,
  CommittedMessage,
  ErrorMessage,
} from "../../src/protocol/group-socket.ts";
import { memberMessage } from "../../src/protocol/group-socket.ts";
import {
  type AttachedMessage,
  type ReaderErrorMessage,
  type RelayMessage,
  readerMessage,
} from "../../src/protocol/partition-socket.ts";
import { type PlainServerMessage, plainClientMessage } from "../../src/protocol/plain-consumer.ts";
import type { WatchMessage } from "../../src/protocol/watch-socket.ts";
import { exactly } from "../../src/worker/http/exactly.ts";

const topicPartition = { topic: z.string(), partition: z.number() };
const errorFields = {
  code: z.string() as unknown as z.ZodType<ErrorMessage["code"]>,
  errorCode: z.number(),
  retriable: z.boolean(),
  detail: z.string(),
};

const assignment = exactly<AssignmentMessage>()(
  z.object({
    type: z.literal("assignment"),
    requestId: z.number().exactOptional(),
    memberId: z.string(),
    memberEpoch: z.number(),
    incarnation: z.number(),
    memberNumber: z.number(),
    heartbeatIntervalMs: z.number(),
    sessionTimeoutMs: z.number(),
    state: z.enum(["STABLE", "UNREVOKED_PARTITIONS", "UNRELEASED_PARTITIONS"]),
    partitions: z.array(
      z.object({
        topic: z.string(),
        topicId: z.string(),
        partition: z.number(),
        committedOffset: z.number().nullable(),
        isAdded: z.boolean().exactOptional(),
        signature: z.string().exactOptional(),
      }),
    ),
    missingTopics: z.array(z.string()),
    initialOffset: z
      .union([z.enum(["earliest", "latest"]), z.object({ durationMs: z.number() })])
      .exactOptional(),
  }),
);

const committed = exactly<CommittedMessage>()(
  z.object({
    type: z.literal("committed"),
    requestId: z.number(),
    rejected: z.array(
      z.object({
        topicId: z.string(),
        partition: z.number(),
        code: errorFields.code,
        detail: z.string(),
      }),
    ),
  }),
);

const error = exactly<ErrorMessage>()(
  z.object({ type: z.literal("error"), ...errorFields, requestId: z.number().exactOptional() }),
);

const attached = exactly<AttachedMessage>()(
  z.object({
    type: z.literal("attached"),
    attachId: z.number(),
    offset: z.number(),
    logStartOffset: z.number(),
    highWatermark: z.number(),
    windowBytes: z.number(),
  }),
);

const relay = exactly<RelayMessage>()(
  z.object({
    type: z.literal("relay"),
    attachId: z.number(),
    relay: z.number(),
    offset: z.number(),
    logStartOffset: z.number(),
    highWatermark: z.number(),
  }),
);

const readerError = exactly<ReaderErrorMessage>()(
  z.object({
    type: z.literal("error"),
    attachId: z.number(),
    ...errorFields,
    logStartOffset: z.number().exactOptional(),
    highWatermark: z.number().exactOptional(),
    topic: z.string().exactOptional(),
    partition: z.number().exactOptional(),
    offset: z.number().exactOptional(),
  }),
);

const appended = exactly<AppendedMessage>()(
  z.object({
    type: z.literal("appended"),
    requestId: z.number(),
    baseOffset: z.number(),
    logAppendTimeMs: z.number().exactOptional(),
    logStartOffset: z.number().exactOptional(),
  }),
);

const appendError = exactly<AppendErrorMessage>()(
  z.object({
    type: z.literal("error"),
    requestId: z.number(),
    ...errorFields,
    nextOffset: z.number().exactOptional(),
  }),
);

const headerValue = z.union([z.string(), z.null(), z.object({ base64: z.string() })]);

type Plain<Type extends PlainServerMessage["type"]> = Extract<PlainServerMessage, { type: Type }>;

const assigned = exactly<Plain<"assigned">>()(
  z.object({
    type: z.literal("assigned"),
    partitions: z.array(z.object({ ...topicPartition, offset: z.number() })),
  }),
);

const revoked = exactly<Plain<"revoked">>()(
  z.object({
    type: z.literal("revoked"),
    partitions: z.array(z.object(topicPartition)),
    lost: z.literal(true).exactOptional(),
  }),
);

const records = exactly<Plain<"records">>()(
  z.object({
    type: z.literal("records"),
    ...topicPartition,
    records: z.array(
      z.object({
        offset: z.number(),
        timestamp: z.number(),
        key: z.string().nullable().exactOptional(),
        keyBase64: z.string().exactOptional(),
        value: z.string().nullable().exactOptional(),
        valueBase64: z.string().exactOptional(),
        headers: z.record(z.string(), z.union([headerValue, z.array(headerValue)])),
      }),
    ),
  }),
);

const plainError = exactly<Plain<"error">>()(
  z.object({ type: z.literal("error"), ...errorFields }),
);

const watch = exactly<WatchMessage>()(z.object({ type: z.literal("changed") }));

/** Every text message of Rivulet's own sockets, by the conversation and the side that sends it. */
export const MESSAGES: Readonly<Record<string, z.ZodType>> = {
  "group socket, from the member": memberMessage,
  "group socket, from the group": z.union([assignment, committed, error]),
  "partition socket, from the client": readerMessage,
  "partition socket, from the partition": z.union([
    attached,
    readerError,
    appended,
    appendError,
    relay,
  ]),
  "plain socket, from the client": plainClientMessage,
  "plain socket, from the broker": z.union([assigned, revoked, records, plainError]),
  "watch socket, from the group": watch,
};
