import { Admin, Consumer, Producer } from "@platformatic/kafka";
import {
  type Address,
  type Client,
  COMMIT_EVERY_MS,
  HEARTBEAT_MS,
  readings,
  SESSION_MS,
  WAIT_MS,
} from "./client.ts";

export function platformatic(groupProtocol: "classic" | "consumer"): Client {
  return {
    name: `@platformatic/kafka, ${groupProtocol}`,
    compressions: ["none", "gzip", "snappy", "lz4", "zstd"],
    hasTimes: true,
    send: async (address, topic, records, compression) => {
      const producer = new Producer({ ...platformaticAt(address), idempotent: true });
      await producer.send({
        compression,
        messages: records.map(({ key, value, headers, timestamp, partition }) => ({
          topic,
          partition,
          timestamp: BigInt(timestamp),
          headers: new Map(
            Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]),
          ),
          ...(key === null ? {} : { key }),
          ...(value === null ? {} : { value }),
        })),
      });
      await producer.close();
    },
    join: async (address, membership) => {
      const { read, take } = readings(membership);
      const { groupId, topics, commitsByHand } = membership;
      const consumer = new Consumer({
        ...platformaticAt(address),
        groupId,
        ...(groupProtocol === "consumer"
          ? { groupProtocol }
          : { sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS }),
      });
      const options = {
        topics: [...topics],
        autocommit: commitsByHand ? false : COMMIT_EVERY_MS,
        maxWaitTime: WAIT_MS,
      };
      const start = async (from: object) => {
        const started = await consumer.consume({ ...options, ...from });
        return started.on("data", ({ topic, partition, offset, key, value, headers, timestamp }) =>
          take({
            topic,
            partition,
            offset: Number(offset),
            key: key ?? null,
            value: value ?? null,
            headers: Object.fromEntries([...headers].map(([a, b]) => [String(a), String(b)])),
            timestamp: Number(timestamp),
          }),
        );
      };
      let stream = await start({ mode: "committed", fallbackMode: "earliest" });
      return {
        read,
        commit: (topic, partition, offset) =>
          consumer.commit({
            offsets: [{ topic, partition, offset: BigInt(offset), leaderEpoch: 0 }],
          }),
        // A stream is told once where to begin.
        seek: async (topic, partition, offset) => {
          await stream.close();
          const offsets = [{ topic, partition, offset: BigInt(offset) }];
          stream = await start({ mode: "manual", offsets });
        },
        stop: () => consumer.close(true),
      };
    },
    deleteRecords: async (address, topic, partition, offset) => {
      const admin = new Admin(platformaticAt(address));
      const partitions = [{ partition, offset: BigInt(offset) }];
      await admin.deleteRecords({ topics: [{ name: topic, partitions }] });
      await admin.close();
    },
  };
}

export function platformaticAt({ brokers }: Address) {
  return { clientId: "platformatic", bootstrapBrokers: brokers.split(","), connectTimeout: 60_000 };
}
