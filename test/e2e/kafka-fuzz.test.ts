// Kafka's port under fire: thousands of broken requests over TCP and WebSockets, and one client that works normally.
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { CLOSE_FATAL } from "../../src/protocol/close-codes.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { isDeep, runs } from "../support/effort.ts";
import { RawKafka } from "../support/kafka-client.ts";
import { encodeRequest, framed } from "../support/kafka-frames.ts";
import { KafkaFuzz, type Shot } from "../support/kafka-fuzz.ts";
import * as messages from "../support/kafka-schemas.ts";
import { BrokerProcess } from "./broker.ts";
import { workerdBelow } from "./memory.ts";

const { numRuns: FRAMES } = runs(1_000);
/** After this many of them memory is measured for the first time. */
const WARM_UP = 0.3;
const MAX_GROWTH_MIB = 150;
const AT_ONCE = 8;
/** One in this many connections is a WebSocket. */
const WEB_SOCKET_SHARE = 5;
/** Far more than any response takes; a client neither answered nor closed by then hangs. */
const HANG_MS = 60_000;
/** A client that waits for what may never come leaves after this long. */
const PATIENCE_MS = 500;

const PROBE_ID = 0x70_72_6f_62;
const PROBE = framed(encodeRequest(messages.API_VERSIONS, 0, {}, PROBE_ID));

let broker: BrokerProcess;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());

/** True if the far end closed it. A client that has sent everything hangs up, and must be released. */
function overTcp({ bytes, mayWait }: Shot): Promise<boolean> {
  const [host = "", port] = broker.kafka.split(":");
  const socket = connect(Number(port), host);
  socket.on("error", () => {}); // A reset is an end like any other.
  socket.resume();
  socket.end(bytes);
  return new Promise((resolve) => {
    const goAway = () => {
      socket.destroy();
      resolve(mayWait);
    };
    const timer = setTimeout(goAway, mayWait ? PATIENCE_MS : HANG_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/** The shot is followed by a request that shows that all of it was processed, unless the connection ends on it. */
function overWebSocket({ bytes, mayWait, isWhole }: Shot): Promise<boolean> {
  const socket = new WebSocket(`${broker.url.replace("http", "ws")}/kafka`);
  socket.binaryType = "arraybuffer";
  let answers = Buffer.alloc(0);
  return new Promise((resolve) => {
    const goAway = () => {
      resolve(mayWait);
      socket.close(1000);
    };
    let timer = setTimeout(goAway, HANG_MS);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      timer = setTimeout(goAway, mayWait ? PATIENCE_MS : HANG_MS);
      const half = bytes.length >> 1;
      for (const part of [bytes.subarray(0, half), bytes.subarray(half)])
        socket.send(Uint8Array.from(part));
      if (isWhole) socket.send(Uint8Array.from(PROBE));
      else socket.close(1000);
    });
    socket.addEventListener("message", ({ data }) => {
      answers = Buffer.concat([answers, Buffer.from(data as ArrayBuffer)]);
      while (answers.length >= 8 && answers.length >= 4 + answers.readInt32BE()) {
        if (answers.readInt32BE(4) === PROBE_ID) socket.close(1000);
        answers = answers.subarray(4 + answers.readInt32BE());
      }
    });
    socket.addEventListener("close", ({ code }) => {
      clearTimeout(timer);
      resolve(code === 1000 || code === CLOSE_FATAL);
    });
  });
}

/** Produces a record and fetches it, again and again, over one connection. */
class GoodClient {
  readonly #connection = new RawKafka(broker.kafka);
  readonly #topic: string;
  rounds = 0;

  constructor(topic: string) {
    this.#topic = topic;
  }

  async round(): Promise<void> {
    const value = `round ${this.rounds}`;
    const record = { key: null, value: Buffer.from(value), headers: [], timestamp: 1 };
    const records = [encodeBatch([record])];
    const produced = await this.#connection.ask(messages.PRODUCE, 9, {
      acks: -1,
      timeoutMs: 1_000,
      topics: [{ name: this.#topic, partitions: [{ partition: 0, records }] }],
    });
    const stored = { errorCode: 0, baseOffset: this.rounds };
    expect(produced).toMatchObject({ topics: [{ partitions: [stored] }] });
    const place = { partition: 0, fetchOffset: this.rounds, partitionMaxBytes: 10_000 };
    const fetched = await this.#connection.ask<{
      topics: { partitions: { errorCode: number; records: Uint8Array }[] }[];
    }>(messages.FETCH, 11, {
      maxWaitMs: 10_000,
      minBytes: 1,
      topics: [{ name: this.#topic, partitions: [place] }],
    });
    const [partition] = fetched.topics[0]?.partitions ?? [];
    expect(partition?.errorCode).toBe(0);
    expect(Buffer.from(partition?.records ?? []).toString()).toContain(value);
    this.rounds++;
  }

  close(): void {
    this.#connection.close();
  }
}

/** This many frames; their memory is freed again. */
async function fire(
  fuzz: KafkaFuzz,
  frames: number,
): Promise<{ connections: number; hung: Shot[] }> {
  let left = frames;
  let connections = 0;
  const hung: Shot[] = [];
  const gun = async () => {
    while (left > 0) {
      const shot = fuzz.next();
      left -= shot.frames;
      const isOverWebSocket = connections++ % WEB_SOCKET_SHARE === 0;
      if (!(await (isOverWebSocket ? overWebSocket(shot) : overTcp(shot)))) hung.push(shot);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, gun));
  for (const { name } of await rivulet.admin.listTopics())
    if (name !== CALM && name !== TARGET) await rivulet.admin.deleteTopic(name);
  return { connections, hung };
}

const CALM = "calm";
const TARGET = "target";

test("[KFK-2] whatever is sent, every connection ends, none harms another, and memory stays as it was", async () => {
  await rivulet.admin.createTopic({ name: CALM });
  const { topicId } = await rivulet.admin.createTopic({ name: TARGET, partitions: 2 });
  const fuzz = new KafkaFuzz(1, TARGET, topicId);
  const good = new GoodClient(CALM);
  let isOver = false;
  const minding = (async () => {
    while (!isOver) await good.round();
  })();
  minding.catch(() => {}); // It is awaited below.
  const before = workerdBelow(broker.pid);
  const first = await fire(fuzz, FRAMES * WARM_UP);
  const warm = workerdBelow(broker.pid);
  const second = await fire(fuzz, FRAMES * (1 - WARM_UP));
  const after = workerdBelow(broker.pid);
  isOver = true;
  await minding;
  good.close();
  if (isDeep)
    console.log(
      `${FRAMES} frames over ${first.connections + second.connections} connections, ${good.rounds} rounds beside them; memory ${Math.round(before.memoryMib)}, ${Math.round(warm.memoryMib)}, ${Math.round(after.memoryMib)} MiB`,
    );
  expect([...first.hung, ...second.hung].map(({ bytes }) => bytes.toString("hex"))).toEqual([]);
  expect(after.pid).toBe(before.pid);
  expect(after.memoryMib - warm.memoryMib).toBeLessThan(MAX_GROWTH_MIB);
  // None of it was a broker's own error.
  expect(broker.lines.filter((line) => !isExpected(line))).toEqual([]);
  const newcomer = new GoodClient("new");
  await rivulet.admin.createTopic({ name: "new" });
  await newcomer.round();
  newcomer.close();
}, 1_800_000);

/**
 * A client's fault is reported in a sentence; a broker's own error has its name and its stack. workerd also prints a line
 * about abandoned calls: of clients that left while they waited for others to join.
 */
function isExpected(line: string): boolean {
  return /^Rivulet is ready|^kafka: connection closed: (?!\w*Error)|^An RPC result was not disposed/.test(
    line,
  );
}
