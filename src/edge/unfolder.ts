// Records out of batches for one answer, as many as it may hold. A batch may unfold to a thousand times its size, so what
// is bounded is what comes out [POL-7].
import { decompress } from "../compression/decompress.ts";
import { BrokerError, type ErrorName } from "../core/errors.ts";
import { MAX_DECODED_FETCH_BYTES } from "../core/limits.ts";
import { batches, decodeBatch } from "../core/log/record-batch.ts";
import type { ConsumerRecord } from "../core/record.ts";

/** A batch that cannot be read, and where it is. */
export interface UnreadableBatch {
  readonly offset: number;
  readonly code: ErrorName;
  readonly detail: string;
}

/** Roughly the bytes that a record takes in memory besides its own. */
const RECORD_BYTES = 100;

export class Unfolder {
  #leftBytes = MAX_DECODED_FETCH_BYTES;

  /** True where nothing more fits into the answer. */
  get isSpent(): boolean {
    return this.#leftBytes <= 0;
  }

  /**
   * The records from `offset` on and before `limit`, `maxRecords` at most. Ends behind the batch that passes the bound of the
   * answer, and before a batch that cannot be read: records in front of it are good.
   */
  records(
    bytes: Uint8Array,
    offset: number,
    limit: number,
    maxRecords: number,
  ): { records: ConsumerRecord[]; unreadable: UnreadableBatch | null } {
    const records: ConsumerRecord[] = [];
    for (const { start, header } of batches(bytes)) {
      if (header.baseOffset >= limit || this.isSpent) break;
      let decoded: ConsumerRecord[];
      try {
        decoded = this.#decode(bytes, start);
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        const unreadable = { offset: header.baseOffset, code: error.code, detail: error.message };
        return { records, unreadable };
      }
      this.#leftBytes -= RECORD_BYTES * decoded.length;
      for (const record of decoded) {
        if (record.offset < offset) continue;
        if (record.offset >= limit || records.length === maxRecords)
          return { records, unreadable: null };
        records.push(record);
      }
    }
    return { records, unreadable: null };
  }

  #decode(bytes: Uint8Array, start: number): ConsumerRecord[] {
    return decodeBatch(bytes, start, (compression, folded) => {
      const unfolded = decompress(compression, folded);
      this.#leftBytes -= unfolded.length;
      return unfolded;
    });
  }
}
