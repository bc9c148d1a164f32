// A produce request with an `Idempotency-Key`, and the data remembered about it. A repeat within IDEMPOTENCY_KEY_TTL_MS
// does the same as the first request and gets the same answer [KEY-1].
//
// One partition of the topic remembers the key. The records may go to others. The plan is stored before anything is
// appended. Every decision of the first request applies to every repeat: the partition of keyless records, their time,
// and the division into appends. Each partition notes its append in the transaction that stores it. So a repeat finds
// the note, or the append was not stored, whatever crashed in between.

import { type Failure, fail } from "../errors.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH } from "../limits.ts";
import { textHash } from "../text-hash.ts";

export interface RequestPlan {
  /** The producer of this request's appends. It identifies repeats that race. */
  readonly producerId: number;
  /**
   * An id that is unique among requests. A producer id is too short for that, because millions of requests are
   * remembered. Plans of older releases have none.
   */
  readonly requestId?: string;
  /** The timestamp for records without one. */
  readonly atMs: number;
  /** The topic's number of partitions at that time. Keys are placed by it, even if the topic has grown since. */
  readonly partitions: number;
  /** The topic's largest batch at that time. Records are divided into batches by it. */
  readonly maxMessageBytes: number;
  /** True if every record needed a key. */
  readonly isCompacted: boolean;
  /** A number from 0 to 1 that selects the partition of keyless records. */
  readonly random: number;
}

export interface KeyedRequest {
  readonly plan: RequestPlan;
}

/** One of the appends of a request with a key. */
export interface KeyedAppend {
  /** The producer id of the request's plan. */
  readonly producerId: number;
  readonly requestId?: string;
  /** Its index among the request's appends. */
  readonly index: number;
}

/**
 * [KEY-1] Checks for 1 to MAX_IDEMPOTENCY_KEY_LENGTH visible ASCII characters or spaces. Returns INVALID_REQUEST or
 * null.
 */
export function whyNotIdempotencyKey(key: string): Failure | null {
  if (key.length < 1 || key.length > MAX_IDEMPOTENCY_KEY_LENGTH) {
    return fail(
      "INVALID_REQUEST",
      `Idempotency-Key has ${key.length} characters, it needs 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH}`,
    );
  }
  if (/^[\x20-\x7e]+$/.test(key)) return null;
  return fail("INVALID_REQUEST", "Idempotency-Key has characters that are not visible ASCII");
}

/**
 * Returns the partition that remembers the key. It is one of the topic's first partitions, so adding partitions does
 * not change it.
 */
export function homePartition(key: string, initialPartitions: number): number {
  return textHash(key) % initialPartitions;
}
