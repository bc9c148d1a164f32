// What an append must satisfy, and how accepted appends become chunks. Pure: the caller writes the chunks.
import { BrokerError, type Failure, fail, type Result } from "../errors.ts";
import { MAX_APPEND_BYTES, MAX_CHUNK_BYTES } from "../limits.ts";
import { batches, checkCrc, patchBaseOffset } from "./record-batch.ts";

interface BatchPlace {
  readonly start: number;
  readonly sizeInBytes: number;
  readonly recordCount: number;
  readonly maxTimestamp: number;
}

/** A validated append: whole record batches, one behind another, which get consecutive offsets. */
export interface Append {
  readonly bytes: Uint8Array;
  readonly batches: readonly BatchPlace[];
  readonly recordCount: number;
}

/** One storage row: whole batches with consecutive offsets. */
export interface Chunk {
  readonly baseOffset: number;
  /** Offset behind the last record. */
  readonly nextOffset: number;
  /** Largest timestamp in this chunk. */
  readonly maxTimestamp: number;
  readonly bytes: Uint8Array;
}

/**
 * [LOG-2] Checks every batch before anything is stored: one bad batch refuses the whole append and
 * nothing else. Bounds: MAX_APPEND_BYTES for the append, `maxMessageBytes` for each batch.
 */
export function validateAppend(bytes: Uint8Array, maxMessageBytes: number): Result<Append> {
  if (bytes.length > MAX_APPEND_BYTES) {
    return fail(
      "MESSAGE_TOO_LARGE",
      `append has ${bytes.length} bytes, the bound is ${MAX_APPEND_BYTES}`,
    );
  }
  const places: BatchPlace[] = [];
  let recordCount = 0;
  try {
    for (const { start, header } of batches(bytes)) {
      if (header.sizeInBytes > maxMessageBytes) {
        return fail(
          "MESSAGE_TOO_LARGE",
          `batch has ${header.sizeInBytes} bytes, max.message.bytes is ${maxMessageBytes}`,
        );
      }
      const invalid = checkBatch(bytes, start, header);
      if (invalid !== null) return invalid;
      recordCount += header.recordCount;
      places.push({
        start,
        sizeInBytes: header.sizeInBytes,
        recordCount: header.recordCount,
        maxTimestamp: header.maxTimestamp,
      });
    }
  } catch (error) {
    if (error instanceof BrokerError) return fail(error.code, error.message);
    throw error;
  }
  if (places.length === 0)
    return fail("INVALID_RECORD", "an append needs at least one record batch");
  return { ok: true, bytes, batches: places, recordCount };
}

function checkBatch(
  bytes: Uint8Array,
  start: number,
  header: {
    recordCount: number;
    lastOffsetDelta: number;
    isControl: boolean;
    isTransactional: boolean;
    sizeInBytes: number;
  },
): Failure | null {
  if (header.recordCount < 1)
    return fail("INVALID_RECORD", "recordCount is 0, a batch needs at least 1 record");
  if (header.lastOffsetDelta !== header.recordCount - 1) {
    return fail(
      "INVALID_RECORD",
      `lastOffsetDelta is ${header.lastOffsetDelta}, recordCount ${header.recordCount} wants ${header.recordCount - 1}`,
    );
  }
  if (header.isControl || header.isTransactional) {
    return fail("INVALID_RECORD", "control and transactional batches are not accepted");
  }
  if (!checkCrc(bytes, start, header.sizeInBytes)) {
    return fail("CORRUPT_MESSAGE", "the CRC of the batch does not match its bytes");
  }
  return null;
}

export interface Plan {
  readonly chunks: readonly Chunk[];
  /** Base offset of each append, in the order given. */
  readonly baseOffsets: readonly number[];
  readonly nextOffset: number;
}

/**
 * [LOG-1] Assigns dense, increasing offsets in the order given and packs the batches into chunks of at
 * most MAX_CHUNK_BYTES. An append that fills a chunk by itself is patched in place and not copied.
 */
export function planChunks(appends: readonly Append[], firstOffset: number): Plan {
  const chunks: Chunk[] = [];
  const baseOffsets: number[] = [];
  let pieces: Uint8Array[] = [];
  let chunkBytes = 0;
  let chunkBase = firstOffset;
  let maxTimestamp = Number.NEGATIVE_INFINITY;
  let nextOffset = firstOffset;

  const closeChunk = () => {
    if (chunkBytes === 0) return;
    chunks.push({ baseOffset: chunkBase, nextOffset, maxTimestamp, bytes: concatBytes(pieces) });
    pieces = [];
    chunkBytes = 0;
    maxTimestamp = Number.NEGATIVE_INFINITY;
    chunkBase = nextOffset;
  };

  for (const append of appends) {
    baseOffsets.push(nextOffset);
    let pieceStart = 0;
    let pieceEnd = 0;
    const takePiece = () => {
      if (pieceEnd > pieceStart) pieces.push(append.bytes.subarray(pieceStart, pieceEnd));
      pieceStart = pieceEnd;
    };
    for (const batch of append.batches) {
      if (chunkBytes > 0 && chunkBytes + batch.sizeInBytes > MAX_CHUNK_BYTES) {
        takePiece();
        closeChunk();
      }
      patchBaseOffset(append.bytes, batch.start, nextOffset);
      nextOffset += batch.recordCount;
      chunkBytes += batch.sizeInBytes;
      pieceEnd = batch.start + batch.sizeInBytes;
      if (batch.maxTimestamp > maxTimestamp) maxTimestamp = batch.maxTimestamp;
    }
    takePiece();
  }
  closeChunk();
  return { chunks, baseOffsets, nextOffset };
}

export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const only = pieces[0];
  if (pieces.length === 1 && only !== undefined) return only;
  let size = 0;
  for (const piece of pieces) size += piece.length;
  const bytes = new Uint8Array(size);
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}
