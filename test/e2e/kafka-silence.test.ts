// Kafka clients that do not do their part, over real sockets: each is closed with the reason in the log, and others are
// served meanwhile. They wait in parallel, for as long as the broker does.
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAX_KAFKA_REQUEST_BYTES } from "../../src/core/limits.ts";
import { RawKafka } from "../support/kafka-client.ts";
import { encodeRequest, framed } from "../support/kafka-frames.ts";
import { METADATA } from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  for (let i = 0; i < 60; i++)
    await fetch(`${broker.url}/v1/topics`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: `many-${i}`, partitions: 1_000 }),
    });
});
afterAll(() => broker.stop());

/** Bytes to the broker, and nothing is read. */
interface Line {
  readonly socket: Socket;
  send(bytes: Uint8Array): void;
}

async function overTcp(): Promise<Line> {
  const [host = "", port] = broker.kafka.split(":");
  const socket = connect(Number(port), host);
  socket.on("error", () => {});
  return { socket, send: (bytes) => void socket.write(bytes) };
}

/** By hand: a WebSocket of Node reads everything that comes. */
async function overWebSocket(): Promise<Line> {
  const socket = connect(broker.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    [
      "GET /kafka HTTP/1.1",
      "Host: localhost",
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      "Sec-WebSocket-Version: 13",
      "\r\n",
    ].join("\r\n"),
  );
  await new Promise((resolve) => socket.once("data", resolve));
  return {
    socket,
    send: (bytes) => {
      const head = Buffer.alloc(14);
      head[0] = 0x82;
      head[1] = 0x80 | 127;
      head.writeBigUInt64BE(BigInt(bytes.length), 2); // The mask is zeros.
      socket.write(Buffer.concat([head, bytes]));
    },
  };
}

function announced(length: number, sent: number): Buffer {
  const bytes = Buffer.alloc(4 + sent);
  bytes.writeInt32BE(length);
  return bytes;
}

const allTopics = framed(encodeRequest(METADATA, 1, { topics: null }));

const CASES = [
  { what: "nothing", does: () => {}, reason: "no request came" },
  {
    what: "half a length",
    does: ({ send }: Line) => send(new Uint8Array(2)),
    reason: "a request does not arrive",
  },
  {
    what: "half a request",
    does: ({ send }: Line) => send(announced(MAX_KAFKA_REQUEST_BYTES, 1_000_000)),
    reason: "a request does not arrive",
  },
  {
    what: "a byte a second",
    does: ({ send, socket }: Line) => {
      send(announced(MAX_KAFKA_REQUEST_BYTES, 1_000));
      const timer = setInterval(() => send(new Uint8Array(1)), 1_000);
      socket.on("close", () => clearInterval(timer));
    },
    reason: "a request does not arrive",
  },
  {
    what: "requests, and takes no response",
    does: ({ send, socket }: Line) => {
      socket.pause();
      for (let i = 0; i < 40; i++) send(allTopics);
    },
    reason: "the answers were not taken",
  },
];

const WAYS = [
  { way: "TCP", open: overTcp },
  { way: "a WebSocket", open: overWebSocket },
];

const closedLines = (reason: string) =>
  broker.lines.filter((line) => line.includes("connection closed") && line.includes(reason));

test("[BND-11] [BND-12] a client that does not do its part is closed, over TCP and over WebSockets, and no other", async () => {
  const ended: Promise<unknown>[] = [];
  const sockets: Socket[] = [];
  for (const { way, open } of WAYS)
    for (const { does } of CASES) {
      const line = await open();
      sockets.push(line.socket);
      // Over a WebSocket the client would have to end it, once it is told to.
      if (way === "TCP") ended.push(new Promise((resolve) => line.socket.once("close", resolve)));
      does(line);
      if (!line.socket.isPaused()) line.socket.resume();
    }
  const other = new RawKafka(broker.kafka);
  await until(
    "all are closed",
    async () => {
      expect(await other.ask(METADATA, 1, { topics: [] })).toMatchObject({ controllerId: 0 });
      return closedLines("").length === WAYS.length * CASES.length;
    },
    100_000,
    100, // Each look is a request, for half a minute.
  );
  for (const { reason } of CASES) {
    const cases = CASES.filter((each) => each.reason === reason);
    expect(closedLines(reason)).toHaveLength(WAYS.length * cases.length);
  }
  for (const socket of sockets) socket.resume(); // A client that did not read finds that it was closed.
  await Promise.all(ended);
  for (const socket of sockets) socket.destroy();
  other.close();
});

test("[BND-10] fifteen half-sent requests of the largest size close some of themselves, and no client that is served", async () => {
  const other = new RawKafka(broker.kafka);
  await other.ask(METADATA, 1, { topics: [] });
  const before = closedLines("this one takes the most").length;
  const half = announced(MAX_KAFKA_REQUEST_BYTES, MAX_KAFKA_REQUEST_BYTES - 1);
  const lines: Line[] = [];
  for (let i = 0; i < 15; i++) {
    const line = await (i % 2 === 0 ? overTcp() : overWebSocket());
    line.socket.resume();
    lines.push(line);
    line.send(half);
    expect(await other.ask(METADATA, 1, { topics: [] })).toMatchObject({ controllerId: 0 });
  }
  while (closedLines("this one takes the most").length < before + 11)
    await other.ask(METADATA, 1, { topics: [] });
  const large = new RawKafka(broker.kafka);
  const request = Buffer.concat([encodeRequest(METADATA, 1, { topics: [] }), Buffer.alloc(16e6)]);
  large.socket.write(framed(request));
  await large.frame();
  for (const { socket } of lines) socket.destroy();
  for (const each of [other, large]) each.close();
});
