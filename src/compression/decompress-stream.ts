// Decompresses gzip or deflate bodies as they arrive. The platform's DecompressionStream decompresses all of its input
// at once, even if the output is not read. This one waits.
import { CompressionError } from "./compression-error.ts";
import { type Unzip, ZLIB } from "./zlib.ts";

export type Encoding = "gzip" | "deflate";

/** The most that one step decompresses. */
const PIECE = { chunkSize: 64 * 1024 };

/**
 * [BND-2] Yields the decompressed pieces, at most one piece ahead of the reader. If the reader stops, decompression
 * stops, however large the rest would be.
 * @throws CompressionError if the pieces are not in this encoding; errors of `pieces`
 */
export async function* decompressed(
  pieces: AsyncIterable<Uint8Array>,
  encoding: Encoding,
): AsyncGenerator<Uint8Array> {
  if (ZLIB === undefined) throw new Error("this runtime has no zlib");
  const unzip = encoding === "gzip" ? ZLIB.createGunzip(PIECE) : ZLIB.createInflate(PIECE);
  let failure: { readonly error: unknown } | null = null;
  const feed = async () => {
    for await (const piece of pieces) {
      if (unzip.destroyed) return;
      if (!unzip.write(piece)) await drained(unzip);
    }
    if (!unzip.destroyed) unzip.end();
  };
  const fed = feed().catch((error: unknown) => {
    failure = { error };
    unzip.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    yield* unzip;
  } catch (error) {
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CompressionError("INVALID_REQUEST", `the body is not ${encoding}: ${reason}`);
  } finally {
    unzip.destroy();
  }
  await fed;
}

/** Resolves when it accepts more input, or is closed. */
function drained(unzip: Unzip): Promise<void> {
  return new Promise((resolve) => {
    unzip.once("drain", resolve);
    unzip.once("close", resolve);
  });
}
