import { CompressionTypes, Kafka, logLevel } from "kafkajs";
import {
  type Address,
  type Client,
  COMMIT_EVERY_MS,
  HEARTBEAT_MS,
  readings,
  SESSION_MS,
  WAIT_MS,
} from "./client.ts";

export const kafkaJs: Client = {
  name: "KafkaJS",
  compressions: ["none", "gzip"],
  hasTimes: true,
  send: async (address, topic, records, compression) => {
    const producer = kafkaOf(address).producer({ idempotent: true });
    await producer.connect();
    await producer.send({
      topic,
      compression: compression === "gzip" ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: records.map(({ timestamp, ...record }) => ({
        ...record,
        timestamp: String(timestamp),
      })),
    });
    await producer.disconnect();
  },
  join: async (address, membership) => {
    const { read, take } = readings(membership);
    const consumer = kafkaOf(address).consumer({
      groupId: membership.groupId,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: WAIT_MS,
    });
    await consumer.connect();
    await consumer.subscribe({ topics: [...membership.topics], fromBeginning: true });
    await consumer.run({
      autoCommit: !membership.commitsByHand,
      autoCommitInterval: COMMIT_EVERY_MS,
      eachMessage: async ({ topic, partition, message }) => {
        const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [
          name,
          String(value),
        ]);
        take({
          topic,
          partition,
          offset: Number(message.offset),
          key: message.key,
          value: message.value,
          headers: Object.fromEntries(headers),
          timestamp: Number(message.timestamp),
        });
      },
    });
    return {
      read,
      commit: (topic, partition, offset) =>
        consumer.commitOffsets([{ topic, partition, offset: String(offset) }]),
      seek: async (topic, partition, offset) =>
        consumer.seek({ topic, partition, offset: String(offset) }),
      stop: () => consumer.disconnect(),
    };
  },
  deleteRecords: async (address, topic, partition, offset) => {
    const admin = kafkaOf(address).admin();
    await admin.connect();
    await admin.fetchTopicOffsets(topic); // It must have seen the topic.
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
    await admin.disconnect();
  },
};

export function kafkaOf({ brokers, socketFactory }: Address): Kafka {
  return new Kafka({
    // No name of a host, where a socket factory connects.
    brokers: socketFactory === undefined ? brokers.split(",") : ["rivulet:9092"],
    clientId: "kafkajs",
    logLevel: logLevel.NOTHING,
    connectionTimeout: 60_000, // A second, by default: too little on a busy machine.
    ...(socketFactory === undefined ? {} : { socketFactory }),
  });
}
