// Zigzag variable-length integers, used by RecordBatch v2 for lengths and deltas. Values are JavaScript numbers, exact
// to 2^53, which bounds every offset and timestamp here.

/** Returns the number of bytes that `writeVarint` needs for `value`. */
export function varintSize(value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) {
    const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
    if (zigzag < 0x80) return 1;
    if (zigzag < 0x4000) return 2;
    if (zigzag < 0x200000) return 3;
    if (zigzag < 0x10000000) return 4;
    return 5;
  }
  let zigzag = value < 0 ? -value * 2 - 1 : value * 2;
  let size = 1;
  while (zigzag >= 0x80) {
    zigzag = Math.floor(zigzag / 0x80);
    size++;
  }
  return size;
}

/** Writes `value` at `position` and returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let next = position;
  if (value >= -0x40000000 && value < 0x40000000) {
    let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
    while (zigzag >= 0x80) {
      bytes[next++] = (zigzag & 0x7f) | 0x80;
      zigzag >>>= 7;
    }
    bytes[next++] = zigzag;
    return next;
  }
  let zigzag = value < 0 ? -value * 2 - 1 : value * 2;
  while (zigzag >= 0x80) {
    bytes[next++] = (zigzag % 0x80) | 0x80;
    zigzag = Math.floor(zigzag / 0x80);
  }
  bytes[next++] = zigzag;
  return next;
}

/** The largest value whose zigzag form is exact in a double. */
export const MAX_VARINT = 0xf_ffff_ffff_ffff;

/** Reads varints in sequence. Throws RangeError past `end`, and for values beyond MAX_VARINT. */
export class VarintReader {
  position: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, position: number, end: number) {
    this.#bytes = bytes;
    this.position = position;
    this.#end = end;
  }

  read(): number {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#next();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1);
    }
    let zigzag = low;
    let scale = 2 ** 28;
    for (;;) {
      const byte = this.#next();
      zigzag += (byte & 0x7f) * scale;
      if (zigzag > Number.MAX_SAFE_INTEGER || scale > 2 ** 63)
        throw new RangeError("varint too large");
      if (byte < 0x80) break;
      scale *= 128;
    }
    return zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2;
  }

  #next(): number {
    if (this.position >= this.#end) throw new RangeError("varint past the end");
    return this.#bytes[this.position++] as number;
  }
}
