// A send with an idempotency key. The broker keeps the key; it places and encodes, so that every repeat is placed alike.
import { toBase64 } from "../../core/bytes.ts";
import { errorOf } from "../../core/errors.ts";
import { checkIdempotencyKey } from "../../core/log/keyed-request.ts";
import { fromJsonRecord, type JsonRecordInput } from "../../protocol/json-record.ts";
import { recordsPath } from "../../protocol/paths.ts";
import type { RecordOutcome } from "../../protocol/record-outcome.ts";
import { monotonicMs } from "../clock.ts";
import type { HttpClient } from "../http.ts";
import type { RecordInput, SendOptions } from "../producer.ts";
import { DEFAULT_DELIVERY_TIMEOUT_MS, untilAnswered } from "./until-answered.ts";

/** @throws BrokerError INVALID_REQUEST before anything is sent; else as the producer's `send`. */
export async function sendKeyed(
  http: HttpClient,
  topic: string,
  records: readonly RecordInput[],
  options: SendOptions,
): Promise<readonly RecordOutcome[]> {
  const { idempotencyKey = "", expectedOffset, signal } = options;
  const { deliveryTimeoutMs = DEFAULT_DELIVERY_TIMEOUT_MS } = options;
  const invalid = checkIdempotencyKey(idempotencyKey);
  if (invalid !== null) throw errorOf(invalid);
  for (const [index, record] of records.entries()) fromJsonRecord(record, index); // What JSON cannot carry is told.
  const query = expectedOffset === undefined ? "" : `?expectedOffset=${expectedOffset}`;
  const body = {
    type: "application/x-ndjson",
    data: records.map((record) => JSON.stringify(toJsonInput(record))).join("\n"),
    headers: { "idempotency-key": idempotencyKey },
  };
  const ask = (timeoutMs: number) =>
    http.request<{ results: RecordOutcome[] }>("POST", `${recordsPath(topic)}${query}`, body, {
      signal,
      timeoutMs,
    });
  const deadlineMs = monotonicMs() + deliveryTimeoutMs;
  return (await untilAnswered(ask, () => deadlineMs)).results;
}

/** The record as JSON can carry it: bytes as base64. */
function toJsonInput(record: JsonRecordInput): JsonRecordInput {
  const { key, value, ...rest } = record;
  return { ...rest, ...field("key", key), ...field("value", value) };
}

function field(name: "key" | "value", value: unknown): JsonRecordInput {
  if (value === undefined) return {};
  return value instanceof Uint8Array ? { [`${name}Base64`]: toBase64(value) } : { [name]: value };
}
