// The size of records on disk: batches, the partition's notes of each append, and SQLite's pages.
import { BATCH_HEADER_BYTES, recordSize } from "../../src/core/log/record-batch.ts";
import type { Workload } from "./workload.ts";

/** The note of an append in its row: producer, sequence, offset, time, and fingerprint, in JSON. */
const NOTE_BYTES = 70;
/** The columns of a row besides notes and batches. */
const COLUMN_BYTES = 35;
/** Small rows share pages. A larger one leaves some of its last pages empty, wherever it ends. */
const SMALL_ROW_BYTES = 1_400;
const SMALL_ROW_OVERHEAD = 0.18;
const LARGE_ROW_OVERHEAD_BYTES = 850;

/** Returns the stored bytes of one append with this many records. */
export function bytesPerAppend(
  { recordBytes, keyBytes, isKeyed }: Workload,
  records: number,
): number {
  const record = {
    key: isKeyed ? new Uint8Array(keyBytes) : null,
    value: new Uint8Array(recordBytes),
    ...{ headers: [], timestamp: 0 },
  };
  return BATCH_HEADER_BYTES + records * recordSize(record, Math.ceil(records), 0);
}

/** Returns the bytes that a row of this many bytes takes in the object's database. */
export function bytesOnPages(rowBytes: number): number {
  const overhead =
    rowBytes < SMALL_ROW_BYTES ? rowBytes * SMALL_ROW_OVERHEAD : LARGE_ROW_OVERHEAD_BYTES;
  return rowBytes + overhead;
}

/** Returns the bytes per second that a partition's database grows by at these rates of appends and rows. */
export function growth(rates: { appends: number; rows: number; bytes: number }): number {
  if (rates.rows === 0) return 0;
  const row = (rates.bytes + rates.appends * NOTE_BYTES) / rates.rows + COLUMN_BYTES;
  return rates.rows * bytesOnPages(row);
}
