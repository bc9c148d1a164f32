// Sends with an idempotency key. The broker keeps the key, and it places and encodes, so every repeat is placed alike.
import { toBase64 } from "../../core/bytes.ts";
import { errorOf } from "../../core/errors.ts";
import { checkIdempotencyKey } from "../../core/log/keyed-request.ts";
import type { PlacedRecord } from "../../core/produce-plan.ts";
import type { JsonRecordInput } from "../../protocol/json-record.ts";
import { recordsPath } from "../../protocol/paths.ts";
import type { RecordOutcome } from "../../protocol/record-outcome.ts";
import { monotonicMs } from "../clock.ts";
import { answered, type HttpClient } from "../http.ts";
import type { Prepared, RecordInput, SendOptions } from "../producer.ts";
import { DEFAULT_DELIVERY_TIMEOUT_MS, untilAnswered } from "./until-answered.ts";

/** @throws BrokerError INVALID_REQUEST before anything is sent; else as the producer's `send`. */
export async function sendKeyed(
  http: HttpClient,
  topic: string,
  { input, records }: Prepared,
  options: SendOptions,
): Promise<readonly RecordOutcome[]> {
  const { idempotencyKey = "", expectedOffset, signal } = options;
  const { deliveryTimeoutMs = DEFAULT_DELIVERY_TIMEOUT_MS } = options;
  const invalid = checkIdempotencyKey(idempotencyKey);
  if (invalid !== null) throw errorOf(invalid);
  const query = expectedOffset === undefined ? "" : `?expectedOffset=${expectedOffset}`;
  const body = {
    type: "application/x-ndjson",
    data: input.map((record, i) => asJson(record, records[i] as PlacedRecord)).join("\n"),
    headers: { "idempotency-key": idempotencyKey },
  };
  const ask = (timeoutMs: number) =>
    http.request<{ results: RecordOutcome[] }>("POST", `${recordsPath(topic)}${query}`, body, {
      signal,
      timeoutMs,
    });
  const deadlineMs = monotonicMs() + deliveryTimeoutMs;
  const answer = await untilAnswered(ask, () => deadlineMs);
  answered(answer?.results?.length);
  return answer.results;
}

/**
 * Writes a record so that the same bytes are stored as without a key: text goes as it is, everything else as its bytes.
 */
function asJson(record: RecordInput, { key, value }: PlacedRecord): string {
  const fields = {
    ...record,
    ...field("key", record.key, key),
    ...field("value", record.value, value),
  };
  return JSON.stringify(fields, (_name, each) =>
    each instanceof Uint8Array ? { base64: toBase64(each) } : each,
  );
}

function field(name: "key" | "value", given: unknown, bytes: Uint8Array | null): JsonRecordInput {
  if (typeof given === "string" || given === undefined || bytes === null) return {};
  return { [name]: undefined, [`${name}Base64`]: toBase64(bytes) };
}
