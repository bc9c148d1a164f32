// librdkafka from kafka-crab-js, as a program that writes or reads one record. Its output is librdkafka's.
import { KafkaClient } from "kafka-crab-js";

interface Asked {
  readonly brokers: string;
  readonly topic: string;
  readonly settings: Record<string, string>;
  /** The value to write. Without it, it reads, as a member of the group. */
  readonly value?: string;
  readonly groupId: string;
}

const { brokers, topic, settings, value, groupId }: Asked = JSON.parse(process.argv[2] ?? "");
const client = new KafkaClient({
  brokers,
  clientId: "librdkafka",
  logLevel: "error",
  configuration: settings,
});
if (value === undefined) {
  const configuration = { "auto.offset.reset": "earliest", "fetch.wait.max.ms": 200 };
  const consumer = client.createConsumer({ groupId, configuration });
  await consumer.subscribe([{ topic }]);
  const message = await consumer.recv();
  console.log(String(message?.payload));
  consumer.unsubscribe();
} else {
  const producer = client.createProducer({ queueTimeout: 60_000 });
  await producer.send({ topic, messages: [{ payload: Buffer.from(value) }] });
}
process.exit(0); // Its threads would continue.
