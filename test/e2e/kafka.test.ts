// Kafka's clients against the broker, over TCP and over WebSockets.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KafkaBridge } from "../../src/cli/kafka-bridge.ts";
import { Rivulet } from "../../src/client/index.ts";
import { kafkaSocketFactory } from "../../src/kafkajs/socket-factory.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import {
  type Address,
  CLIENTS,
  type Client,
  type Member,
  type Read,
  type Sent,
} from "./kafka/clients.ts";
import { PlainClient } from "./plain-client.ts";

process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";

let broker: BrokerProcess;
let bridge: KafkaBridge;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  bridge = await KafkaBridge.start({
    url: broker.url,
    host: "127.0.0.1",
    port: 0,
    nodes: 1,
    advertise: null,
    onBroken: () => {},
  });
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(async () => {
  await bridge.stop();
  await broker.stop();
});

/** KafkaJS needs no bridge. */
function overWebSocket(client: Client): Address {
  if (client.name !== "KafkaJS") return { brokers: bridge.addresses.join(",") };
  const socketFactory = kafkaSocketFactory({ url: broker.url });
  return { brokers: "rivulet:9092", socketFactory };
}

const TRANSPORTS = [
  ["TCP", () => ({ brokers: broker.kafka }), CLIENTS],
  // What carries the bytes is all that differs.
  ["a WebSocket", overWebSocket, [CLIENTS[0] as Client, CLIENTS[4] as Client]],
] as const;

let names = 0;
async function newTopic(partitions: number): Promise<string> {
  const name = `kafka-${++names}`;
  await rivulet.admin.createTopic({ name, partitions });
  return name;
}

const AT_MS = 1_700_000_000_000;

/** One of each kind, and some. */
function sentTo(partitions: number, count: number): Sent[] {
  return Array.from({ length: count }, (_, i) => ({
    partition: i % partitions,
    key: i % 3 === 0 ? null : Buffer.from(`key ${i}`),
    value: i % 5 === 4 ? null : Buffer.from([0, 0xff, i % 256, ...Buffer.from("välue")]),
    headers: i % 2 === 0 ? {} : { trace: `t-${i}`, other: "" },
    timestamp: AT_MS + i,
  }));
}

/** In the order of the partitions and offsets, without what the client cannot say. */
function shown(records: readonly (Sent | Read)[], { sendsAll }: Client) {
  return records
    .map(({ partition, key, value, headers, timestamp }) => ({
      key: key?.toString("hex") ?? null,
      value: value === null && !sendsAll ? "" : (value?.toString("hex") ?? null),
      headers: Object.entries(headers).sort(),
      ...(sendsAll ? { partition, timestamp } : {}),
    }))
    .map((record) => JSON.stringify(record))
    .sort();
}

describe.each(TRANSPORTS)("over %s", (_, addressOf, sharers) => {
  test.each(CLIENTS)("[KFK-7] $name sends, and every client reads it as it was", async (client) => {
    const topic = await newTopic(3);
    const records = sentTo(3, 60);
    await client.send(addressOf(client), topic, records);
    // Crossed: whoever sends, another kind reads; the classic ones in a group of their own.
    const readers = CLIENTS.filter(({ name }) => name !== client.name).slice(0, 2);
    for (const reader of readers) {
      const member = await reader.join(
        addressOf(reader),
        `${topic}-${reader.name.replaceAll(/\W+/g, "-")}`,
        topic,
      );
      await until(`${reader.name} has read`, () => member.read.length >= records.length);
      const weaker = client.sendsAll ? reader : client;
      expect(shown(member.read, weaker)).toEqual(shown(records, weaker));
      await member.stop();
    }
    // And over HTTP.
    const read: Sent[] = [];
    for await (const record of await rivulet.reader({ topic, from: "earliest" })) {
      const headers = record.headers.map(({ key, value }) => [
        key,
        Buffer.from(value ?? []).toString(),
      ]);
      read.push({
        partition: record.partition,
        key: record.key && Buffer.from(record.key),
        value: record.value && Buffer.from(record.value),
        headers: Object.fromEntries(headers),
        timestamp: record.timestamp,
      });
      if (read.length === records.length) break;
    }
    expect(shown(read, client)).toEqual(shown(records, client));
  });

  test.each(sharers)(
    "[KFK-8] $name: a group shares the partitions, and goes on where one has left",
    async (client) => {
      const topic = await newTopic(4);
      const groupId = `${topic}-group`;
      const config = { "consumer.heartbeat.interval.ms": 500 };
      await rivulet.admin.alterGroup(groupId, { config });
      await rivulet.producer.send(topic, numbered(0, 40));
      const members: Member[] = [await client.join(addressOf(client), groupId, topic)];
      const all = () => members.flatMap(({ read }) => read);
      await until("the first has read", () => all().length >= 40);
      members.push(await client.join(addressOf(client), groupId, topic));
      await until("both have partitions", async () => {
        const { state, members: now } = await rivulet.admin.describeGroup(groupId);
        return (
          state === "STABLE" &&
          now.length === 2 &&
          now.every(({ assignment }) => assignment.length > 0)
        );
      });
      await rivulet.producer.send(topic, numbered(40, 80));
      await until("what came is read", () => placesOf(all()).size >= 80);
      await until("by both", () => members.every(({ read }) => read.length > 0));
      await members[0]?.stop();
      await rivulet.producer.send(topic, numbered(80, 120));
      await until("the other reads on", () => placesOf(all()).size >= 120);
      await until("all is committed", async () => {
        const { offsets } = await rivulet.admin.describeGroup(groupId);
        return offsets.every(({ lag }) => lag === 0);
      });
      await members[1]?.stop();
    },
    60_000,
  );
});

function numbered(from: number, to: number) {
  return Array.from({ length: to - from }, (_, i) => ({ value: `${from + i}`, partition: i % 4 }));
}

function placesOf(records: readonly Read[]): Set<string> {
  return new Set(records.map(({ partition, offset }) => `${partition}/${offset}`));
}

test("[KFK-9] one group of Kafka's clients, the SDK and a plain WebSocket: each partition has one owner", async () => {
  const topic = await newTopic(8);
  const groupId = `${topic}-mixed`;
  const address = { brokers: broker.kafka };
  const kip848 = CLIENTS.filter(({ name }) => name.endsWith("consumer"));
  const members: Member[] = [];
  for (const client of kip848) members.push(await client.join(address, groupId, topic));
  const consumer = rivulet.consumer({ groupId, topics: [topic] });
  const own: string[] = [];
  const ended = consumer.run({
    eachRecord: ({ offset }, { partition }) => void own.push(`${partition}/${offset}`),
  });
  const plain = new PlainClient(broker.url, groupId, `topics=${topic}`);
  const shares = async () => {
    const { state, members: now } = await rivulet.admin.describeGroup(groupId);
    return state === "STABLE"
      ? now.map(({ assignment }) => assignment.flatMap((each) => each.partitions))
      : [];
  };
  await until("all four have two each", async () => {
    const all = await shares();
    return all.length === 4 && all.every((each) => each.length === 2);
  });
  expect((await shares()).flat().sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  await rivulet.producer.send(
    topic,
    Array.from({ length: 80 }, (_, i) => ({ value: i, partition: i % 8 })),
  );
  const seen = () => [
    ...own,
    ...members.flatMap(({ read }) => read.map(({ partition, offset }) => `${partition}/${offset}`)),
    ...plain.records.map(({ partition, offset }) => `${partition}/${offset}`),
  ];
  await until("all is read", () => new Set(seen()).size === 80);
  expect(seen()).toHaveLength(80); // None by two of them.
  await members[0]?.stop();
  await until(
    "three share",
    async () => (await shares()).length === 3 && (await shares()).flat().length === 8,
  );
  await consumer.close();
  await ended;
  plain.close();
  await members[1]?.stop();
}, 60_000);
