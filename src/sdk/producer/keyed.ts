// The body of a send with an idempotency key. The broker keeps the key, and it places and encodes, so every repeat is
// placed alike. Few producers load this file. Code that it shares with every producer is passed in.
import type { PlacedRecord } from "../../core/produce-plan.ts";
import type { JsonRecordInput } from "../../protocol/json-record.ts";
import type { Prepared } from "./input.ts";
import type { RecordInput } from "./options.ts";

type ToBase64 = (bytes: Uint8Array) => string;

export function keyedBody({ input, records }: Prepared, toBase64: ToBase64): string {
  const list = input.map((each, i) => asJson(each, records[i] as PlacedRecord, toBase64));
  return `{"records":[${list}]}`;
}

/**
 * Writes a record so that the same bytes are stored as without a key: text goes as it is, everything else as its bytes.
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
