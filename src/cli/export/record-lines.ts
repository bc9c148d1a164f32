// A record as a line of an export. It has the fields of the HTTP API and its partition, and loses nothing: if headers by
// name would change their order, they become a list of pairs.
import { fromBase64, toBase64 } from "../../core/bytes.ts";
import type { ConsumerRecord, RecordHeader } from "../../core/record.ts";
import { fromJsonRecord, type JsonRecordInput, toJsonRecord } from "../../protocol/json-record.ts";
import { object, offset } from "./parse-content.ts";

export function recordLine(partition: number, record: ConsumerRecord): string {
  const { headers, ...fields } = toJsonRecord(record);
  const kept = isInOrder(headers, record.headers) ? headers : record.headers.map(pairOf);
  return JSON.stringify({ partition, ...fields, headers: kept });
}

/** True if headers by name keep the order that they have in the record. */
function isInOrder(
  json: Readonly<Record<string, unknown>>,
  headers: readonly RecordHeader[],
): boolean {
  if (headers.length === 0) return true;
  const names = Object.entries(json).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map(() => name) : [name],
  );
  return headers.every(({ key }, i) => key === names[i]);
}

function pairOf({ key, value }: RecordHeader): readonly [string, string | null] {
  return [key, value === null ? null : toBase64(value)];
}

/** @throws Error if the line is not a record */
export function parseRecord(value: unknown): { partition: number; record: ConsumerRecord } {
  const { partition, headers, ...fields } = object(value, "the line");
  const { timestamp } = fields;
  if (!Number.isSafeInteger(timestamp)) throw new Error("timestamp is not a time");
  for (const name of ["key", "value"] as const) {
    const plain = fields[name];
    const isPlain = plain === null || typeof plain === "string";
    const isEncoded = plain === undefined && typeof fields[`${name}Base64`] === "string";
    if (!isPlain && !isEncoded) throw new Error(`${name} is neither text nor null`);
  }
  const isList = Array.isArray(headers);
  const input = { ...fields, ...(isList ? {} : { headers }) } as JsonRecordInput;
  const record = fromJsonRecord(input, 0);
  return {
    partition: offset(partition, "partition"),
    record: {
      offset: offset(fields.offset, "offset"),
      timestamp: timestamp as number,
      key: record.key,
      value: record.value,
      headers: isList ? headers.map(parsePair) : record.headers,
    },
  };
}

function parsePair(pair: unknown): RecordHeader {
  const [key, value] = Array.isArray(pair) ? pair : [];
  if (typeof key !== "string" || (value !== null && typeof value !== "string"))
    throw new Error("headers has an entry that is not a name with its value");
  return { key, value: value === null ? null : fromBase64(value) };
}
