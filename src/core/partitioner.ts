// Maps keys to partitions, byte for byte as Kafka's Java client does (Utils.murmur2, BuiltInPartitioner). So every
// client that hashes keys agrees on the partition of a key.

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** Computes Kafka's murmur2, as a signed 32-bit number. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  let hash = SEED ^ length;
  const whole = length & ~3;
  for (let i = 0; i < whole; i += 4) {
    let k =
      byteAt(bytes, i) |
      (byteAt(bytes, i + 1) << 8) |
      (byteAt(bytes, i + 2) << 16) |
      (byteAt(bytes, i + 3) << 24);
    k = Math.imul(k, M);
    k ^= k >>> R;
    hash = Math.imul(hash, M) ^ Math.imul(k, M);
  }
  if (whole < length) {
    hash ^=
      byteAt(bytes, whole) | (byteAt(bytes, whole + 1) << 8) | (byteAt(bytes, whole + 2) << 16);
    hash = Math.imul(hash, M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** Bytes past the end count as zero. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

/** Returns the partition of a key, in [0, partitions). */
export function partitionForKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
