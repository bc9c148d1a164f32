// Decompresses batches of every type on every platform. Node, Workers, Deno and Bun have a built-in zlib with zstd.
// Elsewhere (browsers), fflate and fzstd are used. The SDK loads this file with the first compressed batch.
import { Gunzip } from "fflate";
import { Decompress as Unzstd } from "fzstd";
import { MAX_DECOMPRESSED_BYTES } from "../core/limits.ts";
import { COMPRESSIONS } from "../core/log/compression.ts";
import { CompressionError } from "./compression-error.ts";
import { decompressLz4 } from "./lz4.ts";
import { corrupt, Output } from "./output.ts";
import { decompressSnappy } from "./snappy.ts";
import { ZLIB } from "./zlib.ts";
import { zstdFrames } from "./zstd-frames.ts";

const BOUND = { maxOutputLength: MAX_DECOMPRESSED_BYTES };

/** Decompresses the records of a batch: see `Decompress` in core/log/record-batch.ts. */
export function decompress(compression: number, bytes: Uint8Array): Uint8Array {
  switch (compression) {
    case COMPRESSIONS.gzip:
      if (bytes.length === 0) throw corrupt("gzip: the input is empty");
      return guarded("gzip", () => ZLIB?.gunzipSync(bytes, BOUND) ?? gunzip(bytes));
    case COMPRESSIONS.snappy:
      return decompressSnappy(bytes);
    case COMPRESSIONS.lz4:
      return decompressLz4(bytes);
    case COMPRESSIONS.zstd:
      return guarded("zstd", () => unzstd(bytes));
    default:
      throw new CompressionError(
        "UNSUPPORTED_COMPRESSION_TYPE",
        `batch has compression ${compression}, known are 0 to ${COMPRESSIONS.zstd}`,
      );
  }
}

/** Converts errors. Libraries throw their own for input that is malformed or decompresses beyond the bound. */
function guarded(name: string, action: () => Uint8Array): Uint8Array {
  try {
    return action();
  } catch (error) {
    if (error instanceof CompressionError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw corrupt(`${name}: ${reason}`);
  }
}

function gunzip(bytes: Uint8Array): Uint8Array {
  const output = new Output(4 * bytes.length);
  let memberStart = 0;
  const gzip = new Gunzip((chunk) => output.write(chunk));
  gzip.onmember = () => {
    memberStart = output.length;
  };
  feed(gzip, bytes);
  // The library ignores the trailer. Without this check, a stream cut off in the trailer would pass.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = bytes.length < 4 ? -1 : view.getUint32(bytes.length - 4, true);
  if (size !== output.length - memberStart)
    throw corrupt(`gzip: decompresses to ${output.length} bytes, its trailer says ${size}`);
  return output.bytes();
}

function unzstd(bytes: Uint8Array): Uint8Array {
  const zstdDecompressSync = ZLIB?.zstdDecompressSync;
  const output = new Output(4 * bytes.length);
  for (const frame of zstdFrames(bytes)) {
    if (zstdDecompressSync !== undefined) output.write(zstdDecompressSync(frame, BOUND));
    else feed(new Unzstd((chunk) => output.write(chunk)), frame);
  }
  return output.bytes();
}

/** Feeds the decoder in pieces, so the output reaches its bound as it grows. */
function feed(
  decoder: { push(piece: Uint8Array, isLast: boolean): void },
  bytes: Uint8Array,
): void {
  const PIECE_BYTES = 16 * 1024;
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    const to = from + PIECE_BYTES;
    decoder.push(bytes.subarray(from, to), to >= bytes.length);
  }
}
