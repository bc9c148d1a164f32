// The options of a consumer.
import type { BrokerError } from "../../core/errors.ts";
import type { TopicPartition } from "../../core/record.ts";
import type { PartitionPosition } from "../../member/places.ts";

export interface ConsumerOptions {
  /** The members of a group share its topics' partitions. Each group gets all records. */
  readonly groupId: string;
  /** Topic names. They are not needed if there is a pattern. */
  readonly topics?: readonly string[];
  /** RE2 syntax. Every topic whose whole name matches is subscribed to as well, including topics created later. */
  readonly topicPattern?: string;
  /**
   * The start position if the group has committed nothing and its config sets none. A duration (milliseconds, or ISO
   * 8601 as in PT1H) starts at the first record that is at most so old (KIP-1106). @default "earliest"
   */
  readonly from?: "earliest" | "latest" | { readonly duration: number | string };
  /** Makes a static member. Its partitions wait for it for a session timeout while it is away (KIP-345). */
  readonly instanceId?: string;
  /** A name for people. Describing the group shows it. */
  readonly clientId?: string;
  /** Silence after which the member counts as dead, in ms, 1,000 to 1,800,000. @default 45000 */
  readonly sessionTimeoutMs?: number;
  /**
   * How long one call of a handler may take, in ms, 1 to 2,147,483,647 (Kafka's max.poll.interval.ms). A call that has
   * not returned by then is considered stuck. The member gives up all its partitions as lost and leaves the group, even
   * as a static member. Processed records are committed, but the record in progress is not, and `run` rejects with
   * REQUEST_TIMED_OUT. A handler that blocks the whole thread blocks this check as well, and then ends the session
   * instead.
   * @default none: a handler keeps its partitions for as long as it takes, while the process lives
   */
  readonly maxProcessingMs?: number;
  /**
   * The longest that a processed record is uncommitted, in ms (Kafka's auto.commit.interval.ms). If the process crashes,
   * the records processed since the last commit come again. What is processed in a partition that then has nothing to do
   * is committed a quarter of a second later, but not more than once a second. 0 commits whenever a record was processed.
   * @default 5000
   */
  readonly commitIntervalMs?: number;
  /** False commits only through `commit`, when a partition goes, and on close. @default true */
  readonly autoCommit?: boolean;
  /** Bytes in flight per partition, at most 4 MiB. @default 1 MiB */
  readonly windowBytes?: number;
  /**
   * Called with new partitions. None of their records is handled before
   * it has returned, or its promise resolved. Seek here.
   */
  readonly onAssigned?: (partitions: readonly PartitionPosition[]) => unknown;
  /**
   * Called with partitions that must be given up. The running handler, and the promise that this returns, are awaited.
   * Processed records are committed, and only then another member gets the partitions.
   */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => unknown;
  /**
   * Called with partitions that are already gone. Another member may
   * have them, and uncommitted records come again there.
   */
  readonly onLost?: (partitions: readonly TopicPartition[]) => unknown;
  /**
   * Called for problems that the consumer handles by itself: reconnects, refused
   * commits, topics that do not exist. @default console.warn
   */
  readonly onError?: (error: BrokerError) => void;
}
