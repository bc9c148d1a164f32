// The promises of Kafka's protocol, request by request, over TCP and over a WebSocket.
import { afterAll, beforeAll, expect, test } from "vitest";
import { batches, decodeBatch, encodeBatch } from "../../src/core/log/record-batch.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { RawKafka } from "../support/kafka-client.ts";
import { decodeResponse, encodeRequest, framed } from "../support/kafka-frames.ts";
import * as messages from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

let broker: BrokerProcess;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { KAFKA_NODES: "3" } });
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());

const utf8 = (text: string) => new TextEncoder().encode(text);
const batchOf = (...values: string[]) =>
  encodeBatch(
    values.map((value) => ({ key: null, value: utf8(value), headers: [], timestamp: 1 })),
  );

function produceRequest(topic: string, acks: number, records: Uint8Array, partition = 0) {
  return {
    acks,
    timeoutMs: 1_000,
    topics: [{ name: topic, partitions: [{ partition, records: [records] }] }],
  };
}

function fetchRequest(topic: string, fetchOffset: number, more: object = {}) {
  const partition = { partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 };
  return {
    maxWaitMs: 5_000,
    minBytes: 1,
    topics: [{ name: topic, partitions: [partition] }],
    ...more,
  };
}

interface Fetched {
  readonly topics: {
    partitions: { errorCode: number; highWatermark: number; records: Uint8Array | null }[];
  }[];
}

const only = (answer: Fetched) => answer.topics[0]?.partitions[0];

test("[KFK-3] ApiVersions is answered in any version, and lists what is served", async () => {
  const client = new RawKafka(broker.kafka);
  const known = await client.ask<{ apiKeys: { apiKey: number; minVersion: number }[] }>(
    messages.API_VERSIONS,
    3,
    { clientSoftwareName: "test", clientSoftwareVersion: "1" },
  );
  const keys = known.apiKeys.map(({ apiKey }) => apiKey);
  expect(keys).toContain(messages.FETCH.key);
  // Transactions and telemetry are not served.
  for (const key of [24, 25, 26, 28, 71, 72]) expect(keys).not.toContain(key);
  expect(known.apiKeys.find(({ apiKey }) => apiKey === 0)?.minVersion).toBe(0);
  client.socket.write(framed(encodeRequest(messages.API_VERSIONS, 99, {})));
  const frame = await client.frame();
  expect(frame.readInt16BE(4)).toBe(35);
  expect(frame.readInt32BE(6)).toBe(keys.length);
  client.close();
});

test("[KFK-4] a fetch waits for min.bytes, and no longer than max.wait; at the end it returns the high watermark", async () => {
  await rivulet.admin.createTopic({ name: "waits" });
  await rivulet.producer.send("waits", [{ value: "first" }]);
  const client = new RawKafka(broker.kafka);
  const fetch = (offset: number, more: object = {}) =>
    client.ask<Fetched>(messages.FETCH, 11, fetchRequest("waits", offset, more));
  expect(only(await fetch(0))).toMatchObject({ errorCode: 0, highWatermark: 1 });
  const empty = only(await fetch(1, { maxWaitMs: 50 }));
  expect(empty).toMatchObject({ errorCode: 0, highWatermark: 1 });
  expect(empty?.records?.length).toBe(0);
  const waiting = fetch(1, { maxWaitMs: 30_000 });
  await rivulet.producer.send("waits", [{ value: "second" }]);
  expect(Buffer.from(only(await waiting)?.records ?? []).toString()).toContain("second");
  const large = fetch(2, { maxWaitMs: 30_000, minBytes: 1_000 });
  await rivulet.producer.send("waits", [{ value: "small" }]);
  await rivulet.producer.send("waits", [{ value: "x".repeat(1_000) }]);
  expect(only(await large)?.records?.length).toBeGreaterThan(1_000);
  // Back, and outside.
  expect(Buffer.from(only(await fetch(0))?.records ?? []).toString()).toContain("first");
  expect(only(await fetch(99))).toMatchObject({ errorCode: 1 });
  expect(
    only(await client.ask<Fetched>(messages.FETCH, 11, fetchRequest("missing", 0))),
  ).toMatchObject({
    errorCode: 3,
  });
  client.close();
});

test("[KFK-5] acks 0 is not answered, 1 and all are; other acks and old versions store nothing", async () => {
  await rivulet.admin.createTopic({ name: "acks" });
  const client = new RawKafka(broker.kafka);
  client.send(messages.PRODUCE, 7, produceRequest("acks", 0, batchOf("zero")));
  for (const [acks, baseOffset] of [
    [1, 1],
    [-1, 2],
  ] as const)
    expect(
      await client.ask(messages.PRODUCE, 7, produceRequest("acks", acks, batchOf("v"))),
    ).toMatchObject({ topics: [{ partitions: [{ errorCode: 0, baseOffset }] }] });
  expect(
    await client.ask(messages.PRODUCE, 9, produceRequest("acks", 2, batchOf("v"))),
  ).toMatchObject({ topics: [{ partitions: [{ errorCode: 21, baseOffset: -1 }] }] });
  expect(
    await client.ask(messages.PRODUCE, 2, produceRequest("acks", 1, batchOf("v"))),
  ).toMatchObject({ topics: [{ partitions: [{ errorCode: 35 }] }] });
  const broken = batchOf("v");
  broken[30] = (broken[30] ?? 0) ^ 1;
  expect(await client.ask(messages.PRODUCE, 9, produceRequest("acks", 1, broken))).toMatchObject({
    topics: [{ partitions: [{ errorCode: 2 }] }],
  });
  expect((await rivulet.admin.listOffset("acks", 0, "latest")).offset).toBe(3);
  client.close();
});

test("[KFK-5] records that arrived before their client left are stored, over a WebSocket too", async () => {
  await rivulet.admin.createTopic({ name: "gone" });
  const request = encodeRequest(messages.PRODUCE, 7, produceRequest("gone", 0, batchOf("sent")));
  for (let i = 0; i < 20; i++) {
    const socket = new WebSocket(`${broker.url.replace("http", "ws")}/kafka`);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    socket.send(framed(request));
    socket.send(framed(request));
    socket.close();
  }
  await until("all is stored", async () => {
    const { offset } = await rivulet.admin.listOffset("gone", 0, "latest");
    return offset === 40;
  });
});

test("[KFK-2] bytes behind a request are skipped: librdkafka asks for all topics so", async () => {
  await rivulet.admin.createTopic({ name: "behind" });
  const client = new RawKafka(broker.kafka);
  const request = encodeRequest(messages.METADATA, 12, { topics: null });
  client.socket.write(framed(Buffer.concat([request, Buffer.from([1, 0, 0])])));
  const { topics } = decodeResponse<{ topics: { name: string }[] }>(
    messages.METADATA,
    12,
    await client.frame(),
  );
  expect(topics.map(({ name }) => name)).toContain("behind");
  client.close();
});

test("[KFK-2] an invalid request closes its connection, with the reason in the log, and no other", async () => {
  const other = new RawKafka(broker.kafka);
  await other.ask(messages.METADATA, 1, { topics: null });
  const wrong = [
    Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]),
    Buffer.from([0x7f, 0xff, 0xff, 0xff]),
    framed(Buffer.from([0, 99, 0, 0, 0, 0, 0, 1])),
    framed(Buffer.from([0, messages.FETCH.key, 0, 2, 0, 0, 0, 0, 0xff, 0xff])),
    framed(encodeRequest(messages.METADATA, 1, { topics: null }).subarray(0, -1)),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
  ];
  for (const bytes of wrong) {
    const client = new RawKafka(broker.kafka);
    client.socket.write(bytes);
    await client.closed;
  }
  const closed = () => broker.lines.filter((line) => line.startsWith("kafka: connection closed"));
  await until("each reason to be told", () => closed().length === wrong.length);
  const told = closed();
  expect(told.every((line) => line.endsWith("(from 127.0.0.1)"))).toBe(true);
  expect(told.some((line) => line.includes("is this TLS?"))).toBe(true);
  expect(told.some((line) => line.includes("is this HTTP?"))).toBe(true);
  expect(await other.ask(messages.METADATA, 1, { topics: [] })).toMatchObject({ controllerId: 0 });
  other.close();
});

test("[KFK-6] nodes over TCP: each has its own port, and answers there", async () => {
  const first = new RawKafka(broker.kafka);
  const { brokers } = await first.ask<{ brokers: { host: string; port: number }[] }>(
    messages.METADATA,
    1,
    { topics: [] },
  );
  first.close();
  const addresses = brokers.map(({ host, port }) => `${host}:${port}`);
  expect(new Set(addresses).size).toBe(3);
  for (const address of addresses) {
    const client = new RawKafka(address);
    expect(await client.ask(messages.METADATA, 1, { topics: [] })).toMatchObject({ brokers });
    client.close();
  }
});

test("[KFK-2] requests over TCP are whole however they are cut: byte by byte, with the next behind them, large ones in pieces", async () => {
  await rivulet.admin.createTopic({ name: "cut" });
  const client = new RawKafka(broker.kafka);
  client.socket.setNoDelay(true);
  const versions = framed(encodeRequest(messages.API_VERSIONS, 0, {}));
  for (const byte of versions)
    await new Promise((resolve) => client.socket.write(Uint8Array.of(byte), resolve));
  const expected = await client.frame();
  const batch = batchOf("x".repeat(300_000));
  const request = encodeRequest(messages.PRODUCE, 3, produceRequest("cut", 1, batch));
  const all = Buffer.concat([versions, framed(request), versions, framed(request), versions]);
  for (const piece of [1_000, 7_001, 100_000, all.length]) {
    for (let at = 0; at < all.length; at += piece)
      await new Promise((resolve) => client.socket.write(all.subarray(at, at + piece), resolve));
    for (let i = 0; i < 5; i++) {
      const answer = await client.frame();
      if (i % 2 === 0) expect(answer).toEqual(expected);
      else
        expect(decodeResponse(messages.PRODUCE, 3, answer)).toMatchObject({
          topics: [{ partitions: [{ errorCode: 0 }] }],
        });
    }
  }
  client.close();
  expect(await rivulet.admin.listOffset("cut", 0, "latest")).toMatchObject({ offset: 8 });
});

/** The values that a topic's first partition holds, in their order. */
async function valuesOf(topic: string): Promise<string[]> {
  const client = new RawKafka(broker.kafka);
  const values: string[] = [];
  for (;;) {
    const request = fetchRequest(topic, values.length, { maxWaitMs: 0, minBytes: 0 });
    const fetched = only(await client.ask<Fetched>(messages.FETCH, 4, request));
    const bytes = fetched?.records ?? new Uint8Array();
    for (const { start } of batches(bytes))
      for (const { value } of decodeBatch(bytes, start))
        values.push(Buffer.from(value ?? []).toString());
    if (values.length >= (fetched?.highWatermark ?? 0)) break;
  }
  client.close();
  return values;
}

test("[KFK-35] requests sent ahead are stored and answered in order, from a topic's first append on", async () => {
  const count = 40;
  const values = Array.from({ length: count }, (_, i) => `${i}`);
  for (let round = 0; round < 5; round++) {
    const topic = `ahead-${round}`;
    await rivulet.admin.createTopic({ name: topic });
    const client = new RawKafka(broker.kafka);
    for (const [i, value] of values.entries()) {
      const acks = round > 0 && i % 3 === 0 ? 0 : 1;
      client.send(messages.PRODUCE, 3, produceRequest(topic, acks, batchOf(value)));
      if (i % 7 === 0) client.send(messages.METADATA, 1, { topics: [] });
      if (i % 11 === 0)
        client.send(messages.PRODUCE, 3, produceRequest("is-not-there", 1, batchOf(value)));
    }
    for (const i of values.keys()) {
      const acks = round > 0 && i % 3 === 0 ? 0 : 1;
      const produced = (errorCode: number) => ({ topics: [{ partitions: [{ errorCode }] }] });
      if (acks !== 0) {
        const stored = decodeResponse(messages.PRODUCE, 3, await client.frame());
        expect(stored).toMatchObject({
          topics: [{ partitions: [{ errorCode: 0, baseOffset: i }] }],
        });
      }
      if (i % 7 === 0)
        expect(decodeResponse(messages.METADATA, 1, await client.frame())).toMatchObject({
          controllerId: 0,
        });
      if (i % 11 === 0)
        expect(decodeResponse(messages.PRODUCE, 3, await client.frame())).toMatchObject(
          produced(3),
        );
    }
    client.close();
    expect(await valuesOf(topic)).toEqual(values);
  }
});

test("[KFK-35] requests sent before the client left, or broke a rule, are stored", async () => {
  for (const acks of [0, 1]) {
    await rivulet.admin.createTopic({ name: `gone-${acks}` });
    const client = new RawKafka(broker.kafka);
    const values = Array.from({ length: 20 }, (_, i) => `${i}`);
    for (const value of values)
      client.send(messages.PRODUCE, 3, produceRequest(`gone-${acks}`, acks, batchOf(value)));
    if (acks === 0) client.socket.end();
    else client.write(framed(new Uint8Array([0, 99, 0, 0, 0, 0, 0, 1])));
    // Each is answered before the connection closes.
    if (acks === 1) for (const _ of values) await client.frame();
    await client.closed;
    expect(await valuesOf(`gone-${acks}`)).toEqual(values);
  }
});

test("[KFK-6] several nodes are advertised, and a request to the wrong one is refused", async () => {
  const { topicId } = await rivulet.admin.createTopic({ name: "nodes", partitions: 6 });
  const url = `${broker.url.replace("http", "ws")}/kafka?advertise=a:1,b:2,[::1]:3`;
  const ask = async <T>(node: string, api: Api, version: number, request: unknown) => {
    const socket = new WebSocket(`${url}${node}`);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const answer = new Promise<Buffer>((resolve) => {
      let all = Buffer.alloc(0);
      socket.addEventListener("message", ({ data }) => {
        all = Buffer.concat([all, Buffer.from(data as ArrayBuffer)]);
        if (all.length >= 4 && all.length === 4 + all.readInt32BE()) resolve(all.subarray(4));
      });
    });
    // In single bytes: any framing will do.
    for (const byte of framed(encodeRequest(api, version, request)))
      socket.send(Uint8Array.of(byte));
    const decoded = decodeResponse<T>(api, version, await answer);
    socket.close();
    return decoded;
  };
  const metadata = await ask<{
    brokers: unknown[];
    topics: { topicId: string; partitions: { leaderId: number }[] }[];
  }>("", messages.METADATA, 12, { topics: [{ name: "nodes" }] });
  expect(metadata.brokers).toMatchObject([
    { nodeId: 0, host: "a", port: 1 },
    { nodeId: 1, host: "b", port: 2 },
    { nodeId: 2, host: "::1", port: 3 },
  ]);
  expect(metadata.topics[0]?.topicId).toBe(topicId);
  const leaders = metadata.topics[0]?.partitions.map(({ leaderId }) => leaderId) ?? [];
  expect(new Set(leaders)).toEqual(new Set([0, 1, 2]));
  for (const node of [0, 1, 2]) {
    const answer = await ask(
      `&node=${node}`,
      messages.PRODUCE,
      9,
      produceRequest("nodes", 1, batchOf("v")),
    );
    const errorCode = node === leaders[0] ? 0 : 6;
    expect(answer).toMatchObject({ topics: [{ partitions: [{ errorCode }] }] });
  }
  const refused = await fetch(`${broker.url}/kafka`);
  expect(refused.status).toBe(400);
});
