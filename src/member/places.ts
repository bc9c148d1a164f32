// Partitions in the consumer's options and callbacks.
import type { TopicPartition } from "../core/record.ts";

/** A partition and the position at which it is consumed. */
export interface PartitionPosition extends TopicPartition {
  /** The next offset that will be delivered. */
  readonly offset: number;
}

export interface AssignedPlace extends TopicPartition {
  readonly topicId: string;
}

/** A partition that is read without a group: from `offset`, or from the position that `from` names. */
export interface ReaderPlace extends AssignedPlace {
  readonly offset?: number;
}
