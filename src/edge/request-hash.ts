// What makes two requests under one idempotency key the same: the same records, wherever they are to go.
import { concatBytes } from "../core/bytes.ts";
import { encodeBatch } from "../core/log/record-batch.ts";
import type { UnplacedRecord } from "../protocol/json-record.ts";

/** The SHA-256 of what the request asks for, in hexadecimal. */
export async function hashOf(
  records: readonly UnplacedRecord[],
  expectedOffset: number | undefined,
): Promise<string> {
  // One batch of all of them has every byte that counts; how the request was written down does not.
  const batch = encodeBatch(
    records.map((record) => ({ ...record, timestamp: record.timestamp ?? 0 })),
  );
  const choices = records.map(({ partition, timestamp }) => [partition, timestamp === null]);
  const rest = new TextEncoder().encode(JSON.stringify([expectedOffset ?? null, choices]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concatBytes([batch, rest]))).toHex();
}
