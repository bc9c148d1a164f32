// Rivulet: the broker as `npm start` runs it, and the SDK unconfigured.
import { Rivulet } from "../../../src/sdk/index.ts";
import { BrokerProcess } from "../../e2e/broker.ts";
import { newName, type Side } from "./side.ts";

export async function startRivulet(): Promise<Side> {
  const broker = await BrokerProcess.start();
  const rivulet = new Rivulet({ url: broker.url });
  return {
    name: "rivulet",
    // workerd opens its SQLite files with a write-ahead log and `synchronous` at FULL, and holds an answer back until the
    // commit is done. strace shows one fsync of the log before each answer to an append.
    note: "workerd on the local disk: acknowledges what is synced to disk",
    produceShare: 1,
    create: async (partitions, valueBytes) => {
      const topic = newName();
      await rivulet.admin.createTopic({ name: topic, partitions });
      const producer = rivulet.newProducer({});
      const value = new Uint8Array(valueBytes).fill(120);
      return {
        partitions,
        send: async (partition, count) => {
          // With one partition the partitioner chooses it. Otherwise a call names its own, so that all are used.
          const record = () => (partitions === 1 ? { value } : { value, partition });
          const outcomes = await producer.send(topic, Array.from({ length: count }, record));
          for (const outcome of outcomes)
            if ("error" in outcome) throw new Error(outcome.error.detail);
        },
        consume: async (onRecord) => {
          const consumer = rivulet.consumer({ groupId: newName(), topics: [topic] });
          const ended = consumer.run({ eachRecord: ({ value }) => onRecord(value?.length ?? 0) });
          return {
            stop: async () => {
              await consumer.close();
              await ended;
            },
          };
        },
        close: () => producer.close(),
      };
    },
    stop: () => broker.stop(),
  };
}
