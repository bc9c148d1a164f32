// `npm run torture -- --minutes M [--seed S] [--keep DIR]`: a broker, producers and consumers as processes over a network
// that breaks. Everything is killed, stopped and cut off again and again. Then a checker reads everything that they wrote
// down. Exits with 0 if the history is clean, otherwise with 1, and keeps the history.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { installNativeClient } from "../e2e/kafka/native-client.ts";
import { check } from "./check.ts";
import { Faults } from "./faults.ts";
import { ended, Fleet, type Post, run } from "./fleet.ts";
import { HistoryWriter, readHistory } from "./history.ts";
import type { KafkaProducerArguments } from "./processes/kafka-producer.ts";
import type { ProducerArguments } from "./processes/producer.ts";
import { TcpProxy } from "./proxy.ts";
import { planFaults } from "./schedule.ts";
import { readLogs, Watcher } from "./watch.ts";

const TOPIC = "busy";
const QUIET_TOPIC = "quiet";
const PARTITIONS = 6;
const TOPIC_OF = { sdk: TOPIC, mixed: TOPIC, classic: TOPIC, hibernated: QUIET_TOPIC };
const PRODUCERS = 3;
const RECORDS_PER_SECOND = 1_800;
const KAFKA_RECORDS_PER_SECOND = 600;
/** Longer than any pause: a client of KIP-848 that is no longer known does not always join again. */
const KAFKA_SESSION_MS = 15_000;
/** One producer does not wait for a restart of the broker, the others do. */
const IMPATIENT_MS = 1_000;
const PATIENT_MS = 60_000;
/** The time for which the quiet group is watched after each burst; then it is left alone to be evicted. */
const QUIET_LOOK_MS = 3_000;

const { values } = parseArgs({
  options: { minutes: { type: "string" }, seed: { type: "string" }, keep: { type: "string" } },
  strict: false,
}) as { values: { minutes?: string; seed?: string; keep?: string } };
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error("Usage: npm run torture -- --minutes M [--seed S] [--keep DIR]");
  process.exit(2);
}
await installNativeClient();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

const folder = values.keep ? resolve(values.keep) : mkdtempSync(join(tmpdir(), "torture-"));
const historyFolder = join(folder, "history");
mkdirSync(historyFolder, { recursive: true });
console.log(`seed ${seed}, ${minutes} minutes, history in ${historyFolder}`);

// Ports that no outgoing connection can be given while the broker is down.
const port = 20_000 + (process.pid % 10_000);
const kafkaPort = 10_000 + (process.pid % 10_000);
// First, because the broker tells Kafka clients where it is.
const kafkaProxy = await TcpProxy.start(kafkaPort);
const brokers = new URL(kafkaProxy.url).host;
const startBroker = () =>
  BrokerProcess.start({
    dataDir: join(folder, "data"),
    port,
    kafkaPort,
    env: { KAFKA_ADVERTISE: brokers },
  });
const faults = await torture(await startBroker());
const { broker } = faults;
const admin = new Rivulet({ url: broker.url }).admin;
const logs = await readLogs(broker.url, {
  [TOPIC]: (await admin.describeTopic(TOPIC)).partitions,
  [QUIET_TOPIC]: (await admin.describeTopic(QUIET_TOPIC)).partitions,
});
await broker.signal("SIGTERM");

const { findings, counts } = check(readHistory(historyFolder), logs, TOPIC_OF);
for (const [what, count] of counts) console.log(`${what.padEnd(40)}${String(count).padStart(10)}`);
for (const line of findings.lines) console.log(line);
if (findings.lines.length === 0) {
  console.log("clean");
  if (!values.keep) rmSync(folder, { recursive: true });
} else {
  console.log(`the history is in ${historyFolder}, the broker's data in ${join(folder, "data")}`);
}
process.exit(findings.lines.length === 0 ? 0 : 1);

/** From the first record until everything is read and everybody has left. */
async function torture(broker: BrokerProcess): Promise<Faults> {
  const history = new HistoryWriter(historyFolder, "run");
  const { admin } = new Rivulet({ url: broker.url });
  await admin.createTopic({ name: TOPIC, partitions: PARTITIONS });
  await admin.createTopic({ name: QUIET_TOPIC, partitions: 2 });
  await admin.alterGroup("mixed", {
    config: {
      "consumer.max.session.timeout.ms": KAFKA_SESSION_MS,
      "consumer.heartbeat.interval.ms": 500,
    },
  });
  const busyProxy = await TcpProxy.start(broker.port);
  const quietProxy = await TcpProxy.start(broker.port);
  const fleet = new Fleet(historyFolder, history, posts(busyProxy.url, quietProxy.url));
  const produce = (who: string, own: Omit<ProducerArguments, "folder" | "who">) =>
    run("producer.ts", historyFolder, who, own);
  const producers = Array.from({ length: PRODUCERS }, (_, i) =>
    produce(`p${i}`, {
      url: busyProxy.url,
      topic: TOPIC,
      recordsPerSecond: RECORDS_PER_SECOND / PRODUCERS,
      deliveryTimeoutMs: i === 0 ? IMPATIENT_MS : PATIENT_MS,
    }),
  );
  const kafkaProducer: Omit<KafkaProducerArguments, "folder" | "who"> = {
    brokers,
    topic: TOPIC,
    partitions: PARTITIONS,
    recordsPerSecond: KAFKA_RECORDS_PER_SECOND,
  };
  producers.push(run("kafka-producer.ts", historyFolder, "pk", kafkaProducer));
  const quietProducer = produce("quiet", {
    url: quietProxy.url,
    topic: QUIET_TOPIC,
    recordsPerSecond: 0,
    deliveryTimeoutMs: PATIENT_MS,
  });
  let quietUntilMs = 0;
  const watcher = new Watcher(
    admin,
    history,
    Object.keys(TOPIC_OF),
    (group) => group !== "hibernated" || performance.now() < quietUntilMs,
  );
  const onQuietBurst = () => {
    quietUntilMs = performance.now() + QUIET_LOOK_MS;
  };
  const faults = new Faults(
    {
      history,
      admin,
      topic: TOPIC,
      quietTopic: QUIET_TOPIC,
      busyProxies: [busyProxy, kafkaProxy],
      quietProxy,
      fleet,
      quietProducer,
      onQuietBurst,
      startBroker,
    },
    broker,
  );
  const lengthMs = minutes * 60_000;
  await faults.carryOut(planFaults(seed, lengthMs), lengthMs);

  console.log("no more faults; draining");
  fleet.wakeAll();
  const sending = [...producers, quietProducer];
  for (const producer of sending) producer.kill("SIGTERM");
  await Promise.all(sending.map(ended));
  await watcher.end();
  await watcher.untilDrained(Object.keys(TOPIC_OF));
  await fleet.end();
  busyProxy.stop();
  quietProxy.stop();
  kafkaProxy.stop();
  return faults;
}

function posts(busyUrl: string, quietUrl: string): Post[] {
  const busy = { url: busyUrl, topic: TOPIC };
  const sdk = { ...busy, group: "sdk", sessionTimeoutMs: 3_000 };
  const mixed = { ...busy, group: "mixed", sessionTimeoutMs: 4_000 };
  const kafka = { brokers, topic: TOPIC, sessionTimeoutMs: KAFKA_SESSION_MS };
  const kip848 = { ...kafka, group: "mixed", protocol: "consumer" } as const;
  const classicTerms = { group: "classic", protocol: "classic", sessionTimeoutMs: 4_000 } as const;
  const classic = { ...kafka, ...classicTerms };
  const quiet = { url: quietUrl, topic: QUIET_TOPIC, group: "hibernated", sessionTimeoutMs: 4_000 };
  const file = "consumer.ts";
  const kafkaFile = "kafka-consumer.ts";
  return [
    { name: "sdk-a", file, arguments: { ...sdk, handler: "eachRecord" } },
    { name: "sdk-b", file, arguments: { ...sdk, handler: "eachBatch" } },
    { name: "sdk-c", file, arguments: { ...sdk, handler: "slow eachRecord" } },
    { name: "sdk-d", file, arguments: { ...sdk, handler: "eachBatch" } },
    { name: "sdk-e", file, arguments: { ...sdk, handler: "eachRecord", instanceId: "static-e" } },
    { name: "mixed-a", file, arguments: { ...mixed, handler: "slow eachRecord" } },
    { name: "mixed-b", file, arguments: { ...mixed, handler: "eachBatch" } },
    { name: "mixed-plain", file: "plain.ts", arguments: mixed },
    {
      name: "mixed-platformatic",
      file: kafkaFile,
      arguments: { ...kip848, client: "platformatic" },
    },
    { name: "mixed-librdkafka", file: kafkaFile, arguments: { ...kip848, client: "librdkafka" } },
    { name: "classic-kafkajs", file: kafkaFile, arguments: { ...classic, client: "KafkaJS" } },
    {
      name: "classic-platformatic",
      file: kafkaFile,
      arguments: { ...classic, client: "platformatic" },
    },
    {
      name: "classic-librdkafka",
      file: kafkaFile,
      arguments: { ...classic, client: "librdkafka" },
    },
    { name: "quiet-a", file, arguments: { ...quiet, handler: "eachRecord" } },
    { name: "quiet-b", file, arguments: { ...quiet, handler: "eachBatch" } },
  ];
}
