// Rivulet's own metrics. Labels are topics, groups, classes of objects, and fixed names of Kafka's or ours. Clients can
// only influence topics and group ids [MET-10].
import { METRICS_ISOLATE_SILENT_MS } from "../limits.ts";
import { CounterMap, OTHER } from "./counters.ts";
import type { Entry } from "./directory.ts";
import type { Family, Sample, SimpleFamily } from "./family.ts";
import { classOf, type Remembered } from "./metrics-state.ts";
import type { MetricsView } from "./metrics-view.ts";
import { DURATION_BUCKETS } from "./snapshot.ts";

/** The counters of topics: the name, the counter, and the help. */
const TOPIC_COUNTERS: readonly (readonly [string, string, string])[] = [
  ["records_appended", "appendedRecords", "Records that were appended."],
  ["bytes_appended", "appendedBytes", "Bytes of batches that were appended."],
  ["batches_appended", "appendedBatches", "Batches that were appended."],
  ["append_commits", "commits", "Writes to storage that the appends shared."],
  ["bytes_delivered", "deliveredBytes", "Bytes of batches that were sent to readers."],
];

/** The counters of groups: the name, the counter, its additional label, and the help. */
const GROUP_COUNTERS: readonly (readonly [string, string, string | null, string])[] = [
  ["rebalances", "rebalances", null, "Rebalances that began."],
  ["commits", "commits", null, "Commits that were stored."],
  ["commits_rejected", "rejected", "error", "Commits that were rejected, by Kafka's error name."],
  ["members_lost", "lost", "reason", "Members that were removed without leaving, by reason."],
];

/** The billed counters of all objects: the name, the counter, its divisor, and the help. */
const USAGE_COUNTERS: readonly (readonly [string, string, number, string])[] = [
  ["rows_written", "rowsWritten", 1, "Rows that were written."],
  ["rows_read", "rowsRead", 1, "Rows that were read."],
  ["object_requests", "requests", 1, "Calls, upgrades and alarms."],
  [
    "object_messages",
    "messages",
    1,
    "Messages received over sockets. Twenty are billed as one request.",
  ],
  ["awake_seconds", "awakeMs", 1_000, "Estimated time awake."],
  ["object_wakeups", "wakeups", 1, "Times that an object was started or woken up."],
];

export function topicFamilies(view: MetricsView): Family[] {
  const topics = view.state.topics.all().filter(({ label }) => view.isShown(label));
  const largest = new Map<string, number>();
  for (const { entry, sight } of view.objectsOf("partition"))
    largest.set(entry.label, Math.max(sight.logBytes, largest.get(entry.label) ?? 0));
  return [
    ...TOPIC_COUNTERS.map(([name, key, help]) =>
      counter(
        name,
        help,
        topics.map((entry) => ({ labels: { topic: entry.label }, value: entry.total(key) })),
      ),
    ),
    gauge(
      "largest_partition_bytes",
      "Bytes of the topic's largest log. The bound of a partition is 9.5 GB.",
      topics.flatMap(({ label }) => {
        const value = largest.get(label);
        return value === undefined ? [] : [{ labels: { topic: label }, value }];
      }),
    ),
  ];
}

export function groupFamilies(view: MetricsView): Family[] {
  const groups = view.state.groups.all();
  const objects = view.groupObjects();
  const named = objects.filter(({ entry }) => entry.label !== OTHER);
  const empty = new Map<string, number>();
  for (const { entry, sight } of objects)
    empty.set(entry.label, (empty.get(entry.label) ?? 0) + sight.emptyMembers);
  return [
    ...GROUP_COUNTERS.map(([name, key, label, help]) =>
      counter(
        `group_${name}`,
        help,
        groups.flatMap((entry) => groupSamples(entry, key, label)),
      ),
    ),
    gauge(
      "group_state",
      "1 for the state that the group is in.",
      named.map(({ entry, sight }) => ({
        labels: { consumergroup: entry.label, state: sight.state },
        value: 1,
      })),
    ),
    gauge(
      "group_empty_members",
      "Members without a partition.",
      [...empty].map(([consumergroup, value]) => ({ labels: { consumergroup }, value })),
    ),
  ];
}

function groupSamples(entry: Entry, key: string, label: string | null): Sample[] {
  const consumergroup = entry.label;
  if (label === null) return [{ labels: { consumergroup }, value: entry.total(key) }];
  return entry
    .countersOf("group")
    .under(key)
    .map(({ labels, value }) => ({
      labels: { consumergroup, [label]: labels[0] ?? OTHER },
      value,
    }));
}

export function workerFamilies(view: MetricsView): Family[] {
  const counters = view.state.classes.get("worker")?.countersOf("worker") ?? new CounterMap();
  const isolates = view
    .objectsOf("worker")
    .filter(({ seenMs }) => view.nowMs - seenMs < METRICS_ISOLATE_SILENT_MS)
    .map(({ sight }) => sight);
  const labelled = (key: string, names: readonly string[]): Sample[] =>
    counters.under(key).map(({ labels, value }) => ({
      labels: Object.fromEntries(names.map((name, i) => [name, labels[i] ?? OTHER])),
      value,
    }));
  const readers = (kind: "partition" | "relay") =>
    sumOf(view.objectsOf(kind).map(({ sight }) => sight.readers));
  return [
    counter(
      "requests",
      "Requests to the Worker, by Kafka's error name.",
      labelled("requests", ["api", "transport", "outcome"]),
    ),
    {
      name: "rivulet_request_duration_seconds",
      type: "histogram",
      unit: "seconds",
      help: "Time that requests waited. The Worker's own CPU time is not included.",
      bounds: DURATION_BUCKETS,
      samples: counters.under("tookSeconds").map(({ labels: [api = OTHER], value }) => ({
        labels: { api },
        counts: Array.from({ length: DURATION_BUCKETS.length + 1 }, (_, i) =>
          counters.get(`took-${i}/${api}`),
        ),
        sum: value,
      })),
    },
    counter("auth_failures", "Failed sign-ins.", labelled("authFailures", ["method"])),
    counter("throttled", "Requests refused by a quota.", labelled("throttled", ["reason"])),
    gauge("sockets", "Open sockets of readers: at partitions and at relays.", [
      { labels: { kind: "partition" }, value: readers("partition") },
      { labels: { kind: "relay" }, value: readers("relay") },
    ]),
    gauge("kafka_connections", "Connections of Kafka's clients.", [
      { labels: {}, value: sumOf(isolates.map((isolate) => isolate.kafkaConnections)) },
    ]),
    gauge("in_flight_bytes", "Bytes of requests and answers in flight.", [
      { labels: {}, value: sumOf(isolates.map((isolate) => isolate.inFlightBytes)) },
    ]),
  ];
}

export function clusterFamilies(view: MetricsView): Family[] {
  const clusters = view.objectsOf("cluster").map(({ sight }) => sight);
  const sample = (values: readonly number[]) => values.map((value) => ({ labels: {}, value }));
  return [
    gauge("topics", "Number of topics.", sample(clusters.slice(0, 1).map((c) => c.topics))),
    gauge("groups", "Number of groups.", sample(clusters.slice(0, 1).map((c) => c.groups))),
  ];
}

/** Returns the billed usage of the deployment, and the age of the data. */
export function usageFamilies(view: MetricsView): Family[] {
  const { topics, groups, classes } = view.state;
  const entries = [
    ...topics.all().filter(({ label }) => view.isShown(label)),
    ...groups.all(),
    ...classes.all(),
  ];
  const places = entries.flatMap((entry) =>
    [...entry.counters].map(([kind, counters]) => ({ labels: placeOf(kind, entry), counters })),
  );
  return [
    ...USAGE_COUNTERS.map(([name, key, divisor, help]) => ({
      ...counter(
        name,
        help,
        places.map(({ labels, counters }) => ({ labels, value: counters.get(key) / divisor })),
      ),
      ...(name.endsWith("_seconds") ? { unit: "seconds" } : {}),
    })),
    ...sightFamilies(view),
  ];
}

function sightFamilies(view: MetricsView): Family[] {
  const places = new Map<string, { labels: Sample["labels"]; bytes: number; ageMs: number }>();
  for (const object of view.state.objects()) {
    const { entry, sight } = object;
    const labels = placeOf(classOf(sight), entry);
    if (labels.topic !== undefined && !view.isShown(labels.topic)) continue;
    const key = JSON.stringify(labels);
    const known = places.get(key);
    const ageMs = ageOf(object, view.nowMs);
    places.set(key, {
      labels,
      bytes: sight.storedBytes + (known?.bytes ?? 0),
      // Isolates come and go, so the newest report counts. For objects, the oldest report counts.
      ageMs: (sight.kind === "worker" ? Math.min : Math.max)(ageMs, known?.ageMs ?? ageMs),
    });
  }
  const sorted = [...places].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, place]) => place);
  return [
    gauge(
      "stored_bytes",
      "Bytes of the objects' databases.",
      sorted.map(({ labels, bytes }) => ({ labels, value: bytes })),
    ),
    gauge(
      "scrape_age_seconds",
      "Age of the last report. For a topic, the oldest last report among its partitions.",
      sorted.map(({ labels, ageMs }) => ({ labels, value: ageMs / 1_000 })),
    ),
  ];
}

function ageOf({ seenMs }: Remembered, nowMs: number): number {
  return Math.max(0, nowMs - seenMs);
}

function placeOf(kind: string, { label }: Entry): Record<string, string> {
  if (kind === "partition" || kind === "relay") return { class: kind, topic: label };
  return kind === "group" ? { class: kind, consumergroup: label } : { class: kind };
}

function counter(name: string, help: string, samples: readonly Sample[]): SimpleFamily {
  return { name: `rivulet_${name}`, type: "counter", help, samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): SimpleFamily {
  const unit = /_(bytes|seconds)$/.exec(name)?.[1];
  const family = { name: `rivulet_${name}`, type: "gauge", help, samples } as const;
  return unit === undefined ? family : { ...family, unit };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
