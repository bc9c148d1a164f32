import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  COMPATIBILITY_DATE,
  COMPATIBILITY_FLAGS,
  workerdConfig,
} from "../../src/self-host/workerd-config.ts";

const wrangler = readFileSync("wrangler.toml", "utf8");

test("[SYS-1] workerd runs the Worker with the date, bindings and classes of wrangler.toml", () => {
  expect(wrangler).toContain(`compatibility_date = "${COMPATIBILITY_DATE}"`);
  expect(wrangler).toContain(`compatibility_flags = ${JSON.stringify(COMPATIBILITY_FLAGS)}`);
  const bindings = [...wrangler.matchAll(/name = "([A-Z]+)", class_name = "(\w+)"/g)];
  expect(bindings).toHaveLength(3);
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
  });
  for (const [, name, className] of bindings) {
    expect(config).toContain(`(name = "${name}", durableObjectNamespace = "${className}")`);
    expect(config).toMatch(new RegExp(`className = "${className}", .* enableSql = true`));
  }
  const classes = wrangler.match(/new_sqlite_classes = \[(.*)\]/)?.[1]?.split(", ");
  expect(classes?.sort()).toEqual(bindings.map(([, , className]) => `"${className}"`).sort());
});

test("[SYS-1] a folder or a path with quotes does not break the configuration", () => {
  const paths = { bundlePath: 'a"b\\c', storagePath: "/ä ö" };
  const ports = { host: "::1", port: 1, kafkaPorts: [2], kafkaAdvertise: "b:1,c:2" };
  const topics = { autoCreateTopics: true, numPartitions: 3 };
  const config = workerdConfig({ ...paths, ...ports, ...topics, trace: "1" });
  expect(config).toContain('address = "[::1]:2", tcp = ()');
  expect(config).toContain('(name = "KAFKA_ADVERTISE", text = "b:1,c:2")');
  expect(config).toContain('embed "a\\"b\\\\c"');
  expect(config).toContain('(name = "RIVULET_TRACE", text = "1")');
  expect(config).toContain('(name = "AUTO_CREATE_TOPICS_ENABLE", text = "true")');
  expect(config).toContain('(name = "NUM_PARTITIONS", text = "3")');
});
