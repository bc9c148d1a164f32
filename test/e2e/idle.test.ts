import { setTimeout as wait } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { KafkaConsumer } from "../support/kafka-consumer.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { PlainClient } from "./plain-client.ts";

interface TraceLine {
  readonly trace: "start" | "alarm";
  readonly object: "cluster" | "group" | "partition" | "metrics";
  readonly name: string;
  readonly atMs: number;
}

/** Here a quiet minute is the subject, not a wait for something else. */
const IDLE_MS = 60_000;
/** The interval at which somebody looks meanwhile. */
const LOOK_MS = 5_000;
const GROUPS = ["sleepers", "kafka-classic", "kafka-kip848"];
/** workerd evicts an idle object after ten seconds. The metrics ask it then, and once more if it has changed since. */
const SETTLE_MS = 45_000;

let broker: BrokerProcess;
afterAll(() => broker.stop());

function traces(): TraceLine[] {
  return broker.lines
    .filter((line) => line.startsWith('{"trace"'))
    .map((line) => JSON.parse(line) as TraceLine);
}

/** As Kafka clients are without records: fetches and heartbeats, all the time. */
async function idleKafkaClient(groupId: string, isClassic: boolean): Promise<KafkaConsumer> {
  const consumer = new KafkaConsumer(broker.kafka, groupId, "quiet", isClassic);
  await consumer.join();
  void consumer.run();
  return consumer;
}

test("[GRP-11] [GRP-19] [KFK-20] [RPT-2] quiet groups, native and of Kafka clients, sleep for a minute, wake only for their alarms, and then receive", async () => {
  broker = await BrokerProcess.start({ env: { RIVULET_TRACE: "1" } });
  const { admin, producer } = new Rivulet({ url: broker.url });
  await admin.createTopic({ name: "quiet", partitions: 3 });
  const kafkaClients = await Promise.all([
    idleKafkaClient("kafka-classic", true),
    idleKafkaClient("kafka-kip848", false),
  ]);
  const clients = [1, 2, 3].map(() => new PlainClient(broker.url, "sleepers", "topics=quiet"));
  await until("one partition each", () => clients.every((client) => client.held.size === 1));

  // Somebody watches, as the console does: over a socket to each group, and by querying the metrics.
  const observers = GROUPS.map(
    (group) => new WebSocket(`${broker.url.replace("http", "ws")}/v1/groups/${group}/events`),
  );
  await wait(SETTLE_MS);
  const idleFromMs = Date.now();
  while (Date.now() < idleFromMs + IDLE_MS) {
    for (const path of ["/metrics", ...GROUPS.map((group) => `/v1/groups/${group}/lag`)])
      expect((await fetch(`${broker.url}${path}`)).status).toBe(200);
    await wait(LOOK_MS);
  }
  expect(observers.every(({ readyState }) => readyState === WebSocket.OPEN)).toBe(true);
  for (const observer of observers) observer.close();
  const woken = traces().filter(({ atMs }) => atMs >= idleFromMs);
  // The sockets' owners slept: no partition and no cluster object started, and each start of a group is its return from
  // hibernation for an alarm. Kafka clients have a session timeout of 45 s: two alarms a minute at most. The native members
  // were checked a session timeout after they got partitions, and then twice an hour.
  expect(woken.filter(({ object }) => object !== "group" && object !== "metrics")).toEqual([]);
  for (const group of GROUPS) {
    const own = woken.filter(({ name }) => name === group);
    const alarms = own.filter(({ trace }) => trace === "alarm").length;
    const starts = own.filter(({ trace }) => trace === "start").length;
    expect(alarms, group).toBeGreaterThanOrEqual(group === "sleepers" ? 0 : 1);
    expect(alarms, group).toBeLessThanOrEqual(2);
    // An alarm that comes soon after something else finds the object awake.
    expect(starts, group).toBeLessThanOrEqual(alarms);
  }
  expect(clients.every((client) => client.isOpen)).toBe(true);
  for (const { heartbeats, fetches, wrong } of kafkaClients) {
    expect(wrong).toEqual([]);
    expect(heartbeats).toBeGreaterThan(20);
    expect(fetches).toBeGreaterThan(60);
  }

  const before = traces().length;
  await producer.send(
    "quiet",
    [0, 1, 2].map((partition) => ({ partition, value: `for ${partition}` })),
  );
  await until("each has the record of its partition", () =>
    clients.every((client) => client.records.length === 1),
  );
  for (const client of clients) {
    const [partition] = [...client.held];
    expect(client.records[0]).toMatchObject({ partition, value: `for ${partition}` });
  }
  // They had been evicted: the record started them again.
  const started = traces()
    .slice(before)
    .filter(({ trace, object }) => trace === "start" && object === "partition");
  expect(started).toHaveLength(3);
  await until("Kafka's clients have them too", () =>
    kafkaClients.every(({ records }) => records === 3),
  );
  for (const client of [...clients, ...kafkaClients]) client.close();
});
