// Compaction (cleanup.policy=compact; Kafka's LogCleaner). The newest record of each key survives, at its offset.
// Records without a key, superseded records, and tombstones that have passed their retention are removed.
//
// A pass has two parts. First it reads the segments that are not compacted yet, and notes each key's newest offset in
// memory. Keys that do not fit wait for the next pass. Then it rewrites all closed segments into one table, without
// superseded records. When the table is full, it replaces its sources in one transaction. Readers see the log before or
// after, never in between. The active segment, and records younger than min.compaction.lag.ms, stay untouched.
//
// All work is done in slices of about COMPACTION_SLICE_BYTES [CMP-4]. The store holds the progress of the rewriting.
// After an eviction the keys are read again. That finds the same newest offsets, because rewriting keeps exactly those.
// A pass costs two rows per surviving MiB, one for the data and one for the progress. Removed data costs nothing.

import { concatBytes } from "../bytes.ts";
import { compacts } from "../cluster/config.ts";
import { dueMs } from "../elapsed.ts";
import { BrokerError } from "../errors.ts";
import {
  COMPACTION_SLICE_BYTES,
  MAX_CHUNK_BYTES,
  MAX_COMPACTION_KEY_BYTES,
  MAX_COMPACTION_KEYS,
} from "../limits.ts";
import type { ConsumerRecord } from "../record.ts";
import { COMPRESSIONS, type CompressionType } from "./compression.ts";
import type { Run } from "./damage.ts";
import {
  COMPACTING,
  type CompactionPass,
  type LogState,
  type LogStore,
  type SegmentTotals,
  withoutPass,
} from "./log-store.ts";
import type { PartitionLog } from "./partition-log.ts";
import {
  type BatchHeader,
  batches,
  type Compressor,
  encodeCompacted,
  readBatchHeader,
} from "./record-batch.ts";
import { addToTotals, emptyTotals } from "./segment-totals.ts";
import { storedChunksFrom } from "./stored-chunks.ts";
import { MAX_VARINT } from "./varint.ts";

/** Decodes and encodes batches. */
export interface BatchCodec {
  decode(bytes: Uint8Array, start: number): ConsumerRecord[];
  compressor(type: CompressionType): Compressor | undefined;
}

/** The newest offsets by key, for records from the start up to `position`. The goal is `limit`. */
interface Keys {
  readonly newest: Map<string, number>;
  keyBytes: number;
  position: number;
  limit: number;
}

/** A batch that survives, whole or in part. */
interface Kept {
  readonly baseOffset: number;
  readonly bytes: Uint8Array;
  /** The time at which tombstones must be removed from it, or null. */
  readonly horizonMs: number | null;
}

/** Survivors that are not written yet. */
interface Pending {
  /** The pass at the time these were gathered. If the pass changes, they are void. */
  readonly pass: CompactionPass;
  position: number;
  nextHorizonMs: number | null;
  pieces: Uint8Array[];
  sizeInBytes: number;
  baseOffset: number;
  nextOffset: number;
  maxTimestamp: number;
}

export class Compactor {
  readonly #log: PartitionLog;
  readonly #store: LogStore;
  readonly #codec: BatchCodec;
  #keys: Keys | null = null;
  #pending: Pending | null = null;

  constructor(log: PartitionLog, store: LogStore, codec: BatchCodec) {
    this.#log = log;
    this.#store = store;
    this.#codec = codec;
  }

  /**
   * Does one slice. Returns false if there is nothing to do now. Throws the store's errors, and can continue after
   * them.
   */
  step(nowMs: number): boolean {
    try {
      return this.#step(nowMs);
    } catch (error) {
      // The gathered data ends in the middle of a chunk. It is gathered again from the store's progress.
      this.#pending = null;
      throw error;
    }
  }

  #step(nowMs: number): boolean {
    const { pass } = this.#log.compaction;
    if (!compacts(this.#log.config)) {
      if (pass !== null) this.#abandon();
      return false;
    }
    if (pass === null) return this.#prepare(nowMs);
    if (this.#keys === null || this.#keys.limit !== pass.mapEnd)
      this.#keys = this.#startKeys(pass.mapEnd); // After an eviction, the keys must be read again.
    if (!this.#readKeys(this.#keys)) this.#copySlice(pass, this.#keys, nowMs);
    return true;
  }

  /** Returns the next time at which there is work even if nothing is appended, or null. */
  nextDueMs(nowMs: number): number | null {
    const { pass, nextHorizonMs } = this.#log.compaction;
    if (!compacts(this.#log.config)) return null;
    if (pass !== null || this.#keys !== null || this.#isDue(this.#cleanableEnd(nowMs), nowMs))
      return nowMs;
    const lagMs = this.#nextLagMs(nowMs);
    const times = [nextHorizonMs, lagMs].filter((time) => time !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Returns the time at which the oldest waiting segment has waited long enough, by either lag, or null. */
  #nextLagMs(nowMs: number): number | null {
    const { activeBaseOffset, config, compaction } = this.#log;
    // A pass ends at the beginning of a segment, or at a record within one.
    const [segment = activeBaseOffset] = this.#segmentsFrom(compaction.cleanedOffset);
    if (segment >= activeBaseOffset) return null;
    const { minCompactionLagMs, maxCompactionLagMs } = config;
    const oldEnoughMs = this.#sealedTotals(segment).maxTimestamp + minCompactionLagMs;
    if (minCompactionLagMs > 0 && oldEnoughMs > nowMs) return oldEnoughMs;
    const overdueMs = dueMs(this.#store.createdAtMs(segment), maxCompactionLagMs, nowMs);
    return overdueMs > nowMs ? overdueMs : null;
  }

  #abandon(): void {
    this.#keys = null;
    this.#pending = null;
    this.#log.compact((state) => {
      this.#store.dropSegment(COMPACTING);
      return { ...state, compaction: withoutPass(state.compaction) };
    });
  }

  // Selecting the records for a pass.

  /** Reads the keys for a pass that is due, then begins the pass. */
  #prepare(nowMs: number): boolean {
    if (this.#keys === null) {
      const limit = this.#cleanableEnd(nowMs);
      if (!this.#isDue(limit, nowMs)) return false;
      this.#keys = this.#startKeys(limit);
    }
    if (this.#readKeys(this.#keys)) return true;
    const mapEnd = this.#keys.limit;
    const first = this.#store.segmentAfter(-1);
    if (first === null || first >= mapEnd) {
      // Retention was faster: nothing is left to compact.
      this.#keys = null;
      this.#log.compact((state) => {
        const compaction = { cleanedOffset: mapEnd, nextHorizonMs: null, pass: null };
        return { ...state, compaction };
      });
      return true;
    }
    this.#log.compact((state) => {
      this.#store.createSegment(COMPACTING, 0);
      const pass = { mapEnd, groupBase: first, position: first, nextHorizonMs: null };
      return { ...state, compaction: { ...state.compaction, pass } };
    });
    return true;
  }

  /**
   * [CMP-3] Returns the end of the closed segments that are old enough: their newest record decides. The first younger
   * segment ends the range.
   */
  #cleanableEnd(nowMs: number): number {
    const { activeBaseOffset, config } = this.#log;
    for (const segment of this.#segmentsFrom(this.#log.compaction.cleanedOffset)) {
      if (segment >= activeBaseOffset) break;
      const { maxTimestamp } = this.#sealedTotals(segment);
      const { minCompactionLagMs } = config;
      if (minCompactionLagMs > 0 && nowMs - maxTimestamp < minCompactionLagMs) return segment;
    }
    return activeBaseOffset;
  }

  /** True if there is enough uncompacted data, or data has waited too long, or tombstones may be removed. */
  #isDue(limit: number, nowMs: number): boolean {
    const { cleanedOffset, nextHorizonMs } = this.#log.compaction;
    const { minCleanableDirtyRatio, maxCompactionLagMs } = this.#log.config;
    if (nextHorizonMs !== null && nextHorizonMs <= nowMs) return true;
    let dirtyBytes = 0;
    let cleanBytes = 0;
    let isOverdue = false;
    for (const segment of this.#segmentsFrom(0)) {
      if (segment >= limit) break;
      const totals = this.#sealedTotals(segment);
      if (totals.nextOffset <= cleanedOffset) {
        cleanBytes += totals.sizeInBytes;
        continue;
      }
      dirtyBytes += totals.sizeInBytes;
      isOverdue ||= dueMs(this.#store.createdAtMs(segment), maxCompactionLagMs, nowMs) <= nowMs;
    }
    if (dirtyBytes === 0) return false;
    return isOverdue || dirtyBytes / (dirtyBytes + cleanBytes) >= minCleanableDirtyRatio;
  }

  *#segmentsFrom(offset: number): Generator<number> {
    let segment = this.#store.floorSegment(offset) ?? this.#store.segmentAfter(offset);
    for (; segment !== null; segment = this.#store.segmentAfter(segment)) yield segment;
  }

  /** A closed segment is never empty. */
  #sealedTotals(segment: number): SegmentTotals {
    return this.#store.totals(segment) as SegmentTotals;
  }

  #startKeys(limit: number): Keys {
    const { cleanedOffset } = this.#log.compaction;
    return { newest: new Map(), keyBytes: 0, position: cleanedOffset, limit };
  }

  /** Reads a slice of keys. Returns false when all keys are known. */
  #readKeys(keys: Keys): boolean {
    if (keys.position >= keys.limit) return false;
    let bytesRead = 0;
    const chunks = storedChunksFrom(this.#store, keys.position);
    for (const chunk of this.#log.verifier.runs(chunks, keys.position)) {
      if (chunk.baseOffset >= keys.limit) break;
      if (bytesRead >= COMPACTION_SLICE_BYTES) return true;
      bytesRead += chunk.bytes.length;
      for (const { start } of batchesOf(chunk)) {
        if (!this.#noteKeys(keys, this.#decode(chunk.bytes, start) ?? [])) return false;
      }
      keys.position = chunk.nextOffset;
    }
    keys.position = keys.limit;
    return false;
  }

  /** Notes keys. Returns false if the bound on keys is reached. The pass then ends before that record. */
  #noteKeys(keys: Keys, records: readonly ConsumerRecord[]): boolean {
    for (const { key, offset } of records) {
      if (key === null || offset < keys.position || offset >= keys.limit) continue;
      const text = keyText(key);
      if (!keys.newest.has(text)) {
        const isFull =
          keys.newest.size >= MAX_COMPACTION_KEYS ||
          keys.keyBytes + key.length > MAX_COMPACTION_KEY_BYTES;
        if (isFull && keys.newest.size > 0) {
          keys.limit = offset;
          keys.position = offset;
          return false;
        }
        keys.keyBytes += key.length;
      }
      keys.newest.set(text, offset);
    }
    return true;
  }

  /** Returns the records, or null for an unreadable batch. Such a batch stays unchanged. */
  #decode(bytes: Uint8Array, start: number): ConsumerRecord[] | null {
    try {
      return this.#codec.decode(bytes, start);
    } catch (error) {
      if (error instanceof BrokerError) return null;
      throw error;
    }
  }

  // Writing the survivors.

  #copySlice(pass: CompactionPass, keys: Keys, nowMs: number): void {
    let pending = this.#pending?.pass === pass ? this.#pending : startPending(pass);
    this.#pending = pending;
    const segment = this.#store.floorSegment(pending.position) as number;
    const floor = this.#store.floorChunk(segment, pending.position);
    let bytesRead = 0;
    const chunks = this.#store.chunksFrom(segment, floor?.baseOffset ?? segment);
    for (const chunk of this.#log.verifier.runs(chunks, pending.position)) {
      if (bytesRead >= COMPACTION_SLICE_BYTES) return;
      bytesRead += chunk.bytes.length;
      if (chunk.damage !== undefined) pending = this.#keepDamaged(pending, chunk, segment);
      for (const { start, header } of batchesOf(chunk)) {
        if (header.baseOffset < pending.position) continue; // The previous slice wrote it.
        for (const kept of this.#keep(chunk.bytes, start, header, keys, nowMs)) {
          const isFull = pending.sizeInBytes + kept.bytes.length > MAX_CHUNK_BYTES;
          if (isFull && pending.sizeInBytes > 0) pending = this.#flush(pending, kept.baseOffset);
          add(pending, kept);
        }
      }
      pending.position = chunk.nextOffset;
    }
    this.#endSegment(pending, segment);
  }

  /**
   * [CRC-3] Keeps damaged bytes unchanged in a row of their own, so they remain recognizable as damaged. Decoding and
   * encoding such a batch would give it a valid CRC.
   */
  #keepDamaged(pending: Pending, run: Run, segment: number): Pending {
    const alone = pending.pieces.length > 0 ? this.#flush(pending, run.baseOffset) : pending;
    alone.baseOffset = run.baseOffset;
    alone.nextOffset = run.nextOffset;
    alone.pieces = [run.bytes];
    alone.sizeInBytes = run.bytes.length;
    const place = this.#store.floorChunk(segment, run.baseOffset);
    alone.maxTimestamp = place?.chunkMaxTimestamp ?? alone.maxTimestamp;
    return this.#flush(alone, run.nextOffset);
  }

  /**
   * [CMP-1] [CMP-2] Returns the survivors of a batch: nothing, the batch itself, or its remaining records in new
   * batches.
   */
  #keep(bytes: Uint8Array, start: number, header: BatchHeader, keys: Keys, nowMs: number): Kept[] {
    const horizonMs = header.hasDeleteHorizon ? header.baseTimestamp : null;
    const { baseOffset } = header;
    const whole = { baseOffset, bytes: bytes.subarray(start, start + header.sizeInBytes) };
    if (baseOffset >= keys.limit) return [{ ...whole, horizonMs }];
    const records = this.#decode(bytes, start);
    if (records === null) return [{ ...whole, horizonMs: null }];
    // The last record of the log stays. Otherwise readers could never reach the end of the log.
    const last = this.#log.logEndOffset - 1;
    const kept = records.filter(({ key, value, offset }) => {
      if (offset >= keys.limit || offset === last) return true;
      if (key === null || (keys.newest.get(keyText(key)) ?? -1) > offset) return false;
      return value !== null || horizonMs === null || horizonMs > nowMs;
    });
    if (kept.length === 0) return [];
    const tombstones = kept.filter(({ value, offset }) => value === null && offset < keys.limit);
    const newHorizonMs = horizonMs ?? nowMs + this.#log.config.deleteRetentionMs;
    const keptHorizonMs = tombstones.length === 0 ? null : newHorizonMs;
    // The last record does not require another pass. It is removed after newer records have arrived.
    const dueMs = tombstones.some(({ offset }) => offset !== last) ? keptHorizonMs : null;
    if (kept.length === records.length && (tombstones.length === 0 || horizonMs !== null))
      return [{ ...whole, horizonMs: dueMs }];
    // Timestamps are written as differences. An absurd timestamp from a producer may make a difference too large.
    const base = keptHorizonMs ?? header.baseTimestamp;
    if (kept.some(({ timestamp }) => Math.abs(timestamp - base) > MAX_VARINT))
      return [{ ...whole, horizonMs: null }];
    return this.#rewrite(header, kept, keptHorizonMs).map((each) => ({
      ...each,
      horizonMs: dueMs,
    }));
  }

  /** Encodes the records as one batch, or as several if compressing them again makes them too large for one. */
  #rewrite(
    header: BatchHeader,
    records: readonly ConsumerRecord[],
    horizonMs: number | null,
  ): Omit<Kept, "horizonMs">[] {
    const bytes = encodeCompacted(header, records, horizonMs, this.#compressor(header));
    const { baseOffset } = header;
    const middle = records.length >> 1;
    if (bytes.length <= MAX_CHUNK_BYTES || middle === 0) return [{ baseOffset, bytes }];
    const second = (records[middle] as ConsumerRecord).offset;
    const end = baseOffset + header.lastOffsetDelta;
    return [
      { ...header, lastOffsetDelta: second - 1 - baseOffset },
      { ...header, baseOffset: second, lastOffsetDelta: end - second },
    ].flatMap((half, i) =>
      this.#rewrite(half, i === 0 ? records.slice(0, middle) : records.slice(middle), horizonMs),
    );
  }

  /** A batch keeps its compression if this code can produce it. Otherwise it becomes gzip, which all clients read. */
  #compressor({ compression }: BatchHeader): Compressor | undefined {
    if (compression === COMPRESSIONS.none) return undefined;
    return (
      this.#codec.compressor(compression as CompressionType) ??
      this.#codec.compressor(COMPRESSIONS.gzip)
    );
  }

  /** Writes the pending survivors, and notes that everything before `position` is done. */
  #flush(pending: Pending, position: number): Pending {
    this.#log.compact((state) => {
      this.#insert(pending);
      return this.#noted(state, {
        ...pending.pass,
        position,
        nextHorizonMs: pending.nextHorizonMs,
      });
    });
    this.#pending = startPending(this.#log.compaction.pass as CompactionPass);
    return this.#pending;
  }

  #insert(pending: Pending): void {
    if (pending.pieces.length === 0) return;
    const { baseOffset, nextOffset, maxTimestamp, pieces } = pending;
    const chunk = { baseOffset, nextOffset, maxTimestamp, bytes: concatBytes(pieces), appends: [] };
    const totals = this.#store.totals(COMPACTING) ?? emptyTotals(baseOffset);
    this.#store.insertChunk(COMPACTING, chunk, addToTotals(totals, chunk));
  }

  #noted(state: LogState, pass: CompactionPass): LogState {
    return { ...state, compaction: { ...state.compaction, pass } };
  }

  /**
   * Finishes a source segment. The next source goes into the same new segment, or the new segment replaces its sources.
   */
  #endSegment(pending: Pending, segment: number): void {
    const next = this.#store.segmentAfter(segment) as number; // The active segment comes last.
    const { mapEnd } = pending.pass;
    const isLast = next >= mapEnd || next >= this.#log.activeBaseOffset;
    const written = this.#store.totals(COMPACTING)?.sizeInBytes ?? 0;
    const nextBytes = this.#store.totals(next)?.sizeInBytes ?? 0;
    const size = written + pending.sizeInBytes + nextBytes;
    if (!isLast && size <= this.#log.config.segmentBytes) {
      pending.position = next;
      return;
    }
    this.#log.compact((state) => {
      this.#insert(pending);
      const replaced = this.#replace(state, pending.pass.groupBase, next);
      const { nextHorizonMs } = pending;
      if (isLast) {
        const done = { cleanedOffset: mapEnd, nextHorizonMs, pass: null };
        return { ...replaced, compaction: done };
      }
      this.#store.createSegment(COMPACTING, 0);
      const pass = { mapEnd, groupBase: next, position: next, nextHorizonMs };
      return this.#noted(replaced, pass);
    });
    this.#pending = null;
    if (isLast) this.#keys = null;
  }

  /** Replaces the segments from `groupBase` up to `end` with the new segment. */
  #replace(state: LogState, groupBase: number, end: number): LogState {
    const totals = this.#store.totals(COMPACTING);
    const createdAtMs = this.#store.createdAtMs(groupBase);
    let { sealedBytes, segmentCount } = state;
    for (let source: number | null = groupBase; source !== null && source < end; ) {
      const following = this.#store.segmentAfter(source);
      sealedBytes -= this.#sealedTotals(source).sizeInBytes;
      segmentCount--;
      this.#store.dropSegment(source);
      source = following;
    }
    if (totals === null) {
      this.#store.dropSegment(COMPACTING);
      return { ...state, sealedBytes, segmentCount };
    }
    this.#store.renameCompacting(groupBase, createdAtMs);
    return {
      ...state,
      sealedBytes: sealedBytes + totals.sizeInBytes,
      segmentCount: segmentCount + 1,
    };
  }
}

/** Returns the readable batches. Damaged bytes have none. */
function batchesOf({ bytes, damage }: Run) {
  return damage === undefined ? batches(bytes) : [];
}

function startPending(pass: CompactionPass): Pending {
  return {
    pass,
    position: pass.position,
    nextHorizonMs: pass.nextHorizonMs,
    pieces: [],
    sizeInBytes: 0,
    baseOffset: 0,
    nextOffset: 0,
    maxTimestamp: Number.MIN_SAFE_INTEGER,
  };
}

function add(pending: Pending, { bytes, horizonMs }: Kept): void {
  const header = readBatchHeader(bytes);
  if (pending.sizeInBytes === 0) pending.baseOffset = header.baseOffset;
  pending.pieces.push(bytes);
  pending.sizeInBytes += bytes.length;
  pending.nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
  pending.maxTimestamp = Math.max(pending.maxTimestamp, header.maxTimestamp);
  if (horizonMs !== null)
    pending.nextHorizonMs = Math.min(pending.nextHorizonMs ?? horizonMs, horizonMs);
}

/** Returns a key as a string for use in a map: one character per byte. */
function keyText(key: Uint8Array): string {
  let text = "";
  for (let i = 0; i < key.length; i += 4096)
    text += String.fromCharCode(...key.subarray(i, i + 4096));
  return text;
}
