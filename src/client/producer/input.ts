// Records as an application gives them to the producer.
import { BrokerError, preview } from "../../core/errors.ts";
import {
  MAX_HEADERS_PER_RECORD,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_TIMESTAMP_MS,
} from "../../core/limits.ts";
import { checkIdempotencyKey } from "../../core/log/keyed-request.ts";
import type { JsonRecordInput } from "../../protocol/json-record.ts";
import type { SendOptions } from "../producer.ts";
import { whole } from "../whole.ts";

/** @throws BrokerError INVALID_REQUEST that names field, value and bound. */
export function checkRecord(record: JsonRecordInput, place: string): void {
  const wrong = (field: string, rule: string) => {
    const value = (record as Readonly<Record<string, unknown>>)[field];
    return new BrokerError("INVALID_REQUEST", `${place}.${field}: ${rule}; got ${preview(value)}`);
  };
  if (record.value === undefined && record.valueBase64 === undefined)
    throw wrong("value", "is required (null for a tombstone), or valueBase64");
  if (record.value !== undefined && record.valueBase64 !== undefined)
    throw wrong("valueBase64", "may not stand beside value");
  if (record.key !== undefined && record.keyBase64 !== undefined)
    throw wrong("keyBase64", "may not stand beside key");
  for (const field of ["key", "value"] as const) {
    const value = record[field];
    if (typeof value === "string" && !value.isWellFormed())
      throw wrong(field, "is no Unicode text (half a surrogate pair)");
    if (isUnwritable(value)) throw wrong(field, "has no JSON form");
  }
  wholeIfAny(`${place}.partition`, record.partition, MAX_PARTITIONS_PER_TOPIC - 1);
  wholeIfAny(`${place}.timestamp`, record.timestamp, MAX_TIMESTAMP_MS);
  if (record.headers === undefined) return;
  const count = Object.values(record.headers).flat().length;
  if (count > MAX_HEADERS_PER_RECORD)
    throw wrong("headers", `holds ${count} headers, the bound is ${MAX_HEADERS_PER_RECORD}`);
}

/** @throws BrokerError INVALID_REQUEST */
export function checkOptions({ idempotencyKey, expectedOffset, compression }: SendOptions): void {
  const invalid = idempotencyKey === undefined ? null : checkIdempotencyKey(idempotencyKey);
  if (invalid !== null) throw BrokerError.from(invalid);
  wholeIfAny("expectedOffset", expectedOffset, Number.MAX_SAFE_INTEGER);
  if (compression === undefined || ["none", "gzip", "zstd"].includes(compression)) return;
  throw new BrokerError(
    "UNSUPPORTED_COMPRESSION_TYPE",
    `compression is ${JSON.stringify(compression)}, it must be none, gzip or zstd`,
  );
}

function isUnwritable(value: unknown): boolean {
  return typeof value === "function" || typeof value === "symbol" || typeof value === "bigint";
}

function wholeIfAny(name: string, value: number | undefined, maximum: number): void {
  if (value !== undefined) whole(name, value, 0, maximum);
}

/** The record as JSON can carry it: bytes as base64. */
export function toJsonInput(record: JsonRecordInput): JsonRecordInput {
  const { key, value, ...rest } = record;
  return { ...rest, ...field("key", key), ...field("value", value) };
}

function field(name: "key" | "value", value: unknown): JsonRecordInput {
  if (value === undefined) return {};
  return value instanceof Uint8Array ? { [`${name}Base64`]: value.toBase64() } : { [name]: value };
}
