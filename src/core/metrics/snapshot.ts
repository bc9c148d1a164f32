// The report of an object to the MetricsObject, at most once a minute and only when the object is busy anyway. Field
// names are on the wire. New fields may be added, and readers ignore unknown fields.
import type { Usage } from "./usage.ts";

interface Snapshot {
  /** Identifies one life of the object. Counters of a life only grow, and the next life starts at zero. */
  readonly life: string;
  readonly usage: Usage;
  /** The factor of this life's counts, if it stands for other lives that did not report. 1 by default. */
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
  /** The dollars that its topic may cost per day. Absent without a bound. */
  readonly budgetDollars?: number;
}

/** A committed offset of a group. */
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
  /** Lost members, by reason. */
  readonly lost: Readonly<Record<string, number>>;
  /** Rejected commits, by error name. */
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

/** The count of one kind of request in one isolate of the Worker. */
export interface RequestCount {
  readonly api: string;
  readonly transport: "http" | "ws" | "kafka" | "rpc";
  /** NONE, or Kafka's error name. */
  readonly outcome: string;
  readonly count: number;
}

export interface WorkerSnapshot extends Snapshot {
  readonly kind: "worker";
  readonly requests: readonly RequestCount[];
  /** For each API, the number of requests per bucket of DURATION_BUCKETS, and the sum of their seconds. */
  readonly durations: Readonly<
    Record<string, { readonly buckets: readonly number[]; readonly sumSeconds: number }>
  >;
  readonly kafkaConnections: number;
  readonly inFlightBytes: number;
  /** Failed sign-ins by method, and refusals by a quota, by reason. */
  readonly authFailures: Readonly<Record<string, number>>;
  readonly throttled: Readonly<Record<string, number>>;
}

export type AnySnapshot =
  | PartitionSnapshot
  | GroupSnapshot
  | ClusterSnapshot
  | RelaySnapshot
  | WorkerSnapshot;

/**
 * Upper bounds in seconds. A Worker measures only the time that it waits, because its clock stands still while it
 * computes.
 */
export const DURATION_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
