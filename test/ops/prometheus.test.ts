// Prometheus scrapes a scripted hour of a broker in both formats, and is queried for what it has understood.
import { spawnSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MAX_METRICS_SERIES } from "../../src/core/limits.ts";
import { contentTypeOf, expose, type Format, formatOf } from "../../src/core/metrics/exposition.ts";
import { familiesOf } from "../../src/core/metrics/families.ts";
import { MetricsState } from "../../src/core/metrics/metrics-state.ts";
import { seriesKey } from "../support/exposed.ts";
import { BROKERS, END_MS, stateAfterAnHour, TRUTH, VERSION } from "../support/metrics-hour.ts";
import { MINUTE_MS, partitionSnapshot } from "../support/metrics-snapshots.ts";
import { dashboardQueries } from "../support/ops-files.ts";
import { until } from "../support/until.ts";
import { MISSING, Prometheus, type Queried } from "./prometheus-process.ts";

/** The format of each job. Prometheus asks for OpenMetrics, and must accept the other one too. */
const JOBS = { openmetrics: "/metrics", text: "/text" } as const;
const jobs = Object.keys(JOBS) as Format[];

/** The panels of kafka_exporter's dashboard 7589. */
const EXPORTER_QUERIES = [
  'sum(rate(kafka_topic_partition_current_offset{instance="$instance", topic=~"$topic"}[1m])) by (topic)',
  'sum(kafka_consumergroup_lag{instance="$instance",topic=~"$topic"}) by (consumergroup, topic)',
  'sum(delta(kafka_topic_partition_current_offset{instance=~"$instance", topic=~"$topic"}[5m])/5) by (topic)',
  'sum(delta(kafka_consumergroup_current_offset{instance=~"$instance",topic=~"$topic"}[5m])/5) by (consumergroup, topic)',
  'sum by(topic) (kafka_topic_partitions{instance="$instance",topic=~"$topic"})',
];

let state = stateAfterAnHour();

function exposed(format: Format): string {
  const options = { partitions: true, maxSeries: MAX_METRICS_SERIES };
  const about = { nowMs: END_MS, brokers: BROKERS, version: VERSION };
  return expose(familiesOf(state, { ...options, ...about }), format);
}

if (MISSING !== null) console.warn(`Skipped: ${MISSING}`);

describe.skipIf(MISSING !== null)("Prometheus", () => {
  let server: Server;
  let target: string;
  let prometheus: Prometheus;

  beforeAll(async () => {
    server = createServer((request, response) => {
      const format = request.url === JOBS.text ? "text" : formatOf(request.headers.accept ?? null);
      response.setHeader("content-type", contentTypeOf(format));
      response.end(exposed(format));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    prometheus = await Prometheus.start(target, JOBS);
    await until("both jobs were scraped three times", async () => {
      const failed = (await prometheus.targets()).find(({ health }) => health === "down");
      if (failed !== undefined) throw new Error(`${failed.scrapePool}: ${failed.lastError}`);
      const counts = await prometheus.query("count_over_time(up[1m])");
      return counts.length === jobs.length && counts.every(({ value }) => Number(value[1]) >= 3);
    });
  });

  afterAll(async () => {
    await prometheus?.stop();
    server?.close();
  });

  test.each(jobs)(
    "[MET-13] it has the names, labels and values of the script from %s",
    async (job) => {
      const result = await prometheus.query(`{job="${job}",__name__=~"(kafka|rivulet)_.+"}`);
      const found = new Map(result.map((each) => [keyOf(each), Number(each.value[1])]));
      const truth = new Map(TRUTH.map(([name, labels, value]) => [seriesKey(name, labels), value]));
      expect(Object.fromEntries(found)).toEqual(Object.fromEntries(truth));
      expect(result).toHaveLength(TRUTH.length);
      const [scraped] = await prometheus.query(`scrape_samples_scraped{job="${job}"}`);
      expect(scraped?.value[1]).toBe(`${TRUTH.length}`);
    },
  );

  test.each([
    ["openmetrics", "rivulet_records_appended", "counter", ""],
    ["openmetrics", "rivulet_awake_seconds", "counter", "seconds"],
    ["openmetrics", "rivulet_stored_bytes", "gauge", "bytes"],
    ["openmetrics", "rivulet_request_duration_seconds", "histogram", "seconds"],
    ["openmetrics", "rivulet_build", "info", ""],
    ["text", "rivulet_records_appended_total", "counter", ""],
    ["text", "rivulet_stored_bytes", "gauge", ""],
    ["text", "rivulet_request_duration_seconds", "histogram", ""],
    ["text", "kafka_broker_info", "gauge", ""],
  ])("[MET-13] it knows from %s that %s is a %s in '%s'", async (job, metric, type, unit) => {
    const match_target = `{job="${job}"}`;
    const known = await prometheus.ask("targets/metadata", { match_target, metric });
    expect(known).toMatchObject([{ type, unit }]);
  });

  test("[MET-13] it computes quantiles of the durations", async () => {
    const series = 'rivulet_request_duration_seconds_bucket{job="text"}';
    const [median] = await prometheus.query(`histogram_quantile(0.5, ${series})`);
    expect(Number(median?.value[1])).toBeCloseTo(0.001);
  });

  test.each(dashboardQueries())(
    "[MET-12] the dashboard's $panel can be queried",
    async ({ query }) => {
      const asked = query.replaceAll(/\$(job|topic|consumergroup)/g, ".*");
      expect((await prometheus.query(asked)).length).toBeGreaterThan(0);
    },
  );

  test.each(EXPORTER_QUERIES)("[MET-9] kafka_exporter's dashboard can query %s", async (query) => {
    const asked = query.replaceAll("$instance", target).replaceAll("$topic", ".*");
    expect((await prometheus.query(asked)).length).toBeGreaterThan(0);
  });

  test("[MET-4] no counter falls when the object that sums is evicted", async () => {
    state = MetricsState.fromJSON(state.toJSON());
    const grown = { life: "3", appendedRecords: 11, logEndOffset: 3_611 };
    state.take(END_MS + MINUTE_MS, "orders/0", partitionSnapshot(grown));
    const sum = 'rivulet_records_appended_total{topic="orders"}';
    await until("the new sum was scraped", async () => {
      const sums = await prometheus.query(sum);
      return sums.every(({ value }) => value[1] === "5411");
    });
    const counters = new Set(TRUTH.map(([name]) => name).filter((name) => name.endsWith("_total")));
    for (const counter of counters) {
      const [resets] = await prometheus.query(`sum(resets(${counter}[5m]))`);
      expect(resets?.value[1], counter).toBe("0");
    }
  });
});

/** The sums of offsets are gauges by kafka_exporter's names. promtool would name them otherwise. */
const EXPORTERS_OWN = ["kafka_consumergroup_current_offset_sum", "kafka_consumergroup_lag_sum"];

describe.skipIf(MISSING !== null)("promtool", () => {
  function promtool(args: readonly string[], input = "") {
    const { status, stdout, stderr } = spawnSync("promtool", args, { input, encoding: "utf8" });
    return { status, text: `${stdout}${stderr}` };
  }

  test("[MET-13] it accepts the metrics, except two names of kafka_exporter", () => {
    const { text } = promtool(["check", "metrics"], exposed("text"));
    const complaints = text.split("\n").filter((line) => line !== "");
    expect(complaints.map((line) => line.split(" ")[0])).toEqual(EXPORTERS_OWN);
  });

  test("[MET-12] it accepts the alerts", () => {
    const { status, text } = promtool(["check", "rules", "ops/prometheus/rivulet.rules.yml"]);
    expect(text).toContain("7 rules found");
    expect(status).toBe(0);
    const config = promtool(["check", "config", "--syntax-only", "ops/prometheus/prometheus.yml"]);
    expect(config.text).toContain("is valid");
    expect(config.status).toBe(0);
  });

  test("[MET-12] each alert fires when it must, and not before", () => {
    const { status, text } = promtool(["test", "rules", "test/ops/alerts.yml"]);
    expect(text).toContain("SUCCESS");
    expect(status).toBe(0);
  });
});

/** Without what Prometheus adds. */
function keyOf({ metric }: Queried): string {
  const { __name__: name = "", job: _job, instance: _instance, ...labels } = metric;
  return seriesKey(name, labels);
}
