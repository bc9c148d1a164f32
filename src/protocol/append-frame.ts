// Appends over the partition socket: binary frames to the partition, answered as text.
import { BrokerError, type ErrorName } from "../core/errors.ts";

/** A frame is this header, then whole record batches, one behind another. */
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

/** What a producer is sent. */
export type AppendAnswer = AppendedMessage | AppendErrorMessage;
