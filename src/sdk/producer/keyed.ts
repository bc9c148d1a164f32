// The request of a `send` with an idempotency key. The broker remembers the key, and does the partitioning and
// encoding, so every repeat gets the same partitions. Few producers load this file. Code that all producers share is
// passed in.
import type { Body } from "../../admin/http.ts";
import type { PlacedRecord } from "../../core/produce-plan.ts";
import type { JsonRecordInput } from "../../protocol/json-record.ts";
import type { Prepared } from "./input.ts";
import type { RecordInput, SendOptions } from "./options.ts";

/** The same rule as the broker's (core/log/keyed-request.ts), in less code. */
const IDEMPOTENCY_KEY = /^[ -~]{1,255}$/;

type ToBase64 = (bytes: Uint8Array) => string;
type Refuse = (name: string, value: unknown, bound: string) => never;

/** Makes the request. @throws BrokerError INVALID_REQUEST if the idempotency key is invalid */
export function keyedRequest(
  { input, records }: Prepared,
  { idempotencyKey: key = "", expectedOffset }: SendOptions,
  { toBase64, refuse }: { toBase64: ToBase64; refuse: Refuse },
): { query: string; body: Body } {
  if (!IDEMPOTENCY_KEY.test(key)) refuse("idempotencyKey", key, "1 to 255 ASCII characters");
  const list = input.map((each, i) => asJson(each, records[i] as PlacedRecord, toBase64));
  const body = {
    type: "application/json",
    data: `{"records":[${list}]}`,
    headers: { "idempotency-key": key },
  };
  return { query: expectedOffset === undefined ? "" : `?expectedOffset=${expectedOffset}`, body };
}

/**
 * Writes a record so that the same bytes are stored as without a key: strings stay strings, everything else is sent as
 * bytes.
 */
function asJson(record: RecordInput, { key, value }: PlacedRecord, toBase64: ToBase64): string {
  const field = (
    name: "key" | "value",
    given: unknown,
    bytes: Uint8Array | null,
  ): JsonRecordInput =>
    typeof given === "string" || given === undefined || bytes === null
      ? {}
      : { [name]: undefined, [`${name}Base64`]: toBase64(bytes) };
  const fields = {
    ...record,
    ...field("key", record.key, key),
    ...field("value", record.value, value),
  };
  return JSON.stringify(fields, (_name, each) =>
    each instanceof Uint8Array ? { base64: toBase64(each) } : each,
  );
}
