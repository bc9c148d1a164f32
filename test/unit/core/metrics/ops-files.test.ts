// The shipped dashboard and alerts: they use only metrics and labels that exist.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isErrorName } from "../../../../src/core/errors.ts";
import { MAX_METRICS_SERIES, MAX_PARTITION_BYTES } from "../../../../src/core/limits.ts";
import { expose } from "../../../../src/core/metrics/exposition.ts";
import { familiesOf } from "../../../../src/core/metrics/families.ts";
import { seriesIn } from "../../../support/exposed.ts";
import { BROKERS, END_MS, stateAfterAnHour, VERSION } from "../../../support/metrics-hour.ts";
import { dashboardQueries } from "../../../support/ops-files.ts";

const RULES = readFileSync("ops/prometheus/rivulet.rules.yml", "utf8");

const series = seriesIn(
  expose(
    familiesOf(stateAfterAnHour(), {
      nowMs: END_MS,
      partitions: true,
      maxSeries: MAX_METRICS_SERIES,
      brokers: BROKERS,
      version: VERSION,
    }),
    "text",
  ),
);
const names = new Set(series.map(({ name }) => name));
const labels = new Set(series.flatMap((each) => Object.keys(each.labels)));
/** The labels that Prometheus adds. */
const ADDED = ["job", "instance"];

function metricsIn(text: string): string[] {
  return [...new Set(text.match(/\b(?:kafka|rivulet)_[a-z_]+/g))];
}

/** The labels that a query selects by, or sums by. */
function labelsIn(query: string): string[] {
  const selected = [...query.matchAll(/([a-z_]+)(?:=~|!=|=|!~)"/g)].map(([, label = ""]) => label);
  const summed = [...query.matchAll(/\b(?:by|without|on) \(([a-z_, ]+)\)/g)].flatMap(
    ([, list = ""]) => list.split(", "),
  );
  return [...selected, ...summed];
}

describe.each([
  [
    "dashboard",
    dashboardQueries()
      .map(({ query }) => query)
      .join("\n"),
    35,
  ],
  ["alerts", RULES, 7],
])("the %s", (_, text, atLeast) => {
  test("[MET-12] names only metrics that exist", () => {
    expect(metricsIn(text).filter((name) => !names.has(name))).toEqual([]);
    expect(
      text.split("\n").filter((line) => metricsIn(line).length > 0).length,
    ).toBeGreaterThanOrEqual(atLeast);
  });

  test("[MET-12] names only labels that exist", () => {
    const known = new Set([...labels, ...ADDED]);
    expect(labelsIn(text).filter((label) => !known.has(label))).toEqual([]);
  });
});

test("[MET-12] every panel of the dashboard has a title, queries of one data source, and a place of its own", () => {
  const { panels } = JSON.parse(readFileSync("ops/grafana/rivulet.json", "utf8"));
  const places = panels.map(
    ({ gridPos }: { gridPos: { x: number; y: number } }) => `${gridPos.x},${gridPos.y}`,
  );
  expect(new Set(places).size).toBe(panels.length);
  expect(new Set(panels.map(({ id }: { id: number }) => id)).size).toBe(panels.length);
  for (const { title, type, targets, datasource } of panels) {
    expect(title).not.toBe("");
    if (type === "row") continue;
    expect(targets.length).toBeGreaterThan(0);
    expect(datasource).toEqual({ type: "prometheus", uid: "${" + "datasource}" });
  }
});

test("[MET-12] the dashboard's legends name labels that their queries keep", () => {
  for (const { query, legend } of dashboardQueries()) {
    const wanted = [...legend.matchAll(/\{\{([a-z_]+)\}\}/g)].map(([, label = ""]) => label);
    const [, kept] = /\bby \(([a-z_, ]+)\)/.exec(query) ?? [];
    const all = kept === undefined ? [...labels] : kept.split(", ");
    expect(
      wanted.filter((label) => !all.includes(label)),
      query,
    ).toEqual([]);
  }
});

test("[MET-12] the alerts have the bounds and the errors of the broker", () => {
  const bound = Number(/rivulet_largest_partition_bytes > (\d+)/.exec(RULES)?.[1]);
  expect(bound).toBe(0.9 * MAX_PARTITION_BYTES);
  const errors = /outcome=~"([A-Z_|]+)"/.exec(RULES)?.[1]?.split("|") ?? [];
  expect(errors.length).toBeGreaterThan(1);
  expect(errors.filter((name) => !isErrorName(name))).toEqual([]);
});
