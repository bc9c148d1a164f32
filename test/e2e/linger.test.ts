// A topic with `commit.linger.ms` on a broker as a person runs it: clients of every kind share rows, and `kill -9` loses
// nothing acknowledged.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { RowWatch } from "../bench/groups/row-watch.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { CLIENTS } from "./kafka/clients.ts";
import { Reporter } from "./processes/reporter.ts";

interface Acknowledged {
  readonly id: string;
  readonly partition: number;
  readonly offset: number;
}

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

async function newTopic(name: string, lingerMs: number): Promise<Rivulet> {
  const rivulet = new Rivulet({ url: broker.url });
  await rivulet.admin.createTopic({
    name,
    partitions: 1,
    config: { "commit.linger.ms": lingerMs },
  });
  return rivulet;
}

test("[LNG-1] producers of the SDK, of Kafka clients and over HTTP share rows", async () => {
  const topic = "shared";
  const rivulet = await newTopic(topic, 1_000);
  const http = (value: string) =>
    fetch(`${broker.url}/v1/topics/${topic}/records`, {
      method: "POST",
      body: JSON.stringify({ records: [{ value }] }),
    });
  await http("first");
  const watch = new RowWatch(broker.dataDir);
  const sdks = Array.from({ length: 10 }, () => new Rivulet({ url: broker.url }));
  const record = {
    partition: 0,
    key: null,
    headers: {},
    timestamp: 1,
    value: Buffer.from("kafka"),
  };
  await Promise.all([
    ...sdks.map(({ producer }) => producer.send(topic, [{ value: "sdk" }])),
    ...CLIENTS.map((client) => client.send({ brokers: broker.kafka }, topic, [record], "none")),
    ...Array.from({ length: 10 }, () => http("http")),
  ]);
  const rows = watch.look().byTable.get("segment_0") ?? 0;
  watch.close();
  await Promise.all(sdks.map(({ producer }) => producer.close()));
  const records = 20 + CLIENTS.length;
  expect(await rivulet.admin.listOffset(topic, 0, "latest")).toEqual({ offset: records + 1 });
  expect(rows).toBeGreaterThan(0);
  // Clients take their time to begin, so they need not all be in one row.
  expect(rows).toBeLessThan(records / 2);
});

test("[LNG-3] [SYS-2] kill -9 while appends wait loses none that was acknowledged, and moves none", async () => {
  const topic = "killed-lingering";
  await newTopic(topic, 50);
  const { port, dataDir, url } = broker;
  const producers = ["a", "b", "c"].map(
    (name) => new Reporter<Acknowledged>("producer.ts", [url, topic, name]),
  );
  const acknowledged = () => producers.flatMap((producer) => producer.lines);
  const goOn = async () => {
    const before = acknowledged().length;
    await until("producers produce", () => acknowledged().length > before + 200, 60_000);
  };
  for (let kill = 0; kill < 2; kill++) {
    await goOn();
    await broker.kill();
    broker = await BrokerProcess.start({ port, dataDir });
  }
  await goOn();
  for (const producer of producers) expect(await producer.signal("SIGTERM")).toBe(0);
  const log: string[] = [];
  for (;;) {
    const path = `/v1/topics/${topic}/partitions/0/records?offset=${log.length}&maxRecords=10000`;
    const response = await fetch(`${url}${path}`);
    const { records } = (await response.json()) as { records: { value: string }[] };
    if (records.length === 0) break;
    log.push(...records.map(({ value }) => value));
  }
  for (const { id, offset } of acknowledged()) expect(log[offset], id).toBe(id);
  expect(new Set(log).size).toBe(log.length);
}, 180_000);
