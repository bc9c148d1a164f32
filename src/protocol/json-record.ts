// Records as JSON. A string means its UTF-8 bytes, null means null, and any other JSON value means its JSON text. Bytes
// that are not UTF-8 are in base64. A value written as a string reads back as the same string.
import { fromBase64, toBase64 } from "../core/bytes.ts";
import { BrokerError } from "../core/errors.ts";
import type { ConsumerRecord, ProducerRecord, RecordHeader } from "../core/record.ts";
import { jsonText } from "./json-value.ts";

/** Headers by name. A repeated name has a list of values. */
export type JsonHeaders = Readonly<Record<string, JsonHeaderValue | readonly JsonHeaderValue[]>>;
/** The value of a header in JSON. */
export type JsonHeader = string | null | { readonly base64: string };
/** The value of a header as input. Raw bytes are not possible in JSON. */
export type JsonHeaderValue = JsonHeader | Uint8Array;

/** The input for one record in `POST …/records`: a JSON value, or bytes as base64. */
export interface JsonRecordInput {
  /** A string means its UTF-8 bytes, bytes mean themselves (not in JSON), and any other value means its JSON text. */
  readonly key?: unknown;
  /** The key's bytes in base64, instead of `key`. */
  readonly keyBase64?: string | undefined;
  /** The value, by the same rules as `key`. Null is a tombstone. Either `value` or `valueBase64` is required. */
  readonly value?: unknown;
  /** The value's bytes in base64, instead of `value`. */
  readonly valueBase64?: string | undefined;
  /** Header values by name: strings, null, or bytes. At most 100. */
  readonly headers?: JsonHeaders | undefined;
  /** The partition. The default is the key's partition, or for keyless records one partition per request. */
  readonly partition?: number | undefined;
  /**
   * Milliseconds since the epoch. The default is the time of arrival at the broker; in the SDK, the time of the call.
   */
  readonly timestamp?: number | undefined;
}

/** A record that was read. */
export interface JsonRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key?: string | null;
  readonly keyBase64?: string;
  readonly value?: string | null;
  readonly valueBase64?: string;
  readonly headers: Readonly<Record<string, JsonHeader | readonly JsonHeader[]>>;
}

/** A record on its way to a partition. Its partition and time may still be undecided. */
export interface UnplacedRecord extends Omit<ProducerRecord, "timestamp"> {
  readonly partition: number | null;
  readonly timestamp: number | null;
}

const UTF8 = new TextEncoder();
// The SDK only writes records as JSON. The mark lets its bundle exclude the decoder.
const FROM_UTF8 = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Converts the record at `index` in its request. @throws BrokerError INVALID_REQUEST if key or value has no JSON text
 */
export function fromJsonRecord(record: JsonRecordInput, index: number): UnplacedRecord {
  return {
    key: toBytes(record, "key", index),
    value: toBytes(record, "value", index),
    headers: record.headers === undefined ? [] : toHeaders(record.headers, index),
    timestamp: record.timestamp ?? null,
    partition: record.partition ?? null,
  };
}

function toBytes(record: JsonRecordInput, field: "key" | "value", index: number) {
  const encoded = record[`${field}Base64`];
  return encoded === undefined
    ? bytesOf(record[field], index, field)
    : decoded(encoded, index, `${field}Base64`);
}

function bytesOf(value: unknown, index: number, field: string): Uint8Array | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw invalid(index, field, BROKEN_TEXT);
    return UTF8.encode(value);
  }
  if (ArrayBuffer.isView(value))
    return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  try {
    return UTF8.encode(jsonText(value));
  } catch (error) {
    throw invalid(index, field, (error as Error).message);
  }
}

function decoded(encoded: unknown, index: number, field: string): Uint8Array {
  try {
    if (typeof encoded === "string") return fromBase64(encoded);
  } catch {} // The error is thrown below.
  throw invalid(index, field, "is not base64");
}

function invalid(index: number, field: string, rule: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `records[${index}].${field}: ${rule}`);
}

function toHeaders(headers: JsonHeaders, index: number): RecordHeader[] {
  const list: RecordHeader[] = [];
  if (Object.prototype.toString.call(headers) !== "[object Object]")
    throw invalid(index, "headers", "must be an object");
  for (const [key, given] of Object.entries(headers)) {
    const values = (Array.isArray(given) ? given : [given]) as readonly JsonHeaderValue[];
    for (const value of values) {
      const isPlain = value === null || typeof value === "string" || value instanceof Uint8Array;
      const field = `headers.${key}`;
      list.push({
        key,
        value: isPlain ? bytesOf(value, index, field) : decoded(value?.base64, index, field),
      });
    }
  }
  return list;
}

export const BROKEN_TEXT = "has a lone surrogate";

export function toJsonRecord(record: ConsumerRecord): JsonRecord {
  const headers: Record<string, JsonHeader | JsonHeader[]> = {};
  for (const { key, value } of record.headers) {
    const one = value === null ? null : (text(value) ?? { base64: toBase64(value) });
    const before = Object.hasOwn(headers, key) ? headers[key] : undefined;
    if (Array.isArray(before)) {
      before.push(one);
      continue;
    }
    const all = before === undefined ? one : [before, one];
    // Not an assignment, because a header may be named __proto__.
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
