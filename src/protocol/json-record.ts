// Records as JSON. A string is its UTF-8 bytes, another JSON value its JSON text, null is null; bytes that
// are no UTF-8 travel as base64. What was written as a string reads back as the same string.
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

export function fromJsonRecord(record: JsonRecordInput): UnplacedRecord {
  return {
    key: toBytes(record.key ?? null, record.keyBase64),
    value: toBytes(record.value ?? null, record.valueBase64),
    headers: record.headers === undefined ? [] : toHeaders(record.headers),
    timestamp: record.timestamp ?? null,
    partition: record.partition ?? null,
  };
}

function toBytes(value: unknown, encoded: string | undefined): Uint8Array | null {
  if (encoded !== undefined) return Uint8Array.fromBase64(encoded);
  if (value === null) return null;
  if (value instanceof Uint8Array) return value;
  return UTF8.encode(typeof value === "string" ? value : JSON.stringify(value));
}

function toHeaders(headers: JsonHeaders): RecordHeader[] {
  const list: RecordHeader[] = [];
  for (const [key, given] of Object.entries(headers)) {
    const values = (Array.isArray(given) ? given : [given]) as readonly JsonHeaderValue[];
    for (const value of values) {
      const isPlain = typeof value === "string" || value === null;
      list.push({ key, value: isPlain ? toBytes(value, undefined) : toBytes(null, value.base64) });
    }
  }
  return list;
}

export function toJsonRecord(record: ConsumerRecord): JsonRecord {
  const headers: Record<string, JsonHeaderValue | JsonHeaderValue[]> = {};
  for (const { key, value } of record.headers) {
    const one = value === null ? null : (text(value) ?? { base64: value.toBase64() });
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
  return decoded === null ? { [encoded]: bytes.toBase64() } : { [plain]: decoded };
}

function text(bytes: Uint8Array): string | null {
  try {
    return FROM_UTF8.decode(bytes);
  } catch {
    return null;
  }
}
