// Decoding batches of any compression, where what unfolds them is at hand. The SDK loads it later (client/consumer/decoder.ts).
import { BrokerError } from "../core/errors.ts";
import { decodeBatch, visitBatch } from "../core/log/record-batch.ts";
import type { ConsumerRecord } from "../core/record.ts";
import { decompress } from "./decompress.ts";

/** The records of the batch at `start`, whatever its compression. @throws BrokerError */
export function decodeAnyBatch(bytes: Uint8Array, start = 0): ConsumerRecord[] {
  return decodeBatch(bytes, start, decompress);
}

/** The same, a record at a time, until `visit` answers false. @throws BrokerError */
export function visitAnyBatch(
  bytes: Uint8Array,
  start: number,
  visit: (record: ConsumerRecord) => boolean,
): void {
  visitBatch(bytes, start, decompress, visit);
}

/**
 * The same for many batches that together may unfold to `maxBytes`: what would unfold to more is
 * MESSAGE_TOO_LARGE, before much of it has been done.
 */
export function decoderWithin(maxBytes: number) {
  let left = maxBytes;
  const within: typeof decompress = (compression, bytes) => {
    if (left <= 0) {
      throw new BrokerError(
        "MESSAGE_TOO_LARGE",
        `the compressed batches unfold to more than ${maxBytes} bytes, the bound`,
      );
    }
    const unfolded = decompress(compression, bytes);
    left -= unfolded.length;
    return unfolded;
  };
  return (bytes: Uint8Array, start: number): ConsumerRecord[] => decodeBatch(bytes, start, within);
}
