// Records in a form that compares by content, whatever kind of array holds their bytes.
import type { ConsumerRecord, ProducerRecord } from "../../src/core/record.ts";

const hex = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString("hex");

export function plainRecord(record: ProducerRecord | ConsumerRecord) {
  return {
    offset: "offset" in record ? record.offset : null,
    timestamp: record.timestamp,
    key: hex(record.key),
    value: hex(record.value),
    headers: record.headers.map(({ key, value }) => [key, hex(value)]),
  };
}

export type PlainRecord = ReturnType<typeof plainRecord>;
