// Produces numbered records at a steady rate with KafkaJS's idempotent producer, one send after another, until SIGTERM. It
// catches up after a fault.
import { setTimeout } from "node:timers/promises";
import { Kafka, logLevel, type Message, Partitioners } from "kafkajs";
import { until } from "../../support/until.ts";
import { HistoryWriter, type Place } from "../history.ts";
import { mendConnections } from "../kafkajs-connections.ts";

export interface KafkaProducerArguments {
  readonly folder: string;
  readonly who: string;
  /** `host:port`. */
  readonly brokers: string;
  readonly topic: string;
  /** The partitions of the topic as it was created. */
  readonly partitions: number;
  readonly recordsPerSecond: number;
}

const MOST_RECORDS_PER_SEND = 500;
const PADDING = "x".repeat(88);

const { folder, who, brokers, topic, partitions, recordsPerSecond } = JSON.parse(
  process.argv[2] ?? "",
) as KafkaProducerArguments;
const history = new HistoryWriter(folder, who);
const retry = { retries: 1_000, initialRetryTime: 100, maxRetryTime: 1_000 };
mendConnections();
const kafka = new Kafka({
  brokers: [brokers],
  clientId: who,
  logLevel: logLevel.NOTHING,
  requestTimeout: 4_000, // Some stalls are longer: then it sends the same once more.
  retry,
});
const producer = kafka.producer({
  idempotent: true,
  createPartitioner: Partitioners.DefaultPartitioner,
  retry,
});
let isStopping = false;
let number = 0;
process.on("SIGTERM", () => {
  isStopping = true;
});

async function send(count: number): Promise<void> {
  const first = number;
  number += count;
  history.write({ e: "send", first, count });
  const messages = Array.from({ length: count }, (_, i): Message & { partition: number } => ({
    partition: Math.floor(Math.random() * partitions),
    value: `${who}-${first + i} ${PADDING}`,
  }));
  try {
    const answers = await producer.send({ topic, acks: -1, messages });
    const next = new Map(
      answers.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]),
    );
    const outcomes = messages.map(({ partition }): Place => {
      const offset = next.get(partition) ?? -1;
      next.set(partition, offset + 1);
      return [partition, offset];
    });
    history.write({ e: "sent", first, outcomes });
  } catch (error) {
    history.write({ e: "warning", code: "client", detail: String(error) });
    history.write({ e: "sent", first, outcomes: messages.map(() => "ConnectionError") });
  }
}

// A connection that breaks while it is made is not made again by itself.
await until("the producer is connected", () =>
  producer.connect().then(
    () => true,
    () => false,
  ),
);
const startedMs = performance.now();
while (!isStopping) {
  const due = (recordsPerSecond * (performance.now() - startedMs)) / 1_000;
  const count = Math.min(Math.floor(due) - number, MOST_RECORDS_PER_SEND);
  if (count > 0) await send(count);
  else await setTimeout(20);
}
await producer.disconnect().catch(() => {});
process.exit();
