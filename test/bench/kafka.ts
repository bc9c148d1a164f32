// Kafka clients and the SDK, each with the same million records through the same broker process, and the memory that the
// broker takes meanwhile. Then this broker beside Apache Kafka. `--before DIR` adds the broker of another built checkout.
import { parseArgs } from "node:util";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { benchBesideKafka } from "./kafka/beside-kafka.ts";
import { startKcat } from "./kafka/kcat.ts";
import { librdkafkaSide } from "./kafka/librdkafka.ts";
import { type Memory, Meter, pidOfWorkerd } from "./kafka/memory.ts";
import { sdkSide } from "./kafka/sdk.ts";
import { type Side, VALUE_BYTES } from "./kafka/side.ts";
import { median, printTable, ratios, round } from "./report.ts";
import { inTurns, ROUNDS } from "./sdk/compare.ts";

const RECORDS = 1_000_000;
/** For each side, before anything counts. */
const WARM_UP_RECORDS = 100_000;
const WORKS = ["produce", "consume"] as const;
type Work = (typeof WORKS)[number];

/** The results of one side in each round. */
interface Measured {
  readonly rates: number[];
  readonly memory: Memory[];
}

export async function benchKafka(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: { before: { type: "string" }, only: { type: "string" } },
  });
  const { only = "both" } = values;
  if (!["both", "clients", "beside"].includes(only))
    throw new Error(`--only is ${only}, it must be clients or beside`);
  if (only !== "beside") await benchClients();
  if (only !== "clients") await benchBesideKafka(values.before ?? null);
}

async function benchClients(): Promise<void> {
  const broker = await BrokerProcess.start();
  const kcat = startKcat(broker.kafka, RECORDS);
  try {
    if (kcat === null) console.log("kcat is not on PATH, left out: apt-get install kcat");
    const sides: Side[] = [
      sdkSide(broker.url),
      ...(kcat === null ? [] : [kcat]),
      librdkafkaSide(broker.kafka),
    ];
    for (const { name, note } of sides) console.log(`${name}: ${note}`);
    const measured = await measure(broker, sides);
    printRates(sides, measured);
    printMemory(sides, measured);
  } finally {
    kcat?.stop();
    await broker.stop();
  }
}

async function measure(broker: BrokerProcess, sides: readonly Side[]) {
  const rivulet = new Rivulet({ url: broker.url });
  const pid = pidOfWorkerd(broker.dataDir);
  const measured = new Map<Side, Record<Work, Measured>>();
  let topics = 0;
  const newTopic = async () => {
    const name = `bench-${++topics}`;
    await rivulet.admin.createTopic({ name });
    return name;
  };
  const checkStored = async (topic: string, records: number) => {
    const { offset } = await rivulet.admin.listOffset(topic, 0, "latest");
    if (offset !== records) throw new Error(`${topic} holds ${offset} records, not ${records}`);
  };
  for (const side of sides) {
    measured.set(side, {
      produce: { rates: [], memory: [] },
      consume: { rates: [], memory: [] },
    });
    const topic = await newTopic();
    await side.produce(topic, WARM_UP_RECORDS);
    await checkStored(topic, WARM_UP_RECORDS);
    await side.consume(topic, WARM_UP_RECORDS);
  }
  await inTurns(sides, async (side) => {
    const topic = await newTopic();
    for (const work of WORKS) {
      const meter = new Meter(pid);
      const startMs = performance.now();
      const endMs = await side[work](topic, RECORDS); // This throws if it read anything else.
      const { rates, memory } = (measured.get(side) as Record<Work, Measured>)[work];
      rates.push(RECORDS / ((endMs - startMs) / 1000));
      memory.push(meter.stop());
      await checkStored(topic, RECORDS);
    }
    process.stderr.write(`${side.name}, ${topic}: done\n`);
  });
  return measured;
}

type AllMeasured = ReadonlyMap<Side, Record<Work, Measured>>;

function printRates(sides: readonly Side[], measured: AllMeasured): void {
  const [own, ...others] = sides as [Side, ...Side[]];
  const ratesOf = (side: Side, work: Work) => measured.get(side)?.[work].rates ?? [];
  console.log(
    `\n${RECORDS.toLocaleString("en")} x ${VALUE_BYTES} B, 1 partition, medians of ${ROUNDS} rounds; ratios are the median of the rounds' (from the least to the greatest)\n`,
  );
  printTable(
    [
      "records/s",
      ...sides.map(({ name }) => name),
      ...others.map(({ name }) => `${own.name} / ${name}`),
    ],
    WORKS.map((work) => [
      work,
      ...sides.map((side) => round(median(ratesOf(side, work)))),
      ...others.map((side) => ratios(ratesOf(own, work), ratesOf(side, work))),
    ]),
  );
}

function printMemory(sides: readonly Side[], measured: AllMeasured): void {
  console.log(`The broker's resident memory in MB, medians of ${ROUNDS} rounds\n`);
  printTable(
    ["while", "before", "highest", "after", "highest of all rounds"],
    WORKS.flatMap((work) =>
      sides.map((side) => {
        const memory = measured.get(side)?.[work].memory ?? [];
        const column = (key: keyof Memory) => memory.map((each) => each[key]);
        const cell = (key: keyof Memory) => round(median(column(key)), 0);
        return [
          `${side.name}: ${work}`,
          cell("before"),
          cell("highest"),
          cell("after"),
          round(Math.max(...column("highest")), 0),
        ];
      }),
    ),
  );
}
