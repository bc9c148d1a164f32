// What an assignor is given and what it answers. Assignors are pure functions of this input; the same
// input always gives the same answer, in whatever order members and topics are listed [ASN-4].
import type { PartitionKey, PartitionSet } from "../partition-key.ts";

/** The name by which people see the assignor of every group (Kafka's `group.consumer.assignors`). */
export const ASSIGNOR_NAME = "uniform";

export interface AssignorMember {
  readonly memberId: string;
  readonly topicIds: ReadonlySet<string>;
  /** Its previous target: what it keeps costs no move. */
  readonly previous: PartitionSet;
}

export interface AssignorTopic {
  readonly topicId: string;
  readonly partitions: number;
}

export type Assignor = (
  members: readonly AssignorMember[],
  topics: readonly AssignorTopic[],
) => Map<string, Set<PartitionKey>>;
