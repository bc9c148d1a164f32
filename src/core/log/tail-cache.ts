// [LOG-7] The newest chunks of a log in memory, ascending and without a gap. They always match the stored data: code
// that replaces stored chunks also drops them here.
//
// The cache is small until it is read. It grows with the distance from the end at which readers read, up to
// MAX_TAIL_CACHE_BYTES. It shrinks when they read closer to the end or stop reading.
import { MAX_TAIL_CACHE_BYTES, MIN_TAIL_CACHE_BYTES } from "../limits.ts";
import type { StoredChunk } from "./log-store.ts";

/** The memory that a chunk takes besides its bytes. */
const CHUNK_OVERHEAD_BYTES = 200;
/** The granularity of distances from the end, in bytes. */
const MARK_BYTES = MAX_TAIL_CACHE_BYTES / 64;

export class TailCache {
  /** The upper bound of its size. */
  readonly #mostBytes: number;
  #chunks: StoredChunk[] = [];
  #sizeInBytes = 0;
  #maxBytes = MIN_TAIL_CACHE_BYTES;
  /** All bytes ever added. */
  #addedBytes = 0;
  /** Some chunks of the last MAX_TAIL_CACHE_BYTES, dropped or not, with the bytes that had been added before each. */
  #marks: { readonly baseOffset: number; readonly addedBytes: number }[] = [];
  /** The distance of the farthest read since the size was last set, and the bytes that had been added by then. */
  #readBytes = 0;
  #settledAtBytes = 0;

  constructor(mostBytes = MAX_TAIL_CACHE_BYTES) {
    this.#mostBytes = mostBytes;
  }

  get sizeInBytes(): number {
    return this.#sizeInBytes;
  }

  /** The size to which it is trimmed. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** Adds a chunk, which must follow the last one. It stays until `trim` is called, for waiting readers. */
  add({ baseOffset, nextOffset, bytes }: StoredChunk): void {
    const { addedBytes } = this.#marks.at(-1) ?? { addedBytes: Number.NEGATIVE_INFINITY };
    if (this.#addedBytes - addedBytes >= MARK_BYTES)
      this.#marks.push({ baseOffset, addedBytes: this.#addedBytes });
    this.#chunks.push({ baseOffset, nextOffset, bytes });
    this.#sizeInBytes += memoryOf(bytes);
    this.#addedBytes += bytes.length;
    this.#trimTo(this.#mostBytes);
    this.#forgetMarks();
    if (this.#addedBytes - this.#settledAtBytes < this.#maxBytes) return;
    this.#maxBytes = sizeFor(this.#readBytes);
    this.#readBytes = 0;
    this.#settledAtBytes = this.#addedBytes;
  }

  /** Drops the oldest chunks beyond the current size. */
  trim(): void {
    this.#trimTo(this.#maxBytes);
  }

  /** Notes a read from `offset` on, whether or not it is in the cache. */
  noteRead(offset: number): void {
    const mark = this.#marks.findLast(({ baseOffset }) => baseOffset <= offset);
    if (mark === undefined) return; // It is farther from the end than the cache can ever reach.
    this.#readBytes = Math.max(this.#readBytes, this.#addedBytes - mark.addedBytes);
    this.#maxBytes = Math.max(this.#maxBytes, sizeFor(this.#readBytes));
  }

  /** True if the cache contains everything from `offset` to the end of the log. */
  holds(offset: number): boolean {
    const oldest = this.#chunks[0];
    return oldest !== undefined && offset >= oldest.baseOffset;
  }

  /** Yields the chunk that contains `offset`, and those after it. */
  *from(offset: number): Generator<StoredChunk> {
    const chunks = this.#chunks; // Others may drop chunks in the meantime.
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((chunks[middle] as StoredChunk).baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i < chunks.length; i++) yield chunks[i] as StoredChunk;
  }

  dropBefore(offset: number): void {
    this.#keep(this.#chunks.filter(({ baseOffset }) => baseOffset >= offset));
  }

  dropAll(): void {
    this.#keep([]);
  }

  #trimTo(maxBytes: number): void {
    let drop = 0;
    for (; this.#sizeInBytes > maxBytes; drop++)
      this.#sizeInBytes -= memoryOf((this.#chunks[drop] as StoredChunk).bytes);
    if (drop > 0) this.#chunks = this.#chunks.slice(drop);
  }

  #keep(chunks: StoredChunk[]): void {
    this.#chunks = chunks;
    this.#sizeInBytes = chunks.reduce((sum, { bytes }) => sum + memoryOf(bytes), 0);
  }

  #forgetMarks(): void {
    const from = this.#addedBytes - MAX_TAIL_CACHE_BYTES;
    while ((this.#marks[0]?.addedBytes ?? from) < from) this.#marks.shift();
  }
}

function memoryOf(bytes: Uint8Array): number {
  return CHUNK_OVERHEAD_BYTES + bytes.length;
}

/** Returns the size for readers at this distance from the end: twice that, because they may fall behind a little. */
function sizeFor(readBytes: number): number {
  return Math.min(Math.max(2 * readBytes, MIN_TAIL_CACHE_BYTES), MAX_TAIL_CACHE_BYTES);
}
