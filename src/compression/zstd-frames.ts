// Examines Zstandard frames (RFC 8878) before they are decoded: the end of each, and the largest size that it may
// decompress to. Decoders differ in three cases: several frames, bytes after the last frame, and a header that claims
// more memory than the content needs. Here, every decoder gets single frames that claim only what they need.
import { MAX_DECOMPRESSED_BYTES } from "../core/limits.ts";
import { corrupt } from "./output.ts";

const MAGIC = 0xfd2fb528;
/** The first of sixteen magic numbers for frames without content. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_BLOCK_BYTES = 128 * 1024;
/** The default bound of decoders. */
const MAX_WINDOW_LOG = 27;
const MIN_WINDOW_LOG = 10;
/** The most bytes that decoders in JavaScript may move. They shift their window for every block. */
const MAX_SHIFTED_BYTES = 16 * 1024 ** 3;

/** Returns the frames with content. The header of each claims no more than it needs. @throws CORRUPT_MESSAGE */
export function zstdFrames(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length === 0) throw corrupt("zstd: the input is empty");
  const frames: Uint8Array[] = [];
  const reader = new Reader(bytes);
  while (reader.position < bytes.length) {
    const magic = reader.number(4);
    if (magic >= SKIPPABLE_MAGIC && magic < SKIPPABLE_MAGIC + 16) reader.skip(reader.number(4));
    else if (magic === MAGIC) frames.push(readFrame(reader));
    else throw corrupt("zstd: not a frame");
  }
  return frames;
}

/** Reads the frame whose magic number has been read. */
function readFrame(reader: Reader): Uint8Array {
  const start = reader.position - 4;
  const descriptor = reader.number(1);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const windowAt = reader.position;
  let window = 0;
  if (!isSingleSegment) {
    const windowByte = reader.number(1);
    const log = MIN_WINDOW_LOG + (windowByte >>> 3);
    if (log > MAX_WINDOW_LOG) throw corrupt(`zstd: the window has 2^${log} bytes`);
    window = 2 ** log * (1 + (windowByte & 7) / 8);
  }
  reader.skip([0, 1, 2, 4][descriptor & 3] as number); // Skips the id of a dictionary. Decoders reject it.
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] as number;
  const size = sizeBytes === 0 ? null : reader.number(sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  const { most, blocks } = readBlocks(reader);
  if (hasChecksum) reader.skip(4);
  const bound = size ?? most;
  if (bound > most) throw corrupt(`zstd: the frame claims ${bound} bytes`);
  if (bound > MAX_DECOMPRESSED_BYTES && size !== null)
    throw corrupt(`zstd: decompresses to ${size} bytes, the bound is ${MAX_DECOMPRESSED_BYTES}`);

  const frame = reader.bytes.slice(start, reader.position);
  if (!isSingleSegment) {
    const needed = Math.min(window, bound, MAX_DECOMPRESSED_BYTES);
    const log = Math.max(MIN_WINDOW_LOG, Math.ceil(Math.log2(Math.max(1, needed))));
    if (2 ** log < window) {
      frame[windowAt - start] = (log - MIN_WINDOW_LOG) << 3;
      window = 2 ** log;
    }
  }
  if (blocks * Math.max(window, isSingleSegment ? bound : 0) > MAX_SHIFTED_BYTES)
    throw corrupt(`zstd: ${blocks} blocks in a window of ${window} bytes are too much work`);
  return frame;
}

/** Counts the blocks, and bounds their decompressed size. The sum is exact except for compressed blocks. */
function readBlocks(reader: Reader): { most: number; blocks: number } {
  let most = 0;
  for (let blocks = 1; ; blocks++) {
    const header = reader.number(3);
    const isLast = (header & 1) !== 0;
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    if (type === 3 || size > MAX_BLOCK_BYTES) throw corrupt("zstd: a block is malformed");
    most += type === 2 ? MAX_BLOCK_BYTES : size;
    reader.skip(type === 1 ? 1 : size);
    if (isLast) return { most, blocks };
  }
}

class Reader {
  readonly bytes: Uint8Array;
  position = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Reads a little-endian number. */
  number(size: number): number {
    let value = 0;
    const start = this.position;
    this.skip(size);
    for (let i = 0; i < size; i++) value += (this.bytes[start + i] as number) * 2 ** (8 * i);
    return value;
  }

  skip(count: number): void {
    this.position += count;
    if (this.position > this.bytes.length) throw corrupt("zstd: a frame is cut off");
  }
}
