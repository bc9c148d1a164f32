// The log in memory: like SqlLogStore, without SQLite. Bytes are copied in and out, so that no change of a caller's bytes
// reaches the stored ones.
import { assert } from "../../src/core/assert.ts";
import type { Chunk } from "../../src/core/log/append.ts";
import {
  type ChunkPlace,
  COMPACTING,
  INITIAL_LOG_STATE,
  type LogState,
  type LogStore,
  type ProducerSnapshot,
  type SegmentTotals,
  type StoredChunk,
} from "../../src/core/log/log-store.ts";
import type { AppendEntry } from "../../src/core/log/producers.ts";

interface Row {
  readonly place: ChunkPlace;
  readonly bytes: Uint8Array;
  readonly appends: readonly AppendEntry[];
}

interface Segment {
  readonly createdAtMs: number;
  readonly rows: Row[];
}

export class MemoryLogStore implements LogStore {
  /** Rows ascend by base offset: chunks are appended, never inserted in between. */
  #segments = new Map<number, Segment>();
  #state = INITIAL_LOG_STATE;
  #snapshot: ProducerSnapshot | null = null;

  transaction<T>(body: () => T): T {
    const segments = new Map(
      Array.from(this.#segments, ([base, { createdAtMs, rows }]) => [
        base,
        { createdAtMs, rows: rows.slice() },
      ]),
    );
    const state = this.#state;
    const snapshot = this.#snapshot;
    try {
      return body();
    } catch (error) {
      this.#segments = segments;
      this.#state = state;
      this.#snapshot = snapshot;
      throw error;
    }
  }

  state(): LogState {
    return this.#state;
  }

  setState(state: LogState): void {
    this.#state = structuredClone(state);
  }

  producerSnapshot(): ProducerSnapshot | null {
    return this.#snapshot;
  }

  setProducerSnapshot(snapshot: ProducerSnapshot): void {
    this.#snapshot = structuredClone(snapshot);
  }

  floorSegment(offset: number): number | null {
    return this.#ascending().findLast((segment) => segment <= offset) ?? null;
  }

  segmentAfter(offset: number): number | null {
    return this.#ascending().find((segment) => segment > offset) ?? null;
  }

  createdAtMs(segment: number): number {
    return this.#segment(segment).createdAtMs;
  }

  createSegment(baseOffset: number, createdAtMs: number): void {
    assert(!this.#segments.has(baseOffset), `segment ${baseOffset} exists`);
    this.#segments.set(baseOffset, { createdAtMs, rows: [] });
  }

  renameCompacting(baseOffset: number, createdAtMs: number): void {
    const { rows } = this.#segment(COMPACTING);
    this.dropSegment(COMPACTING);
    this.createSegment(baseOffset, createdAtMs);
    this.#segment(baseOffset).rows.push(...rows);
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
    const { baseOffset, maxTimestamp: chunkMaxTimestamp } = chunk;
    const place = { ...totalsOf(totals), baseOffset, chunkMaxTimestamp };
    rows.push({ place, bytes: chunk.bytes.slice(), appends: chunk.appends.slice() });
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

  *placesFrom(segment: number, from: number): Generator<ChunkPlace> {
    for (const { place } of this.#rows(segment)) if (place.baseOffset >= from) yield place;
  }

  *appendsFrom(segment: number, from: number): Generator<AppendEntry> {
    for (const { place, appends } of this.#rows(segment))
      if (place.baseOffset >= from) yield* appends;
  }

  #ascending(): number[] {
    const bases = Array.from(this.#segments.keys()).filter((base) => base !== COMPACTING);
    return bases.sort((a, b) => a - b);
  }

  #segment(base: number): Segment {
    const segment = this.#segments.get(base);
    assert(segment !== undefined, `segment ${base} does not exist`);
    return segment;
  }

  #rows(segment: number): Row[] {
    return this.#segment(segment).rows;
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
