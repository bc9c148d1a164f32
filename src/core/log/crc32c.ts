// CRC-32C (Castagnoli), the checksum of RecordBatch v2. Sliced by sixteen: four aligned 32-bit loads and
// sixteen independent table look-ups per sixteen bytes, about three times as fast as slicing by eight
// byte by byte. It is the largest cost of an append, so it is worth its tables (16 KiB).

/** The Castagnoli polynomial. Its coefficients are in reverse order. */
export const POLYNOMIAL = 0x82f63b78;
const SLICES = 16;

function buildTables(): Uint32Array[] {
  const first = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[byte] = crc;
  }
  const tables = [first];
  for (let slice = 1; slice < SLICES; slice++) {
    const previous = tables[slice - 1] as Uint32Array;
    tables.push(previous.map((crc) => (crc >>> 8) ^ at(first, crc & 0xff)));
  }
  return tables;
}

type Table = Uint32Array;
type EightTables = [Table, Table, Table, Table, Table, Table, Table, Table];

// One constant per table: an array of tables would cost a second load per look-up.
const TABLES = buildTables();
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES.slice(0, 8) as EightTables;
const [T8, T9, T10, T11, T12, T13, T14, T15] = TABLES.slice(8) as EightTables;

/** True if words are little-endian here, as on every platform that JavaScript runs on today. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The checksum of `bytes` from `start` (inclusive) to `end` (exclusive), as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = -1;
  let i = start;
  if (IS_LITTLE_ENDIAN) {
    while (i < end && ((bytes.byteOffset + i) & 3) !== 0) crc = step(crc, at(bytes, i++));
    const wordCount = ((end - i) >> 4) << 2;
    if (wordCount > 0) {
      crc = crcOfWords(crc, new Int32Array(bytes.buffer, bytes.byteOffset + i, wordCount));
      i += wordCount << 2;
    }
  }
  while (i < end) crc = step(crc, at(bytes, i++));
  return ~crc >>> 0;
}

function step(crc: number, byte: number): number {
  return (crc >>> 8) ^ at(T0, (crc ^ byte) & 0xff);
}

/** Processes four words at a time. Their number is a multiple of four. */
function crcOfWords(start: number, words: Int32Array): number {
  let crc = start;
  for (let i = 0; i < words.length; i += 4) {
    const a = at(words, i) ^ crc;
    const b = at(words, i + 1);
    const c = at(words, i + 2);
    const d = at(words, i + 3);
    crc =
      at(T15, a & 0xff) ^
      at(T14, (a >>> 8) & 0xff) ^
      at(T13, (a >>> 16) & 0xff) ^
      at(T12, a >>> 24) ^
      at(T11, b & 0xff) ^
      at(T10, (b >>> 8) & 0xff) ^
      at(T9, (b >>> 16) & 0xff) ^
      at(T8, b >>> 24) ^
      at(T7, c & 0xff) ^
      at(T6, (c >>> 8) & 0xff) ^
      at(T5, (c >>> 16) & 0xff) ^
      at(T4, c >>> 24) ^
      at(T3, d & 0xff) ^
      at(T2, (d >>> 8) & 0xff) ^
      at(T1, (d >>> 16) & 0xff) ^
      at(T0, d >>> 24);
  }
  return crc;
}

/** The indexes here are always in range. `as number` tells the compiler so at no cost. */
function at(values: Uint8Array | Uint32Array | Int32Array, index: number): number {
  return values[index] as number;
}
