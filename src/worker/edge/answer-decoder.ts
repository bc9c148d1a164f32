// Decodes records out of batches for one answer, as many as it may hold. A batch may decompress to a thousand
// times its size, so the output is bounded [POL-7].
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

/** The approximate bytes that a record takes in memory besides its own. */
const RECORD_BYTES = 100;

export class AnswerDecoder {
  #leftBytes = MAX_DECODED_FETCH_BYTES;

  /** True if the answer is full. */
  get isSpent(): boolean {
    return this.#leftBytes <= 0;
  }

  /**
   * Returns the records from `offset` on and before `limit`, at most `maxRecords`. It ends after the batch that
   * exceeds the bound of the answer, and before a batch that cannot be read. Records before such a batch are
   * intact.
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
        visitBatch(bytes, start, this.#decompress, (record) => {
          if (record.offset < offset) return true;
          if (record.offset >= limit || records.length === maxRecords) return false;
          this.#leftBytes -= RECORD_BYTES;
          records.push(record);
          return true;
        });
        return null;
      });
      if (read === null) continue;
      records.length = before; // Records decoded before the failure do not count either.
      const unreadable = { offset: header.baseOffset, code: read.error, detail: read.detail };
      return { records, unreadable };
    }
    return { records, unreadable: null };
  }

  readonly #decompress = (compression: number, compressed: Uint8Array): Uint8Array => {
    const decompressed = decompress(compression, compressed);
    this.#leftBytes -= decompressed.length;
    return decompressed;
  };
}
