// A scripted hour of a broker: two topics, three groups, one object of each kind, and the facts at its end. Time is passed
// in, and every minute each busy object reports about itself.
import { MetricsState } from "../../src/core/metrics/metrics-state.ts";
import { DURATION_BUCKETS } from "../../src/core/metrics/snapshot.ts";
import { NO_USAGE } from "../../src/core/metrics/usage.ts";
import { Nodes } from "../../src/worker/kafka/nodes.ts";
import {
  groupSnapshot,
  MINUTE_MS,
  partitionSnapshot,
  position,
  relaySnapshot,
  START_MS,
  workerSnapshot,
} from "./metrics-snapshots.ts";

const MINUTES = 60;
export const END_MS = START_MS + MINUTES * MINUTE_MS;
export const BROKERS = ["rivulet.test:9092", "rivulet.test:9093"];
/** A group id that clients might choose. */
export const ODD_GROUP = 'a "quoted" \\ group\nof two lines';
export const VERSION = "1.2.3";

/** Each minute: partition 0 of orders takes 60 records, partition 1 takes 30, clicks takes 6. */
const RATES = [
  { topic: "orders", partition: 0, records: 60 },
  { topic: "orders", partition: 1, records: 30 },
  { topic: "clicks", partition: 0, records: 6 },
] as const;

export function stateAfterAnHour(): MetricsState {
  const state = new MetricsState();
  for (let minute = 0; minute <= MINUTES; minute++) tellAll(state, minute);
  return state;
}

function tellAll(state: MetricsState, minute: number): void {
  const nowMs = START_MS + minute * MINUTE_MS;
  for (const { topic, partition, records } of RATES) {
    // Partition 0 of orders is evicted after half an hour.
    const isSecondLife = records === 60 && minute > 30;
    const minutes = isSecondLife ? minute - 30 : minute;
    state.take(
      nowMs,
      `${topic}/${partition}`,
      partitionSnapshot({
        life: isSecondLife ? "2" : "1",
        topic,
        partition,
        logStartOffset: topic === "clicks" ? 100 : 0,
        logEndOffset: minute * records,
        logBytes: minute * records * 100,
        storedBytes: minute * records * 110,
        readers: 2,
        appendedRecords: minutes * records,
        appendedBytes: minutes * records * 100,
        appendedBatches: minutes * 6,
        commits: minutes * 3,
        deliveredBytes: minutes * records * 200,
        usage: { ...NO_USAGE, rowsWritten: minutes * 3, awakeMs: minutes * 1_500 },
      }),
    );
  }
  state.take(nowMs, "orders/0/0", relaySnapshot({ readers: 7, deliveredBytes: minute * 1_000 }));
  tellGroups(state, minute, nowMs);
  tellWorker(state, minute, nowMs);
  state.take(nowMs, "cluster", {
    kind: "cluster",
    life: "1",
    usage: { ...NO_USAGE, rowsRead: minute },
    storedBytes: 4_096,
    topics: 2,
    groups: 3,
  });
  const usage = { ...NO_USAGE, requests: minute };
  state.takeOverhead(nowMs, "metrics", { life: "1", usage, storedBytes: 8_192 });
}

/** billing is ten minutes behind in partition 0 and has read the rest of orders. Of clicks it has read 50 records. */
function tellGroups(state: MetricsState, minute: number, nowMs: number): void {
  const behind = Math.max(0, minute - 10);
  state.take(
    nowMs,
    "billing",
    groupSnapshot({
      members: 2,
      emptyMembers: 1,
      positions: [
        position(behind * 60, 0),
        position(minute * 30, 1),
        position(Math.min(50, minute * 6), 0, "clicks"),
      ],
      rebalances: 3,
      commitsTotal: minute * 12,
      lost: { "session timeout": 1 },
      rejected: { STALE_MEMBER_EPOCH: 2 },
      usage: { ...NO_USAGE, messages: minute * 20 },
    }),
  );
  // It has committed in one of two partitions, and a partition of a topic that nobody knows.
  const positions = [position(0, 1), position(7, 0, "gone")];
  state.take(
    nowMs,
    ODD_GROUP,
    groupSnapshot({ groupId: ODD_GROUP, state: "Empty", members: 0, positions }),
  );
  state.take(nowMs, "idle", groupSnapshot({ groupId: "idle", state: "Empty", members: 0 }));
}

function tellWorker(state: MetricsState, minute: number, nowMs: number): void {
  const counts = [...DURATION_BUCKETS, Number.POSITIVE_INFINITY].map((_, i) =>
    i < 2 ? minute : 0,
  );
  state.take(
    nowMs,
    "worker",
    workerSnapshot({
      life: "isolate-1",
      requests: [
        { api: "produce", transport: "http", outcome: "NONE", count: minute * 2 },
        { api: "fetch", transport: "kafka", outcome: "OFFSET_OUT_OF_RANGE", count: minute },
      ],
      durations: { produce: { buckets: counts, sumSeconds: minute * 0.0025 } },
      kafkaConnections: 3,
      inFlightBytes: 1_024,
      authFailures: { "scram-sha-256": minute },
      throttled: { "produce-rate": 4 },
    }),
  );
  // An isolate that went after ten minutes.
  if (minute <= 10) {
    const sent = { api: "produce", transport: "http", outcome: "NONE", count: minute } as const;
    const told = workerSnapshot({ life: "isolate-2", requests: [sent], kafkaConnections: 100 });
    state.take(nowMs, "worker", told);
  }
}

/** Every series of the hour, as in the script: the name, the labels, the value. */
export const TRUTH: readonly (readonly [string, Readonly<Record<string, string>>, number])[] = [
  ["kafka_brokers", {}, 2],
  ["kafka_broker_info", { id: "0", address: "rivulet.test:9092" }, 1],
  ["kafka_broker_info", { id: "1", address: "rivulet.test:9093" }, 1],
  ["kafka_topic_partitions", { topic: "orders" }, 2],
  ["kafka_topic_partitions", { topic: "clicks" }, 1],
  ...perPartition("current_offset", [3_600, 1_800, 360]),
  ...perPartition("oldest_offset", [0, 0, 100]),
  ...perPartition("in_sync_replica", [1, 1, 1]),
  ...perPartition("leader", [leader("orders", 0), leader("orders", 1), leader("clicks", 0)]),
  ...perPartition("leader_is_preferred", [1, 1, 1]),
  ...perPartition("replicas", [1, 1, 1]),
  ...perPartition("under_replicated_partition", [0, 0, 0]),
  ["kafka_consumergroup_members", { consumergroup: "billing" }, 2],
  ["kafka_consumergroup_members", { consumergroup: "idle" }, 0],
  ["kafka_consumergroup_members", { consumergroup: ODD_GROUP }, 0],
  ["kafka_consumergroup_current_offset", at("billing", "orders", "0"), 3_000],
  ["kafka_consumergroup_current_offset", at("billing", "orders", "1"), 1_800],
  ["kafka_consumergroup_current_offset", at("billing", "clicks", "0"), 50],
  ["kafka_consumergroup_current_offset", at(ODD_GROUP, "orders", "0"), -1],
  ["kafka_consumergroup_current_offset", at(ODD_GROUP, "orders", "1"), 0],
  ["kafka_consumergroup_lag", at("billing", "orders", "0"), 600],
  ["kafka_consumergroup_lag", at("billing", "orders", "1"), 0],
  // Records before 100 were deleted.
  ["kafka_consumergroup_lag", at("billing", "clicks", "0"), 260],
  ["kafka_consumergroup_lag", at(ODD_GROUP, "orders", "1"), 1_800],
  ["kafka_consumergroup_lag_sum", at("billing", "orders"), 600],
  ["kafka_consumergroup_lag_sum", at("billing", "clicks"), 260],
  ["kafka_consumergroup_lag_sum", at(ODD_GROUP, "orders"), 1_800],
  ["kafka_consumergroup_current_offset_sum", at("billing", "orders"), 4_800],
  ["kafka_consumergroup_current_offset_sum", at("billing", "clicks"), 50],
  ["kafka_consumergroup_current_offset_sum", at(ODD_GROUP, "orders"), 0],
  // The record 3,000 came a second into its minute.
  ["rivulet_group_lag_seconds", at("billing", "orders"), 599],
  // The record 100 is the fifth of six in its minute.
  ["rivulet_group_lag_seconds", at("billing", "clicks"), 3_600 - 16 * 60 - 50],
  ["rivulet_group_lag_seconds", at(ODD_GROUP, "orders"), 3_598],
  ["rivulet_build_info", { version: VERSION }, 1],
  ["rivulet_topics", {}, 2],
  ["rivulet_groups", {}, 3],
  ...["partitions", "topics", "groups", "series"].map(
    (what) => ["rivulet_metrics_truncated", { what }, 0] as const,
  ),
  ...perTopic("rivulet_records_appended_total", 60 * 90, 60 * 6),
  ...perTopic("rivulet_bytes_appended_total", 60 * 9_000, 60 * 600),
  ...perTopic("rivulet_batches_appended_total", 60 * 12, 60 * 6),
  ...perTopic("rivulet_append_commits_total", 60 * 6, 60 * 3),
  ...perTopic("rivulet_bytes_delivered_total", 60 * 18_000 + 60_000, 60 * 1_200),
  ...perTopic("rivulet_largest_partition_bytes", 360_000, 36_000),
  ["rivulet_requests_total", { api: "produce", transport: "http", outcome: "NONE" }, 120 + 10],
  [
    "rivulet_requests_total",
    { api: "fetch", transport: "kafka", outcome: "OFFSET_OUT_OF_RANGE" },
    60,
  ],
  ...durations(),
  ["rivulet_auth_failures_total", { method: "scram-sha-256" }, 60],
  ["rivulet_throttled_total", { reason: "produce-rate" }, 4],
  ["rivulet_sockets", { kind: "partition" }, 6],
  ["rivulet_sockets", { kind: "relay" }, 7],
  ["rivulet_kafka_connections", {}, 3],
  ["rivulet_in_flight_bytes", {}, 1_024],
  ["rivulet_group_members_lost_total", { consumergroup: "billing", reason: "session-timeout" }, 1],
  [
    "rivulet_group_commits_rejected_total",
    { consumergroup: "billing", error: "STALE_MEMBER_EPOCH" },
    2,
  ],
  ...perGroup("rivulet_group_rebalances_total", [3, 0, 0]),
  ...perGroup("rivulet_group_commits_total", [720, 0, 0]),
  ...perGroup("rivulet_group_empty_members", [1, 0, 0]),
  ["rivulet_group_state", { consumergroup: "billing", state: "Stable" }, 1],
  ["rivulet_group_state", { consumergroup: "idle", state: "Empty" }, 1],
  ["rivulet_group_state", { consumergroup: ODD_GROUP, state: "Empty" }, 1],
  ...usage("rivulet_rows_written_total", { orders: 360, clicks: 180 }),
  ...usage("rivulet_rows_read_total", { cluster: 60 }),
  ...usage("rivulet_object_requests_total", { metrics: 60 }),
  ...usage("rivulet_object_messages_total", { billing: 1_200 }),
  ...usage("rivulet_awake_seconds_total", { orders: 180, clicks: 90 }),
  ...usage("rivulet_object_wakeups_total", {
    orders: 3,
    clicks: 1,
    relay: 1,
    billing: 1,
    idle: 1,
    odd: 1,
    cluster: 1,
    worker: 2,
    metrics: 1,
  }),
  ...usage("rivulet_stored_bytes", {
    orders: 3_600 * 110 + 1_800 * 110,
    clicks: 360 * 110,
    cluster: 4_096,
    metrics: 8_192,
  }),
  ...usage("rivulet_scrape_age_seconds", {}),
];

/** The errors as Kafka clients get them. */
function leader(topic: string, partition: number): number {
  const addresses = BROKERS.map((address) => ({ host: address, port: 0 }));
  return new Nodes(addresses, null).leaderOf(`id-of-${topic}`, partition).nodeId;
}

function at(consumergroup: string, topic: string, partition?: string): Record<string, string> {
  return { consumergroup, topic, ...(partition === undefined ? {} : { partition }) };
}

function perPartition(name: string, [orders0 = 0, orders1 = 0, clicks = 0]: readonly number[]) {
  const series = `kafka_topic_partition_${name}`;
  return [
    [series, { topic: "orders", partition: "0" }, orders0],
    [series, { topic: "orders", partition: "1" }, orders1],
    [series, { topic: "clicks", partition: "0" }, clicks],
  ] as const;
}

function perTopic(name: string, orders: number, clicks: number) {
  return [
    [name, { topic: "orders" }, orders],
    [name, { topic: "clicks" }, clicks],
  ] as const;
}

function perGroup(name: string, values: readonly number[]) {
  return ["billing", "idle", ODD_GROUP].map(
    (consumergroup, i) => [name, { consumergroup }, values[i] ?? 0] as const,
  );
}

/** Others have 0. */
function usage(name: string, values: Readonly<Record<string, number>>) {
  const places: Record<string, Record<string, string>> = {
    orders: { class: "partition", topic: "orders" },
    clicks: { class: "partition", topic: "clicks" },
    relay: { class: "relay", topic: "orders" },
    billing: { class: "group", consumergroup: "billing" },
    idle: { class: "group", consumergroup: "idle" },
    odd: { class: "group", consumergroup: ODD_GROUP },
    cluster: { class: "cluster" },
    worker: { class: "worker" },
    metrics: { class: "metrics" },
  };
  return Object.entries(places).map(
    ([place, labels]) => [name, labels, values[place] ?? 0] as const,
  );
}

function durations() {
  const name = "rivulet_request_duration_seconds";
  const api = "produce";
  const bounds = DURATION_BUCKETS.map((bound) =>
    Number.isInteger(bound) ? `${bound}.0` : `${bound}`,
  );
  return [
    ...[...bounds, "+Inf"].map(
      (le, i) => [`${name}_bucket`, { api, le }, i === 0 ? 60 : 120] as const,
    ),
    [`${name}_sum`, { api }, 0.15] as const,
    [`${name}_count`, { api }, 120] as const,
  ];
}
