// Chunks as they are stored, across segments. Compaction leaves gaps: between chunks, and where a whole
// segment has gone.
import type { LogStore, StoredChunk } from "./log-store.ts";

/** Chunks with records at or behind `offset`, ascending. Read lazily. */
export function* storedChunksFrom(store: LogStore, offset: number): Generator<StoredChunk> {
  let segment = store.floorSegment(offset) ?? store.segmentAfter(offset);
  while (segment !== null) {
    const floor = store.floorChunk(segment, offset);
    for (const chunk of store.chunksFrom(segment, floor?.baseOffset ?? segment)) {
      if (chunk.nextOffset > offset) yield chunk;
    }
    segment = store.segmentAfter(segment);
  }
}
