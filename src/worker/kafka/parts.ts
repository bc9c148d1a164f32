// The parts in which an answer is written, whatever pieces it consists of.
import { sizeOf } from "../../core/bytes.ts";
import {
  KAFKA_FAST_WRITE_MS,
  MAX_KAFKA_WRITE_BYTES,
  MIN_KAFKA_WRITE_BYTES,
} from "../../core/limits.ts";

/**
 * Yields all bytes of the pieces in parts of `partBytes`, which is called for each part. A part within one
 * piece is not copied.
 */
export function* inParts(
  pieces: readonly Uint8Array[],
  partBytes: () => number,
): Generator<Uint8Array> {
  let left = sizeOf(pieces);
  let piece = 0;
  let at = 0;
  while (left > 0) {
    const first = pieces[piece] as Uint8Array;
    if (at === first.length) {
      piece++;
      at = 0;
      continue;
    }
    const size = Math.min(left, partBytes());
    left -= size;
    if (at + size <= first.length) {
      yield first.subarray(at, at + size);
      at += size;
      continue;
    }
    const part = new Uint8Array(size);
    for (let filled = 0; filled < size; ) {
      const from = pieces[piece] as Uint8Array;
      const some = from.subarray(at, at + size - filled);
      part.set(some, filled);
      filled += some.length;
      at += some.length;
      if (filled === size) break;
      piece++;
      at = 0;
    }
    yield part;
  }
}

/**
 * Returns the size of the next part, given that the client took `tookMs` for the last one of `bytes`. Each part
 * costs a system call, but progress shows only when a whole part was taken. So parts grow for a client that
 * takes them at once.
 */
export function nextPartBytes(bytes: number, tookMs: number): number {
  if (tookMs < 0 || tookMs > KAFKA_FAST_WRITE_MS) return MIN_KAFKA_WRITE_BYTES;
  return Math.min(2 * bytes, MAX_KAFKA_WRITE_BYTES);
}
