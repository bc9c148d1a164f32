// Kafka's command-line tools, each a process as a person starts it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { consume, runKcat } from "./kcat.ts";
import { JAVA, javaArgs } from "./toolchains.ts";
import { Ways } from "./ways.ts";

const TOOLS = {
  "kafka-topics": "org.apache.kafka.tools.TopicCommand",
  "kafka-configs": "kafka.admin.ConfigCommand",
  "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
  "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
  "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
  "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
  "kafka-acls": "org.apache.kafka.tools.AclCommand",
  "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
  "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
} as const;

let ways: Ways;
let rivulet: Rivulet;
beforeAll(async () => {
  ways = await Ways.start();
  rivulet = new Rivulet({ url: ways.url });
});
afterAll(() => ways.stop());

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a tool to its end, against three nodes. */
function tryTool(name: keyof typeof TOOLS, args: readonly string[], input = ""): Promise<Outcome> {
  const server = ["--bootstrap-server", ways.brokers("a bridge with three nodes")];
  const child = spawn(JAVA, [...javaArgs("newest"), TOOLS[name], ...server, ...args]);
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    err += data;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out, err })));
}

/** Its output lines, words separated by one space. @throws if it failed, with its error */
async function tool(name: keyof typeof TOOLS, args: string, input?: string): Promise<string[]> {
  const { code, out, err } = await tryTool(name, args.split(" "), input);
  if (code !== 0) throw new Error(`${name} ${args} ended with ${code}: ${out}${err}`);
  const lines = out.split("\n").map((line) => line.trim().replaceAll(/\s+/g, " "));
  return lines.filter((line) => line !== "");
}

test("[KFK-10] kafka-topics and kafka-configs create a topic, describe, grow, configure and delete it", async () => {
  const create = "--create --topic tools --partitions 3 --config retention.ms=3600000";
  expect(await tool("kafka-topics", create)).toContain("Created topic tools.");
  const twice = await tryTool("kafka-topics", create.split(" "));
  expect(twice.code).toBe(1);
  expect(twice.out).toContain("topic tools exists");
  await tool("kafka-topics", "--alter --topic tools --partitions 4");
  const [topic = "", ...partitions] = await tool("kafka-topics", "--describe --topic tools");
  expect(topic).toContain("PartitionCount: 4 ReplicationFactor: 1 Configs: retention.ms=3600000");
  expect(partitions.map((line) => /Partition: (\d) Leader: \d/.exec(line)?.[1])).toEqual([
    "0",
    "1",
    "2",
    "3",
  ]);

  const entity = "--entity-type topics --entity-name tools";
  const configs = "cleanup.policy=[delete,compact],max.message.bytes=2000";
  const change = `--alter --add-config ${configs} --delete-config retention.ms`;
  expect(await tool("kafka-configs", `${entity} ${change}`)).toEqual([
    "Completed updating config for topic tools.",
  ]);
  expect((await rivulet.admin.describeTopic("tools")).overrides).toEqual({
    "cleanup.policy": expect.stringMatching(/^(compact,delete|delete,compact)$/),
    "max.message.bytes": 2000,
  });
  const shown = (await tool("kafka-configs", `${entity} --describe`)).join("\n");
  expect(shown).toMatch(/^cleanup\.policy=(compact,delete|delete,compact) /m);
  expect(shown).toMatch(/^max\.message\.bytes=2000 /m);
  expect(shown).not.toContain("retention.ms");

  await tool("kafka-topics", "--delete --topic tools");
  expect(await tool("kafka-topics", "--list")).not.toContain("tools");
});

test("[KFK-10] the console's producer and kcat read each other, and kafka-consumer-groups shows and moves a group's offsets", async () => {
  await rivulet.admin.createTopic({ name: "lines", partitions: 1 });
  const keyed = "--reader-property parse.key=true --reader-property key.separator=:";
  const producer = `--topic lines --compression-codec zstd ${keyed}`;
  await tool("kafka-console-producer", producer, "a:eins\nb:zwei ü\n");
  const brokers = ways.brokers("TCP");
  const read = await consume(brokers, "lines");
  expect(read.map(({ key, value }) => [`${key}`, `${value}`])).toEqual([
    ["a", "eins"],
    ["b", "zwei ü"],
  ]);
  await runKcat(["-P", "-b", brokers, "-t", "lines", "-K", ":", "-z", "lz4"], "c:three\n");
  for (const protocol of ["classic", "consumer"]) {
    const shown = "--formatter-property print.key=true --formatter-property print.offset=true";
    const how = `--group ${protocol}-console --command-property group.protocol=${protocol}`;
    const until = "--from-beginning --max-messages 3 --timeout-ms 60000";
    const consumer = `--topic lines ${how} ${until} ${shown}`;
    expect(await tool("kafka-console-consumer", consumer)).toEqual([
      "Offset:0 a eins",
      "Offset:1 b zwei ü",
      "Offset:2 c three",
    ]);
  }

  const group = "--group classic-console";
  const states = await tool("kafka-consumer-groups", "--list --state");
  expect(states).toEqual(
    expect.arrayContaining(["classic-console Empty", "consumer-console Empty"]),
  );
  const position = async () => (await tool("kafka-consumer-groups", `--describe ${group}`)).at(-1);
  expect(await position()).toBe("classic-console lines 0 3 3 0 - - -");
  const reset = `--reset-offsets ${group} --topic lines --shift-by -2 --execute`;
  expect((await tool("kafka-consumer-groups", reset)).at(-1)).toBe("classic-console lines 0 1");
  expect(await position()).toBe("classic-console lines 0 1 3 2 - - -");
  await tool("kafka-consumer-groups", `--delete-offsets ${group} --topic lines`);
  expect((await rivulet.admin.describeGroup("classic-console")).offsets).toMatchObject([
    { partition: 0, committedOffset: null },
  ]);
  await tool("kafka-consumer-groups", `--delete ${group} --group consumer-console`);
  expect(await tool("kafka-consumer-groups", "--list")).toEqual([]);
});

test("[KFK-10] the verifiable producer's records are all there, for the verifiable consumer and kafka-get-offsets, until kafka-delete-records", async () => {
  await rivulet.admin.createTopic({ name: "verified", partitions: 3 });
  const events = (lines: string[]) => lines.map((line) => JSON.parse(line));
  const producer = "--topic verified --max-messages 300 --throughput -1 --acks -1";
  const sent = events(await tool("kafka-verifiable-producer", producer));
  expect(sent).toContainEqual(
    expect.objectContaining({ name: "tool_data", sent: 300, acked: 300 }),
  );
  const consumer =
    "--topic verified --group-id verifiers --max-messages 300 --reset-policy earliest";
  const consumed = events(await tool("kafka-verifiable-consumer", consumer));
  const counts = consumed.filter(({ name }) => name === "records_consumed");
  expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(300);

  const ends = (await tool("kafka-get-offsets", "--topic verified")).map(offsetOf);
  expect(ends.reduce((sum, each) => sum + each, 0)).toBe(300);
  const fullest = ends.indexOf(Math.max(...ends));
  const folder = mkdtempSync(join(tmpdir(), "rivulet-tools-"));
  const file = join(folder, "offsets.json");
  const partitions = [{ topic: "verified", partition: fullest, offset: 7 }];
  writeFileSync(file, JSON.stringify({ partitions, version: 1 }));
  await tool("kafka-delete-records", `--offset-json-file ${file}`);
  rmSync(folder, { recursive: true });
  const begins = (await tool("kafka-get-offsets", "--topic verified --time earliest")).map(
    offsetOf,
  );
  expect(begins).toEqual(ends.map((_, partition) => (partition === fullest ? 7 : 0)));
});

test("[KFK-32] [KFK-33] kafka-acls lists what API keys may do, and learns how to change it", async () => {
  const made = await fetch(`${ways.url}/v1/keys`, {
    method: "POST",
    body: JSON.stringify({
      principal: "acl-shop",
      grants: [
        { topics: { prefix: "acl-orders." }, operations: ["READ", "WRITE"] },
        { groups: { exact: "acl-billing" }, operations: ["READ"] },
        { topics: { prefix: "" }, operations: ["DESCRIBE"] },
        { cluster: ["ALL"] },
      ],
    }),
  });
  expect(made.status).toBe(201);
  const pattern = (type: string, name: string, patternType: string) =>
    `Current ACLs for resource \`ResourcePattern(resourceType=${type}, name=${name}, patternType=${patternType})\`:`;
  const entry = (operation: string) =>
    `(principal=User:acl-shop, host=*, operation=${operation}, permissionType=ALLOW)`;
  const listed = await tool("kafka-acls", "--list");
  expect(listed.filter((line) => !line.startsWith("("))).toEqual(
    expect.arrayContaining([
      pattern("TOPIC", "acl-orders.", "PREFIXED"),
      pattern("GROUP", "acl-billing", "LITERAL"),
      pattern("TOPIC", "*", "LITERAL"),
      pattern("CLUSTER", "kafka-cluster", "LITERAL"),
    ]),
  );
  expect(listed).toEqual(
    expect.arrayContaining(
      ["READ", "WRITE", "DESCRIBE", "ALL"].map((operation) => entry(operation)),
    ),
  );
  const about = "--list --topic acl-orders.eu --resource-pattern-type match";
  const found = (await tool("kafka-acls", about)).filter((line) => !line.startsWith("("));
  // The tool keeps them in a set.
  expect(found.sort()).toEqual([
    pattern("TOPIC", "*", "LITERAL"),
    pattern("TOPIC", "acl-orders.", "PREFIXED"),
  ]);
  expect(await tool("kafka-acls", "--list --group acl-billing --principal User:nobody")).toEqual([
    "ACLs for principal `User:nobody`",
  ]);

  const change = "--allow-principal User:acl-shop --operation READ --topic acl-orders.eu";
  for (const way of ["--add", "--remove --force"]) {
    const refused = await tryTool("kafka-acls", `${way} ${change}`.split(" "));
    expect(refused.code).toBe(1);
    expect(refused.out).toContain("grants belong to API keys here");
  }
  expect((await tool("kafka-acls", "--list")).sort()).toEqual(listed.sort());
});

/** The last of `topic:partition:offset`. */
const offsetOf = (line: string) => Number(line.split(":")[2]);
