// Stored chunks across segments. Compaction leaves gaps between chunks, and where segments were removed.
import type { LogStore, StoredChunk } from "./log-store.ts";
import { batches } from "./record-batch.ts";

/** Yields the stored chunks with records at or after `offset`, ascending. They are read lazily. */
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

/**
 * Returns the batches of `chunk` from the one that contains `offset`, as many as `room` bytes allow, but at least one
 * if `atLeastOne`. Null if none fits. In the common case, a whole chunk that fits, no batch is examined.
 */
export function cutChunk(
  chunk: StoredChunk,
  offset: number,
  room: number,
  atLeastOne: boolean,
): { bytes: Uint8Array; nextOffset: number } | null {
  if (offset <= chunk.baseOffset && chunk.bytes.length <= room) {
    return { bytes: chunk.bytes, nextOffset: chunk.nextOffset };
  }
  let from = -1;
  let to = 0;
  let nextOffset = offset;
  for (const { start, header } of batches(chunk.bytes)) {
    const batchNext = header.baseOffset + header.lastOffsetDelta + 1;
    if (batchNext <= offset) continue;
    if (from === -1) from = start;
    const end = start + header.sizeInBytes;
    const isFirst = to === 0;
    if (end - from > room && !(isFirst && atLeastOne)) break;
    to = end;
    nextOffset = batchNext;
  }
  if (from === -1 || to === 0) return null;
  return { bytes: chunk.bytes.subarray(from, to), nextOffset };
}
