// Records as files. Keys and values are the texts that were stored, so each number in them is unchanged.
import type { Cell } from "./csv.ts";
import { timeText } from "./format.ts";
import type { PlacedRecord } from "./record-bytes.ts";

/** One record per line, as the broker returns it, with its partition. */
export function ndjsonOf(records: readonly PlacedRecord[]): string {
  return records
    .map(({ partition, ...record }) => `${JSON.stringify({ partition, ...record })}\n`)
    .join("");
}

export const RECORD_HEAD = [
  "partition",
  "offset",
  "timestamp",
  "key",
  "keyBase64",
  "value",
  "valueBase64",
  "headers",
] as const;

/** The cells of a record. Null is an empty cell, and an empty text a quoted one. */
export function recordCells(record: PlacedRecord): Cell[] {
  const { partition, offset, timestamp, key, keyBase64, value, valueBase64, headers } = record;
  return [
    partition,
    offset,
    timeText(timestamp),
    key ?? null,
    keyBase64 ?? null,
    value ?? null,
    valueBase64 ?? null,
    JSON.stringify(headers),
  ];
}
