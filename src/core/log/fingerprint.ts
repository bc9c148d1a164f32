// What tells an append from another at the same sequence number [IDM-8]: the CRCs of its batches as they were sent,
// without the two times in their headers. A client that sends an append again may encode it anew with the time of
// the new try (KafkaJS does); its records, and the differences of their times, stay the same. Where some of its records
// have times of their own, and others that of the try, the differences change too: such a repeat has another fingerprint,
// and is told by its records (core/log/same-append.ts), for as long as they are stored.
//
// The bytes are read once, by the check of the CRC. A CRC is linear: the part that some bytes have in it can be taken
// out without the bytes behind them, by moving that part over as many zeros (zlib's crc32_combine).
import { crc32c, POLYNOMIAL } from "./crc32c.ts";

/** `baseTimestamp` and `maxTimestamp` in a batch's header. */
const TIMES_START = 27;
const TIMES_END = 43;
/** Where a batch's CRC lies, and the first byte that it covers. */
const CRC_AT = 17;
const CRC_START = 21;

/** The polynomials 1 and x. The coefficients are in reverse: the highest bit is that of x^0. */
const ONE = 1 << 31;
const X = 1 << 30;

/** The CRC of the times where they are zero: what `crc32c` says of any others differs from it by their part. */
const CRC_OF_NO_TIMES = crc32c(new Uint8Array(TIMES_END - TIMES_START));

/** x^(2^k): what a CRC is multiplied with to move it over 2^k bits. */
const POWERS = powers();

function powers(): number[] {
  const all = [X];
  // Enough for batches of 2^28 bytes.
  for (let k = 1; k < 31; k++) all.push(multiply(all[k - 1] as number, all[k - 1] as number));
  return all;
}

/** The product of two polynomials modulo that of the CRC. */
function multiply(a: number, b: number): number {
  let product = 0;
  let power = b;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= power;
    power = (power & 1) !== 0 ? (power >>> 1) ^ POLYNOMIAL : power >>> 1;
  }
  return product;
}

/** The part of a CRC that some bytes have, when `count` more bytes follow them. */
function behind(part: number, count: number): number {
  let moved = part;
  for (let k = 3, left = count; left > 0; k++, left >>>= 1)
    if ((left & 1) !== 0) moved = multiply(POWERS[k] as number, moved);
  return moved;
}

/** The CRC that the batch at `start`, whose CRC is right, would have if both times in its header were zero. */
export function crcWithoutTimes(bytes: Uint8Array, start: number, sizeInBytes: number): number {
  const crc = new DataView(bytes.buffer, bytes.byteOffset + start, CRC_START).getUint32(CRC_AT);
  const times = crc32c(bytes, start + TIMES_START, start + TIMES_END) ^ CRC_OF_NO_TIMES;
  return (crc ^ behind(times, sizeInBytes - TIMES_END)) >>> 0;
}

/** The fingerprint of an append of which `before` is that of the batches so far; 0 where there is none yet. */
export function fingerprintWith(before: number, crc: number): number {
  return (Math.imul(before, 0x01000193) ^ crc) >>> 0;
}
