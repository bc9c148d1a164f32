// Running totals of a segment. Each chunk row has the totals up to and including itself.
import type { Chunk } from "./append.ts";
import type { SegmentTotals } from "./log-store.ts";

export function emptyTotals(baseOffset: number): SegmentTotals {
  return {
    nextOffset: baseOffset,
    maxTimestamp: Number.MIN_SAFE_INTEGER,
    sizeInBytes: 0,
    chunkCount: 0,
  };
}

export function addToTotals(totals: SegmentTotals, chunk: Omit<Chunk, "appends">): SegmentTotals {
  return {
    nextOffset: chunk.nextOffset,
    maxTimestamp: Math.max(totals.maxTimestamp, chunk.maxTimestamp),
    sizeInBytes: totals.sizeInBytes + chunk.bytes.length,
    chunkCount: totals.chunkCount + 1,
  };
}
