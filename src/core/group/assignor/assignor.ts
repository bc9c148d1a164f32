// The input and output of an assignor. Assignors are pure functions of this input. The same input always gives the same
// answer, whatever the order of members and topics [ASN-4].
import type { PartitionKey, PartitionSet } from "../partition-key.ts";

export interface AssignorMember {
  readonly memberId: string;
  /** Set for a static member. It gives the member a place in the order that survives restarts. */
  readonly instanceId?: string | null;
  readonly topicIds: ReadonlySet<string>;
  /** Its previous target. A partition that it keeps costs no move. */
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
