// [LOG-7] The newest chunks of a log in memory: ascending, without a gap, at most TAIL_CACHE_BYTES. They always match
// the stored data: code that replaces stored chunks also drops them here.
import { TAIL_CACHE_BYTES } from "../limits.ts";
import type { StoredChunk } from "./log-store.ts";

export class TailCache {
  readonly #maxBytes: number;
  #chunks: StoredChunk[] = [];
  #sizeInBytes = 0;

  constructor(maxBytes = TAIL_CACHE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Adds a chunk, which must follow the last one. */
  add({ baseOffset, nextOffset, bytes }: StoredChunk): void {
    this.#chunks.push({ baseOffset, nextOffset, bytes });
    this.#sizeInBytes += bytes.length;
    let drop = 0;
    while (this.#sizeInBytes > this.#maxBytes) {
      this.#sizeInBytes -= this.#chunks[drop]?.bytes.length ?? 0;
      drop++;
    }
    if (drop > 0) this.#chunks.splice(0, drop);
  }

  /** True if everything from `offset` to the end of the log is here. */
  holds(offset: number): boolean {
    const oldest = this.#chunks[0];
    return oldest !== undefined && offset >= oldest.baseOffset;
  }

  /** Yields the chunk that holds `offset`, and those after it. */
  *from(offset: number): Generator<StoredChunk> {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#chunks[middle] as StoredChunk).baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i < this.#chunks.length; i++) yield this.#chunks[i] as StoredChunk;
  }

  dropBefore(offset: number): void {
    this.#chunks = this.#chunks.filter(({ baseOffset }) => baseOffset >= offset);
    this.#sizeInBytes = this.#chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
}
