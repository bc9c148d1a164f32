// Records as JSON. A string is its UTF-8 bytes, another JSON value its JSON text, null is null; bytes that
// are no UTF-8 travel as base64. What was written as a string reads back as the same string.
import * as z from "zod";
import { BrokerError } from "../core/errors.ts";
import { MAX_HEADERS_PER_RECORD, MAX_PARTITIONS_PER_TOPIC } from "../core/limits.ts";
import type { ConsumerRecord, ProducerRecord, RecordHeader } from "../core/record.ts";
import { integer } from "./parse.ts";

/** The end of the year 9999: what Date and RecordBatch v2's deltas both hold. */
const MAX_TIMESTAMP_MS = 253_402_300_799_999;

const base64 = z.base64("must be base64");
const headerValue = z.union(
  [z.string(), z.null(), z.strictObject({ base64 })],
  "must be a string, null or {base64}",
);

export const jsonRecord = z
  .strictObject({
    key: z.unknown().optional(),
    keyBase64: base64.optional(),
    value: z.unknown().optional(),
    valueBase64: base64.optional(),
    /** By name; a list of values where a name repeats. */
    headers: z.record(z.string(), z.union([headerValue, z.array(headerValue)])).optional(),
    partition: integer(0, MAX_PARTITIONS_PER_TOPIC - 1).optional(),
    /** Milliseconds since the epoch; the time of arrival where absent. */
    timestamp: integer(0, MAX_TIMESTAMP_MS).optional(),
  })
  .superRefine((record, context) => {
    if (record.value === undefined && record.valueBase64 === undefined) {
      context.addIssue({
        code: "custom",
        path: ["value"],
        message: "is required (null for a tombstone), or valueBase64",
      });
    }
    for (const [plain, encoded] of [
      ["value", "valueBase64"],
      ["key", "keyBase64"],
    ] as const) {
      if (record[plain] !== undefined && record[encoded] !== undefined) {
        context.addIssue({
          code: "custom",
          path: [encoded],
          message: `may not stand beside ${plain}`,
        });
      }
    }
  });

/** A JSON value, an integer partition and so on: what `POST …/records` takes per record. */
export type JsonRecordInput = z.input<typeof jsonRecord>;
export type JsonHeaderValue = string | null | { readonly base64: string };

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

/** A record on its way to a partition that may still have to be chosen. */
export interface UnplacedRecord extends ProducerRecord {
  readonly partition: number | null;
}

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function fromJsonRecord(record: z.output<typeof jsonRecord>, nowMs: number): UnplacedRecord {
  return {
    key: toBytes(record.key ?? null, record.keyBase64),
    value: toBytes(record.value ?? null, record.valueBase64),
    headers: record.headers === undefined ? [] : toHeaders(record.headers),
    timestamp: record.timestamp ?? nowMs,
    partition: record.partition ?? null,
  };
}

function toBytes(value: unknown, encoded: string | undefined): Uint8Array | null {
  if (encoded !== undefined) return Uint8Array.fromBase64(encoded);
  if (value === null) return null;
  return UTF8.encode(typeof value === "string" ? value : JSON.stringify(value));
}

function toHeaders(
  headers: Readonly<Record<string, JsonHeaderValue | readonly JsonHeaderValue[]>>,
): RecordHeader[] {
  const list: RecordHeader[] = [];
  for (const [key, values] of Object.entries(headers)) {
    for (const value of Array.isArray(values) ? values : [values]) {
      list.push({
        key,
        value:
          typeof value === "string" || value === null
            ? toBytes(value, undefined)
            : toBytes(null, value.base64),
      });
    }
  }
  if (list.length > MAX_HEADERS_PER_RECORD) {
    throw new BrokerError(
      "INVALID_RECORD",
      `headers: ${list.length} headers, the bound is ${MAX_HEADERS_PER_RECORD}`,
    );
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
