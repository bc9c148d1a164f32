// Appends batches that a client has encoded. The partition checks their headers and checksums. Their records
// are checked here, where CPU is cheap, so that nothing unreadable is stored.
import { decoderWithin } from "../../compression/decode.ts";
import { BrokerError, failureOf, type Result } from "../../core/errors.ts";
import { MAX_DECODED_REQUEST_BYTES, MAX_TIMESTAMP_MS } from "../../core/limits.ts";
import { batches, hasValidCrc, NO_PRODUCER_ID } from "../../core/log/record-batch.ts";
import type { Env } from "../../env.ts";
import { type AppendStored, appendTo, isRefused, refusalOf } from "./append.ts";
import { atPartition } from "./metadata.ts";
import { assertWithinQuota } from "./quotas.ts";

export function appendBatches(
  env: Env,
  topic: string,
  partition: number,
  bytes: Uint8Array,
  expectedOffset: number | null,
): Promise<Result<AppendStored>> {
  assertWithinQuota(env, "producerByteRate");
  const isIdempotent = readRecords(bytes);
  return atPartition(env, topic, partition, async (topicId) => {
    const options = { expectedOffset, isIdempotent };
    const answer = await appendTo(env, topicId, partition, bytes, options);
    if (!isRefused(answer)) return { ok: true, ...answer };
    const refusal = refusalOf(answer);
    if (refusal.code === "UNKNOWN_TOPIC_ID") throw refusal; // `atPartition` then asks the cluster again.
    return failureOf(refusal);
  });
}

/**
 * [VAL-2] Decodes every record. Throws CORRUPT_MESSAGE or UNSUPPORTED_COMPRESSION_TYPE, or INVALID_RECORD if a header
 * contradicts the records. Returns true if all batches are from an idempotent producer.
 */
function readRecords(bytes: Uint8Array): boolean {
  const decode = decoderWithin(MAX_DECODED_REQUEST_BYTES);
  let isIdempotent = true;
  for (const { start, header } of batches(bytes)) {
    if (!hasValidCrc(bytes, start, header.sizeInBytes))
      throw new BrokerError("CORRUPT_MESSAGE", "the CRC of the batch does not match its bytes");
    isIdempotent &&= header.producerId !== NO_PRODUCER_ID;
    let newest = Number.NEGATIVE_INFINITY;
    for (const { timestamp } of decode(bytes, start)) {
      if (timestamp > newest) newest = timestamp;
      // The header has the newest timestamp only. Records that readers get must be accepted when they are
      // produced again [PRD-8].
      if (timestamp < -MAX_TIMESTAMP_MS)
        throw new BrokerError(
          "INVALID_TIMESTAMP",
          `timestamp ${timestamp} is before the bound, ${-MAX_TIMESTAMP_MS}`,
        );
    }
    if (newest !== header.maxTimestamp && header.recordCount > 0) {
      throw new BrokerError(
        "INVALID_RECORD",
        `maxTimestamp is ${header.maxTimestamp}, the newest record has ${newest}`,
      );
    }
  }
  return isIdempotent;
}
