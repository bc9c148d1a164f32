// LZ4 frames, decoding only (lz4_Frame_format.md and lz4_Block_format.md of github.com/lz4/lz4). Checksums are
// ignored, because the batch has a CRC over all of it.
import { corrupt, Output } from "./output.ts";

const MAGIC = 0x184d2204;
const UNCOMPRESSED_BLOCK = 0x80000000;
const MIN_MATCH = 4;

/** Decompresses an LZ4 frame. @throws CompressionError CORRUPT_MESSAGE */
export function decompressLz4(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const need = (position: number, count: number) => {
    if (position + count > bytes.length) throw corrupt("lz4: the frame is cut off");
  };
  need(0, 7);
  if (view.getUint32(0, true) !== MAGIC) throw corrupt("lz4: not a frame");
  const flags = bytes[4] as number;
  if (flags >>> 6 !== 1) throw corrupt(`lz4: the frame has version ${flags >>> 6}, not 1`);
  const hasBlockChecksum = (flags & 0x10) !== 0;
  const hasContentSize = (flags & 0x08) !== 0;
  const hasDictionary = (flags & 0x01) !== 0;
  if (hasDictionary) throw corrupt("lz4: the frame requires a dictionary");
  let position = 6 + (hasContentSize ? 8 : 0) + 1;
  const output = new Output(4 * bytes.length);
  for (;;) {
    need(position, 4);
    const word = view.getUint32(position, true);
    position += 4;
    if (word === 0) return output.bytes(); // A checksum of the content may follow.
    const length = word & ~UNCOMPRESSED_BLOCK;
    need(position, length);
    const block = bytes.subarray(position, position + length);
    if (word >= UNCOMPRESSED_BLOCK) output.write(block);
    else decodeBlock(block, output);
    position += length + (hasBlockChecksum ? 4 : 0);
  }
}

/** Decodes a block. Matches may reach back into earlier blocks, so all blocks write to one output. */
function decodeBlock(block: Uint8Array, output: Output): void {
  let position = 0;
  const next = (): number => {
    const byte = block[position++];
    if (byte === undefined) throw corrupt("lz4: a block is cut off");
    return byte;
  };
  /** Reads a length. A length of 15 continues in the bytes that follow, until one is below 255. */
  const length = (short: number): number => {
    let total = short;
    if (short !== 15) return total;
    for (;;) {
      const byte = next();
      total += byte;
      if (byte !== 255) return total;
    }
  };
  while (position < block.length) {
    const token = next();
    const literals = length(token >>> 4);
    if (literals > block.length - position) throw corrupt("lz4: literals are cut off");
    output.write(block.subarray(position, position + literals));
    position += literals;
    if (position === block.length) return; // The last sequence has only literals.
    const distance = next() + next() * 256;
    output.repeat(distance, MIN_MATCH + length(token & 15));
  }
}
