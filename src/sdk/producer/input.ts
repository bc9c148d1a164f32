// The records that an application passes to the producer, and their checks.

import { BrokerError, preview } from "../../core/errors.ts";
import {
  MAX_HEADERS_PER_RECORD,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_TIMESTAMP_MS,
} from "../../core/limits.ts";
import type { PlacedRecord } from "../../core/produce-plan.ts";
import { MAX_TIMER_MS } from "../../member/clock.ts";
import type { JsonRecordInput } from "../../protocol/json-record.ts";
import { assertWhole, refuse } from "../whole.ts";
import type { SendOptions } from "./options.ts";

/** The records of a call: as passed in, and as they will be stored except for their partition. */
export interface Prepared {
  readonly input: readonly JsonRecordInput[];
  readonly records: readonly PlacedRecord[];
}

/** Checks the record at `index` in a call. @throws BrokerError INVALID_REQUEST that names field, value and bound. */
export function assertRecord(record: JsonRecordInput, index: number): void {
  const { key, keyBase64, value, valueBase64, headers, partition, timestamp } = record ?? {};
  const wrong = (field: keyof JsonRecordInput, rule: string) => {
    const detail = `records[${index}].${field}: ${rule}; got ${preview(record?.[field])}`;
    return new BrokerError("INVALID_REQUEST", detail);
  };
  if (value === undefined && valueBase64 === undefined)
    throw wrong("value", "is required (null for a tombstone), or valueBase64");
  if (value !== undefined && valueBase64 !== undefined)
    throw wrong("valueBase64", "conflicts with value");
  if (key !== undefined && keyBase64 !== undefined) throw wrong("keyBase64", "conflicts with key");
  if (partition !== undefined)
    assertWhole(`records[${index}].partition`, partition, 0, MAX_PARTITIONS_PER_TOPIC - 1);
  if (timestamp !== undefined)
    assertWhole(`records[${index}].timestamp`, timestamp, -MAX_TIMESTAMP_MS, MAX_TIMESTAMP_MS);
  if (headers === undefined) return;
  const count = Object.values(headers).flat().length;
  if (count > MAX_HEADERS_PER_RECORD)
    throw wrong("headers", `has ${count} headers, the bound is ${MAX_HEADERS_PER_RECORD}`);
}

/** Checks the options of a call. @throws BrokerError INVALID_REQUEST */
export function assertOptions(options: SendOptions): void {
  // A legal value replaces an absent option.
  const { expectedOffset = 0, deliveryTimeoutMs = 0, compression = "none" } = options;
  assertWhole("expectedOffset", expectedOffset, 0);
  assertWhole("deliveryTimeoutMs", deliveryTimeoutMs, 0, MAX_TIMER_MS);
  if (!["none", "gzip", "zstd"].includes(compression))
    refuse("compression", compression, "none, gzip or zstd");
}
