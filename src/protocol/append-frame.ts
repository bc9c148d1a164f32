// Appends over the partition socket: binary frames to the partition, and text frames as answers.
import type { ErrorName } from "../core/errors.ts";

/** The length of a frame's header. Whole record batches, one after another, follow it. */
export const APPEND_HEADER_BYTES = 12;

export interface AppendFrame {
  /** Echoed in the answer. 0 to 2^32 - 1. */
  readonly requestId: number;
  /** [CND-1] Appends only if this is the next offset. Null (on the wire: -1) sets no condition. */
  readonly expectedOffset: number | null;
  readonly batches: Uint8Array;
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
  /** The offset of the first record. The other records follow it. */
  readonly baseOffset: number;
  /** The timestamp of the records, if the topic has LogAppendTime. */
  readonly logAppendTimeMs?: number;
  /** The log start offset. Absent while it is still 0. */
  readonly logStartOffset?: number;
}

export interface AppendErrorMessage {
  readonly type: "error";
  readonly requestId: number;
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly detail: string;
  /** Set with INVALID_UPDATE_VERSION: the offset that the next record will get. */
  readonly nextOffset?: number;
  /** Set with THROTTLING_QUOTA_EXCEEDED if a quota is used up: how long until it allows more. */
  readonly retryAfterMs?: number;
}

/** The messages to a producer. */
export type AppendAnswer = AppendedMessage | AppendErrorMessage;
