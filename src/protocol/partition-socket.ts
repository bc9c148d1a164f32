// The partition socket: `/v1/topics/:topic/partitions/:partition/socket`. Text frames are JSON control
// messages. Binary frames from the partition are whole record batches, one after another. Binary frames to it
// are appends (append-frame.ts). Clients import only the types.
import * as z from "zod";
import type { ErrorName } from "../core/errors.ts";
import {
  DEFAULT_WINDOW_BYTES,
  MAX_GROUP_ID_LENGTH,
  MAX_MESSAGE_BYTES,
  MAX_SESSION_TIMEOUT_MS,
  MAX_WINDOW_BYTES,
  MIN_SESSION_TIMEOUT_MS,
} from "../core/limits.ts";
import { integer } from "./parse.ts";

const anyInteger = integer(0, Number.MAX_SAFE_INTEGER);

/** The maximum length of an owner's signature. A later release may use another signature. */
const MAX_SIGNATURE_CHARS = 128;

/** Epochs are Kafka's int32. */
const MAX_EPOCH = 2 ** 31 - 1;

/** Starts reading, or restarts at another offset (a seek). Earlier frames have a lower `attachId`. */
export const attachMessage = z.object({
  type: z.literal("attach"),
  /** Echoed in `attached`. Batches that arrive before `attached` belong to an earlier attach. */
  attachId: anyInteger.default(0),
  offset: z.union(
    [
      z.literal("earliest"),
      z.literal("latest"),
      anyInteger,
      /** The first record that is at most this old, or the end. */
      z.object({ durationMs: anyInteger }),
    ],
    `must be "earliest", "latest", {durationMs} or a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
  ),
  windowBytes: integer(1, MAX_WINDOW_BYTES).default(DEFAULT_WINDOW_BYTES),
  /** [RLY-1] True if the client can switch to a relay. If the partition has many readers, it answers with `relay`. */
  relays: z.boolean().optional(),
  /** The member that owns the partition in its group. Absent for a reader without a group. */
  owner: z
    .object({
      group: z.string().min(1).max(MAX_GROUP_ID_LENGTH),
      incarnation: anyInteger,
      memberEpoch: integer(0, MAX_EPOCH),
      memberNumber: integer(0, MAX_EPOCH),
      /**
       * [GRP-17] The member's session timeout. If the member is silent for this long while there are records for it,
       * its group is notified.
       */
      sessionTimeoutMs: integer(MIN_SESSION_TIMEOUT_MS, MAX_SESSION_TIMEOUT_MS).optional(),
      /**
       * [ATT-5] The signature in the assignment. Clients of release 0.2 send none, so the group is asked about them.
       */
      signature: z.string().max(MAX_SIGNATURE_CHARS).optional(),
    })
    .optional(),
});

/** The member that owns a partition in its group, with its owner token. */
export type Owner = NonNullable<z.output<typeof attachMessage>["owner"]>;

/** Credits the bytes of consumed frames back, and may ask for a larger window. */
export const windowMessage = z.object({
  type: z.literal("window"),
  attachId: anyInteger.default(0),
  /** One batch may exceed a full window. */
  bytes: integer(1, MAX_WINDOW_BYTES + MAX_MESSAGE_BYTES),
  /** The new window, if larger than before. Objects of release 0.3 ignore it. */
  windowBytes: integer(1, MAX_WINDOW_BYTES).optional(),
});

/**
 * [SHR-19] Asks to be told once when the share group may acquire records here. The answer is `available`. The Worker sends it
 * for a client that waits.
 */
export const watchMessage = z.object({
  type: z.literal("watch"),
  group: z.string().min(1).max(MAX_GROUP_ID_LENGTH),
});

/** [SHR-19] The watched share group may acquire records. Somebody else may be faster. */
export interface ShareAvailableMessage {
  readonly type: "available";
}

export const readerMessage = z.discriminatedUnion("type", [attachMessage, windowMessage]);
/** The messages to a partition, from readers and from clients that wait for a share group. */
export const partitionSocketMessage = z.discriminatedUnion("type", [
  attachMessage,
  windowMessage,
  watchMessage,
]);
export type ReaderMessage = z.input<typeof readerMessage>;

export interface AttachedMessage {
  readonly type: "attached";
  readonly attachId: number;
  /** The offset at which reading starts: the requested one, or the current meaning of "earliest" or "latest". */
  readonly offset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /**
   * The bytes that may be sent now: the requested window, minus the bytes in flight from an earlier attach of this
   * socket.
   */
  readonly windowBytes: number;
}

export interface ReaderErrorMessage {
  readonly type: "error";
  readonly attachId: number;
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly detail: string;
  readonly logStartOffset?: number;
  readonly highWatermark?: number;
  /** Set on CORRUPT_MESSAGE: the unreadable batch. */
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
}

/**
 * [RLY-1] The partition has many readers, so nothing was attached. The client opens the socket of this relay and
 * attaches there, at this offset. It is only sent to clients that support it.
 */
export interface RelayMessage {
  readonly type: "relay";
  readonly attachId: number;
  readonly relay: number;
  /**
   * The offset at which reading starts. It fixes the meaning of "latest", which changes from one moment to the next.
   */
  readonly offset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/** The messages to a reader. */
export type PartitionMessage = AttachedMessage | RelayMessage | ReaderErrorMessage;
