// Records as JSON. A string is its UTF-8 bytes, another JSON value its JSON text, null is null; bytes that
// are no UTF-8 travel as base64. What was written as a string reads back as the same string.
import * as z from "zod";
import { MAX_HEADERS_PER_RECORD, MAX_PARTITIONS_PER_TOPIC } from "../core/limits.ts";
import type { ConsumerRecord, ProducerRecord, RecordHeader } from "../core/record.ts";
import { integer, parseJson } from "./parse.ts";

/** The end of the year 9999: what Date and RecordBatch v2's deltas both hold. */
const MAX_TIMESTAMP_MS = 253_402_300_799_999;

const NOT_UNICODE = "is no Unicode text (half a surrogate pair)";

/** True where the text has a UTF-8 form. */
function isUnicode(text: string): boolean {
  return text.isWellFormed();
}

/** By name; a list of values where a name repeats. */
export type JsonHeaders = Readonly<Record<string, JsonHeaderValue | readonly JsonHeaderValue[]>>;
export type JsonHeaderValue = string | null | { readonly base64: string };

const base64 = z.base64("must be base64");
const headerValue = z.union(
  [z.string().refine(isUnicode, NOT_UNICODE), z.null(), z.strictObject({ base64 })],
  "must be a string, null, {base64} or a list of these",
);

/** Checked and passed on as it is: a copy would lose a header that is called `__proto__`. */
const headers = z.custom<JsonHeaders>().superRefine((value, context) => {
  const complain = (message: string, ...path: PropertyKey[]) =>
    context.addIssue({ code: "custom", path, message });
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    complain("must be an object");
    return;
  }
  let count = 0;
  for (const [name, given] of Object.entries(value)) {
    if (!isUnicode(name)) complain(NOT_UNICODE, name);
    const values = Array.isArray(given) ? given : [given];
    count += values.length;
    for (const [index, each] of values.entries()) {
      const path = Array.isArray(given) ? [name, index] : [name];
      const issue = headerValue.safeParse(each).error?.issues[0];
      if (issue !== undefined) complain(issue.message, ...path, ...issue.path);
    }
  }
  if (count > MAX_HEADERS_PER_RECORD) {
    complain(`holds ${count} headers, the bound is ${MAX_HEADERS_PER_RECORD}`);
  }
});

export const jsonRecord = z
  .strictObject({
    key: z.unknown().optional(),
    keyBase64: base64.optional(),
    value: z.unknown().optional(),
    valueBase64: base64.optional(),
    headers: headers.optional(),
    partition: integer(0, MAX_PARTITIONS_PER_TOPIC - 1).optional(),
    /** Milliseconds since the epoch; the time of arrival where absent. */
    timestamp: integer(0, MAX_TIMESTAMP_MS).optional(),
  })
  .superRefine((record, context) => {
    const complain = (field: string, message: string) =>
      context.addIssue({ code: "custom", path: [field], message });
    if (record.value === undefined && record.valueBase64 === undefined) {
      complain("value", "is required (null for a tombstone), or valueBase64");
    }
    for (const plain of ["value", "key"] as const) {
      const encoded = `${plain}Base64` as const;
      if (record[plain] !== undefined && record[encoded] !== undefined) {
        complain(encoded, `may not stand beside ${plain}`);
      }
      const text = record[plain];
      if (typeof text === "string" && !isUnicode(text)) complain(plain, NOT_UNICODE);
    }
  });

/** A JSON value, an integer partition and so on: what `POST …/records` takes per record. */
export type JsonRecordInput = z.input<typeof jsonRecord>;
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

/** Numbers that JavaScript may not hold exactly: sixteen digits or more, or a large exponent. */
const LONG_NUMBER = /\d{16}|\d[eE][+-]?\d{2}/;

/**
 * JSON of records. A number that JavaScript cannot hold exactly keeps its text, since a JSON value is
 * stored as its text; that takes a slower way through the parser, taken only where such a number may be.
 */
export function parseRecordJson(text: string, what: string): unknown {
  if (!LONG_NUMBER.test(text)) return parseJson(text, what);
  return parseJson(text, what, (_key, value, context) => {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined || String(value) === source) return value;
    return RawJson.rawJSON(source);
  });
}

const RawJson = JSON as unknown as { rawJSON(text: string): unknown };
