// The end of a partition's log, as a relay knows it: the bounds, the newest batches that were pushed, and the run that was
// read last for readers that are behind. Nothing is stored: what is not at hand is read from the partition [RLY-3].
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
  /** Counts what is at hand, all of which can be read from the partition. Null if nobody counts it. */
  readonly #holding: SpareHolding | null;
  /** The newest chunks, up to the high watermark. */
  #tail = new TailCache(RELAY_CACHE_BYTES);
  #fetched: StoredChunk | null = null;
  #isServing = false;

  constructor(bounds: Bounds, room: SpareRoom | null = null) {
    this.#bounds = bounds;
    this.#holding = room?.add(this) ?? null;
  }

  /** [BND-23] Drops what is at hand, but for the run that is being served. */
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
   * A reader may be ahead of what was pushed, because it was read for it, or its client knows more. The partition has said
   * then that the offset lies in the log.
   */
  validateOffset(offset: number): Result<object> {
    const highWatermark = Math.max(offset, this.logEndOffset);
    return validateInRange(offset, { ...this.#bounds, highWatermark });
  }

  /** True if the offset lies in the log for certain. */
  isKnown(offset: number): boolean {
    return validateInRange(offset, this.#bounds).ok;
  }

  findOffsetByTimestamp(): never {
    throw new AssertionError("the partition finds where a reader of a relay starts");
  }

  /**
   * Takes in what was pushed. Pushes come in order, but one may come again with more, or come after the bounds that
   * include it, and those before it may be missing. The chunks at hand always reach up to the end without a gap.
   */
  push({ baseOffset, nextOffset, bytes }: StoredChunk, logStartOffset: number): void {
    const end = this.logEndOffset;
    if (nextOffset < end) return; // The rest of it comes with the next push.
    if (baseOffset !== end) this.#tail = new TailCache(RELAY_CACHE_BYTES);
    if (nextOffset > baseOffset) this.#tail.add({ baseOffset, nextOffset, bytes });
    this.#setBounds({ logStartOffset, highWatermark: nextOffset });
  }

  /** Takes in the bounds with which pushes begin. They may be older than a push that came meanwhile. */
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
   * Takes in a run that was read for readers that are behind, and calls `serve`. It may go beyond what was pushed. The run is
   * at hand until `serve` returns, however little room there is. Otherwise serving it could take it away, and reading it
   * again would never end.
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

  /** True if what is in the log at this offset is at hand. */
  holds(offset: number): boolean {
    return this.#isFetched(offset) || this.#tail.holds(offset);
  }

  #isFetched(offset: number): boolean {
    const run = this.#fetched;
    return run !== null && offset >= run.baseOffset && offset < run.nextOffset;
  }

  /** Returns what is at hand from `offset` on, as PartitionLog does. It goes on nowhere if there is nothing. */
  read(offset: number, maxBytes: number): ReadResult {
    this.#holding?.used();
    const pieces: Uint8Array[] = [];
    let sizeInBytes = 0;
    let nextOffset = offset;
    for (const chunk of this.#chunksFrom(offset)) {
      const room = maxBytes - sizeInBytes;
      const piece = cutChunk(chunk, nextOffset, room, pieces.length === 0);
      if (piece === null) {
        // A chunk without a batch that is left: compaction has removed its records.
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
