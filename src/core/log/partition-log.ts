// The log of one partition: segments of chunks of record batches, over a LogStore. Everything here is
// synchronous and deterministic; the object around it decides when to commit and whom to tell.
//
// Guarantees: offsets are dense and increase [LOG-1]; an append is stored whole or not at all [LOG-2];
// reads and appends cost the same however long the log is [LOG-9].
import { assert } from "../assert.ts";
import { fail, type Result } from "../errors.ts";
import { DEFAULT_SEGMENT_BYTES, MAX_SEGMENT_CHUNKS, TAIL_CACHE_BYTES } from "../limits.ts";
import { type Append, type Chunk, planChunks } from "./append.ts";
import type { LogStore, SegmentTotals, StoredChunk } from "./log-store.ts";
import { batches } from "./record-batch.ts";

interface ActiveSegment {
  readonly baseOffset: number;
  totals: SegmentTotals;
}

export interface ReadResult {
  /** Whole batches, in order; the first may begin before the offset asked for. */
  readonly pieces: readonly Uint8Array[];
  readonly sizeInBytes: number;
  /** Offset behind the last batch returned. */
  readonly nextOffset: number;
}

export interface TimestampCandidate {
  readonly batch: Uint8Array;
  /** Offset behind the batch. */
  readonly nextOffset: number;
}

export class PartitionLog {
  readonly #store: LogStore;
  readonly #segmentBytes: number;
  #active: ActiveSegment | null;
  #logStartOffset: number;
  #nextOffset: number;
  /** [LOG-7] The newest chunks, ascending and without a gap, at most TAIL_CACHE_BYTES. */
  #tail: StoredChunk[] = [];
  #tailBytes = 0;

  constructor(store: LogStore, options: { segmentBytes?: number } = {}) {
    this.#store = store;
    this.#segmentBytes = options.segmentBytes ?? DEFAULT_SEGMENT_BYTES;
    this.#logStartOffset = store.logStartOffset();
    this.#nextOffset = this.#logStartOffset;
    this.#active = null;
    const last = store.floorSegment(Number.MAX_SAFE_INTEGER);
    if (last !== null) {
      const totals = store.totals(last) ?? emptyTotals(last);
      this.#active = { baseOffset: last, totals };
      this.#nextOffset = totals.nextOffset;
    }
  }

  /** The oldest offset kept. */
  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** The offset of the next record to be appended. Also the high watermark: what is stored is readable. */
  get logEndOffset(): number {
    return this.#nextOffset;
  }

  /**
   * Stores the appends in one transaction, in order, and returns the base offset of each. Throws what the
   * store throws; nothing is stored then and this log is unchanged.
   */
  commit(appends: readonly Append[]): readonly number[] {
    const plan = planChunks(appends, this.#nextOffset);
    const active = this.#store.transaction(() => {
      let current = this.#active;
      for (const chunk of plan.chunks) {
        if (current === null || this.#isFull(current.totals, chunk)) {
          this.#store.createSegment(chunk.baseOffset);
          this.#dropSegmentsBefore(this.#logStartOffset);
          current = { baseOffset: chunk.baseOffset, totals: emptyTotals(chunk.baseOffset) };
        }
        const totals = addToTotals(current.totals, chunk);
        this.#store.insertChunk(current.baseOffset, chunk, totals);
        current = { baseOffset: current.baseOffset, totals };
      }
      return current;
    });
    this.#active = active;
    this.#nextOffset = plan.nextOffset;
    for (const chunk of plan.chunks) this.#remember(chunk);
    return plan.baseOffsets;
  }

  #isFull(totals: SegmentTotals, chunk: Chunk): boolean {
    if (totals.chunkCount === 0) return false;
    return (
      totals.sizeInBytes + chunk.bytes.length > this.#segmentBytes ||
      totals.chunkCount >= MAX_SEGMENT_CHUNKS
    );
  }

  #remember(chunk: StoredChunk): void {
    this.#tail.push({
      baseOffset: chunk.baseOffset,
      nextOffset: chunk.nextOffset,
      bytes: chunk.bytes,
    });
    this.#tailBytes += chunk.bytes.length;
    let drop = 0;
    while (this.#tailBytes > TAIL_CACHE_BYTES) {
      this.#tailBytes -= this.#tail[drop]?.bytes.length ?? 0;
      drop++;
    }
    if (drop > 0) this.#tail.splice(0, drop);
  }

  /** OFFSET_OUT_OF_RANGE unless `logStartOffset ≤ offset ≤ logEndOffset`. */
  checkOffset(offset: number): Result<object> {
    if (offset >= this.#logStartOffset && offset <= this.#nextOffset) return { ok: true };
    return {
      ...fail(
        "OFFSET_OUT_OF_RANGE",
        `offset ${offset} is outside the log, which holds ${this.#logStartOffset} to ${this.#nextOffset}`,
      ),
      logStartOffset: this.#logStartOffset,
      highWatermark: this.#nextOffset,
    };
  }

  /**
   * [LOG-4] Whole batches from the one that holds `offset` on, up to `maxBytes`, but always at least one
   * where there is one. The offset must be in range.
   */
  read(offset: number, maxBytes: number): ReadResult {
    assert(this.checkOffset(offset).ok, "read: the offset was checked by the caller");
    const pieces: Uint8Array[] = [];
    let sizeInBytes = 0;
    let nextOffset = offset;
    for (const chunk of this.#chunksFrom(offset)) {
      const room = maxBytes - sizeInBytes;
      const piece = cutChunk(chunk, nextOffset, room, pieces.length === 0);
      if (piece === null) break;
      pieces.push(piece.bytes);
      sizeInBytes += piece.bytes.length;
      nextOffset = piece.nextOffset;
      if (nextOffset < chunk.nextOffset || sizeInBytes >= maxBytes) break;
    }
    return { pieces, sizeInBytes, nextOffset };
  }

  *#chunksFrom(offset: number): Generator<StoredChunk> {
    if (offset >= this.#nextOffset) return;
    const oldest = this.#tail[0];
    if (oldest === undefined || offset < oldest.baseOffset) {
      yield* this.#storedChunksFrom(offset);
      return;
    }
    for (
      let i = lastAtMost(this.#tail, offset, (chunk) => chunk.baseOffset);
      i < this.#tail.length;
      i++
    ) {
      yield this.#tail[i] as StoredChunk;
    }
  }

  *#storedChunksFrom(offset: number): Generator<StoredChunk> {
    let segment = this.#store.floorSegment(offset) ?? this.#store.segmentAfter(offset);
    while (segment !== null) {
      const floor = this.#store.floorChunk(segment, offset);
      for (const chunk of this.#store.chunksFrom(segment, floor?.baseOffset ?? segment)) {
        if (chunk.nextOffset > offset) yield chunk;
      }
      segment = this.#store.segmentAfter(segment);
    }
  }

  /**
   * [LOG-8] Moves the log start up to `before`, never back and never past the end, and drops the segments
   * that lie wholly before it. The active segment stays, since it says where the log ends, until another
   * takes its place.
   */
  deleteRecordsBefore(before: number): void {
    const start = Math.min(Math.max(before, this.#logStartOffset), this.#nextOffset);
    if (start === this.#logStartOffset) return;
    this.#store.transaction(() => {
      this.#store.setLogStartOffset(start);
      this.#dropSegmentsBefore(start);
    });
    this.#logStartOffset = start;
  }

  #dropSegmentsBefore(offset: number): void {
    let first = this.#store.segmentAfter(-1);
    while (first !== null) {
      const next = this.#store.segmentAfter(first);
      if (next === null || next > offset) return;
      this.#store.dropSegment(first);
      first = next;
    }
  }

  /**
   * [LOG-6] The first batch at or behind `from` that may hold a record whose timestamp is at least
   * `timestamp`, with where to go on if it does not, or null. The caller decodes it. A segment's running
   * maximum never falls, so a binary search over offsets finds the chunk in O(log records) rows.
   */
  findBatchByTimestamp(timestamp: number, from: number): TimestampCandidate | null {
    const start = Math.max(from, this.#logStartOffset);
    let segment = this.#store.floorSegment(start);
    while (segment !== null) {
      const totals = this.#store.totals(segment);
      if (totals !== null && totals.maxTimestamp >= timestamp) {
        const found = this.#findInSegment(segment, totals.nextOffset, timestamp, start);
        if (found !== null) return found;
      }
      segment = this.#store.segmentAfter(segment);
    }
    return null;
  }

  #findInSegment(
    segment: number,
    segmentEnd: number,
    timestamp: number,
    from: number,
  ): TimestampCandidate | null {
    // Every chunk before `low` is too old; the chunk that holds `high` is new enough.
    let low = segment;
    let high = segmentEnd - 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const place = this.#store.floorChunk(segment, middle);
      assert(place !== null, "a segment begins with the chunk it is named after");
      if (place.maxTimestamp >= timestamp) high = Math.max(low, place.baseOffset);
      else low = place.nextOffset;
    }
    const floor = this.#store.floorChunk(segment, Math.max(low, from));
    for (const chunk of this.#store.chunksFrom(segment, floor?.baseOffset ?? segment)) {
      for (const { start, header } of batches(chunk.bytes)) {
        const nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
        if (nextOffset <= from || header.maxTimestamp < timestamp) continue;
        return { batch: chunk.bytes.subarray(start, start + header.sizeInBytes), nextOffset };
      }
    }
    return null;
  }
}

function emptyTotals(baseOffset: number): SegmentTotals {
  return {
    nextOffset: baseOffset,
    maxTimestamp: Number.MIN_SAFE_INTEGER,
    sizeInBytes: 0,
    chunkCount: 0,
  };
}

function addToTotals(totals: SegmentTotals, chunk: Chunk): SegmentTotals {
  return {
    nextOffset: chunk.nextOffset,
    maxTimestamp: Math.max(totals.maxTimestamp, chunk.maxTimestamp),
    sizeInBytes: totals.sizeInBytes + chunk.bytes.length,
    chunkCount: totals.chunkCount + 1,
  };
}

/** Index of the last item whose key is at most `offset`, or -1. Items ascend by key. */
function lastAtMost<T>(items: readonly T[], offset: number, key: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (key(items[middle] as T) <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * The batches of `chunk` from the one that holds `offset` on, as many as `room` bytes allow; at least one
 * where `atLeastOne`. Null where none fits. The common case, a whole chunk that fits, looks at no batch.
 */
function cutChunk(
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
