// Decides if two requests under one idempotency key are the same: they have the same records, whatever their
// destination.
import { concatBytes } from "../../core/bytes.ts";
import { encodeBatch } from "../../core/log/record-batch.ts";
import type { Records } from "../../core/produce-plan.ts";
import type { UnplacedRecord } from "../../protocol/json-record.ts";

/** Returns the SHA-256 of the request's content, in hexadecimal. */
export async function hashOf(
  given: Records<UnplacedRecord>,
  expectedOffset: number | undefined,
): Promise<string> {
  const records = Array.from(given.entries(), ([, record]) => record);
  // One batch of all records has every byte that counts. The form in which the request was written does not
  // matter.
  const batch = encodeBatch(
    records.map(({ key, value, headers, timestamp }) => ({
      key,
      value,
      headers,
      timestamp: timestamp ?? 0,
    })),
  );
  const choices = records.map(({ partition, timestamp }) => [partition, timestamp === null]);
  const rest = new TextEncoder().encode(JSON.stringify([expectedOffset ?? null, choices]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concatBytes([batch, rest]))).toHex();
}
