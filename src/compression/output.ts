// A buffer that grows as it is written to, up to a bound. Decoders trust no length in their input.
import { MAX_DECOMPRESSED_BYTES } from "../core/limits.ts";
import { CompressionError } from "./compression-error.ts";

export function corrupt(detail: string): CompressionError {
  return new CompressionError("CORRUPT_MESSAGE", detail);
}

export class Output {
  #bytes: Uint8Array;
  #length = 0;

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(Math.min(expectedBytes, MAX_DECOMPRESSED_BYTES));
  }

  get length(): number {
    return this.#length;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    if (needed > MAX_DECOMPRESSED_BYTES)
      throw corrupt(`a batch decompresses to more than ${MAX_DECOMPRESSED_BYTES} bytes, the bound`);
    const size = Math.min(Math.max(needed, 2 * this.#bytes.length), MAX_DECOMPRESSED_BYTES);
    const bytes = new Uint8Array(size);
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
  }

  write(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Repeats `count` bytes from `distance` bytes ago. The source may overlap the bytes being written. */
  repeat(distance: number, count: number): void {
    if (distance < 1 || distance > this.#length)
      throw corrupt(`a copy reaches back ${distance} of ${this.#length} bytes`);
    this.#reserve(count);
    const from = this.#length - distance;
    if (distance >= count) this.#bytes.copyWithin(this.#length, from, from + count);
    else for (let i = 0; i < count; i++) this.#bytes[this.#length + i] = this.#bytes[from + i] ?? 0;
    this.#length += count;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
