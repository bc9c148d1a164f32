// The options of a consumer.
import type { BrokerError } from "../../core/errors.ts";
import type { TopicPartition } from "../../core/record.ts";
import type { PartitionPosition } from "../../member/places.ts";

/**
 * The options of `rivulet.consumer`. They are checked when the consumer is created. A wrong one throws a BrokerError
 * INVALID_REQUEST or INVALID_GROUP_ID that names the option, its value and its bound.
 */
export interface ConsumerOptions {
  /**
   * The id of the consumer group, 1 to 255 characters. The members of a group share the partitions of its topics. Each
   * group gets all records.
   */
  readonly groupId: string;
  /**
   * Topic names, at most 100. Required unless there is a `topicPattern`. A topic that does not exist yet is read once
   * it is created.
   */
  readonly topics?: readonly string[];
  /**
   * A regular expression in RE2 syntax, at most 1,000 characters. All topics whose whole name matches are subscribed to
   * as well, including topics created later.
   */
  readonly topicPattern?: string;
  /**
   * The start position in partitions where the group has committed nothing, unless the group's config sets one. A
   * duration (milliseconds, or ISO 8601 such as PT1H) starts at the first record that is at most this old (KIP-1106).
   * Partitions added to a topic later are read from their beginning. @default "earliest"
   */
  readonly from?: "earliest" | "latest" | { readonly duration: number | string };
  /**
   * Makes a static member (KIP-345), with a unique name of 1 to 255 characters. While it is away, its partitions stay
   * reserved for it until its session timeout ends.
   */
  readonly instanceId?: string;
  /** A name for people, 1 to 255 characters. It is shown in descriptions of the group. */
  readonly clientId?: string;
  /** The time without contact after which the member counts as dead, in ms, 1,000 to 1,800,000. @default 45000 */
  readonly sessionTimeoutMs?: number;
  /**
   * The longest duration of one handler call, in ms, 1 to 2,147,483,647 (Kafka's max.poll.interval.ms). A longer call
   * counts as stuck. The member then gives up all its partitions as lost and leaves the group, even if it is static.
   * Processed records are committed, but the record in progress is not, and `run` rejects with REQUEST_TIMED_OUT. A
   * handler that blocks the whole thread also blocks this check, and ends the session instead.
   * @default none: a handler keeps its partitions for as long as it takes, while the process lives
   */
  readonly maxProcessingMs?: number;
  /**
   * The longest time before a processed record is committed, in ms, 0 to 2,147,483,647 (Kafka's
   * auto.commit.interval.ms). If the process crashes, records processed since the last commit come again. When a
   * partition has no more records to process, its offset is committed a quarter of a second later, but at most once a
   * second. 0 commits after each processed record.
   * @default 5000
   */
  readonly commitIntervalMs?: number;
  /** False commits only with `commit`, when a partition is revoked, and on close. @default true */
  readonly autoCommit?: boolean;
  /** The most bytes in flight per partition, 1 to 4,194,304 (4 MiB). @default 1048576 (1 MiB) */
  readonly windowBytes?: number;
  /**
   * Called with newly assigned partitions. Their records are handled after it returns, or after the promise that it
   * returns resolves. Call `seek` here to start elsewhere. If it throws, the consumer ends.
   */
  readonly onAssigned?: (partitions: readonly PartitionPosition[]) => unknown;
  /**
   * Called with partitions that must be given up. The consumer awaits the running handler and the promise that this
   * returns, and commits the processed records. Only then does another member get the partitions. If it throws, the
   * consumer ends.
   */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => unknown;
  /**
   * Called with partitions that are already gone. Another member may have them, and gets the uncommitted records again.
   * If it throws, the consumer ends.
   */
  readonly onLost?: (partitions: readonly TopicPartition[]) => unknown;
  /**
   * Called for problems that the consumer handles itself: reconnects, rejected commits, topics that do not exist. If it
   * throws, the consumer ends. @default console.warn
   */
  readonly onError?: (error: BrokerError) => void;
}
