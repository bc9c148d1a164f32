// docs/kafka.md, run block by block with the clients that are installed here.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf } from "../docs/blocks.ts";
import { PageRun, ROOT, RUN } from "../docs/page-run.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { kafkaClasspath } from "./toolchains.ts";

const PAGE = "docs/kafka.md";
const TOOLS = {
  "kafka-topics": "org.apache.kafka.tools.TopicCommand",
  "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
};

/** Kafka's tools by the names of their scripts. */
function installTools(folder: string): void {
  mkdirSync(folder);
  for (const [name, main] of Object.entries(TOOLS)) {
    const script = `#!/bin/sh\nexec java -cp "$KAFKA_CLASSPATH" ${main} "$@"\n`;
    writeFileSync(join(folder, name), script, { mode: 0o755 });
  }
}

let broker: BrokerProcess;
let run: PageRun;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  const addresses = { http: new URL(broker.url).host, kafka: broker.kafka };
  const tools = join(broker.dataDir, "kafka-tools");
  installTools(tools);
  run = new PageRun(PAGE, addresses, { KAFKA_CLASSPATH: kafkaClasspath(), PATH: tools });
});
afterAll(async () => {
  await run.end();
  await broker.stop();
});

test("[EXA-3] each block of docs/kafka.md does what the page says", async () => {
  const blocks = blocksOf(readFileSync(join(ROOT, PAGE), "utf8"));
  const toRun = blocks.filter(({ language }) => RUN.includes(language));
  expect(new Set(toRun.map(({ language }) => language))).toEqual(
    new Set(RUN.filter((each) => each !== "js")),
  );
  for (const block of toRun) await run.run(block);
  // The logins themselves are tried in sasl.test.ts, with each client.
  const logins = readFileSync(join(ROOT, "test/kafka-clients/logins.ts"), "utf8");
  const settings = blocks.filter(({ language }) => language === "properties");
  for (const key of settings.flatMap(({ text }) => text.match(/^[\w.]+(?==)/gm) ?? []))
    expect(logins).toContain(key);
});
