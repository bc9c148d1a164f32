// The rules for an append, and the grouping of accepted appends into chunks. It is pure: the caller writes the chunks.

import { concatBytes } from "../bytes.ts";
import type { TopicConfig } from "../cluster/config.ts";
import { BrokerError, fail, type Result } from "../errors.ts";
import {
  MAX_APPEND_BYTES,
  MAX_APPENDS_PER_CHUNK,
  MAX_CHUNK_BYTES,
  MAX_TIMESTAMP_MS,
} from "../limits.ts";
import type { ConsumerRecord } from "../record.ts";
import { COMPRESSIONS } from "./compression.ts";
import { crcWithoutTimes, fingerprintWith } from "./fingerprint.ts";
import { type AppendEntry, type AppendOrigin, addToSequence } from "./producers.ts";
import {
  type BatchHeader,
  batches,
  hasValidCrc,
  NO_PRODUCER_ID,
  patchBaseOffset,
  setLogAppendTime,
} from "./record-batch.ts";

interface BatchPlace {
  readonly start: number;
  readonly sizeInBytes: number;
  readonly recordCount: number;
  readonly maxTimestamp: number;
}

/** A validated append: whole record batches in order. They get consecutive offsets. */
export interface Append {
  readonly bytes: Uint8Array;
  readonly batches: readonly BatchPlace[];
  readonly recordCount: number;
  /** Null if the producer is not idempotent. */
  readonly origin: AppendOrigin | null;
  /** [CND-1] The append is stored only if its first record gets this offset. Null sets no condition. */
  readonly expectedOffset: number | null;
  /** Called in the transaction that stores the append, to store related data with it or not at all. */
  readonly stored?: (baseOffset: number, atMs: number) => void;
}

/** One storage row: whole batches with consecutive offsets. */
export interface Chunk {
  readonly baseOffset: number;
  /** The offset after the last record. */
  readonly nextOffset: number;
  /** The largest timestamp in this chunk. */
  readonly maxTimestamp: number;
  readonly bytes: Uint8Array;
  /** The appends of idempotent producers that begin in this chunk. */
  readonly appends: readonly AppendEntry[];
}

export interface AppendRules {
  readonly config: Pick<
    TopicConfig,
    | "maxMessageBytes"
    | "cleanupPolicy"
    | "messageTimestampType"
    | "messageTimestampBeforeMaxMs"
    | "messageTimestampAfterMaxMs"
  >;
  readonly nowMs: number;
  /** [IDM-9] True if the Worker appends as its own producer. */
  readonly isOwn?: boolean;
  /** Decodes a batch of any compression. Called only if records must be examined. */
  decode(bytes: Uint8Array, start: number): readonly ConsumerRecord[];
}

/**
 * [LOG-2] [VAL-1] Checks every batch before anything is stored. One bad batch rejects the whole append, and nothing
 * else. The bounds are MAX_APPEND_BYTES for the append and `max.message.bytes` for each batch. Records are decoded only
 * for a compacted topic, where each needs a key.
 */
export function validateAppend(
  bytes: Uint8Array,
  rules: AppendRules,
  expectedOffset: number | null = null,
): Result<Append> {
  if (bytes.length > MAX_APPEND_BYTES) {
    return fail(
      "MESSAGE_TOO_LARGE",
      `append has ${bytes.length} bytes, the bound is ${MAX_APPEND_BYTES}`,
    );
  }
  const places: BatchPlace[] = [];
  let recordCount = 0;
  let origin: AppendOrigin | null = null;
  try {
    for (const { start, header } of batches(bytes)) {
      assertBatch(bytes, start, header, rules);
      origin = joinOrigin(origin, header, places.length === 0, rules.isOwn ?? false);
      if (origin !== null) {
        const crc = crcWithoutTimes(bytes, start, header.sizeInBytes);
        origin = { ...origin, fingerprint: fingerprintWith(origin.fingerprint ?? 0, crc) };
      }
      recordCount += header.recordCount;
      const { sizeInBytes, maxTimestamp } = header;
      places.push({ start, sizeInBytes, recordCount: header.recordCount, maxTimestamp });
    }
  } catch (error) {
    if (error instanceof BrokerError) return fail(error.code, error.message);
    throw error;
  }
  if (places.length === 0)
    return fail("INVALID_RECORD", "an append needs at least one record batch");
  return { ok: true, bytes, batches: places, recordCount, origin, expectedOffset };
}

/** Checks a batch as Kafka's LogValidator does, but only its header. Throws the first error. */
function assertBatch(
  bytes: Uint8Array,
  start: number,
  header: BatchHeader,
  rules: AppendRules,
): void {
  const { sizeInBytes, recordCount, lastOffsetDelta, compression } = header;
  const { config } = rules;
  if (sizeInBytes > config.maxMessageBytes) {
    throw new BrokerError(
      "MESSAGE_TOO_LARGE",
      `batch has ${sizeInBytes} bytes, max.message.bytes is ${config.maxMessageBytes}`,
    );
  }
  if (!hasValidCrc(bytes, start, sizeInBytes))
    throw new BrokerError("CORRUPT_MESSAGE", "the CRC of the batch does not match its bytes");
  if (recordCount < 1) throw invalid("recordCount is 0, a batch needs at least 1 record");
  if (lastOffsetDelta !== recordCount - 1) {
    throw invalid(
      `lastOffsetDelta is ${lastOffsetDelta}, recordCount ${recordCount} requires ${recordCount - 1}`,
    );
  }
  if (header.isControl || header.isTransactional)
    throw invalid("control and transactional batches are not accepted");
  if (header.hasUnknownBits) throw invalid("attribute bits above the sixth are unknown");
  if (header.hasDeleteHorizon) throw invalid("a producer may not set the delete horizon");
  if (compression > COMPRESSIONS.zstd) {
    throw new BrokerError(
      "UNSUPPORTED_COMPRESSION_TYPE",
      `batch has compression ${compression}, known are 0 to ${COMPRESSIONS.zstd}`,
    );
  }
  assertTimestamps(header, rules);
  if (config.cleanupPolicy.includes("compact")) {
    for (const { key, offset } of rules.decode(bytes, start)) {
      if (key !== null) continue;
      const index = offset - header.baseOffset;
      throw invalid(`record ${index} has no key; a compacted topic (cleanup.policy) needs one`);
    }
  }
}

function assertTimestamps(header: BatchHeader, { config, nowMs }: AppendRules): void {
  if (header.isLogAppendTime)
    throw timestampError("a producer may not set the timestamp type to LogAppendTime");
  for (const timestamp of [header.baseTimestamp, header.maxTimestamp]) {
    if (Math.abs(timestamp) > MAX_TIMESTAMP_MS)
      throw timestampError(`timestamp ${timestamp} is beyond the year 9999, ${MAX_TIMESTAMP_MS}`);
  }
  if (config.messageTimestampType === "LogAppendTime") return;
  const { messageTimestampAfterMaxMs: after, messageTimestampBeforeMaxMs: before } = config;
  if (header.maxTimestamp - nowMs > after) {
    throw timestampError(
      `timestamp ${header.maxTimestamp} is after ${nowMs} by more than message.timestamp.after.max.ms, ${after}`,
    );
  }
  if (nowMs - header.baseTimestamp > before) {
    throw timestampError(
      `timestamp ${header.baseTimestamp} is before ${nowMs} by more than message.timestamp.before.max.ms, ${before}`,
    );
  }
}

/**
 * Adds a batch to the append's origin. All batches of an append come from one producer, in sequence, or all from none.
 */
function joinOrigin(
  before: AppendOrigin | null,
  header: BatchHeader,
  isFirst: boolean,
  isOwn: boolean,
): AppendOrigin | null {
  const { producerId, producerEpoch, baseSequence, recordCount } = header;
  if (producerId === NO_PRODUCER_ID) {
    if (before !== null) throw invalid("batches with and without a producer id in one append");
    return null;
  }
  if (producerId < 0 || producerEpoch < 0 || baseSequence < 0 || producerId >= 2 ** 53) {
    throw invalid(
      `producerId ${producerId}, producerEpoch ${producerEpoch} and baseSequence ${baseSequence} must all be 0 or more`,
    );
  }
  const lastSequence = addToSequence(baseSequence, recordCount - 1);
  if (isFirst) {
    const sequences = { firstSequence: baseSequence, lastSequence };
    return { producerId, producerEpoch, ...sequences, fingerprint: 0, isOwn };
  }
  if (
    before?.producerId !== producerId ||
    before.producerEpoch !== producerEpoch ||
    addToSequence(before.lastSequence, 1) !== baseSequence
  ) {
    throw invalid("the batches of an append must come from one producer, in sequence");
  }
  return { ...before, lastSequence };
}

function invalid(detail: string): BrokerError {
  return new BrokerError("INVALID_RECORD", detail);
}

function timestampError(detail: string): BrokerError {
  return new BrokerError("INVALID_TIMESTAMP", detail);
}

export interface Plan {
  readonly chunks: readonly Omit<Chunk, "appends">[];
  /** The base offset of each append, in the order given. */
  readonly baseOffsets: readonly number[];
  readonly nextOffset: number;
}

/**
 * [LOG-1] Assigns dense, increasing offsets in the order given, and groups the batches into chunks. A chunk has at most
 * MAX_CHUNK_BYTES, and at most MAX_APPENDS_PER_CHUNK appends begin in it. An append that fills a chunk by itself is
 * patched in place and not copied. `logAppendTimeMs`, if not null, replaces all timestamps.
 */
export function planChunks(
  appends: readonly Append[],
  firstOffset: number,
  logAppendTimeMs: number | null = null,
): Plan {
  const chunks: Omit<Chunk, "appends">[] = [];
  const baseOffsets: number[] = [];
  let pieces: Uint8Array[] = [];
  let chunkBytes = 0;
  let chunkAppends = 0;
  let chunkBase = firstOffset;
  let maxTimestamp = Number.NEGATIVE_INFINITY;
  let nextOffset = firstOffset;

  const closeChunk = () => {
    if (chunkBytes === 0) return;
    chunks.push({ baseOffset: chunkBase, nextOffset, maxTimestamp, bytes: concatBytes(pieces) });
    pieces = [];
    chunkBytes = 0;
    chunkAppends = 0;
    maxTimestamp = Number.NEGATIVE_INFINITY;
    chunkBase = nextOffset;
  };

  for (const append of appends) {
    baseOffsets.push(nextOffset);
    if (chunkAppends === MAX_APPENDS_PER_CHUNK) closeChunk();
    let pieceStart = 0;
    let pieceEnd = 0;
    const takePiece = () => {
      if (pieceEnd > pieceStart) pieces.push(append.bytes.subarray(pieceStart, pieceEnd));
      pieceStart = pieceEnd;
    };
    for (const batch of append.batches) {
      if (chunkBytes > 0 && chunkBytes + batch.sizeInBytes > MAX_CHUNK_BYTES) {
        takePiece();
        closeChunk();
      }
      if (pieceEnd === 0) chunkAppends++;
      patchBaseOffset(append.bytes, batch.start, nextOffset);
      if (logAppendTimeMs !== null) setLogAppendTime(append.bytes, batch.start, logAppendTimeMs);
      nextOffset += batch.recordCount;
      chunkBytes += batch.sizeInBytes;
      pieceEnd = batch.start + batch.sizeInBytes;
      const batchTimestamp = logAppendTimeMs ?? batch.maxTimestamp;
      if (batchTimestamp > maxTimestamp) maxTimestamp = batchTimestamp;
    }
    takePiece();
  }
  closeChunk();
  return { chunks, baseOffsets, nextOffset };
}
