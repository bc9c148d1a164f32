// Decodes batches of any compression, if the decompressors are loaded.
// The SDK loads them later (member/decoder.ts).
import { BrokerError } from "../core/errors.ts";
import { decodeBatch, visitBatch } from "../core/log/record-batch.ts";
import type { ConsumerRecord } from "../core/record.ts";
import { decompress } from "./decompress.ts";

/** Returns the records of the batch at `start`, whatever its compression. @throws BrokerError */
export function decodeAnyBatch(bytes: Uint8Array, start = 0): ConsumerRecord[] {
  return decodeBatch(bytes, start, decompress);
}

/** Decodes one record at a time until `visit` returns false. @throws BrokerError */
export function visitAnyBatch(
  bytes: Uint8Array,
  start: number,
  visit: (record: ConsumerRecord) => boolean,
): void {
  visitBatch(bytes, start, decompress, visit);
}

/**
 * Makes a decoder for many batches that together may decompress to `maxBytes`. Beyond that it throws MESSAGE_TOO_LARGE,
 * before most of the work is done.
 */
export function decoderWithin(maxBytes: number) {
  let left = maxBytes;
  const within: typeof decompress = (compression, bytes) => {
    if (left <= 0) {
      throw new BrokerError(
        "MESSAGE_TOO_LARGE",
        `the compressed batches decompress to more than ${maxBytes} bytes, the bound`,
      );
    }
    const decompressed = decompress(compression, bytes);
    left -= decompressed.length;
    return decompressed;
  };
  return (bytes: Uint8Array, start: number): ConsumerRecord[] => decodeBatch(bytes, start, within);
}
