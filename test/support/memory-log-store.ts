// The log in memory: what SqlLogStore does, without SQLite. Bytes are copied in and out, so that
// nothing that a caller does to its own bytes reaches what is stored.
import { assert } from "../../src/core/assert.ts";
import type { Chunk } from "../../src/core/log/append.ts";
import type {
  ChunkPlace,
  LogStore,
  SegmentTotals,
  StoredChunk,
} from "../../src/core/log/log-store.ts";

interface Row {
  readonly place: ChunkPlace;
  readonly bytes: Uint8Array;
}

export class MemoryLogStore implements LogStore {
  /** Rows ascend by base offset: chunks are appended, never inserted in between. */
  #segments = new Map<number, Row[]>();
  #logStartOffset = 0;

  transaction<T>(body: () => T): T {
    const segments = new Map(Array.from(this.#segments, ([base, rows]) => [base, rows.slice()]));
    const logStartOffset = this.#logStartOffset;
    try {
      return body();
    } catch (error) {
      this.#segments = segments;
      this.#logStartOffset = logStartOffset;
      throw error;
    }
  }

  floorSegment(offset: number): number | null {
    return this.#ascending().findLast((segment) => segment <= offset) ?? null;
  }

  segmentAfter(offset: number): number | null {
    return this.#ascending().find((segment) => segment > offset) ?? null;
  }

  createSegment(baseOffset: number): void {
    assert(!this.#segments.has(baseOffset), `segment ${baseOffset} exists`);
    this.#segments.set(baseOffset, []);
  }

  dropSegment(baseOffset: number): void {
    assert(this.#segments.delete(baseOffset), `segment ${baseOffset} does not exist`);
  }

  totals(segment: number): SegmentTotals | null {
    const place = this.#rows(segment).at(-1)?.place;
    return place === undefined ? null : totalsOf(place);
  }

  insertChunk(segment: number, chunk: Chunk, totals: SegmentTotals): void {
    const rows = this.#rows(segment);
    const last = rows.at(-1)?.place.baseOffset ?? Number.NEGATIVE_INFINITY;
    assert(last < chunk.baseOffset, `chunk ${chunk.baseOffset} is not behind chunk ${last}`);
    const place = { ...totalsOf(totals), baseOffset: chunk.baseOffset };
    rows.push({ place, bytes: chunk.bytes.slice() });
  }

  floorChunk(segment: number, offset: number): ChunkPlace | null {
    return this.#rows(segment).findLast(({ place }) => place.baseOffset <= offset)?.place ?? null;
  }

  *chunksFrom(segment: number, from: number): Generator<StoredChunk> {
    for (const { place, bytes } of this.#rows(segment)) {
      if (place.baseOffset < from) continue;
      yield { baseOffset: place.baseOffset, nextOffset: place.nextOffset, bytes: bytes.slice() };
    }
  }

  logStartOffset(): number {
    return this.#logStartOffset;
  }

  setLogStartOffset(offset: number): void {
    this.#logStartOffset = offset;
  }

  #ascending(): number[] {
    return Array.from(this.#segments.keys()).sort((a, b) => a - b);
  }

  #rows(segment: number): Row[] {
    const rows = this.#segments.get(segment);
    assert(rows !== undefined, `segment ${segment} does not exist`);
    return rows;
  }
}

function totalsOf(totals: SegmentTotals): SegmentTotals {
  const { nextOffset, maxTimestamp, sizeInBytes, chunkCount } = totals;
  return { nextOffset, maxTimestamp, sizeInBytes, chunkCount };
}

/** Base offsets of a store's segments, ascending. */
export function segmentsOf(store: LogStore): number[] {
  const segments: number[] = [];
  let next = store.segmentAfter(-1);
  while (next !== null) {
    segments.push(next);
    next = store.segmentAfter(next);
  }
  return segments;
}
