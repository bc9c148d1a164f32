// The part of a share group's config that its partitions need. The group sends it to them.
import type { InitialPosition } from "../group/config.ts";

export interface DeadLetterTerms {
  readonly topic: string;
  /** True if dead letters have the key, value and headers of the record. */
  readonly copies: boolean;
  /** True if the topic is created when it is missing. */
  readonly creates: boolean;
}

export interface ShareTerms {
  /** The time for which a consumer has an acquired record by default. */
  readonly lockMs: number;
  /** The most deliveries of a record. */
  readonly maxDeliveries: number;
  /** The most records of the partition that are held at the same time. */
  readonly maxLocks: number;
  /** True if a consumer may begin the time of its lock again. */
  readonly mayRenew: boolean;
  /** The waits before the second delivery, the third, and so on. The last one repeats. */
  readonly backoff: readonly number[];
  /** Where records go that are given up. Null if they are only finished. */
  readonly deadLetters: DeadLetterTerms | null;
  /** Where the group begins to read a partition. "member" leaves it to the first consumer. */
  readonly autoOffsetReset: InitialPosition;
}

/** Returns the wait before the next delivery of a record that was delivered so often. */
export function backoffMs({ backoff }: Pick<ShareTerms, "backoff">, deliveryCount: number): number {
  return backoff[Math.min(deliveryCount, backoff.length) - 1] ?? 0;
}
