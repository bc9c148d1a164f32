// What the log asks of its storage. Synchronous on purpose: between a decision and its write nothing may
// interleave. The SQLite store is durable-objects/partition/sql-log-store.ts, the in-memory one
// test/support/memory-log-store.ts; both pass the contract in test/core/log-store.test.ts.
import type { Chunk } from "./append.ts";

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
}

export interface LogStore {
  /** All or nothing: a throw inside leaves the store as it was. */
  transaction<T>(body: () => T): T;
  /** The last segment whose base offset is at most `offset`, or null. */
  floorSegment(offset: number): number | null;
  /** The first segment whose base offset is above `offset`, or null. */
  segmentAfter(offset: number): number | null;
  createSegment(baseOffset: number): void;
  dropSegment(baseOffset: number): void;
  /** The totals at the segment's last chunk, or null for an empty segment. */
  totals(segment: number): SegmentTotals | null;
  insertChunk(segment: number, chunk: Chunk, totals: SegmentTotals): void;
  /** The last chunk of the segment whose base offset is at most `offset`, or null. */
  floorChunk(segment: number, offset: number): ChunkPlace | null;
  /** Chunks of the segment, ascending, from the one with base offset `from` on. Read lazily. */
  chunksFrom(segment: number, from: number): Iterable<StoredChunk>;
  /** [LOG-8] The oldest offset kept. */
  logStartOffset(): number;
  setLogStartOffset(offset: number): void;
}
