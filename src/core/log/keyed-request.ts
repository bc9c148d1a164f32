// A produce request with an `Idempotency-Key`: what is remembered of it, so that a repeat within
// IDEMPOTENCY_KEY_TTL_MS does what the first did and is answered as the first was [KEY-1].
//
// One partition of the topic remembers the key; the records may go to others. Before anything is appended
// the plan is stored: whatever the first request decided (where keyless records go, which time they get, how
// they are cut into appends) holds for every repeat. Each append is noted at its partition, in the
// transaction that stores it: so a repeat finds it there, or it was not stored, whatever crashed in between.

import { type Failure, fail } from "../errors.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH } from "../limits.ts";
import { textHash } from "../text-hash.ts";

export interface RequestPlan {
  /** The producer of this request's appends: repeats that race are recognised by it. */
  readonly producerId: number;
  /**
   * No other request has it. A producer id alone is too short for that: millions of requests are remembered. Plans of
   * older releases have none.
   */
  readonly requestId?: string;
  /** The timestamp of records without one. */
  readonly atMs: number;
  /** How many partitions the topic had: keys are placed by it, also if it has grown since. */
  readonly partitions: number;
  /** The largest batch the topic took: records are cut into batches by it. */
  readonly maxMessageBytes: number;
  /** Every record needed a key. */
  readonly isCompacted: boolean;
  /** From 0 to 1: places the keyless records. */
  readonly random: number;
}

export interface KeyedRequest {
  readonly plan: RequestPlan;
}

/** One of a keyed request's appends. */
export interface KeyedAppend {
  /** Of the request's plan. */
  readonly producerId: number;
  readonly requestId?: string;
  /** Its place in the request's order of appends. */
  readonly index: number;
}

/** [KEY-1] 1 to MAX_IDEMPOTENCY_KEY_LENGTH visible ASCII characters; else why it is not one (INVALID_REQUEST). */
export function checkIdempotencyKey(key: string): Failure | null {
  if (key.length < 1 || key.length > MAX_IDEMPOTENCY_KEY_LENGTH) {
    return fail(
      "INVALID_REQUEST",
      `Idempotency-Key has ${key.length} characters, it needs 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH}`,
    );
  }
  if (/^[\x20-\x7e]+$/.test(key)) return null;
  return fail("INVALID_REQUEST", "Idempotency-Key holds characters that are not visible ASCII");
}

/** Which of the topic's first partitions remembers the key. Partitions that are added change nothing. */
export function homePartition(key: string, initialPartitions: number): number {
  return textHash(key) % initialPartitions;
}
