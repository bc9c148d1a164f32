// This broker beside Apache Kafka, and beside the broker of another tree, as Kafka's own tools measure them. One Kafka runs
// unconfigured: it answers before anything is on the disk. The other one flushes every append, as this broker does.
import { kafkaClasspath, missingJavaTools } from "../../kafka-clients/toolchains.ts";
import { median, printTable, ratios, round } from "../report.ts";
import { inTurns, ROUNDS } from "../sdk/compare.ts";
import { type Broker, createTopic, startApacheKafka, startRivulet } from "./brokers.ts";
import { CpuMeter } from "./cpu.ts";
import { consumerPerformance, producerPerformance } from "./java-tools.ts";
import { produceRaw, RECORD_BYTES, RECORDS_PER_BATCH } from "./raw.ts";

/** The unit in which CPU is shown. */
const BATCH_BYTES = RECORDS_PER_BATCH * RECORD_BYTES;
const RAW_BATCHES = 400;
const FLUSH = ["log.flush.interval.messages=1"];

/** `properties` are the producer's, added to the defaults: idempotent, acks=all, five requests in flight. */
interface Shape {
  readonly name: string;
  readonly records: number;
  readonly recordBytes: number;
  readonly properties: readonly string[];
}

const LARGE = "batch.size=262144";
const SHAPES: readonly Shape[] = [
  { name: "100 B, 256 KB batches", records: 1_000_000, recordBytes: 100, properties: [LARGE] },
  { name: "1 KB, 256 KB batches", records: 200_000, recordBytes: 1_000, properties: [LARGE] },
  { name: "1 KB, batches by default", records: 100_000, recordBytes: 1_000, properties: [] },
];
/** The time of each tool and each broker for compilation, before anything counts. */
const WARM_UP = 0.3;

/** The results of one broker in each round, by measurement. */
class Results extends Map<string, Map<Broker, number[]>> {
  add(what: string, broker: Broker, value: number): void {
    const byBroker = this.get(what) ?? new Map<Broker, number[]>();
    this.set(what, byBroker.set(broker, [...(byBroker.get(broker) ?? []), value]));
  }
}

/** `before` is the folder of another built checkout to compare with. */
export async function benchBesideKafka(before: string | null): Promise<void> {
  const missing = missingJavaTools();
  for (const each of missing) console.log(`Apache Kafka and its tools are left out: ${each}`);
  const classpath = missing.length === 0 ? kafkaClasspath() : null;
  const brokers: Broker[] = [];
  try {
    brokers.push(await startRivulet("rivulet"));
    if (before !== null) brokers.push(await startRivulet("before", before));
    if (classpath !== null) {
      brokers.push(await startApacheKafka("kafka", classpath, []));
      brokers.push(await startApacheKafka("kafka, flushed", classpath, FLUSH));
    }
    if (brokers.length === 1) return;
    await measure(brokers, classpath);
  } finally {
    for (const broker of brokers) await broker.stop();
  }
}

async function measure(brokers: readonly Broker[], classpath: string | null): Promise<void> {
  const [rates, cpu] = [new Results(), new Results()];
  let topics = 0;
  const newTopic = async (broker: Broker) => {
    const name = `bench-${++topics}`;
    await createTopic(broker, name);
    return name;
  };
  const runRaw = async (broker: Broker, scale: number) => {
    const topic = await newTopic(broker);
    const batches = Math.round(RAW_BATCHES * scale);
    const meter = new CpuMeter(broker.pid);
    const startMs = performance.now();
    await produceRaw(broker.address, topic, batches);
    const seconds = (performance.now() - startMs) / 1_000;
    return { rate: (batches * RECORDS_PER_BATCH) / seconds, cpuMs: meter.ms / batches };
  };
  const run = async (broker: Broker, shape: Shape, scale: number, tools: string) => {
    const topic = await newTopic(broker);
    const records = Math.round(shape.records * scale);
    const perBatch = BATCH_BYTES / (records * shape.recordBytes);
    const { address, pid } = broker;
    const { recordBytes, properties } = shape;
    const whileProducing = new CpuMeter(pid);
    const sent = await producerPerformance(tools, address, topic, records, recordBytes, properties);
    const produced = { rate: sent, cpuMs: whileProducing.ms * perBatch };
    const whileConsuming = new CpuMeter(pid);
    const read = await consumerPerformance(tools, address, topic, records);
    return { produced, consumed: { rate: read, cpuMs: whileConsuming.ms * perBatch } };
  };
  const round = async (broker: Broker, scale: number, isCounted: boolean) => {
    const add = (what: string, { rate, cpuMs }: { rate: number; cpuMs: number }) => {
      if (!isCounted) return;
      rates.add(what, broker, rate);
      cpu.add(what, broker, cpuMs);
    };
    add("produce raw, 254 KB batches", await runRaw(broker, scale));
    for (const shape of classpath === null ? [] : SHAPES) {
      const { produced, consumed } = await run(broker, shape, scale, classpath as string);
      add(`produce ${shape.name}`, produced);
      add(`consume ${shape.name}`, consumed);
    }
    process.stderr.write(`${broker.name}, ${isCounted ? "a round" : "warm-up"}: done\n`);
  };
  for (const broker of brokers) await round(broker, WARM_UP, false);
  await inTurns(brokers, (broker) => round(broker, 1, true));
  const about = `1 partition, medians of ${ROUNDS} rounds in turns; ratios are the median of the rounds' (from the least to the greatest)`;
  print(`records/s by Kafka's own tools, and by requests made before: ${about}`, brokers, rates);
  print(`CPU of the broker's process in ms for ${BATCH_BYTES / 1_000} KB: ${about}`, brokers, cpu);
}

function print(title: string, brokers: readonly Broker[], results: Results): void {
  const [own, ...others] = brokers as [Broker, ...Broker[]];
  console.log(`${title}\n`);
  printTable(
    [
      "what",
      ...brokers.map(({ name }) => name),
      ...others.map(({ name }) => `${own.name} / ${name}`),
    ],
    Array.from(results, ([what, measured]) => {
      const of = (broker: Broker) => measured.get(broker) ?? [];
      return [
        what,
        ...brokers.map((broker) => round(median(of(broker)))),
        ...others.map((broker) => ratios(of(own), of(broker))),
      ];
    }),
  );
}
