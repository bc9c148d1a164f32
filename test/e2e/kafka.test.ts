// Kafka clients against the broker: what they send, read, commit and share.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RawKafka } from "../support/kafka-client.ts";
import { FETCH } from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import type { Client, Compression, Member, Read, Sent } from "./kafka/client.ts";
import { CLIENTS } from "./kafka/clients.ts";
import { KafkaRig, TRANSPORTS } from "./kafka/rig.ts";

let rig: KafkaRig;
beforeAll(async () => {
  rig = await KafkaRig.start();
});
afterAll(() => rig.stop());

const AT_MS = 1_700_000_000_000;
const PARTITIONS = 2;

/** One of each kind, and some that are worth compressing. */
const RECORDS: readonly Sent[] = Array.from({ length: 20 }, (_, i) => ({
  partition: i % PARTITIONS,
  key: i % 3 === 0 ? null : Buffer.from(`key ${i}`),
  value:
    i % 5 === 4
      ? null
      : Buffer.from([0, 0xff, i, ...Buffer.from("välue".repeat(i === 3 ? 0 : 50))]),
  headers: i % 2 === 0 ? {} : { trace: `t-${i}`, other: "" },
  timestamp: AT_MS + i,
}));

/** In no order, because a client that does not choose the partitions does not choose the order either. */
function shown(records: readonly Sent[], sender: Client, hasTimes = sender.hasTimes) {
  return records
    .map(({ partition, key, value, headers, timestamp }) => ({
      key: key?.toString("hex") ?? null,
      value: value?.toString("hex") ?? null,
      headers: Object.entries(headers).sort(),
      ...(sender.hasTimes ? { partition } : {}),
      ...(sender.hasTimes && hasTimes ? { timestamp } : {}),
    }))
    .map((record) => JSON.stringify(record))
    .sort();
}

const COMPRESSIONS: readonly Compression[] = ["none", "gzip", "snappy", "lz4", "zstd"];

/** The stored batches'. */
async function stored(topic: string, partition: number) {
  const kafka = new RawKafka(rig.broker.kafka);
  const asked = { partition, fetchOffset: 0, partitionMaxBytes: 1_000_000 };
  const answer = await kafka.ask<{ topics: { partitions: { records: Uint8Array | null }[] }[] }>(
    FETCH,
    11,
    { maxWaitMs: 0, minBytes: 0, topics: [{ name: topic, partitions: [asked] }] },
  );
  kafka.close();
  const bytes = Buffer.from(answer.topics[0]?.partitions[0]?.records ?? []);
  const batches = [];
  for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8))
    batches.push({
      compression: COMPRESSIONS[bytes.readInt16BE(at + 21) & 7],
      producerId: Number(bytes.readBigInt64BE(at + 43)),
    });
  return batches;
}

async function readOverHttp(topic: string): Promise<Sent[]> {
  const read: Sent[] = [];
  const utf8 = (value: Uint8Array | null) => Buffer.from(value ?? []).toString();
  for await (const record of await rig.rivulet.reader({ topic, from: "earliest" })) {
    const { partition, key, value, headers, timestamp } = record;
    read.push({
      partition,
      key: key && Buffer.from(key),
      value: value && Buffer.from(value),
      headers: Object.fromEntries(headers.map((header) => [header.key, utf8(header.value)])),
      timestamp,
    });
    if (read.length === RECORDS.length) break;
  }
  return read;
}

const offsetsOf = (records: readonly Read[]) => records.map(({ offset }) => offset);

function numbered(from: number, to: number, partitions: number) {
  return Array.from({ length: to - from }, (_, i) => ({
    value: `${from + i}`,
    partition: i % partitions,
  }));
}

function placesOf(records: readonly Read[]): Set<string> {
  return new Set(records.map(({ partition, offset }) => `${partition}/${offset}`));
}

async function committed(groupId: string): Promise<number[]> {
  const { offsets } = await rig.rivulet.admin.describeGroup(groupId);
  return offsets.map((each) => each.committedOffset).filter((offset) => offset !== null);
}

describe.each(TRANSPORTS)("over %s", { concurrent: true }, (transport) => {
  const slug = (text: string) => text.replaceAll(/\W+/g, "-");
  /** One for each producer, and each of its compressions. */
  const SENT = CLIENTS.flatMap((sender) =>
    sender.compressions.map((compression) => ({
      sender,
      compression,
      topic: slug(`${transport} ${sender.name} ${compression}`),
    })),
  );

  beforeAll(async () => {
    const sendAs = async (sender: Client) => {
      for (const { compression, topic } of SENT.filter((each) => each.sender === sender)) {
        await rig.rivulet.admin.createTopic({ name: topic, partitions: PARTITIONS });
        await sender.send(rig.address(transport), topic, RECORDS, compression);
      }
    };
    await Promise.all(CLIENTS.map(sendAs));
  });

  test.each(CLIENTS)(
    "[KFK-7] $name reads what every client sends, in every compression that both know",
    async (client) => {
      const sent = SENT.filter(({ compression }) => client.compressions.includes(compression));
      const member = await client.join(rig.address(transport), {
        groupId: slug(`${transport} ${client.name} reads`),
        topics: sent.map(({ topic }) => topic),
      });
      await until(
        `${client.name} has read`,
        () => member.read.length >= RECORDS.length * sent.length,
      );
      for (const { topic, sender } of sent)
        expect(
          shown(
            member.read.filter((record) => record.topic === topic),
            sender,
            client.hasTimes,
          ),
          topic,
        ).toEqual(shown(RECORDS, sender, client.hasTimes));
      expect(member.read).toHaveLength(RECORDS.length * sent.length);
      await member.stop();
    },
  );

  test("[KFK-7] what they send is stored in its compression, with the producer's id, and HTTP reads it", async () => {
    for (const { topic, sender, compression } of SENT) {
      expect(shown(await readOverHttp(topic), sender), topic).toEqual(shown(RECORDS, sender));
      const batches = [...(await stored(topic, 0)), ...(await stored(topic, 1))];
      // librdkafka does not compress what would grow by it.
      const found = new Set(batches.map((batch) => batch.compression));
      found.delete("none");
      expect([...found], topic).toEqual(compression === "none" ? [] : [compression]);
      expect(Math.min(...batches.map(({ producerId }) => producerId)), topic).toBeGreaterThan(-1);
    }
  });

  test.each(CLIENTS)(
    "[KFK-8] $name: a group shares the partitions, and continues where one member left",
    async (client) => {
      const { admin, producer } = rig.rivulet;
      const topic = await rig.newTopic(4);
      const groupId = `${topic}-group`;
      await admin.alterGroup(groupId, { config: { "consumer.heartbeat.interval.ms": 500 } });
      await producer.send(topic, numbered(0, 40, 4));
      const join = () => client.join(rig.address(transport), { groupId, topics: [topic] });
      const members: Member[] = [await join()];
      const all = () => members.flatMap(({ read }) => read);
      await until("the first has read", () => all().length >= 40);
      members.push(await join());
      await until("both have partitions", async () => {
        const { state, members: now } = await admin.describeGroup(groupId);
        return (
          state === "STABLE" &&
          now.length === 2 &&
          now.every(({ assignment }) => assignment.length > 0)
        );
      });
      await producer.send(topic, numbered(40, 80, 4));
      await until("what came is read", () => placesOf(all()).size >= 80);
      await until("by both", () => members.every(({ read }) => read.length > 0));
      await members[0]?.stop();
      await producer.send(topic, numbered(80, 120, 4));
      await until("the other reads on", () => placesOf(all()).size >= 120);
      await until("all is committed", async () => {
        const { offsets } = await admin.describeGroup(groupId);
        return offsets.every(({ lag }) => lag === 0);
      });
      await members[1]?.stop();
    },
  );

  test.each(CLIENTS)(
    "[KFK-11] $name commits by hand, continues there, and reads from where it seeks to",
    async (client) => {
      const topic = await rig.newTopic(1);
      const groupId = `${topic}-group`;
      await rig.rivulet.producer.send(topic, numbered(0, 10, 1));
      const join = () =>
        client.join(rig.address(transport), { groupId, topics: [topic], commitsByHand: true });
      const first = await join();
      await until("it has read", () => first.read.length >= 10);
      expect(await committed(groupId)).toEqual([]);
      await first.commit(topic, 0, 4);
      await first.stop();
      expect(await committed(groupId)).toEqual([4]);
      const second = await join();
      await until("it has read on", () => second.read.length >= 6);
      await second.seek(topic, 0, 2);
      await until("it has read again", () => second.read.length >= 14);
      expect(offsetsOf(second.read)).toEqual([4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9]);
      await second.stop();
      expect(await committed(groupId)).toEqual([4]);
    },
  );

  test.each(CLIENTS)(
    "[KFK-12] $name deletes records: new members, and those that committed before, read what is left",
    async (client) => {
      const { admin, producer } = rig.rivulet;
      const topic = await rig.newTopic(1);
      await producer.send(topic, numbered(0, 10, 1));
      const [fresh, behind] = [`${topic}-fresh`, `${topic}-behind`];
      await admin.alterGroup(behind, { config: {} });
      await admin.resetGroup(behind, { offsets: [{ topic, partition: 0, offset: 2 }] });
      await client.deleteRecords(rig.address(transport), topic, 0, 6);
      expect((await admin.listOffset(topic, 0, "earliest")).offset).toBe(6);
      const members = await Promise.all(
        [fresh, behind].map((groupId) =>
          client.join(rig.address(transport), { groupId, topics: [topic] }),
        ),
      );
      for (const { read } of members) {
        await until("what is left is read", () => read.length >= 4);
        expect(offsetsOf(read)).toEqual([6, 7, 8, 9]);
      }
      await Promise.all(members.map((member) => member.stop()));
    },
  );
});
