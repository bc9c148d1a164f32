// The end of a partition's log, as a relay knows it. It has the bounds, the newest batches that were pushed, and the
// run last fetched for slow readers. Nothing is stored: data that is not in memory is read from the partition [RLY-3].
import { AssertionError } from "../assert.ts";
import type { Result } from "../errors.ts";
import type { Spare, SpareHolding, SpareRoom } from "../ledger.ts";
import { RELAY_CACHE_BYTES } from "../limits.ts";
import { validateInRange } from "./in-range.ts";
import type { StoredChunk } from "./log-store.ts";
import type { ReadResult } from "./partition-log.ts";
import { cutChunk } from "./stored-chunks.ts";
import { TailCache } from "./tail-cache.ts";

interface Bounds {
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

export class RelayedLog implements Spare {
  #bounds: Bounds;
  /** Counts the data in memory, all of which can be read from the partition again. Null if it is not counted. */
  readonly #holding: SpareHolding | null;
  /** The newest chunks, up to the high watermark. */
  #tail = new TailCache(RELAY_CACHE_BYTES);
  #fetched: StoredChunk | null = null;
  #isServing = false;

  constructor(bounds: Bounds, room: SpareRoom | null = null) {
    this.#bounds = bounds;
    this.#holding = room?.add(this) ?? null;
  }

  /** [BND-23] Drops the data in memory, except for the run being served. */
  drop(): void {
    this.#tail = new TailCache(RELAY_CACHE_BYTES);
    if (!this.#isServing) this.#fetched = null;
    this.#count();
  }

  #count(): void {
    this.#holding?.set(this.#tail.sizeInBytes + (this.#fetched?.bytes.length ?? 0));
  }

  get logStartOffset(): number {
    return this.#bounds.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#bounds.highWatermark;
  }

  /**
   * Checks an offset. A reader may be ahead of the pushed records, because records were fetched for it, or its client
   * knows of newer ones. In that case the partition has confirmed that the offset is in the log.
   */
  validateOffset(offset: number): Result<object> {
    const highWatermark = Math.max(offset, this.logEndOffset);
    return validateInRange(offset, { ...this.#bounds, highWatermark });
  }

  /** True if the offset is certainly in the log. */
  isKnown(offset: number): boolean {
    return validateInRange(offset, this.#bounds).ok;
  }

  findOffsetByTimestamp(): never {
    throw new AssertionError("the partition finds where a reader of a relay starts");
  }

  /**
   * Takes pushed records. Pushes come in order. But one may be repeated with more records, or come after bounds that
   * include it, and earlier ones may be missing. The chunks in memory always reach the end without a gap.
   */
  push({ baseOffset, nextOffset, bytes }: StoredChunk, logStartOffset: number): void {
    const end = this.logEndOffset;
    if (nextOffset < end) return; // The next push brings the rest.
    if (baseOffset !== end) this.#tail = new TailCache(RELAY_CACHE_BYTES);
    if (nextOffset > baseOffset) this.#tail.add({ baseOffset, nextOffset, bytes });
    this.#setBounds({ logStartOffset, highWatermark: nextOffset });
  }

  /** Takes the bounds that precede pushes. They may be older than a push that arrived earlier. */
  learn(bounds: Bounds): void {
    if (bounds.highWatermark > this.logEndOffset) this.#tail = new TailCache(RELAY_CACHE_BYTES);
    this.#setBounds(bounds);
  }

  #setBounds({ logStartOffset, highWatermark }: Bounds): void {
    this.#bounds = {
      logStartOffset: Math.max(logStartOffset, this.logStartOffset),
      highWatermark: Math.max(highWatermark, this.logEndOffset),
    };
    this.#count();
  }

  /**
   * Takes a run fetched for slow readers, and calls `serve`. It may reach beyond the pushed records. It stays in memory
   * until `serve` returns, however little room there is. Otherwise serving could drop it, and fetching it again would
   * never end.
   */
  fetched(run: StoredChunk, logStartOffset: number, serve: () => void): void {
    this.#fetched = run;
    this.#isServing = true;
    try {
      this.#setBounds({ logStartOffset, highWatermark: this.logEndOffset });
      serve();
    } finally {
      this.#isServing = false;
      this.#count();
    }
  }

  /** True if the records at this offset are in memory. */
  holds(offset: number): boolean {
    return this.#isFetched(offset) || this.#tail.holds(offset);
  }

  #isFetched(offset: number): boolean {
    const run = this.#fetched;
    return run !== null && offset >= run.baseOffset && offset < run.nextOffset;
  }

  /** Returns the records in memory from `offset` on, as PartitionLog does. Without any, `nextOffset` is `offset`. */
  read(offset: number, maxBytes: number): ReadResult {
    this.#holding?.used();
    const pieces: Uint8Array[] = [];
    let sizeInBytes = 0;
    let nextOffset = offset;
    for (const chunk of this.#chunksFrom(offset)) {
      const room = maxBytes - sizeInBytes;
      const piece = cutChunk(chunk, nextOffset, room, pieces.length === 0);
      if (piece === null) {
        // Compaction has removed all records of this chunk.
        if (pieces.length > 0) break;
        nextOffset = chunk.nextOffset;
        continue;
      }
      if (piece.bytes.length > 0) pieces.push(piece.bytes);
      sizeInBytes += piece.bytes.length;
      nextOffset = piece.nextOffset;
      if (nextOffset < chunk.nextOffset || sizeInBytes >= maxBytes) break;
    }
    return { pieces, sizeInBytes, nextOffset };
  }

  #chunksFrom(offset: number): Iterable<StoredChunk> {
    if (offset >= this.logEndOffset) return [];
    if (this.#tail.holds(offset)) return this.#tail.from(offset);
    return this.#isFetched(offset) ? [this.#fetched as StoredChunk] : [];
  }
}
