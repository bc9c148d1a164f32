// Records as JSON. A string is its UTF-8 bytes, another JSON value its JSON text, null is null; bytes that
// are no UTF-8 travel as base64. What was written as a string reads back as the same string.
import { fromBase64, toBase64 } from "../core/bytes.ts";
import { BrokerError } from "../core/errors.ts";
import type { ConsumerRecord, ProducerRecord, RecordHeader } from "../core/record.ts";

/** By name; a list of values where a name repeats. */
export type JsonHeaders = Readonly<Record<string, JsonHeaderValue | readonly JsonHeaderValue[]>>;
export type JsonHeaderValue = string | null | { readonly base64: string };

/** What `POST …/records` takes per record: a JSON value, or bytes as base64. */
export interface JsonRecordInput {
  /** A string is its UTF-8 bytes, bytes are themselves (not in JSON), another value is its JSON text. */
  readonly key?: unknown;
  readonly keyBase64?: string | undefined;
  readonly value?: unknown;
  readonly valueBase64?: string | undefined;
  readonly headers?: JsonHeaders | undefined;
  readonly partition?: number | undefined;
  /** Milliseconds since the epoch; the time of arrival where absent. */
  readonly timestamp?: number | undefined;
}

/** A record as it is read back. */
export interface JsonRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key?: string | null;
  readonly keyBase64?: string;
  readonly value?: string | null;
  readonly valueBase64?: string;
  readonly headers: Readonly<Record<string, JsonHeaderValue | readonly JsonHeaderValue[]>>;
}

/** A record on its way to a partition; that and its time may still have to be chosen. */
export interface UnplacedRecord extends Omit<ProducerRecord, "timestamp"> {
  readonly partition: number | null;
  readonly timestamp: number | null;
}

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The `index`th of its request. @throws BrokerError INVALID_REQUEST where key or value has no JSON text */
export function fromJsonRecord(record: JsonRecordInput, index: number): UnplacedRecord {
  return {
    key: toBytes(record, "key", index),
    value: toBytes(record, "value", index),
    headers: record.headers === undefined ? [] : toHeaders(record.headers),
    timestamp: record.timestamp ?? null,
    partition: record.partition ?? null,
  };
}

function toBytes(record: JsonRecordInput, field: "key" | "value", index: number) {
  const value = record[field];
  const encoded = record[`${field}Base64`];
  if (encoded !== undefined) return fromBase64(encoded);
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return UTF8.encode(value);
  try {
    const text = JSON.stringify(value);
    if (text !== undefined) return UTF8.encode(text);
  } catch {} // Told below: a BigInt, or an object that holds itself.
  throw new BrokerError("INVALID_REQUEST", `records[${index}].${field}: has no JSON form`);
}

function toHeaders(headers: JsonHeaders): RecordHeader[] {
  const list: RecordHeader[] = [];
  for (const [key, given] of Object.entries(headers)) {
    const values = (Array.isArray(given) ? given : [given]) as readonly JsonHeaderValue[];
    for (const value of values) {
      const isText = typeof value === "string";
      list.push({
        key,
        value: isText ? UTF8.encode(value) : value && fromBase64(value.base64),
      });
    }
  }
  return list;
}

export function toJsonRecord(record: ConsumerRecord): JsonRecord {
  const headers: Record<string, JsonHeaderValue | JsonHeaderValue[]> = {};
  for (const { key, value } of record.headers) {
    const one = value === null ? null : (text(value) ?? { base64: toBase64(value) });
    const before = Object.hasOwn(headers, key) ? headers[key] : undefined;
    const all =
      before === undefined ? one : Array.isArray(before) ? [...before, one] : [before, one];
    // Not an assignment: a header may be called __proto__.
    Object.defineProperty(headers, key, {
      value: all,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return {
    offset: record.offset,
    timestamp: record.timestamp,
    ...field("key", "keyBase64", record.key),
    ...field("value", "valueBase64", record.value),
    headers,
  };
}

function field(plain: string, encoded: string, bytes: Uint8Array | null): object {
  if (bytes === null) return { [plain]: null };
  const decoded = text(bytes);
  return decoded === null ? { [encoded]: toBase64(bytes) } : { [plain]: decoded };
}

function text(bytes: Uint8Array): string | null {
  try {
    return FROM_UTF8.decode(bytes);
  } catch {
    return null;
  }
}
