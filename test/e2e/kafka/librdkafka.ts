import { KafkaClient } from "kafka-crab-js";
import { until } from "../../support/until.ts";
import {
  type Address,
  type Client,
  COMMIT_EVERY_MS,
  HEARTBEAT_MS,
  readings,
  SESSION_MS,
  WAIT_MS,
} from "./client.ts";

/** As kafka-crab-js has it: built without zstd. */
export function librdkafka(protocol: "classic" | "consumer"): Client {
  const clientOf = ({ brokers }: Address) =>
    new KafkaClient({ brokers, clientId: "librdkafka", logLevel: "error" });
  return {
    name: `librdkafka, ${protocol}`,
    compressions: ["none", "gzip", "snappy", "lz4"],
    hasTimes: false,
    send: async (address, topic, records, compression) => {
      const producer = clientOf(address).createProducer({
        queueTimeout: 60_000, // Over everything that is sent.
        configuration: { "enable.idempotence": true, "compression.type": compression },
      });
      await producer.send({
        topic,
        messages: records.map(({ key, value, headers }) => ({
          headers: Object.fromEntries(
            Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]),
          ),
          ...(key === null ? {} : { key }),
          ...(value === null ? { isTombstone: true } : { payload: value }),
        })),
      });
    },
    join: async (address, membership) => {
      const { read, take } = readings(membership);
      const { groupId, topics, commitsByHand } = membership;
      const consumer = clientOf(address).createConsumer({
        groupId,
        enableAutoCommit: !commitsByHand,
        configuration: {
          "group.protocol": protocol,
          "auto.offset.reset": "earliest",
          "auto.commit.interval.ms": COMMIT_EVERY_MS,
          "fetch.wait.max.ms": WAIT_MS,
          ...(protocol === "classic"
            ? { "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS }
            : {}),
        },
      });
      await consumer.subscribe(topics.map((topic) => ({ topic })));
      let isStopped = false;
      const reading = (async () => {
        while (!isStopped) {
          for (const message of await consumer.recvBatch(100, 100)) {
            const { topic, partition, offset, key, payload, isTombstone } = message;
            const headers = Object.entries(message.headers ?? {});
            take({
              topic,
              partition,
              offset,
              key: key ?? null,
              value: isTombstone ? null : payload,
              headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
              timestamp: Number.NaN,
            });
          }
        }
      })();
      return {
        read,
        commit: (topic, partition, offset) => consumer.commit(topic, partition, offset, "Sync"),
        seek: async (topic, partition, offset) => consumer.seek(topic, partition, { offset }),
        stop: async () => {
          // It leaves the group with this, while it is still being asked for records.
          consumer.unsubscribe();
          await until("it has let go", () => consumer.assignment().length === 0);
          isStopped = true;
          await reading;
          await consumer.disconnect();
        },
      };
    },
    deleteRecords: async (address, topic, partition, offset) => {
      const partitionOffset = [{ partition, offset: { offset } }];
      await clientOf(address).deleteRecords([{ topic, partitionOffset }]);
    },
  };
}
