// Families as text, in both formats, and the choice between them.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contentTypeOf, expose, formatOf } from "../../../../src/core/metrics/exposition.ts";
import type { Family } from "../../../../src/core/metrics/family.ts";
import { runs } from "../../../support/effort.ts";

const FAMILIES: readonly Family[] = [
  {
    name: "rivulet_records_appended",
    type: "counter",
    help: "Records that were appended.",
    samples: [
      { labels: { topic: "b" }, value: 2 ** 53 },
      { labels: { topic: "a" }, value: 0 },
    ],
  },
  {
    name: "rivulet_stored_bytes",
    type: "gauge",
    unit: "bytes",
    help: 'Bytes "stored",\nby \\class.',
    samples: [{ labels: { topic: 'quote" back\\slash\nline', class: "partition" }, value: 1.5 }],
  },
  {
    name: "rivulet_build",
    type: "info",
    help: "The release.",
    samples: [{ labels: { version: "1.2.3" }, value: 1 }],
  },
  {
    name: "rivulet_request_duration_seconds",
    type: "histogram",
    unit: "seconds",
    help: "Time.",
    bounds: [0.001, 1, 2.5],
    samples: [{ labels: { api: "produce" }, counts: [1, 0, 2, 4], sum: 31.25 }],
  },
  { name: "kafka_brokers", type: "gauge", help: "Brokers.", samples: [{ labels: {}, value: 1 }] },
];

const SAMPLES = [
  ["rivulet_records_appended_total", '{topic="b"} 9007199254740992'],
  ["rivulet_records_appended_total", '{topic="a"} 0'],
  ["rivulet_stored_bytes", '{topic="quote\\" back\\\\slash\\nline",class="partition"} 1.5'],
  ["rivulet_build_info", '{version="1.2.3"} 1'],
  ["rivulet_request_duration_seconds_bucket", '{api="produce",le="0.001"} 1'],
  ["rivulet_request_duration_seconds_bucket", '{api="produce",le="1.0"} 1'],
  ["rivulet_request_duration_seconds_bucket", '{api="produce",le="2.5"} 3'],
  ["rivulet_request_duration_seconds_bucket", '{api="produce",le="+Inf"} 7'],
  ["rivulet_request_duration_seconds_sum", '{api="produce"} 31.25'],
  ["rivulet_request_duration_seconds_count", '{api="produce"} 7'],
  ["kafka_brokers", " 1"],
].map(([name, rest]) => `${name}${rest}`);

describe("exposition", () => {
  test("[MET-1] OpenMetrics has a block for each family, its suffixes, its units and its end", () => {
    const lines = expose(FAMILIES, "openmetrics").split("\n");
    expect(lines.filter((line) => line.startsWith("#"))).toEqual([
      "# TYPE rivulet_records_appended counter",
      "# HELP rivulet_records_appended Records that were appended.",
      "# TYPE rivulet_stored_bytes gauge",
      "# UNIT rivulet_stored_bytes bytes",
      '# HELP rivulet_stored_bytes Bytes \\"stored\\",\\nby \\\\class.',
      "# TYPE rivulet_build info",
      "# HELP rivulet_build The release.",
      "# TYPE rivulet_request_duration_seconds histogram",
      "# UNIT rivulet_request_duration_seconds seconds",
      "# HELP rivulet_request_duration_seconds Time.",
      "# TYPE kafka_brokers gauge",
      "# HELP kafka_brokers Brokers.",
      "# EOF",
    ]);
    expect(lines.filter((line) => line !== "" && !line.startsWith("#"))).toEqual(SAMPLES);
    expect(lines.slice(-2)).toEqual(["# EOF", ""]);
  });

  test("[MET-1] the text format names the same series, has no units and no infos, and has no end", () => {
    const lines = expose(FAMILIES, "text").split("\n");
    expect(lines.filter((line) => line.startsWith("#"))).toEqual([
      "# HELP rivulet_records_appended_total Records that were appended.",
      "# TYPE rivulet_records_appended_total counter",
      '# HELP rivulet_stored_bytes Bytes "stored",\\nby \\\\class.',
      "# TYPE rivulet_stored_bytes gauge",
      "# HELP rivulet_build_info The release.",
      "# TYPE rivulet_build_info gauge",
      "# HELP rivulet_request_duration_seconds Time.",
      "# TYPE rivulet_request_duration_seconds histogram",
      "# HELP kafka_brokers Brokers.",
      "# TYPE kafka_brokers gauge",
    ]);
    expect(lines.filter((line) => line !== "" && !line.startsWith("#"))).toEqual(SAMPLES);
    expect(lines.at(-1)).toBe("");
  });

  test.each([
    [0, "0"],
    [-0, "0"],
    [-1, "-1"],
    [2 ** 53 - 1, "9007199254740991"],
    [2 ** 53, "9007199254740992"],
    [0.1 + 0.2, "0.30000000000000004"],
    [1e-9, "1e-9"],
    [Number.POSITIVE_INFINITY, "+Inf"],
    [Number.NEGATIVE_INFINITY, "-Inf"],
    [Number.NaN, "NaN"],
  ])("[MET-1] %d is written as %s", (value, text) => {
    const family: Family = { name: "n", type: "gauge", help: "", samples: [{ labels: {}, value }] };
    expect(expose([family], "text")).toContain(`\nn ${text}\n`);
  });

  test("[MET-1] any label value comes back as it was", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'"\\\n\r\0né😀'.split("")) }),
        fc.constantFrom("openmetrics", "text"),
        (value, format) => {
          const samples = [{ labels: { topic: value }, value: 1 }];
          const text = expose([{ name: "n", type: "gauge", help: "h", samples }], format);
          const line = text.split("\n").find((each) => each.startsWith("n{")) ?? "";
          const quoted = line.slice('n{topic="'.length, -'"} 1'.length);
          const unescaped = quoted.replace(/\\(["\\n])/g, (_, c) => (c === "n" ? "\n" : c));
          expect(unescaped).toBe(value);
        },
      ),
      runs(200),
    );
  });

  test("[MET-1] a family that comes twice, a wrong unit and a histogram without its last count are bugs", () => {
    const [counter, , , histogram] = FAMILIES;
    if (counter === undefined || histogram?.type !== "histogram")
      throw new Error("No such family.");
    const short = { ...histogram, samples: [{ labels: {}, counts: [1, 2, 3], sum: 1 }] };
    expect(() => expose([counter, counter], "text")).toThrow("one block");
    expect(() => expose([{ ...counter, unit: "bytes" }], "text")).toThrow("ends with its unit");
    expect(() => expose([short], "text")).toThrow("a count for each bound");
  });

  test.each<[string | null, "openmetrics" | "text"]>([
    [null, "text"],
    ["", "text"],
    ["*/*", "text"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text"],
    ["application/*", "text"],
    ["application/openmetrics-text", "openmetrics"],
    ["Application/OpenMetrics-Text; Version=1.0.0", "openmetrics"],
    ['application/openmetrics-text; version="1.0.0"', "openmetrics"],
    ["application/openmetrics-text; version=2.0.0", "text"],
    ["application/openmetrics-text; version=0.0.1", "text"],
    ["application/openmetrics-text;q=0", "text"],
    ["application/openmetrics-text;q=0.3,text/plain;q=0.8", "text"],
    ["application/openmetrics-text;q=0.8,text/plain;q=0.3", "openmetrics"],
    ["application/openmetrics-text,text/plain", "openmetrics"],
    ["text/*;q=0.9,application/openmetrics-text;q=0.5", "text"],
    ["*/*,application/openmetrics-text;q=0.5", "text"],
    ["text/plain;q=0.2,*/*,application/openmetrics-text;q=0.5", "openmetrics"],
    ["application/openmetrics-text;q=much", "text"],
    [
      // Prometheus 2.42.
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75," +
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      "openmetrics",
    ],
    [
      // Prometheus 3 with its protobuf first.
      "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," +
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.3,*/*;q=0.2",
      "openmetrics",
    ],
  ])("[MET-2] a client that accepts %s is answered in %s", (accept, format) => {
    expect(formatOf(accept)).toBe(format);
  });

  test("[MET-2] the content types name format and version", () => {
    expect(contentTypeOf("text")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(contentTypeOf("openmetrics")).toBe(
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
  });
});
