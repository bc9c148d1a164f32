// Decoding what partitions send. What unfolds compressed batches is larger than all the rest of the SDK's
// decoding, and most topics have none: it is loaded when the first comes.
import { batches, type Decompress, decodeBatch } from "../../core/log/record-batch.ts";
import type { ConsumerRecord } from "../../core/record.ts";

let decompress: Decompress | undefined;

/** Whether these batches cannot be decoded before `loadDecompress`. */
export function needsDecompress(bytes: Uint8Array): boolean {
  if (decompress !== undefined) return false;
  try {
    for (const { header } of batches(bytes)) if (header.compression !== 0) return true;
  } catch {
    // No batches: whoever decodes them says so.
  }
  return false;
}

export async function loadDecompress(): Promise<void> {
  ({ decompress } = await import("../../compression/decompress.ts"));
}

/**
 * The records of the batch at `start`. @throws BrokerError CORRUPT_MESSAGE, or UNSUPPORTED_COMPRESSION_TYPE where what
 * unfolds it could not be loaded.
 */
export function decode(bytes: Uint8Array, start: number): ConsumerRecord[] {
  return decodeBatch(bytes, start, decompress);
}
