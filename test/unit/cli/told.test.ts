// Metrics, alerts and costs in words and tables.
import { afterEach, describe, expect, test, vi } from "vitest";
import { conditionText, parseThreshold, thresholdOf } from "../../../src/cli/alert-text.ts";
import { bytesText, dollarsText, durationText } from "../../../src/cli/figures.ts";
import { createProgram } from "../../../src/cli/program.ts";
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

describe("lists", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  /** Runs a command against a broker that answers each path so, and others with 403. */
  async function run(args: readonly string[], answers: Readonly<Record<string, string>>) {
    vi.stubEnv("RIVULET_CONFIG", "");
    vi.stubEnv("XDG_CONFIG_HOME", "/nowhere");
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (url: string, { method }: RequestInit) => {
      const { pathname, search } = new URL(url);
      asked.push(`${method} ${pathname}${search}`);
      const answer = answers[pathname];
      const text = async () =>
        answer ?? JSON.stringify({ code: "CLUSTER_AUTHORIZATION_FAILED", detail: "no" });
      return { ok: answer !== undefined, status: answer === undefined ? 403 : 200, text };
    });
    let out = "";
    vi.spyOn(process.stdout, "write").mockImplementation((text) => {
      out += text;
      return true;
    });
    await createProgram().parseAsync(args, { from: "user" });
    return { asked: asked.sort(), out };
  }

  const topics = JSON.stringify({
    topics: ["a", "b"].map((name) => ({ name, partitions: 1, config: {}, overrides: {} })),
  });
  const groups = JSON.stringify({ groups: [{ groupId: "g" }, { groupId: "h" }] });

  test("[CLI-19] topics and sizes come from the list and the metrics alone", async () => {
    const known = 'rivulet_stored_bytes{class="partition",topic="b"} 2500\n';
    const { asked, out } = await run(["topics", "list", "--sort", "bytes"], {
      "/v1/topics": topics,
      "/metrics": known,
    });
    expect(asked).toEqual(["GET /metrics", "GET /v1/topics?limit=1000&after="]);
    expect(out).toBe(
      "TOPIC  PARTITIONS  RECORDS  STORED\nb               1        -  2.5 kB\na               1        -       -\n",
    );
  });

  test("[CLI-19] groups and lags come from the list and the metrics alone", async () => {
    const lags = JSON.stringify({
      groups: [
        {
          groupId: "h",
          state: "STABLE",
          members: 2,
          lag: 7,
          oldestUnreadMs: 61_000,
          topics: ["a"],
        },
      ],
    });
    const answers = { "/v1/groups": groups, "/v1/group-lags": lags };
    const { asked, out } = await run(["groups", "list", "--sort", "age"], answers);
    expect(asked).toEqual([
      "GET /v1/group-lags?order=age&limit=1000",
      "GET /v1/groups?limit=1000&after=",
    ]);
    expect(out).toBe(
      "GROUP  STATE   MEMBERS  LAG  BEHIND\nh      STABLE        2    7      1m\ng      -             -    -       -\n",
    );
    const json = JSON.parse((await run(["--json", "groups", "list"], answers)).out);
    expect(json).toEqual([
      { groupId: "g", state: null, members: null, lag: null, oldestUnreadMs: null },
      { groupId: "h", state: "STABLE", members: 2, lag: 7, oldestUnreadMs: 61_000 },
    ]);
  });

  test("[CLI-19] a broker that refuses its metrics lists the names", async () => {
    const { out } = await run(["topics", "list"], { "/v1/topics": topics });
    expect(out).toMatch(/\na +1 +- +-\nb +1 +- +-\n$/);
    expect((await run(["groups", "list"], { "/v1/groups": groups })).out).toMatch(
      /\ng( +-){4}\nh( +-){4}\n$/,
    );
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

  test("[CLI-20] a threshold in the wrong unit is rejected", () => {
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
