// The record that a line of produce's input becomes.
import { InvalidArgumentError } from "commander";
import type { JsonHeaders } from "../protocol/json-record.ts";
import { JsonCursor, keepRecordText } from "../protocol/json-text.ts";
import type { RecordInput } from "../sdk/index.ts";
import { parseJson, UsageError } from "./context.ts";
import { timeIn } from "./times.ts";

export interface LineOptions {
  readonly records?: true;
  readonly keyField?: string;
  readonly key?: string;
  readonly keySeparator?: string;
  /** A value that is this text is a tombstone. */
  readonly nullValue?: string;
  readonly header?: JsonHeaders;
  /** Milliseconds since 1970. */
  readonly timestamp?: number;
  readonly partition?: number;
}

/** The fields of a record, besides its place. */
const FIELDS = new Set(["key", "keyBase64", "value", "valueBase64", "headers", "timestamp"]);

/** @throws UsageError if options exclude each other */
export function assertLineOptions(options: LineOptions): void {
  const { records, key, keyField, keySeparator, nullValue, header, timestamp } = options;
  if (records && (key ?? keyField ?? keySeparator) !== undefined)
    throw new UsageError("--records: the key is in the record");
  if (records && (nullValue ?? header ?? timestamp) !== undefined)
    throw new UsageError("--records: the value, the headers and the timestamp are in the record");
  const keys = Object.entries({
    "--key": key,
    "--key-field": keyField,
    "--key-separator": keySeparator,
  }).flatMap(([option, value]) => (value === undefined ? [] : [option]));
  if (keys.length > 1) throw new UsageError(`${keys.join(" and ")} exclude each other`);
  if (keyField !== undefined && nullValue !== undefined)
    throw new UsageError("--null-value goes without --key-field: a tombstone has no fields");
}

/** Adds a header to those before. A name may repeat. */
export function collectHeader(text: string, previous?: JsonHeaders): JsonHeaders {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("It must be NAME=VALUE.");
  const name = text.slice(0, equals);
  const value = text.slice(equals + 1);
  // Without a prototype, a header may be called __proto__.
  const headers: Record<string, JsonHeaders[string]> = Object.assign(Object.create(null), previous);
  const before = headers[name];
  headers[name] =
    before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  return headers as JsonHeaders;
}

/** Returns the record of a line. @throws UsageError that names the line */
export function recordOf(bytes: Buffer, line: number, options: LineOptions): RecordInput {
  const { partition, header, timestamp } = options;
  return {
    ...(options.records ? wholeRecord(bytes, line) : keyAndValue(bytes, line, options)),
    ...(header === undefined ? {} : { headers: header }),
    ...(timestamp === undefined ? {} : { timestamp }),
    ...(partition === undefined ? {} : { partition }),
  };
}

function keyAndValue(
  bytes: Buffer,
  line: number,
  { key, keyField, keySeparator, nullValue }: LineOptions,
): RecordInput {
  const orNull = (value: Buffer) =>
    nullValue !== undefined && value.equals(Buffer.from(nullValue)) ? null : value;
  if (keySeparator !== undefined) {
    const separator = Buffer.from(keySeparator);
    const at = bytes.indexOf(separator);
    if (at === -1)
      throw new UsageError(
        `line ${line} has no ${JSON.stringify(keySeparator)} between a key and a value`,
      );
    return { key: bytes.subarray(0, at), value: orNull(bytes.subarray(at + separator.length)) };
  }
  if (keyField !== undefined) return { key: fieldOf(bytes, line, keyField), value: bytes };
  return { ...(key === undefined ? {} : { key }), value: orNull(bytes) };
}

/** Reads a record as `rivulet --json consume` prints it. Its old place is left out. */
function wholeRecord(bytes: Buffer, line: number): RecordInput {
  const text = bytes.toString();
  const record = parseJson(text, `line ${line}`);
  keepRecordText(text, record);
  if (typeof record !== "object" || record === null || Array.isArray(record))
    throw new UsageError(
      `line ${line} is not a record: a JSON object with a value, key, headers, timestamp`,
    );
  const {
    topic: _topic,
    partition: _partition,
    offset: _offset,
    ...own
  } = record as RecordInput & Readonly<Record<"topic" | "offset", unknown>>;
  for (const field of Object.keys(own))
    if (!FIELDS.has(field)) throw new UsageError(`line ${line}: a record has no field "${field}"`);
  const { timestamp } = own as { readonly timestamp?: unknown };
  if (typeof timestamp !== "string") return own;
  const ms = timeIn(timestamp);
  if (ms !== null) return { ...own, timestamp: ms };
  throw new UsageError(
    `line ${line}: timestamp is ${JSON.stringify(timestamp)}, it must be a time such as 2026-11-01T12:00:00Z, or milliseconds since 1970`,
  );
}

/** Returns the field of a JSON object. A number, or an object, keeps the bytes that it has in the line. */
function fieldOf(bytes: Buffer, line: number, field: string): string | Buffer | null {
  const text = bytes.toString();
  const parsed = parseJson(text, `line ${line}`);
  let key: string | Buffer | null | undefined;
  const cursor = new JsonCursor(text);
  cursor.items((name) => {
    const given = cursor.skip();
    if (name !== field) return;
    const decoded: unknown = JSON.parse(given);
    key = decoded === null || typeof decoded === "string" ? decoded : Buffer.from(given);
  });
  if (key === undefined || Array.isArray(parsed))
    throw new UsageError(`line ${line} has no field "${field}" to take the key from`);
  return key;
}
