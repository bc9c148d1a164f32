// What an object tells the MetricsObject about itself, at most once a minute and only when it is busy anyway. Names of
// fields are on the wire. Fields are added, and whoever reads ignores those that it does not know.
import type { Usage } from "./usage.ts";

interface Snapshot {
  /** Names one life of the object. Counters of a life only grow. Another life begins at zero. */
  readonly life: string;
  readonly usage: Usage;
  /** What the life's figures count for, if they stand for other lives that told nothing. 1 by default. */
  readonly weight?: number;
  /** The bytes of the object's database. */
  readonly storedBytes: number;
}

export interface PartitionSnapshot extends Snapshot {
  readonly kind: "partition";
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** Bytes of the log. */
  readonly logBytes: number;
  readonly readers: number;
  /** Counters of this life. */
  readonly appendedRecords: number;
  readonly appendedBytes: number;
  readonly appendedBatches: number;
  readonly commits: number;
  readonly deliveredBytes: number;
  /** The dollars that its topic may cost in a day. Absent if there is no bound. */
  readonly budgetDollars?: number;
}

/** The position of a group in one partition. */
export interface GroupPosition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
}

export interface GroupSnapshot extends Snapshot {
  readonly kind: "group";
  readonly groupId: string;
  /** KIP-848's name of the state. */
  readonly state: string;
  readonly epoch: number;
  readonly members: number;
  /** Members without a partition. */
  readonly emptyMembers: number;
  readonly positions: readonly GroupPosition[];
  /** Counters of this life. */
  readonly rebalances: number;
  readonly commitsTotal: number;
  /** Members that were lost, by the reason. */
  readonly lost: Readonly<Record<string, number>>;
  /** Commits that were rejected, by the name of the error. */
  readonly rejected: Readonly<Record<string, number>>;
}

export interface ClusterSnapshot extends Snapshot {
  readonly kind: "cluster";
  readonly topics: number;
  readonly groups: number;
}

export interface RelaySnapshot extends Snapshot {
  readonly kind: "relay";
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly relay: number;
  readonly readers: number;
  readonly deliveredBytes: number;
}

/** The requests of one kind in one isolate of the Worker. */
export interface RequestCount {
  readonly api: string;
  readonly transport: "http" | "ws" | "kafka" | "rpc";
  /** NONE, or Kafka's name of the error. */
  readonly outcome: string;
  readonly count: number;
}

export interface WorkerSnapshot extends Snapshot {
  readonly kind: "worker";
  readonly requests: readonly RequestCount[];
  /** How many requests of an API took at most so many seconds, by the bounds DURATION_BUCKETS, and the sum of all. */
  readonly durations: Readonly<
    Record<string, { readonly buckets: readonly number[]; readonly sumSeconds: number }>
  >;
  readonly kafkaConnections: number;
  readonly inFlightBytes: number;
  /** Failed log-ins, by the method, and refusals by a quota, by the reason. */
  readonly authFailures: Readonly<Record<string, number>>;
  readonly throttled: Readonly<Record<string, number>>;
}

export type AnySnapshot =
  | PartitionSnapshot
  | GroupSnapshot
  | ClusterSnapshot
  | RelaySnapshot
  | WorkerSnapshot;

/** Upper bounds in seconds. A Worker sees only the time that it waits, because its clock stands still while it computes. */
export const DURATION_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
