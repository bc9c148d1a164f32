// The storage interface of the log. It is synchronous on purpose: nothing may run between a decision and its write. The
// SQLite store is durable-objects/partition/sql-log-store.ts, and the in-memory one is
// test/support/memory-log-store.ts. Both pass the contract in test/unit/core/log/log-store.test.ts.
import type { Chunk } from "./append.ts";
import type { AppendEntry } from "./producers.ts";

/** Totals of a segment up to and including one chunk. The last row of a segment has the totals of the whole segment. */
export interface SegmentTotals {
  readonly nextOffset: number;
  /** The largest timestamp in the segment so far. It never decreases from one chunk to the next. */
  readonly maxTimestamp: number;
  readonly sizeInBytes: number;
  readonly chunkCount: number;
}

export interface StoredChunk {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: Uint8Array;
}

/** A chunk's place and the totals of its segment up to it, without its bytes. */
export interface ChunkPlace extends SegmentTotals {
  readonly baseOffset: number;
  /** The largest timestamp in the chunk itself. */
  readonly chunkMaxTimestamp: number;
}

/** The state of the whole log, in one row that is rarely written. */
export interface LogState {
  /** [LOG-8] The oldest offset kept. */
  readonly logStartOffset: number;
  /** The bytes of all segments except the last. */
  readonly sealedBytes: number;
  readonly segmentCount: number;
  readonly compaction: CompactionState;
}

/** The progress of compaction (core/log/compaction.ts). */
export interface CompactionState {
  /** No record below this offset is superseded by another record below it. */
  readonly cleanedOffset: number;
  /** The time at which the first tombstone kept by compaction may be removed, or null. */
  readonly nextHorizonMs: number | null;
  readonly pass: CompactionPass | null;
}

export interface CompactionPass {
  /** The newest offsets of keys are known for records below this offset. */
  readonly mapEnd: number;
  /** The base offset of the first segment being rewritten. */
  readonly groupBase: number;
  /** Everything before this offset is written. */
  readonly position: number;
  readonly nextHorizonMs: number | null;
}

export const INITIAL_LOG_STATE: LogState = {
  logStartOffset: 0,
  sealedBytes: 0,
  segmentCount: 0,
  compaction: { cleanedOffset: 0, nextHorizonMs: null, pass: null },
};

/** Identifies the segment that compaction writes. It replaces others when it is complete. */
export const COMPACTING = -1;

export interface ProducerSnapshot {
  /** The snapshot contains every append before this offset. */
  readonly nextOffset: number;
  readonly entries: readonly AppendEntry[];
}

export interface LogStore {
  /** Runs the body entirely or not at all: if it throws, the store stays unchanged. */
  transaction<T>(body: () => T): T;
  state(): LogState;
  setState(state: LogState): void;

  /** Returns the last segment whose base offset is at most `offset`, or null. */
  floorSegment(offset: number): number | null;
  /** Returns the first segment whose base offset is above `offset`, or null. */
  segmentAfter(offset: number): number | null;
  /** Returns the time at which the segment was created. */
  createdAtMs(segment: number): number;
  /** `baseOffset` may be COMPACTING, here and in every method that takes a segment. */
  createSegment(baseOffset: number, createdAtMs: number): void;
  dropSegment(baseOffset: number): void;
  /** Renames the segment COMPACTING to `baseOffset`. A segment with that base offset must have been dropped before. */
  renameCompacting(baseOffset: number, createdAtMs: number): void;

  /** Returns the totals at the segment's last chunk, or null for an empty segment. */
  totals(segment: number): SegmentTotals | null;
  insertChunk(segment: number, chunk: Chunk, totals: SegmentTotals): void;
  /** Returns the last chunk of the segment whose base offset is at most `offset`, or null. */
  floorChunk(segment: number, offset: number): ChunkPlace | null;
  /** Returns chunks of the segment, ascending, starting with the one at base offset `from`. They are read lazily. */
  chunksFrom(segment: number, from: number): Iterable<StoredChunk>;
  /** Returns the same chunks without their bytes. */
  placesFrom(segment: number, from: number): Iterable<ChunkPlace>;
  /** Returns the appends of idempotent producers in these chunks, in order. */
  appendsFrom(segment: number, from: number): Iterable<AppendEntry>;

  producerSnapshot(): ProducerSnapshot | null;
  setProducerSnapshot(snapshot: ProducerSnapshot): void;
}

/**
 * Returns the state after the pass ends early. The tombstones that it has already marked must still be removed later.
 */
export function withoutPass({
  cleanedOffset,
  nextHorizonMs,
  pass,
}: CompactionState): CompactionState {
  const times = [nextHorizonMs, pass?.nextHorizonMs ?? null].filter((time) => time !== null);
  return {
    cleanedOffset,
    nextHorizonMs: times.length === 0 ? null : Math.min(...times),
    pass: null,
  };
}

/**
 * Returns the compaction state after the segment `dropped` was deleted, up to `next`. A new segment made from it is
 * void. Must run in the caller's transaction.
 */
export function withoutSegment(
  store: LogStore,
  compaction: CompactionState,
  dropped: number,
  next: number,
): CompactionState {
  const cleanedOffset = Math.max(compaction.cleanedOffset, next);
  const { pass } = compaction;
  if (pass === null || dropped < pass.groupBase) return { ...compaction, cleanedOffset };
  store.dropSegment(COMPACTING);
  if (next >= pass.mapEnd) return { ...withoutPass(compaction), cleanedOffset };
  store.createSegment(COMPACTING, 0);
  return { ...compaction, cleanedOffset, pass: { ...pass, groupBase: next, position: next } };
}
