// Compresses batches if the runtime can: with the built-in zlib, or else with the platform's CompressionStream, which
// supports gzip.
import {
  COMPRESSIONS,
  type CompressionName,
  type CompressionType,
} from "../core/log/compression.ts";
import type { Compressor } from "../core/log/record-batch.ts";
import { CompressionError } from "./compression-error.ts";
import { ZLIB } from "./zlib.ts";

/** Returns a synchronous compressor, or undefined if this runtime has none. */
export function compressor(type: CompressionType): Compressor | undefined {
  const zlib = ZLIB;
  if (zlib === undefined) return undefined;
  if (type === COMPRESSIONS.gzip) return { type, compress: (bytes) => zlib.gzipSync(bytes) };
  const { zstdCompressSync } = zlib;
  if (type !== COMPRESSIONS.zstd || zstdCompressSync === undefined) return undefined;
  return { type, compress: (bytes) => zstdCompressSync(bytes) };
}

export function typeOf(name: CompressionName): CompressionType {
  return COMPRESSIONS[name];
}

function nameOf(type: CompressionType): string {
  return Object.entries(COMPRESSIONS).find(([, number]) => number === type)?.[0] ?? String(type);
}

/**
 * Compresses for a client that can wait, because browsers can only compress gzip asynchronously. @throws
 * UNSUPPORTED_COMPRESSION_TYPE
 */
export async function compressRecords(
  type: CompressionType,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const here = compressor(type);
  if (here !== undefined) return here.compress(bytes);
  if (type !== COMPRESSIONS.gzip) {
    throw new CompressionError(
      "UNSUPPORTED_COMPRESSION_TYPE",
      `this runtime cannot compress with ${nameOf(type)}; use gzip`,
    );
  }
  const gzip = new CompressionStream("gzip");
  const compressed = new Response(gzip.readable).arrayBuffer();
  const writer = gzip.writable.getWriter();
  await writer.write(bytes as Uint8Array<ArrayBuffer>); // Batches are never in shared memory.
  await writer.close();
  return new Uint8Array(await compressed);
}
