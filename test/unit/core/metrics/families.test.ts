// The metrics of a deployment: their names, their labels, their values and their number.
import { describe, expect, test } from "vitest";
import { MAX_METRICS_GROUPS, MAX_METRICS_SERIES } from "../../../../src/core/limits.ts";
import { expose } from "../../../../src/core/metrics/exposition.ts";
import { familiesOf } from "../../../../src/core/metrics/families.ts";
import { MetricsState } from "../../../../src/core/metrics/metrics-state.ts";
import type { FamilyOptions } from "../../../../src/core/metrics/metrics-view.ts";
import { NO_USAGE } from "../../../../src/core/metrics/usage.ts";
import { type Series, seriesIn, seriesKey } from "../../../support/exposed.ts";
import {
  BROKERS,
  END_MS,
  stateAfterAnHour,
  TRUTH,
  VERSION,
} from "../../../support/metrics-hour.ts";
import {
  groupSnapshot,
  HOUR_MS,
  partitionSnapshot,
  position,
  START_MS,
  workerSnapshot,
} from "../../../support/metrics-snapshots.ts";

const OPTIONS = { nowMs: END_MS, partitions: true, maxSeries: MAX_METRICS_SERIES };

function shown(state: MetricsState, options: Partial<FamilyOptions> = {}): Series[] {
  return seriesIn(expose(familiesOf(state, { ...OPTIONS, ...options }), "text"));
}

function named(series: readonly Series[], name: string): Series[] {
  return series.filter((each) => each.name === name);
}

function truncatedIn(series: readonly Series[]): string[] {
  return named(series, "rivulet_metrics_truncated")
    .filter(({ value }) => value === 1)
    .map(({ labels }) => labels.what ?? "");
}

test("[MET-9] [MET-5] [MET-6] after an hour the series are those of the script, and no others", () => {
  const series = shown(stateAfterAnHour(), { brokers: BROKERS, version: VERSION });
  const found = new Map(series.map(({ name, labels, value }) => [seriesKey(name, labels), value]));
  const expected = new Map(TRUTH.map(([name, labels, value]) => [seriesKey(name, labels), value]));
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
  expect(series).toHaveLength(TRUTH.length);
});

/** kafka_exporter 1.10, with the labels in its order. */
test.each([
  ["kafka_brokers", []],
  ["kafka_broker_info", ["id", "address"]],
  ["kafka_topic_partitions", ["topic"]],
  ["kafka_topic_partition_current_offset", ["topic", "partition"]],
  ["kafka_topic_partition_oldest_offset", ["topic", "partition"]],
  ["kafka_topic_partition_in_sync_replica", ["topic", "partition"]],
  ["kafka_topic_partition_leader", ["topic", "partition"]],
  ["kafka_topic_partition_leader_is_preferred", ["topic", "partition"]],
  ["kafka_topic_partition_replicas", ["topic", "partition"]],
  ["kafka_topic_partition_under_replicated_partition", ["topic", "partition"]],
  ["kafka_consumergroup_current_offset", ["consumergroup", "topic", "partition"]],
  ["kafka_consumergroup_lag", ["consumergroup", "topic", "partition"]],
  ["kafka_consumergroup_current_offset_sum", ["consumergroup", "topic"]],
  ["kafka_consumergroup_lag_sum", ["consumergroup", "topic"]],
  ["kafka_consumergroup_members", ["consumergroup"]],
])("[MET-9] %s has the labels of kafka_exporter and is a gauge", (name, labels) => {
  const families = familiesOf(stateAfterAnHour(), { ...OPTIONS, brokers: BROKERS });
  const text = expose(families, "text");
  expect(text).toContain(`# TYPE ${name} gauge\n`);
  const series = named(seriesIn(text), name);
  expect(series.length).toBeGreaterThan(0);
  for (const each of series) expect(Object.keys(each.labels)).toEqual(labels);
});

describe("what is left out", () => {
  test("[MET-11] partitions come one by one only on request", () => {
    const series = shown(stateAfterAnHour(), { partitions: false });
    expect(series.filter(({ labels }) => labels.partition !== undefined)).toEqual([]);
    expect(named(series, "kafka_consumergroup_lag_sum")).toHaveLength(3);
    expect(truncatedIn(series)).toEqual([]);
  });

  test("[MET-11] a filter shows its topics, and nothing of others", () => {
    const series = shown(stateAfterAnHour(), { topicFilter: (topic) => topic === "clicks" });
    const topics = new Set(series.flatMap(({ labels }) => labels.topic ?? []));
    expect([...topics]).toEqual(["clicks"]);
  });

  test("[MET-11] beyond the bound partitions go first, then the last series, and a metric says so", () => {
    const state = stateAfterAnHour();
    const all = shown(state).length;
    expect(truncatedIn(shown(state, { maxSeries: all }))).toEqual([]);
    const fewer = shown(state, { maxSeries: all - 1 });
    expect(truncatedIn(fewer)).toEqual(["partitions"]);
    expect(fewer.filter(({ labels }) => labels.partition !== undefined)).toEqual([]);
    for (const maxSeries of [20, 50, 80]) {
      const few = shown(state, { maxSeries });
      expect(truncatedIn(few)).toEqual(["partitions", "series"]);
      expect(few.length).toBeLessThanOrEqual(maxSeries);
      expect(named(few, "kafka_brokers")).toHaveLength(1);
    }
  });

  test("[MET-11] a large deployment keeps its groups, topics and bill if partitions have no room", () => {
    const state = new MetricsState();
    for (let i = 0; i < 5_000; i++) {
      const place = { topic: `t${i % 100}`, partition: Math.floor(i / 100) };
      state.take(START_MS, `${i}`, partitionSnapshot({ ...place, logEndOffset: 3 }));
    }
    for (let i = 0; i < MAX_METRICS_GROUPS + 7; i++) {
      const groupId = `g${String(i).padStart(4, "0")}`;
      const positions = [position(1, 0, "t1"), position(1, 1, "t1")];
      state.take(START_MS, groupId, groupSnapshot({ groupId, members: 2, positions }));
    }
    const series = shown(state);
    expect(series.length).toBeLessThan(MAX_METRICS_SERIES);
    expect(truncatedIn(series)).toEqual(["partitions", "groups"]);
    const other = series.filter(({ labels }) => labels.consumergroup === "_other");
    expect(named(other, "kafka_consumergroup_members")[0]?.value).toBe(14);
    expect(named(other, "kafka_consumergroup_lag_sum")[0]?.value).toBe(7 * 4);
    expect(named(other, "rivulet_group_state")).toEqual([]);
    expect(named(series, "rivulet_rows_written_total")).toHaveLength(100 + MAX_METRICS_GROUPS + 1);
  });

  test("[MET-9] a deployment without reports has a broker, and nothing unknown is shown as 0", () => {
    const series = shown(new MetricsState());
    expect(named(series, "kafka_brokers")[0]?.value).toBe(1);
    expect(
      series.filter(({ labels }) => labels.topic ?? labels.consumergroup ?? labels.class),
    ).toEqual([]);
  });
});

test("[MET-10] labels are from a closed set, and none is secret or personal", () => {
  const state = stateAfterAnHour();
  const secret = "user-7 at 10.0.0.7: bad password";
  state.take(
    END_MS,
    "billing",
    groupSnapshot({ life: "2", lost: { [secret]: 1 }, rejected: { [secret]: 1 } }),
  );
  state.take(
    END_MS,
    "worker",
    workerSnapshot({
      life: secret,
      requests: [{ api: secret, transport: "http", outcome: secret, count: 1 }],
      durations: { [secret]: { buckets: [1], sumSeconds: 1 } },
      authFailures: { [secret]: 1 },
      throttled: { [secret]: 1 },
    }),
  );
  const text = expose(
    familiesOf(state, { ...OPTIONS, brokers: BROKERS, version: VERSION }),
    "text",
  );
  expect(text).not.toMatch(/user-7|10\.0\.0\.7|password/);
  const labels = new Set(seriesIn(text).flatMap((series) => Object.keys(series.labels)));
  expect([...labels].sort()).toEqual(
    [
      ...["address", "api", "class", "consumergroup", "error", "id", "kind", "le", "method"],
      ...["outcome", "partition", "reason", "state", "topic", "transport", "version", "what"],
    ].sort(),
  );
});

test("[MET-6] the age of reports grows while none come, and silent isolates have no connections", () => {
  const series = shown(stateAfterAnHour(), { nowMs: END_MS + HOUR_MS });
  const ages = named(series, "rivulet_scrape_age_seconds").map(({ value }) => value);
  expect(new Set(ages)).toEqual(new Set([3_600]));
  expect(named(series, "rivulet_kafka_connections")[0]?.value).toBe(0);
});

test("[MET-3] showing the metrics changes nothing", () => {
  const state = stateAfterAnHour();
  state.takeOverhead(END_MS, "metrics", { life: "2", usage: NO_USAGE, storedBytes: 0 });
  const before = state.toJSON();
  const first = shown(state);
  expect(shown(state)).toEqual(first);
  expect(state.toJSON()).toEqual(before);
});
