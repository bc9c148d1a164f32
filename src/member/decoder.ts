// Decodes the batches that partitions send. The code for decompression is larger than all other decoding in the SDK,
// and most topics do not need it. It is loaded with the first compressed batch.
import { batches, type Decompress, decodeBatch } from "../core/log/record-batch.ts";
import type { ConsumerRecord } from "../core/record.ts";

let decompress: Decompress | undefined;

/** True if these batches cannot be decoded before `loadDecompress`. */
export function needsDecompress(bytes: Uint8Array): boolean {
  if (decompress !== undefined) return false;
  try {
    for (const { header } of batches(bytes)) if (header.compression !== 0) return true;
  } catch {
    // The bytes are not batches. Decoding will report that.
  }
  return false;
}

export async function loadDecompress(): Promise<void> {
  ({ decompress } = await import("../compression/decompress.ts"));
}

/**
 * Returns the records of the batch at `start`. @throws BrokerError CORRUPT_MESSAGE, or UNSUPPORTED_COMPRESSION_TYPE if
 * the code for decompression could not be loaded.
 */
export function decode(bytes: Uint8Array, start: number): ConsumerRecord[] {
  return decodeBatch(bytes, start, decompress);
}
