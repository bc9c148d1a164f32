// Lookups by timestamp. They find a batch. It must be decoded to find a record that is new enough.
import type { ChunkVerifier, Decode } from "./damage.ts";
import type { LogStore } from "./log-store.ts";
import { batches } from "./record-batch.ts";

export interface TimestampCandidate {
  readonly batch: Uint8Array;
  /** The offset after the batch. */
  readonly nextOffset: number;
}

/**
 * [LOG-6] Returns the first batch at or after `start` that may contain a record with at least this timestamp. If it
 * does not, the search continues at `nextOffset`. Null if there is none. The caller decodes the batch. A segment's
 * running maximum never decreases, so a binary search over offsets finds the chunk in O(log records) rows.
 */
export function findBatchByTimestamp(
  store: LogStore,
  verifier: ChunkVerifier,
  timestamp: number,
  start: number,
): TimestampCandidate | null {
  let segment = store.floorSegment(start) ?? store.segmentAfter(start);
  while (segment !== null) {
    const totals = store.totals(segment);
    if (totals !== null && totals.maxTimestamp >= timestamp) {
      const found = findInSegment(store, verifier, segment, totals.nextOffset, timestamp, start);
      if (found !== null) return found;
    }
    segment = store.segmentAfter(segment);
  }
  return null;
}

/**
 * [LOG-11] Returns the largest timestamp of any record from `start`
 * on, or null. `decode` is called for at most one batch.
 */
export function maxTimestamp(
  store: LogStore,
  verifier: ChunkVerifier,
  start: number,
  decode: Decode,
): number | null {
  let largest: number | null = null;
  const consider = (timestamp: number) => {
    if (largest === null || timestamp > largest) largest = timestamp;
  };
  // Totals include deleted records, so the segment in which the log starts is examined in detail.
  let segment = store.floorSegment(start) ?? store.segmentAfter(start);
  for (; segment !== null; segment = store.segmentAfter(segment)) {
    if (segment >= start) {
      const totals = store.totals(segment);
      if (totals !== null) consider(totals.maxTimestamp);
      continue;
    }
    const floor = store.floorChunk(segment, start);
    for (const place of store.placesFrom(segment, floor?.baseOffset ?? segment))
      if (place.baseOffset >= start) consider(place.chunkMaxTimestamp);
    if (floor === null || floor.baseOffset >= start) continue;
    for (const chunk of verifier.runs(store.chunksFrom(segment, floor.baseOffset), start)) {
      if (chunk.baseOffset >= floor.nextOffset) break;
      if (chunk.damage !== undefined) throw verifier.error(chunk);
      for (const { start: at, header } of batches(chunk.bytes)) {
        if (header.baseOffset >= start) consider(header.maxTimestamp);
        else if (header.baseOffset + header.lastOffsetDelta >= start) {
          // Its first part is deleted, so its records must be read.
          for (const { offset, timestamp } of verifier.decoded(decode, chunk.bytes, at))
            if (offset >= start) consider(timestamp);
        }
      }
    }
  }
  return largest;
}

function findInSegment(
  store: LogStore,
  verifier: ChunkVerifier,
  segment: number,
  segmentEnd: number,
  timestamp: number,
  from: number,
): TimestampCandidate | null {
  // Every chunk before `low` is too old. The chunk that contains `high` is new enough.
  let low = segment;
  let high = segmentEnd - 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const place = store.floorChunk(segment, middle);
    if (place === null) {
      low = middle + 1; // Compaction removed the segment's first records.
    } else if (place.maxTimestamp >= timestamp) high = Math.max(low, place.baseOffset);
    else low = Math.max(place.nextOffset, middle + 1);
  }
  const floor = store.floorChunk(segment, Math.max(low, from));
  const chunks = store.chunksFrom(segment, floor?.baseOffset ?? segment);
  for (const chunk of verifier.runs(chunks, from)) {
    // The damaged part may contain the record.
    if (chunk.damage !== undefined) throw verifier.error(chunk);
    for (const { start, header } of batches(chunk.bytes)) {
      const nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
      if (nextOffset <= from || header.maxTimestamp < timestamp) continue;
      return { batch: chunk.bytes.subarray(start, start + header.sizeInBytes), nextOffset };
    }
  }
  return null;
}
