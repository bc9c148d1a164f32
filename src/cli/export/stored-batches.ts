// Batches on their way from one log to another.
import { compressor } from "../../compression/compress.ts";
import { decodeAnyBatch } from "../../compression/decode.ts";
import { COMPRESSIONS, type CompressionType } from "../../core/log/compression.ts";
import {
  type BatchHeader,
  type EncodeOptions,
  encodeBatch,
  patchProducer,
} from "../../core/log/record-batch.ts";
import type { ConsumerRecord } from "../../core/record.ts";

/** A stored batch, as a part of the bytes that hold it. */
export interface StoredBatch {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly header: BatchHeader;
}

/**
 * Throws for a batch of a transaction. No batch says if its transaction was aborted, so aborted records would become
 * readable. A broker of this release stores no transactions.
 */
export function assertExportable({ isTransactional, isControl, baseOffset }: BatchHeader): void {
  if (!isTransactional || isControl) return;
  throw new Error(
    `the batch at offset ${baseOffset} is of a transaction, which this release cannot export`,
  );
}

/** The producer that appends, with its next sequence number. */
export type AppendingProducer = Required<
  Pick<EncodeOptions, "producerId" | "producerEpoch" | "baseSequence">
>;

/**
 * Returns the batch as it can be appended, or null if its records must be encoded anew: compaction removed some of them,
 * they have the time of their append, or only those from `from` on are wanted.
 */
export function appendable(
  { bytes, start, header }: StoredBatch,
  from: number,
  producer: AppendingProducer,
): Uint8Array | null {
  const isWhole = header.recordCount === header.lastOffsetDelta + 1 && header.baseOffset >= from;
  const isPlain =
    !header.isLogAppendTime &&
    !header.hasDeleteHorizon &&
    !header.isTransactional &&
    !header.isControl;
  if (!isWhole || !isPlain) return null;
  const copy = bytes.slice(start, start + header.sizeInBytes);
  patchProducer(copy, 0, producer);
  return copy;
}

/** Returns the number of its records from an offset on. Earlier ones were deleted. */
export function countFrom(batch: StoredBatch, from: number): number {
  const { isControl, baseOffset, recordCount } = batch.header;
  if (isControl) return 0;
  if (baseOffset >= from) return recordCount;
  return recordsOf(batch).filter(({ offset }) => offset >= from).length;
}

export function recordsOf({ bytes, start, header }: StoredBatch): ConsumerRecord[] {
  return header.isControl ? [] : decodeAnyBatch(bytes, start);
}

/** Encodes records as one batch. It compresses if the runtime supports a suitable compression. */
export function encodeRecords(
  records: readonly ConsumerRecord[],
  producer: AppendingProducer,
  compression: number,
): Uint8Array {
  return encodeBatch(records, { ...producer, compression: compressorFor(compression) });
}

/** Snappy and lz4 can only be decompressed here. Such batches are compressed again with gzip. */
function compressorFor(compression: number) {
  if (compression === 0) return undefined;
  const type: CompressionType =
    compression === COMPRESSIONS.zstd ? COMPRESSIONS.zstd : COMPRESSIONS.gzip;
  return compressor(type) ?? compressor(COMPRESSIONS.gzip);
}
