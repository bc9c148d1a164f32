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

/** A batch as it is stored, among others. */
export interface StoredBatch {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly header: BatchHeader;
}

/**
 * Throws for a batch of a transaction: which of them were aborted stands in none of the batches, so records that nobody
 * may read would become records that everybody reads. A broker of this release stores none.
 */
export function assertExportable({ isTransactional, isControl, baseOffset }: BatchHeader): void {
  if (!isTransactional || isControl) return;
  throw new Error(
    `the batch at offset ${baseOffset} is of a transaction, which this release cannot export`,
  );
}

/** The producer that appends, and its next sequence. */
export type AppendingProducer = Required<
  Pick<EncodeOptions, "producerId" | "producerEpoch" | "baseSequence">
>;

/**
 * Returns the batch as it can be appended, or null if its records have to be encoded anew: compaction has taken some of
 * them, they have the time of their append, or only those from `from` on are wanted.
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

/** The number of its records from an offset on. What is before was deleted. */
export function countFrom(batch: StoredBatch, from: number): number {
  const { isControl, baseOffset, recordCount } = batch.header;
  if (isControl) return 0;
  if (baseOffset >= from) return recordCount;
  return recordsOf(batch).filter(({ offset }) => offset >= from).length;
}

export function recordsOf({ bytes, start, header }: StoredBatch): ConsumerRecord[] {
  return header.isControl ? [] : decodeAnyBatch(bytes, start);
}

/** Encodes records as one batch, compressed if there is a compression that this runtime makes. */
export function encodeRecords(
  records: readonly ConsumerRecord[],
  producer: AppendingProducer,
  compression: number,
): Uint8Array {
  return encodeBatch(records, { ...producer, compression: compressorFor(compression) });
}

/** Snappy and lz4 are read here and not made. What was folded stays folded, with gzip. */
function compressorFor(compression: number) {
  if (compression === 0) return undefined;
  const type: CompressionType =
    compression === COMPRESSIONS.zstd ? COMPRESSIONS.zstd : COMPRESSIONS.gzip;
  return compressor(type) ?? compressor(COMPRESSIONS.gzip);
}
