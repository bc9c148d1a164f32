// The partition's side of append-frame.ts. It is a separate file, because the SDK loads that one on demand.
import { BrokerError } from "../core/errors.ts";
import { APPEND_HEADER_BYTES, type AppendFrame } from "./append-frame.ts";

/** Reads an append frame. @throws BrokerError INVALID_REQUEST */
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
