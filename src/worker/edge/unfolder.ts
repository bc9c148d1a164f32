// Takes records out of batches for one answer, as many as it may hold. A batch may unfold to a
// thousand times its size, so the output is bounded [POL-7].
import { decompress } from "../../compression/decompress.ts";
import { attempt, type ErrorName } from "../../core/errors.ts";
import { MAX_DECODED_FETCH_BYTES } from "../../core/limits.ts";
import { batches, visitBatch } from "../../core/log/record-batch.ts";
import type { ConsumerRecord } from "../../core/record.ts";

/** A batch that cannot be read, and its offset. */
export interface UnreadableBatch {
  readonly offset: number;
  readonly code: ErrorName;
  readonly detail: string;
}

/** Roughly the bytes that a record takes in memory besides its own. */
const RECORD_BYTES = 100;

export class Unfolder {
  #leftBytes = MAX_DECODED_FETCH_BYTES;

  /** True if nothing more fits into the answer. */
  get isSpent(): boolean {
    return this.#leftBytes <= 0;
  }

  /**
   * Returns the records from `offset` on and before `limit`, at most `maxRecords`. It ends after the batch that passes
   * the bound of the answer, and before a batch that cannot be read. Records before such a batch are intact.
   */
  records(
    bytes: Uint8Array,
    offset: number,
    limit: number,
    maxRecords: number,
  ): { records: ConsumerRecord[]; unreadable: UnreadableBatch | null } {
    const records: ConsumerRecord[] = [];
    for (const { start, header } of batches(bytes)) {
      if (header.baseOffset >= limit || records.length === maxRecords || this.isSpent) break;
      if (header.baseOffset + header.lastOffsetDelta < offset) continue;
      const before = records.length;
      const read = attempt(() => {
        visitBatch(bytes, start, this.#unfold, (record) => {
          if (record.offset < offset) return true;
          if (record.offset >= limit || records.length === maxRecords) return false;
          this.#leftBytes -= RECORD_BYTES;
          records.push(record);
          return true;
        });
        return null;
      });
      if (read === null) continue;
      records.length = before; // Records that came out before decoding broke off do not count either.
      const unreadable = { offset: header.baseOffset, code: read.error, detail: read.detail };
      return { records, unreadable };
    }
    return { records, unreadable: null };
  }

  readonly #unfold = (compression: number, folded: Uint8Array): Uint8Array => {
    const unfolded = decompress(compression, folded);
    this.#leftBytes -= unfolded.length;
    return unfolded;
  };
}
