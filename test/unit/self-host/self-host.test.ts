import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import * as limits from "../../../src/core/limits.ts";
import { devConfig } from "../../../src/self-host/dev-config.ts";
import { v8FlagsOf } from "../../../src/self-host/memory-bounds.ts";
import { advertisedOf, kafkaPortsOf } from "../../../src/self-host/ports.ts";
import * as settings from "../../../src/self-host/settings.ts";
import { StartError } from "../../../src/self-host/settings.ts";
import {
  COMPATIBILITY_DATE,
  COMPATIBILITY_FLAGS,
  workerdConfig,
} from "../../../src/self-host/workerd-config.ts";

const wrangler = readFileSync("wrangler.toml", "utf8");

test("[SES-14] a session's bounds are below what wrangler.toml requests from the platform", () => {
  const limit = (name: string) => Number(new RegExp(`^${name} = (\\d+)$`, "m").exec(wrangler)?.[1]);
  expect(limit("cpu_ms")).toBe(limits.MAX_SESSION_CPU_MS);
  expect(settings.MAX_SESSION_CPU_MS).toBe(limits.MAX_SESSION_CPU_MS);
  expect(limits.DEFAULT_SESSION_CPU_MS).toBe(0.6 * limit("cpu_ms"));
  expect(limits.MAX_INVOCATION_CALLS).toBeLessThan(limit("subrequests"));
});

test("[SYS-1] workerd runs the Worker with the date, bindings and classes of wrangler.toml", () => {
  expect(wrangler).toContain(`compatibility_date = "${COMPATIBILITY_DATE}"`);
  expect(wrangler).toContain(`compatibility_flags = ${JSON.stringify(COMPATIBILITY_FLAGS)}`);
  const bindings = [...wrangler.matchAll(/name = "([A-Z]+)", class_name = "(\w+)"/g)];
  expect(bindings).toHaveLength(5);
  const config = workerdConfig({
    bundlePath: "../worker.js",
    storagePath: "/data",
    host: "127.0.0.1",
    port: 1,
    kafkaPorts: [2],
    kafkaAdvertise: "broker.test:9092",
    autoCreateTopics: true,
    numPartitions: 3,
    trace: undefined,
    isOpen: false,
    variables: { RIVULET_ROOT_KEY: 'a "key"' },
  });
  expect(config).not.toContain("RIVULET_OPEN");
  expect(config).toContain('(name = "RIVULET_ROOT_KEY", text = "a \\"key\\"")');
  for (const [, name, className] of bindings) {
    expect(config).toContain(`(name = "${name}", durableObjectNamespace = "${className}")`);
    expect(config).toMatch(new RegExp(`className = "${className}", .* enableSql = true`));
  }
  // Each migration names the classes that came with it.
  const migrations = wrangler.matchAll(/new_sqlite_classes = \[(.*)\]/g);
  const classes = Array.from(migrations, ([, names = ""]) => names.split(", ")).flat();
  expect(classes.sort()).toEqual(bindings.map(([, , className]) => `"${className}"`).sort());
});

test("[SYS-1] V8 flags are in the configuration as they are given", () => {
  vi.stubEnv("RIVULET_V8_FLAGS", " --max-heap-size=64  --expose-gc ");
  expect(v8FlagsOf()).toEqual(["--max-heap-size=64", "--expose-gc"]);
  vi.stubEnv("RIVULET_V8_FLAGS", "");
  expect(v8FlagsOf()).toEqual([]);
  vi.unstubAllEnvs();
  const config = workerdConfig({
    bundlePath: "worker.js",
    storagePath: "/d",
    host: "::1",
    port: 1,
    kafkaPorts: [],
    kafkaAdvertise: "",
    autoCreateTopics: true,
    numPartitions: 1,
    trace: undefined,
    v8Flags: ["--max-heap-size=64", '"'],
    isOpen: true,
    variables: {},
  });
  expect(config).toContain('v8Flags = ["--max-heap-size=64", "\\""],');
});

test("[SYS-1] a folder or a path with quotes does not break the configuration", () => {
  const paths = { bundlePath: 'a"b\\c', storagePath: "/ä ö" };
  const ports = { host: "::1", port: 1, kafkaPorts: [2], kafkaAdvertise: "b:1,c:2" };
  const topics = { autoCreateTopics: true, numPartitions: 3 };
  const config = workerdConfig({
    ...paths,
    ...ports,
    ...topics,
    trace: "1",
    isOpen: true,
    variables: {},
  });
  expect(config).toContain('(name = "RIVULET_OPEN", text = "loopback")');
  expect(config).toContain('address = "[::1]:2", tcp = ()');
  expect(config).toContain('(name = "KAFKA_ADVERTISE", text = "b:1,c:2")');
  expect(config).toContain('embed "a\\"b\\\\c"');
  expect(config).toContain('(name = "RIVULET_TRACE", text = "1")');
  expect(config).not.toContain("v8Flags");
  expect(config).toContain('(name = "AUTO_CREATE_TOPICS_ENABLE", text = "true")');
  expect(config).toContain('(name = "NUM_PARTITIONS", text = "3")');
});

describe("the addresses of Kafka's nodes", () => {
  afterEach(() => void vi.unstubAllEnvs());

  const LISTENING = ["127.0.0.1:9092", "127.0.0.1:9093", "127.0.0.1:9094"];

  test.each([
    ["", LISTENING.join(",")],
    ["a:1,b:2,c:3", "a:1,b:2,c:3"],
    [" a:1 , b.test:65535,[::1]:3", "a:1,b.test:65535,[::1]:3"],
    ["a:1,b:1,c:1,d:1", "a:1,b:1,c:1,d:1"], // More, behind a proxy.
  ])("[SYS-1] are the advertised ones: %j", (advertise, expected) => {
    vi.stubEnv("KAFKA_ADVERTISE", advertise);
    expect(advertisedOf(LISTENING)).toBe(expected);
  });

  test.each([
    ["x", /it must be host:port/],
    ["a:1,b:2,127.0.0.1:99999", /ports from 1 to 65535/],
    ["a:0,b:2,c:3", /ports from 1 to 65535/],
    ["a:1,,c:3", /it must be host:port/],
    ["http://a:1,b:2,c:3", /it must be host:port/],
    ["a:1,b:2, a:1", /it must name a:1 once/],
    ["a:1,b:2,a:01", /it must name a:1 once/],
    ["a:1,b:2", /an address for each of KAFKA_NODES, which is 3, and has 2/],
    [Array.from({ length: 17 }, (_, i) => `a:${i + 1}`).join(), /at most 16 addresses, and has 17/],
  ])("[SYS-1] are rejected in a sentence: %j", (advertise, sentence) => {
    vi.stubEnv("KAFKA_ADVERTISE", advertise);
    const refused = () => advertisedOf(LISTENING);
    expect(refused).toThrow(StartError);
    expect(refused).toThrow(sentence);
    expect(refused).toThrow(`KAFKA_ADVERTISE is "${advertise}"`);
  });

  test.each([
    [
      "65534",
      "3",
      null,
      /the last would be 65536, and the highest is 65535; choose another KAFKA_/,
    ],
    ["65535", "2", null, /the last would be 65536/],
    ["65536", "1", null, /KAFKA_PORT is "65536", it must be a number from 0 to 65535/],
    ["-1", "1", null, /KAFKA_PORT is "-1"/],
    ["0", "17", null, /KAFKA_NODES is "17", it must be a number from 1 to 16/],
    [
      "free",
      "1",
      0,
      /PORT is \d+, and Kafka's clients are served on port \d+; choose another PORT/,
    ],
    ["free", "3", 2, /PORT is \d+, and Kafka's clients are served on the ports \d+ to \d+/],
  ])(
    "[SYS-1] ports are rejected in a sentence: %s, %s nodes",
    async (port, nodes, http, sentence) => {
      const first = port === "free" ? await freeKafkaPort() : port;
      vi.stubEnv("KAFKA_PORT", String(first));
      vi.stubEnv("KAFKA_NODES", nodes);
      const refused = kafkaPortsOf("127.0.0.1", http === null ? null : Number(first) + http);
      await expect(refused).rejects.toThrow(StartError);
      await expect(refused).rejects.toThrow(sentence);
    },
  );

  test("[SYS-1] if any ports will do, each is another one, and none is the one of HTTP", async () => {
    vi.stubEnv("KAFKA_PORT", "0");
    vi.stubEnv("KAFKA_NODES", "16");
    const ports = await kafkaPortsOf("127.0.0.1", 9092);
    expect(new Set([...ports, 9092]).size).toBe(17);
    vi.stubEnv("KAFKA_PORT", "");
    vi.stubEnv("KAFKA_NODES", "1");
    expect(await kafkaPortsOf("127.0.0.1", 9092)).not.toContain(9092);
  });

  /** A port that was free a moment ago, with some behind it. */
  async function freeKafkaPort(): Promise<number> {
    vi.stubEnv("KAFKA_PORT", "0");
    vi.stubEnv("KAFKA_NODES", "1");
    const [port = 0] = await kafkaPortsOf("127.0.0.1", null);
    return Math.min(port, 65_000);
  }
});

describe("the configuration of npm run dev", () => {
  const config = {
    host: "127.0.0.1",
    ports: [9092, 9093],
    variables: { KAFKA_ADVERTISE: "here", RIVULET_JURISDICTION: "" },
    defaults: { NUM_PARTITIONS: "1", AUTO_CREATE_TOPICS_ENABLE: "true" },
  };

  test.each([
    { what: "has no variables", text: wrangler, partitions: "1" },
    {
      what: "has variables of its own",
      text: `${wrangler}\n[vars]\nOTHER = "o"\nRIVULET_JURISDICTION = "eu"\nNUM_PARTITIONS = "7"\n\n[other]\nx = 1\n`,
      partitions: "7",
    },
    {
      what: "ends with them",
      text: `${wrangler}\n[vars] # of a person\nNUM_PARTITIONS = "7"`,
      partitions: "7",
    },
  ])(
    "[SYS-1] [PLC-1] has one table of variables where wrangler.toml $what",
    ({ text, partitions }) => {
      const made = devConfig(text, config);
      expect(made.match(/^\[vars\]$/gm)).toHaveLength(1);
      const table = made.split("[vars]\n")[1]?.split("\n[")[0] ?? "";
      const variables = Object.fromEntries(
        [...table.matchAll(/^(\w+) = "(.*)"$/gm)].map(([, name, value]) => [name, value]),
      );
      expect(variables).toEqual({
        KAFKA_ADVERTISE: "here",
        RIVULET_JURISDICTION: "",
        NUM_PARTITIONS: partitions,
        AUTO_CREATE_TOPICS_ENABLE: "true",
        ...(text.includes("OTHER") ? { OTHER: "o" } : {}),
      });
      for (const port of config.ports) expect(made).toContain(`port = ${port}\n`);
      expect(made).toContain(wrangler.trim().split("\n").at(-1) ?? "");
    },
  );
});
