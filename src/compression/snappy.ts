// Snappy, decoding only: the raw format (github.com/google/snappy, format_description.txt), and the frames that
// Java's clients wrap around it (xerial snappy-java).
import { corrupt, Output } from "./output.ts";

const XERIAL_MAGIC = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00];
/** Magic, version, oldest compatible version. */
const XERIAL_HEADER_BYTES = 16;
/** The densest element is a copy of 64 bytes in three. */
const MAX_RATIO = 22;

/** Decompresses raw snappy or a xerial frame. @throws CompressionError CORRUPT_MESSAGE */
export function decompressSnappy(bytes: Uint8Array): Uint8Array {
  const output = new Output(4 * bytes.length);
  if (!XERIAL_MAGIC.every((byte, i) => bytes[i] === byte)) {
    decodeBlock(bytes, output);
    return output.bytes();
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let position = XERIAL_HEADER_BYTES;
  if (bytes.length < position) throw corrupt("snappy: the frame's header is cut off");
  while (position < bytes.length) {
    if (position + 4 > bytes.length) throw corrupt("snappy: a block's length is cut off");
    const length = view.getUint32(position);
    position += 4;
    if (length > bytes.length - position) throw corrupt(`snappy: a block claims ${length} bytes`);
    decodeBlock(bytes.subarray(position, position + length), output);
    position += length;
  }
  return output.bytes();
}

/** Decodes one raw block. Copies may only reach back within the block. */
function decodeBlock(bytes: Uint8Array, output: Output): void {
  const start = output.length;
  let position = 0;
  let expected = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[position++];
    if (byte === undefined || shift > 28) throw corrupt("snappy: the length is malformed");
    expected += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  if (expected > MAX_RATIO * bytes.length)
    throw corrupt(`snappy: ${bytes.length} bytes claim to decompress to ${expected}`);

  const number = (size: number): number => {
    if (position + size > bytes.length) throw corrupt("snappy: an element is cut off");
    let value = 0;
    for (let i = 0; i < size; i++) value += (bytes[position++] as number) * 2 ** (8 * i);
    return value;
  };
  const copy = (distance: number, count: number) => {
    if (distance > output.length - start)
      throw corrupt(`snappy: a copy reaches back ${distance} bytes, before its block`);
    output.repeat(distance, count);
  };
  while (position < bytes.length) {
    const tag = bytes[position++] as number;
    switch (tag & 3) {
      case 0: {
        const short = tag >>> 2;
        const length = 1 + (short < 60 ? short : number(short - 59));
        if (length > bytes.length - position) throw corrupt("snappy: a literal is cut off");
        output.write(bytes.subarray(position, position + length));
        position += length;
        break;
      }
      case 1:
        copy((tag >>> 5) * 256 + number(1), 4 + ((tag >>> 2) & 7));
        break;
      case 2:
        copy(number(2), 1 + (tag >>> 2));
        break;
      default:
        copy(number(4), 1 + (tag >>> 2));
    }
    if (output.length - start > expected) break;
  }
  if (output.length - start !== expected) {
    throw corrupt(
      `snappy: decompresses to ${output.length - start} bytes, its length says ${expected}`,
    );
  }
}
