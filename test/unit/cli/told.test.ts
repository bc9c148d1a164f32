// What metrics, alerts and costs are in words and tables.
import { describe, expect, test } from "vitest";
import { conditionText, parseThreshold, thresholdOf } from "../../../src/cli/alert-text.ts";
import { bytesText, dollarsText, durationText } from "../../../src/cli/figures.ts";
import { samplesIn } from "../../../src/cli/samples.ts";
import { table } from "../../../src/cli/table.ts";
import { sizesIn } from "../../../src/cli/told.ts";
import { expose } from "../../../src/core/metrics/exposition.ts";

describe("metrics", () => {
  const sample = (labels: Record<string, string>, value: number) => ({ labels, value });
  const metrics = expose(
    [
      {
        name: "kafka_topic_partition_current_offset",
        type: "gauge",
        help: "h",
        samples: [
          sample({ topic: "orders", partition: "0" }, 10),
          sample({ topic: "orders", partition: "1" }, 2 ** 40),
          sample({ topic: "empty", partition: "0" }, 0),
        ],
      },
      {
        name: "kafka_topic_partition_oldest_offset",
        type: "gauge",
        help: "h",
        samples: [
          sample({ topic: "orders", partition: "0" }, 4),
          sample({ topic: "orders", partition: "1" }, 0),
          sample({ topic: "empty", partition: "0" }, 0),
        ],
      },
      {
        name: "rivulet_stored_bytes",
        type: "gauge",
        unit: "bytes",
        help: "h",
        samples: [
          sample({ class: "partition", topic: "orders" }, 4_096),
          sample({ class: "relay", topic: "orders" }, 1),
          sample({ class: "partition", topic: "told" }, 512),
          sample({ class: "cluster" }, 9),
        ],
      },
    ],
    "text",
  );

  test("[CLI-19] the sizes of a topic are the sums of its partitions", () => {
    expect(Object.fromEntries(sizesIn(metrics))).toEqual({
      orders: { records: 6 + 2 ** 40, bytes: 4_096 },
      empty: { records: 0, bytes: null },
      told: { records: null, bytes: 512 },
    });
    expect(sizesIn("").size).toBe(0);
  });

  test("[CLI-19] labels are read as they are written", () => {
    const label = 'a"b\\c\nd, e="f"} 1';
    const text = expose(
      [{ name: "x", type: "gauge", help: "h", samples: [sample({ l: label, m: "" }, 0.5)] }],
      "text",
    );
    expect(samplesIn(text, new Set(["x"]))).toEqual([
      {
        name: "x",
        labels: new Map([
          ["l", label],
          ["m", ""],
        ]),
        value: 0.5,
      },
    ]);
    expect(samplesIn('x 1\ny{a="b"} 2\n# x 3\n', new Set(["x"]))).toHaveLength(1);
  });
});

describe("alerts", () => {
  test.each([
    ["group-lag", "60", 60],
    ["group-lag", "5m", 300],
    ["group-lag", "PT1M", 60],
    ["partition-full", "80", 80],
    ["partition-full", "80%", 80],
    ["budget", "99.5%", 99.5],
  ] as const)("[CLI-20] for %s the threshold %s is %s", (type, text, value) => {
    expect(thresholdOf(type, parseThreshold(text))).toBe(value);
  });

  test("[CLI-20] a threshold in the wrong unit is refused", () => {
    expect(thresholdOf("budget", undefined)).toBeUndefined();
    expect(() => thresholdOf("budget", parseThreshold("5m"))).toThrow(
      "--threshold is 5m, for budget it must be in percent",
    );
    expect(() => thresholdOf("group-lag", parseThreshold("5%"))).toThrow(
      "--threshold is 5%, for group-lag it must be in seconds or a duration",
    );
    for (const text of ["", "much", "-1", "5 m"])
      expect(() => parseThreshold(text)).toThrow("It must be seconds or a duration");
  });

  test.each([
    [{ type: "group-lag", match: "*", threshold: 90 }, "any group is 1m behind"],
    [{ type: "group-empty", match: "billing", threshold: 0 }, "group billing has no members"],
    [{ type: "partition-full", match: "o*", threshold: 80 }, "a partition of topic o* is 80% full"],
    [{ type: "budget", match: "*", threshold: 100 }, "any budget is 100% used"],
  ] as const)("[CLI-20] %o reads: %s", (rule, text) => {
    expect(conditionText(rule)).toBe(text);
  });
});

test.each([
  [dollarsText, 0, "$0.00"],
  [dollarsText, 1.2, "$1.20"],
  [dollarsText, 0.000312, "$0.00031"],
  [dollarsText, 1e-12, "<$0.000000001"],
  [bytesText, 999, "999 B"],
  [bytesText, 4_512_000, "4.5 MB"],
  [durationText, 0, "0ms"],
  [durationText, 90_000, "1m"],
  [durationText, 172_800_000, "2d"],
])("[CLI-19] [CLI-20] the figure %o of %s reads %s", (write, value, text) => {
  expect(write(value)).toBe(text);
});

test("[CLI-4] figures are aligned to the right and never cut", () => {
  const rows = [
    ["a-topic-with-a-long-name", { figure: "4.5 MB" }],
    ["b", null],
  ];
  expect(table(["TOPIC", "STORED"], rows, 20).split("\n")).toEqual([
    "TOPIC         STORED",
    "a-topic-wit…  4.5 MB",
    "b                  -",
  ]);
});
