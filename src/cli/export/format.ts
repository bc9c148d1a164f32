// The two formats of an export's file. Both are chunks that are checked as a whole: each ends with a sum over itself and
// the sum before it. So a chunk that is damaged, missing, or in another's place is noticed, and an export that broke off
// goes on behind its last whole chunk.
import { createHash } from "node:crypto";
import type { ByteSource } from "./byte-source.ts";
import type { Chunk, ExportHeader, GroupPositions } from "./content.ts";

export type FormatName = "ndjson" | "batches";

/** A chunk to be written. */
export interface WrittenChunk {
  readonly bytes: Uint8Array;
  readonly sum: Buffer;
  /** The number of records in it. */
  readonly records: number;
  readonly nextOffset: number;
}

/** Where the next chunk stands. */
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
  /** Reads the file chunk by chunk. @throws DamagedExport where it is not as it was written */
  read(source: ByteSource): AsyncGenerator<Chunk>;
}

/** About so many bytes are a chunk. It is larger only if one record, or one batch, is. */
export const CHUNK_BYTES = 1_048_576;

/**
 * The largest chunk: the records of a batch of 16 MiB whose every byte takes six as JSON, and a chunk before them. A file
 * that goes on for longer without a sum is no export.
 */
export const MAX_CHUNK_BYTES = 128 * 1_048_576;

export const FIRST_SUM = Buffer.alloc(32);

export function sumOf(before: Buffer, ...pieces: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256").update(before);
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}
