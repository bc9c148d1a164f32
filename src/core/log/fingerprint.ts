// A fingerprint distinguishes an append from another one at the same sequence number [IDM-8]. It combines the CRCs of
// the sent batches, without the two times in their headers. A client may encode a repeated append with the time of the
// retry (KafkaJS does). The records, and the differences of their times, stay the same. If some records have times of
// their own and others the time of the attempt, the differences change too. Such a repeat has another fingerprint. It
// is recognized by its records (core/log/same-append.ts), as long as they are stored.
//
// The check of the CRC reads the bytes once. A CRC is linear, so the contribution of some bytes can be removed without
// reading the bytes after them. For that, the contribution is shifted by as many zeros (zlib's crc32_combine).
import { crc32c, POLYNOMIAL } from "./crc32c.ts";

/** `baseTimestamp` and `maxTimestamp` in a batch's header. */
const TIMES_START = 27;
const TIMES_END = 43;
/** The position of a batch's CRC, and the first byte that it covers. */
const CRC_AT = 17;
const CRC_START = 21;

/** The polynomials 1 and x. The coefficients are in reverse order: the highest bit is that of x^0. */
const ONE = 1 << 31;
const X = 1 << 30;

/** The CRC of zero times. `crc32c` of any other times differs from it by their contribution. */
const CRC_OF_NO_TIMES = crc32c(new Uint8Array(TIMES_END - TIMES_START));

/** x^(2^k): multiplying a CRC by it shifts the CRC by 2^k bits. */
const POWERS = powers();

function powers(): number[] {
  const all = [X];
  // Enough for batches of 2^28 bytes.
  for (let k = 1; k < 31; k++) all.push(multiply(all[k - 1] as number, all[k - 1] as number));
  return all;
}

/** Returns the product of two polynomials modulo the CRC's polynomial. */
function multiply(a: number, b: number): number {
  let product = 0;
  let power = b;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= power;
    power = (power & 1) !== 0 ? (power >>> 1) ^ POLYNOMIAL : power >>> 1;
  }
  return product;
}

/** Returns the contribution of some bytes to a CRC if `count` more bytes follow them. */
function behind(part: number, count: number): number {
  let moved = part;
  for (let k = 3, left = count; left > 0; k++, left >>>= 1)
    if ((left & 1) !== 0) moved = multiply(POWERS[k] as number, moved);
  return moved;
}

/**
 * Returns the CRC that the batch at `start` would have if both times in its header were zero. Its CRC must be valid.
 */
export function crcWithoutTimes(bytes: Uint8Array, start: number, sizeInBytes: number): number {
  const crc = new DataView(bytes.buffer, bytes.byteOffset + start, CRC_START).getUint32(CRC_AT);
  const times = crc32c(bytes, start + TIMES_START, start + TIMES_END) ^ CRC_OF_NO_TIMES;
  return (crc ^ behind(times, sizeInBytes - TIMES_END)) >>> 0;
}

/** Adds a batch to a fingerprint. `before` is the fingerprint of the earlier batches, or 0 if there are none. */
export function fingerprintWith(before: number, crc: number): number {
  return (Math.imul(before, 0x01000193) ^ crc) >>> 0;
}
