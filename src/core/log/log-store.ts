// What the log asks of its storage. Synchronous on purpose: between a decision and its write nothing may
// interleave. The SQLite store is durable-objects/partition/sql-log-store.ts, the in-memory one
// test/support/memory-log-store.ts; both pass the contract in test/core/log-store.test.ts.
import type { Chunk } from "./append.ts";
import type { AppendEntry } from "./producers.ts";

/** Totals of a segment up to and including one chunk; the last row of a segment tells all about it. */
export interface SegmentTotals {
  readonly nextOffset: number;
  /** Largest timestamp in the segment so far. Never falls from one chunk to the next. */
  readonly maxTimestamp: number;
  readonly sizeInBytes: number;
  readonly chunkCount: number;
}

export interface StoredChunk {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: Uint8Array;
}

/** Where a chunk lies and its segment's totals up to it, without its bytes. */
export interface ChunkPlace extends SegmentTotals {
  readonly baseOffset: number;
  /** Largest timestamp in the chunk itself. */
  readonly chunkMaxTimestamp: number;
}

/** What is known about the log as a whole, in one row that only rare events write. */
export interface LogState {
  /** [LOG-8] The oldest offset kept. */
  readonly logStartOffset: number;
  /** Bytes of all segments but the last. */
  readonly sealedBytes: number;
  readonly segmentCount: number;
  readonly compaction: CompactionState;
}

/** How far compaction is (core/log/compaction.ts). */
export interface CompactionState {
  /** Below this offset no record is superseded by another below it. */
  readonly cleanedOffset: number;
  /** When the first of the tombstones that compaction has kept may go, or null. */
  readonly nextHorizonMs: number | null;
  readonly pass: CompactionPass | null;
}

export interface CompactionPass {
  /** The newest offsets of keys are known for records below this offset. */
  readonly mapEnd: number;
  /** The segments being written anew begin with the one of this base offset … */
  readonly groupBase: number;
  /** … and everything before this offset is written. */
  readonly position: number;
  readonly nextHorizonMs: number | null;
}

export const INITIAL_LOG_STATE: LogState = {
  logStartOffset: 0,
  sealedBytes: 0,
  segmentCount: 0,
  compaction: { cleanedOffset: 0, nextHorizonMs: null, pass: null },
};

/** Stands for the segment that compaction writes, which takes the place of others when it is done. */
export const COMPACTING = -1;

export interface ProducerSnapshot {
  /** The snapshot holds every append before this offset. */
  readonly nextOffset: number;
  readonly entries: readonly AppendEntry[];
}

export interface LogStore {
  /** All or nothing: a throw inside leaves the store as it was. */
  transaction<T>(body: () => T): T;
  state(): LogState;
  setState(state: LogState): void;

  /** The last segment whose base offset is at most `offset`, or null. */
  floorSegment(offset: number): number | null;
  /** The first segment whose base offset is above `offset`, or null. */
  segmentAfter(offset: number): number | null;
  /** When the segment was created. */
  createdAtMs(segment: number): number;
  /** `baseOffset` may be COMPACTING, here and in every method that takes a segment. */
  createSegment(baseOffset: number, createdAtMs: number): void;
  dropSegment(baseOffset: number): void;
  /** The segment COMPACTING becomes one of base offset `baseOffset`; it has been dropped if there was one. */
  renameCompacting(baseOffset: number, createdAtMs: number): void;

  /** The totals at the segment's last chunk, or null for an empty segment. */
  totals(segment: number): SegmentTotals | null;
  insertChunk(segment: number, chunk: Chunk, totals: SegmentTotals): void;
  /** The last chunk of the segment whose base offset is at most `offset`, or null. */
  floorChunk(segment: number, offset: number): ChunkPlace | null;
  /** Chunks of the segment, ascending, from the one with base offset `from` on. Read lazily. */
  chunksFrom(segment: number, from: number): Iterable<StoredChunk>;
  /** The same without their bytes. */
  placesFrom(segment: number, from: number): Iterable<ChunkPlace>;
  /** Appends of idempotent producers that lie in these chunks, in order. */
  appendsFrom(segment: number, from: number): Iterable<AppendEntry>;

  producerSnapshot(): ProducerSnapshot | null;
  setProducerSnapshot(snapshot: ProducerSnapshot): void;
}
