// The two formats of an export's file. Both consist of chunks. Each chunk ends with a sum over itself and the previous
// sum, so a damaged, missing or misplaced chunk is noticed. A broken-off export continues after its last whole chunk.
import { createHash } from "node:crypto";
import type { ByteSource } from "./byte-source.ts";
import type { Chunk, ExportHeader, GroupPositions } from "./content.ts";

export type FormatName = "ndjson" | "batches";

/** A chunk to write. */
export interface WrittenChunk {
  readonly bytes: Uint8Array;
  readonly sum: Buffer;
  /** The number of records in it. */
  readonly records: number;
  readonly nextOffset: number;
}

/** The place of the next chunk. */
export interface Before {
  readonly sum: Buffer;
  /** The number of records before it. */
  readonly total: number;
}

export interface Format {
  readonly name: FormatName;
  readonly extension: string;
  header(header: ExportHeader, before: Before): WrittenChunk;
  groups(groups: readonly GroupPositions[], before: Before): WrittenChunk;
  /** Writes the records of whole batches whose offsets are at least `from` and before `end`. */
  records(
    partition: number,
    batches: Uint8Array,
    range: { readonly from: number; readonly end: number },
    before: Before,
  ): Generator<WrittenChunk>;
  end(partitions: readonly number[], before: Before): WrittenChunk;
  /** Reads the file chunk by chunk. @throws DamagedExport if it is not as it was written */
  read(source: ByteSource): AsyncGenerator<Chunk>;
}

/** The bytes of a chunk, about. A chunk is larger only if a single record or batch is. */
export const CHUNK_BYTES = 1_048_576;

/**
 * The bytes of the largest chunk: a batch of 16 MiB, each byte of which may take six as JSON, after another chunk. A file
 * with a longer part without a sum is not an export.
 */
export const MAX_CHUNK_BYTES = 128 * 1_048_576;

export const FIRST_SUM = Buffer.alloc(32);

export function sumOf(before: Buffer, ...pieces: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256").update(before);
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}
