// The partition socket: `/v1/topics/:topic/partitions/:partition/socket`. Text frames are JSON control
// messages. Binary frames from the partition are whole record batches, one behind another; to it they are
// appends. Clients import the types only.
import * as z from "zod";
import { BrokerError, type ErrorName } from "../core/errors.ts";
import {
  DEFAULT_WINDOW_BYTES,
  MAX_GROUP_ID_LENGTH,
  MAX_MESSAGE_BYTES,
  MAX_WINDOW_BYTES,
} from "../core/limits.ts";
import { integer } from "./parse.ts";

const anyInteger = integer(0, Number.MAX_SAFE_INTEGER);

/** Epochs are Kafka's int32. */
const MAX_EPOCH = 2 ** 31 - 1;

/** Starts to read, or starts again elsewhere (a seek): frames from before have a lower `attachId`. */
export const attachMessage = z.strictObject({
  type: z.literal("attach"),
  /** Echoed in `attached`; batches that arrive before that belong to an earlier attach. */
  attachId: anyInteger.default(0),
  offset: z.union(
    [
      z.literal("earliest"),
      z.literal("latest"),
      anyInteger,
      /** The first record that is at most so old, or the end. */
      z.strictObject({ durationMs: anyInteger }),
    ],
    `must be "earliest", "latest", {durationMs} or a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
  ),
  windowBytes: integer(1, MAX_WINDOW_BYTES).default(DEFAULT_WINDOW_BYTES),
  /** The member that owns the partition in its group. Absent for a reader without a group. */
  owner: z
    .strictObject({
      group: z.string().min(1).max(MAX_GROUP_ID_LENGTH),
      incarnation: anyInteger,
      memberEpoch: integer(0, MAX_EPOCH),
      memberNumber: integer(0, MAX_EPOCH),
    })
    .optional(),
});

/** Gives bytes of consumed frames back. */
export const windowMessage = z.strictObject({
  type: z.literal("window"),
  attachId: anyInteger.default(0),
  /** A full window may be gone beyond by one batch. */
  bytes: integer(1, MAX_WINDOW_BYTES + MAX_MESSAGE_BYTES),
});

export const readerMessage = z.discriminatedUnion("type", [attachMessage, windowMessage]);
export type ReaderMessage = z.input<typeof readerMessage>;

export interface AttachedMessage {
  readonly type: "attached";
  readonly attachId: number;
  /** Where reading starts: what was asked for, or what "earliest" or "latest" means now. */
  readonly offset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /** What may be sent now: the window asked for, less what an earlier attach of this socket has in flight. */
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
}

/** Binary frames to the partition append: this header, then whole record batches, one behind another. */
export const APPEND_HEADER_BYTES = 12;

export interface AppendFrame {
  /** Echoed in the answer; 0 to 2^32 - 1. */
  readonly requestId: number;
  /** [CND-1] Append only if this is the next offset. Null (on the wire: -1) appends anyhow. */
  readonly expectedOffset: number | null;
  readonly batches: Uint8Array;
}

/** @throws BrokerError INVALID_REQUEST */
export function readAppendFrame(data: ArrayBuffer): AppendFrame {
  if (data.byteLength < APPEND_HEADER_BYTES) {
    throw new BrokerError(
      "INVALID_REQUEST",
      `binary frame has ${data.byteLength} bytes, its header alone needs ${APPEND_HEADER_BYTES}`,
    );
  }
  const view = new DataView(data);
  const expected = view.getInt32(4) * 2 ** 32 + view.getUint32(8);
  if (expected < -1 || expected > Number.MAX_SAFE_INTEGER) {
    throw new BrokerError(
      "INVALID_REQUEST",
      `expectedOffset is ${expected}, it must be -1 (none) to ${Number.MAX_SAFE_INTEGER}`,
    );
  }
  return {
    requestId: view.getUint32(0),
    expectedOffset: expected === -1 ? null : expected,
    batches: new Uint8Array(data, APPEND_HEADER_BYTES),
  };
}

export function writeAppendFrame({ requestId, expectedOffset, batches }: AppendFrame): Uint8Array {
  const bytes = new Uint8Array(APPEND_HEADER_BYTES + batches.length);
  const view = new DataView(bytes.buffer);
  const expected = expectedOffset ?? -1;
  view.setUint32(0, requestId);
  view.setInt32(4, Math.floor(expected / 2 ** 32));
  view.setUint32(8, expected >>> 0);
  bytes.set(batches, APPEND_HEADER_BYTES);
  return bytes;
}

export interface AppendedMessage {
  readonly type: "appended";
  readonly requestId: number;
  /** The offset of the first record; the others follow it. */
  readonly baseOffset: number;
  /** The timestamp of the records, where the topic has LogAppendTime. */
  readonly logAppendTimeMs?: number;
}

export interface AppendErrorMessage {
  readonly type: "error";
  readonly requestId: number;
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly detail: string;
  /** With INVALID_UPDATE_VERSION: the offset the next record will get. */
  readonly nextOffset?: number;
}

/** What a reader is sent. */
export type PartitionMessage = AttachedMessage | ReaderErrorMessage;
/** What a producer is sent. */
export type AppendAnswer = AppendedMessage | AppendErrorMessage;
