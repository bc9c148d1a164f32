// Hundreds of readers of one partition, over real sockets. They are raw ones that follow to relays by the documented
// protocol, the SDK's readers, event streams, and Kafka's consumer. The broker is killed in the middle, and nobody misses a
// record or gets one twice.
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { MAX_DIRECT_READERS, MAX_READERS_PER_RELAY } from "../../src/core/limits.ts";
import { batches, decodeBatch } from "../../src/core/log/record-batch.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { kafkaJs } from "./kafka/kafkajs.ts";

const TOPIC = "wide";
/** More than a relay and the partition serve. */
const READERS = MAX_DIRECT_READERS + MAX_READERS_PER_RELAY + 50;
const STREAMS = 5;
const SDK_READERS = 5;
const RECORDS = 40;
/** This many connect at a time. */
const AT_ONCE = 50;
const GUARD_MS = 90_000;

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { RIVULET_TRACE: "1" } });
  await post("/v1/topics", { name: TOPIC, partitions: 1 });
});
afterAll(() => broker.stop());

async function post(path: string, body: object): Promise<void> {
  const response = await fetch(`${broker.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(response.ok, await response.text()).toBe(true);
}

interface Message {
  readonly type: string;
  readonly relay?: number;
  readonly offset?: number;
}

/** A client of the documented protocol. Whenever its socket closes, it begins at the partition again where it was. */
class Reader {
  readonly offsets: number[] = [];
  relay: number | null = null;
  isAttached = false;
  #socket: WebSocket | null = null;
  #isDone = false;

  start(relay: number | null = null, offset = this.offsets.length): void {
    if (this.#isDone) return;
    this.isAttached = false;
    this.relay = relay;
    const query = relay === null ? "" : `?relay=${relay}`;
    const path = `/v1/topics/${TOPIC}/partitions/0/socket${query}`;
    const socket = new WebSocket(`${broker.url.replace("http", "ws")}${path}`);
    this.#socket = socket;
    socket.on("open", () => {
      const attach = { type: "attach", offset, windowBytes: 100_000 };
      socket.send(JSON.stringify(relay === null ? { ...attach, relays: true } : attach));
    });
    socket.on("message", (data: Buffer, isBinary) => {
      if (isBinary) this.#take(socket, new Uint8Array(data));
      else this.#received(socket, JSON.parse(String(data)) as Message);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket === socket) setTimeout(() => this.start(), 50 + Math.random() * 200);
    });
  }

  #received(socket: WebSocket, message: Message): void {
    if (message.type === "attached") this.isAttached = true;
    if (message.type !== "relay") return;
    this.start(message.relay, message.offset);
    socket.close(1000);
  }

  #take(socket: WebSocket, bytes: Uint8Array): void {
    for (const { start } of batches(bytes))
      for (const { offset } of decodeBatch(bytes, start)) this.offsets.push(offset);
    socket.send(JSON.stringify({ type: "window", bytes: bytes.length }));
  }

  stop(): void {
    this.#isDone = true;
    this.#socket?.close(1000);
  }
}

/** An event stream, as a browser reads it: it returns with the last id. */
class Stream {
  readonly offsets: number[] = [];
  readonly #abort = new AbortController();
  #lastId = "";

  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      await this.#read().catch(() => {});
      if (!this.#abort.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #read(): Promise<void> {
    const headers = this.#lastId === "" ? {} : { "last-event-id": this.#lastId };
    const path = `/v1/topics/${TOPIC}/stream?from=earliest`;
    const { signal } = this.#abort;
    const { body } = await fetch(`${broker.url}${path}`, { headers, signal });
    let text = "";
    const decoder = new TextDecoder();
    for await (const piece of body as unknown as AsyncIterable<Uint8Array>) {
      const events = (text + decoder.decode(piece, { stream: true })).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        this.#lastId = /^id: ?(.*)$/m.exec(event)?.[1] ?? this.#lastId;
        const data = /^data: ?(.*)$/m.exec(event)?.[1];
        if (data !== undefined) this.offsets.push((JSON.parse(data) as { offset: number }).offset);
      }
    }
  }

  stop(): void {
    this.#abort.abort();
  }
}

/** A reader of the SDK. It notes the relays at which its sockets were opened. */
class SdkReader {
  readonly offsets: number[] = [];
  readonly relays: string[] = [];
  #stop = () => {};

  async start(): Promise<void> {
    const { relays } = this;
    class Noting extends WebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols);
        const relay = new URL(url).searchParams.get("relay");
        if (relay !== null) relays.push(relay);
      }
    }
    const rivulet = new Rivulet({ url: broker.url, WebSocket: Noting as never });
    const reader = await rivulet.reader({ topic: TOPIC, from: "earliest" });
    void reader.run({ eachRecord: ({ offset }) => void this.offsets.push(offset) });
    this.#stop = () => void reader.close();
  }

  stop(): void {
    this.#stop();
  }
}

const all = Array.from({ length: RECORDS }, (_, offset) => offset);

test("[RLY-1] [RLY-2] hundreds of readers follow to relays, and none misses a record or gets one twice, even if the broker is killed", async () => {
  const readers = Array.from({ length: READERS }, () => new Reader());
  const areAttached = (some: readonly Reader[]) => some.every(({ isAttached }) => isAttached);
  for (let from = 0; from < READERS; from += AT_ONCE) {
    const some = readers.slice(from, from + AT_ONCE);
    for (const reader of some) reader.start();
    await until("attached", () => areAttached(some), GUARD_MS);
  }
  const numbers = () => new Set(readers.map(({ relay }) => relay));
  expect(readers.filter(({ relay }) => relay === null)).toHaveLength(MAX_DIRECT_READERS);
  expect(numbers()).toEqual(new Set([null, 0, 1]));
  const streams = Array.from({ length: STREAMS }, () => new Stream());
  const running = streams.map((stream) => stream.run());
  const sdkReaders = Array.from({ length: SDK_READERS }, () => new SdkReader());
  await Promise.all(sdkReaders.map((reader) => reader.start()));
  const followers = [...streams, ...sdkReaders];
  const consumed: number[] = [];
  const consumer = await kafkaJs.join(
    { brokers: broker.kafka },
    { groupId: "besides", topics: [TOPIC], onRead: ({ offset }) => consumed.push(offset) },
  );
  try {
    const produce = async (from: number, to: number) => {
      for (let value = from; value < to; value++)
        await post(`/v1/topics/${TOPIC}/records`, { records: [{ value }] });
    };
    await produce(0, RECORDS / 2);
    await until(
      "a first half",
      () => readers.every(({ offsets }) => offsets.length === RECORDS / 2),
      GUARD_MS,
    );
    const { port, dataDir } = broker;
    const kafkaPort = Number(broker.kafka.split(":")[1]);
    await broker.kill();
    broker = await BrokerProcess.start({ port, kafkaPort, dataDir, env: { RIVULET_TRACE: "1" } });
    await produce(RECORDS / 2, RECORDS);
    await until(
      "the rest",
      () => [...readers, ...followers].every(({ offsets }) => offsets.length >= RECORDS),
      GUARD_MS,
    );
    await until("the group", () => new Set(consumed).size === RECORDS, GUARD_MS);
    for (const { offsets } of [...readers, ...followers]) expect(offsets).toEqual(all);
    expect(numbers().size).toBeGreaterThan(1);
    for (const { relays } of sdkReaders) expect(relays).not.toEqual([]);
    const relays = new Set(
      broker.lines.flatMap((line) =>
        line.includes('"object":"relay"') ? [(JSON.parse(line) as { name: string }).name] : [],
      ),
    );
    expect(relays.size).toBeGreaterThanOrEqual(2);
  } finally {
    for (const each of [...readers, ...followers]) each.stop();
    await consumer.stop();
    await Promise.all(running);
  }
});
