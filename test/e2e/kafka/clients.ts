// Kafka's clients, unmodified from npm, behind one interface: what each of them sends and reads. All of them know gzip.
import {
  Consumer as PlatformaticConsumer,
  Producer as PlatformaticProducer,
} from "@platformatic/kafka";
import { KafkaClient } from "kafka-crab-js";
import { CompressionTypes, type ISocketFactory, Kafka, logLevel } from "kafkajs";

import { until } from "../../support/until.ts";

export interface Sent {
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: number;
}

export interface Read extends Sent {
  readonly offset: number;
}

export interface Member {
  /** What it has read so far. */
  readonly read: readonly Read[];
  stop(): Promise<void>;
}

export interface Address {
  readonly brokers: string;
  /** KafkaJS connects by it, where there is one. */
  readonly socketFactory?: ISocketFactory;
}

export interface Client {
  readonly name: string;
  /** Whether it can send a null value, a time of its own, and to a partition of its choice. */
  readonly sendsAll: boolean;
  send(address: Address, topic: string, records: readonly Sent[]): Promise<void>;
  join(address: Address, groupId: string, topic: string): Promise<Member>;
}

const SESSION_MS = 10_000;
const HEARTBEAT_MS = 500;

const kafkaJs: Client = {
  name: "KafkaJS",
  sendsAll: true,
  send: async (address, topic, records) => {
    const producer = kafkaOf(address).producer({ idempotent: true });
    await producer.connect();
    await producer.send({
      topic,
      compression: CompressionTypes.GZIP,
      messages: records.map(({ timestamp, ...record }) => ({
        ...record,
        timestamp: String(timestamp),
      })),
    });
    await producer.disconnect();
  },
  join: async (address, groupId, topic) => {
    const consumer = kafkaOf(address).consumer({
      groupId,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: 200,
    });
    const read: Read[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommitInterval: 200,
      eachMessage: async ({ partition, message }) => {
        const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [
          name,
          String(value),
        ]);
        read.push({
          partition,
          offset: Number(message.offset),
          key: message.key,
          value: message.value,
          headers: Object.fromEntries(headers),
          timestamp: Number(message.timestamp),
        });
      },
    });
    return { read, stop: () => consumer.disconnect() };
  },
};

function kafkaOf({ brokers, socketFactory }: Address): Kafka {
  return new Kafka({
    brokers: brokers.split(","),
    clientId: "kafkajs",
    logLevel: logLevel.NOTHING,
    ...(socketFactory === undefined ? {} : { socketFactory }),
  });
}

function platformatic(groupProtocol: "classic" | "consumer"): Client {
  return {
    name: `@platformatic/kafka, ${groupProtocol}`,
    sendsAll: true,
    send: async ({ brokers }, topic, records) => {
      const producer = new PlatformaticProducer({
        clientId: "platformatic",
        bootstrapBrokers: brokers.split(","),
        idempotent: true,
      });
      await producer.send({
        compression: "gzip",
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
    join: async ({ brokers }, groupId, topic) => {
      const consumer = new PlatformaticConsumer({
        clientId: "platformatic",
        bootstrapBrokers: brokers.split(","),
        groupId,
        ...(groupProtocol === "consumer"
          ? { groupProtocol }
          : { sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS }),
      });
      const read: Read[] = [];
      const stream = await consumer.consume({
        topics: [topic],
        mode: "committed",
        fallbackMode: "earliest",
        autocommit: 200,
        maxWaitTime: 200,
      });
      stream.on("data", ({ partition, offset, key, value, headers, timestamp }) => {
        read.push({
          partition,
          offset: Number(offset),
          key: key ?? null,
          value: value ?? null,
          headers: Object.fromEntries([...headers].map(([a, b]) => [String(a), String(b)])),
          timestamp: Number(timestamp),
        });
      });
      return { read, stop: () => consumer.close(true) };
    },
  };
}

function librdkafka(protocol: "classic" | "consumer"): Client {
  const clientOf = ({ brokers }: Address) =>
    new KafkaClient({ brokers, clientId: "librdkafka", logLevel: "error" });
  return {
    name: `librdkafka, ${protocol}`,
    sendsAll: false,
    send: async (address, topic, records) => {
      const producer = clientOf(address).createProducer({
        configuration: { "enable.idempotence": true, "compression.type": "gzip" },
      });
      for (const partition of new Set(records.map((record) => record.partition))) {
        const own = records.filter((record) => record.partition === partition);
        await producer.send({
          topic,
          messages: own.map(({ key, value, headers }) => ({
            partition,
            payload: value ?? Buffer.alloc(0),
            headers: Object.fromEntries(
              Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]),
            ),
            ...(key === null ? {} : { key }),
          })),
        } as never);
      }
      await producer.flush();
    },
    join: async (address, groupId, topic) => {
      const consumer = clientOf(address).createConsumer({
        groupId,
        enableAutoCommit: true,
        configuration: {
          "group.protocol": protocol,
          "auto.offset.reset": "earliest",
          "auto.commit.interval.ms": 200,
          "fetch.wait.max.ms": 200,
          ...(protocol === "classic"
            ? { "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS }
            : {}),
        },
      });
      const read: Read[] = [];
      await consumer.subscribe(topic);
      let isStopped = false;
      const reading = (async () => {
        while (!isStopped) {
          for (const message of await consumer.recvBatch(100, 100)) {
            const headers = Object.entries(message.headers ?? {});
            read.push({
              partition: message.partition,
              offset: message.offset,
              key: message.key ?? null,
              value: message.payload,
              headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
              timestamp: Number.NaN,
            });
          }
        }
      })();
      return {
        read,
        stop: async () => {
          // It leaves the group with this, while it is asked for records still.
          consumer.unsubscribe();
          await until("it has let go", () => consumer.assignment().length === 0);
          isStopped = true;
          await reading;
          await consumer.disconnect();
        },
      };
    },
  };
}

export const CLIENTS: readonly Client[] = [
  kafkaJs,
  platformatic("classic"),
  platformatic("consumer"),
  librdkafka("classic"),
  librdkafka("consumer"),
];
