// Snapshots as objects report them. A test sets the fields that matter, and the rest is empty.
import type {
  GroupSnapshot,
  PartitionSnapshot,
  RelaySnapshot,
  WorkerSnapshot,
} from "../../src/core/metrics/snapshot.ts";
import { NO_USAGE } from "../../src/core/metrics/usage.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const START_MS = Date.UTC(2026, 10, 30);

const TOLD = { life: "1", usage: NO_USAGE, storedBytes: 0 };

export function partitionSnapshot(told: Partial<PartitionSnapshot> = {}): PartitionSnapshot {
  const topic = told.topic ?? "orders";
  return {
    kind: "partition",
    ...TOLD,
    topic,
    topicId: `id-of-${topic}`,
    partition: 0,
    logStartOffset: 0,
    logEndOffset: 0,
    logBytes: 0,
    readers: 0,
    appendedRecords: 0,
    appendedBytes: 0,
    appendedBatches: 0,
    commits: 0,
    deliveredBytes: 0,
    ...told,
  };
}

export function relaySnapshot(told: Partial<RelaySnapshot> = {}): RelaySnapshot {
  const topic = told.topic ?? "orders";
  return {
    kind: "relay",
    ...TOLD,
    topic,
    topicId: `id-of-${topic}`,
    partition: 0,
    relay: 0,
    readers: 0,
    deliveredBytes: 0,
    ...told,
  };
}

export function groupSnapshot(told: Partial<GroupSnapshot> = {}): GroupSnapshot {
  return {
    kind: "group",
    ...TOLD,
    groupId: "billing",
    state: "Stable",
    epoch: 1,
    members: 1,
    emptyMembers: 0,
    positions: [],
    rebalances: 0,
    commitsTotal: 0,
    lost: {},
    rejected: {},
    ...told,
  };
}

export function workerSnapshot(told: Partial<WorkerSnapshot> = {}): WorkerSnapshot {
  return {
    kind: "worker",
    ...TOLD,
    requests: [],
    durations: {},
    kafkaConnections: 0,
    inFlightBytes: 0,
    authFailures: {},
    throttled: {},
    ...told,
  };
}

export function position(offset: number, partition = 0, topic = "orders") {
  return { topic, topicId: `id-of-${topic}`, partition, offset };
}
