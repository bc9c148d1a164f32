// The metrics of kafka_exporter 1.10, with its names and labels, so its dashboards and alerts keep working. Kafka's
// facts without a counterpart here are constant: a partition is one object, always in sync.
import { textHash } from "../text-hash.ts";
import { OTHER } from "./counters.ts";
import type { Family, Sample } from "./family.ts";
import { lagOf } from "./lag.ts";
import type { Remembered } from "./metrics-state.ts";
import type { MetricsView, PairLag } from "./metrics-view.ts";
import type { PartitionSight } from "./sights.ts";

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: "gauge", help, samples };
}

export function kafkaFamilies(view: MetricsView): Family[] {
  const { brokers = [] } = view.options;
  return [
    gauge("kafka_brokers", "Nodes that Kafka's clients see.", [
      { labels: {}, value: brokersOf(view) },
    ]),
    {
      name: "kafka_broker",
      type: "info",
      help: "The nodes that Kafka's clients see.",
      samples: brokers.map((address, id) => ({ labels: { id: `${id}`, address }, value: 1 })),
    },
    gauge("kafka_topic_partitions", "Partitions of the topic.", partitionCounts(view)),
    gauge("kafka_consumergroup_members", "Members of the group.", memberCounts(view)),
    ...pairFamilies(view.pairLags()),
  ];
}

function brokersOf(view: MetricsView): number {
  return Math.max(1, view.options.brokers?.length ?? 0);
}

/**
 * Returns the partition counts. Partitions are numbered without gaps, so the highest number that has reported gives the
 * count.
 */
function partitionCounts(view: MetricsView): Sample[] {
  const topics = new Map<string, { readonly label: string; readonly count: number }>();
  for (const { entry, sight } of view.objectsOf("partition")) {
    const key = entry.label === OTHER ? `${OTHER}/${sight.topic}` : entry.label;
    const count = Math.max(sight.partition + 1, topics.get(key)?.count ?? 0);
    topics.set(key, { label: entry.label, count });
  }
  const labels = view.state.topics.all().map(({ label }) => label);
  return labels
    .filter((topic) => view.isShown(topic))
    .flatMap((topic) => {
      const counts = [...topics.values()].filter(({ label }) => label === topic);
      const value = counts.reduce((sum, { count }) => sum + count, 0);
      return value === 0 ? [] : [{ labels: { topic }, value }];
    });
}

function memberCounts(view: MetricsView): Sample[] {
  const members = new Map<string, number>();
  for (const { entry, sight } of view.groupObjects())
    members.set(entry.label, (members.get(entry.label) ?? 0) + sight.members);
  return [...members].map(([consumergroup, value]) => ({ labels: { consumergroup }, value }));
}

function pairFamilies(pairs: readonly PairLag[]): Family[] {
  const samplesOf = (figureOf: (pair: PairLag) => number | null): Sample[] =>
    pairs.flatMap((pair) => {
      const value = figureOf(pair);
      const labels = { consumergroup: pair.group, topic: pair.topic };
      return value === null ? [] : [{ labels, value }];
    });
  return [
    gauge(
      "kafka_consumergroup_lag_sum",
      "Records that the group has not read, in the topic's partitions with a commit.",
      samplesOf(({ records }) => records),
    ),
    {
      name: "rivulet_group_lag_seconds",
      type: "gauge",
      unit: "seconds",
      help: "The age of the oldest unread record of the topic, or a lower bound if the record is older than the known history.",
      samples: samplesOf(({ oldestUnreadMs }) =>
        oldestUnreadMs === null ? null : oldestUnreadMs / 1_000,
      ),
    },
    gauge(
      "kafka_consumergroup_current_offset_sum",
      "The sum of the group's committed offsets in the topic.",
      samplesOf(({ offsetSum }) => offsetSum),
    ),
  ];
}

/** The families with a series for each partition, or for each partition and group. */
export function kafkaPartitionFamilies(view: MetricsView): Family[] {
  const partitions = view.namedPartitions();
  const each = (name: string, help: string, value: (sight: PartitionSight) => number) =>
    gauge(
      `kafka_topic_partition_${name}`,
      help,
      partitions.map(({ entry, sight }) => ({
        labels: { topic: entry.label, partition: `${sight.partition}` },
        value: value(sight),
      })),
    );
  const brokers = brokersOf(view);
  return [
    each("current_offset", "The log end offset.", ({ logEndOffset }) => logEndOffset),
    each("oldest_offset", "The log start offset.", ({ logStartOffset }) => logStartOffset),
    each("in_sync_replica", "Always 1: the platform replicates.", () => 1),
    each(
      "leader",
      "The node that leads the partition for Kafka's clients.",
      ({ topicId, partition }) => (textHash(topicId) + partition) % brokers,
    ),
    each("leader_is_preferred", "Always 1.", () => 1),
    each("replicas", "Always 1: the platform replicates.", () => 1),
    each("under_replicated_partition", "Always 0: the platform replicates.", () => 0),
    ...groupPartitionFamilies(view, partitions),
  ];
}

/** In its topics, a group has the offset -1 in partitions without a commit, and no lag there. */
function groupPartitionFamilies(
  view: MetricsView,
  partitions: readonly Remembered<PartitionSight>[],
): Family[] {
  const ofTopic = Map.groupBy(partitions, ({ sight }) => sight.topicId);
  const offsets: Sample[] = [];
  const lags: Sample[] = [];
  for (const { entry, sight } of view.groupObjects()) {
    if (entry.label === OTHER) continue;
    const positions = Map.groupBy(sight.positions, ({ topicId }) => topicId);
    for (const [topicId, committed] of positions) {
      const byPartition = new Map(committed.map((each) => [each.partition, each]));
      for (const { entry: topic, sight: partition } of ofTopic.get(topicId) ?? []) {
        const labels = {
          consumergroup: entry.label,
          topic: topic.label,
          partition: `${partition.partition}`,
        };
        const position = byPartition.get(partition.partition);
        offsets.push({ labels, value: position?.offset ?? -1 });
        const lag = position === undefined ? null : lagOf(view.state, position, view.nowMs);
        if (lag !== null) lags.push({ labels, value: lag.records });
      }
    }
  }
  return [
    gauge(
      "kafka_consumergroup_current_offset",
      "The group's committed offset in the partition, -1 without one.",
      offsets,
    ),
    gauge("kafka_consumergroup_lag", "Records of the partition that the group has not read.", lags),
  ];
}
