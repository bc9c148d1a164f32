// A Kafka connection over a WebSocket: where its requests begin and end, what it counts, and how it closes.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { MAX_KAFKA_UNREAD_BYTES } from "../../../../src/core/limits.ts";
import { memory } from "../../../../src/memory.ts";
import { CLOSE_FATAL } from "../../../../src/protocol/close-codes.ts";
import { forgetEverything, isolate } from "../../../../src/worker/edge/isolate.ts";
import type { Api } from "../../../../src/worker/kafka/api.ts";
import { API_VERSIONS } from "../../../../src/worker/kafka/apis/api-versions.ts";
import { METADATA } from "../../../../src/worker/kafka/apis/metadata.ts";
import { Nodes } from "../../../../src/worker/kafka/nodes.ts";
import { serveWebSocket } from "../../../../src/worker/kafka/websocket.ts";
import { decodeResponse, encodeRequest, framed } from "../../../support/kafka-frames.ts";
import { settle } from "./feed-bench.ts";
import { brokerOf } from "./kafka-bench.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  forgetEverything();
});
afterEach(async () => {
  await vi.runAllTimersAsync();
  expect(memory.kafka.bytes).toBe(0);
  expect(isolate.kafka.connections.size).toBe(0);
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** The Worker's side of a client's socket, whose client takes everything unless told otherwise. */
class ClientSocket {
  readonly #listeners = new Map<string, (event: unknown) => void>();
  binaryType = "";
  bufferedAmount = 0;
  isReading = true;
  readonly #sent: Uint8Array[] = [];
  closed: { code: number; reason: string } | null = null;

  accept(): void {}
  addEventListener(type: string, listener: (event: unknown) => void): void {
    this.#listeners.set(type, listener);
  }
  send(bytes: Uint8Array): void {
    this.#sent.push(bytes.slice());
    if (!this.isReading) this.bufferedAmount += bytes.length;
  }
  close(code = 1_005, reason = ""): void {
    this.closed = { code, reason };
  }
  async say(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === "string" ? data : data.slice().buffer;
    this.#listeners.get("message")?.({ data: bytes });
    await settle();
  }
  async goes(): Promise<void> {
    this.#listeners.get("close")?.({ code: 1_000 });
    await settle();
  }
  get bytes(): Uint8Array {
    return concatBytes(this.#sent);
  }
  /** The responses so far, each without its length. */
  get answers(): Uint8Array[] {
    const { bytes } = this;
    const view = new DataView(bytes.buffer);
    const answers: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 4 + view.getInt32(at);
      answers.push(bytes.subarray(at + 4, end));
      at = end;
    }
    return answers;
  }
}

const ALL = { topics: null, allowAutoTopicCreation: false };

function served(topics = { t: 1 }) {
  const socket = new ClientSocket();
  const nodes = new Nodes([{ host: "h", port: 1 }], null);
  const state = { isOver: false };
  void serveWebSocket(socket as unknown as WebSocket, brokerOf(topics), nodes, "/h").then(() => {
    state.isOver = true;
  });
  const request = (api: Api, version: number, body: object, id: number) =>
    framed(encodeRequest(api, version, body, id));
  return { socket, state, request };
}

const idOf = (answer: Uint8Array) => new DataView(answer.buffer, answer.byteOffset).getInt32(0);

test.each([
  ["one by one", [1, 1, 1]],
  ["together", [3]],
])("[KFK-2] requests that come %s are answered in their order", async (_, counts) => {
  const { socket, request } = served();
  let id = 0;
  for (const count of counts) {
    const requests = Array.from({ length: count }, () => request(METADATA, 12, ALL, ++id));
    await socket.say(concatBytes(requests));
  }
  expect(socket.answers.map(idOf)).toEqual([1, 2, 3]);
  await socket.goes();
});

test.each([
  [METADATA, 9, ALL],
  [METADATA, 8, ALL],
  [API_VERSIONS, 3, { clientSoftwareName: "c", clientSoftwareVersion: "1" }],
] as [Api, number, object][])(
  "[KFK-1] the header of a response has tags where the version has them: %#",
  async (api, version, body) => {
    const { socket, request } = served();
    await socket.say(request(api, version, body, 5));
    const [answer] = socket.answers as [Uint8Array];
    expect(idOf(answer)).toBe(5);
    expect(() => decodeResponse(api, version, answer)).not.toThrow();
    await socket.goes();
  },
);

test("[BND-10] the received part of a request counts until it is whole and answered", async () => {
  const { socket, request } = served();
  const whole = request(METADATA, 12, ALL, 1);
  const inFlight = memory.kafka;
  await socket.say(whole.subarray(0, 10));
  expect(inFlight.bytes).toBe(10);
  await socket.say(whole.subarray(10, 15));
  expect(inFlight.bytes).toBe(15);
  expect(socket.answers).toEqual([]);
  await socket.say(concatBytes([whole.subarray(15), whole.subarray(0, 7)]));
  expect(socket.answers).toHaveLength(1);
  expect(inFlight.bytes).toBe(7);
  await socket.say(whole.subarray(7));
  expect(socket.answers).toHaveLength(2);
  expect(inFlight.bytes).toBe(0);
  await socket.goes();
});

test.each([
  ["text", "hello", "binary"],
  ["a length beyond the bound", new Uint8Array([0x7f, 0xff, 0xff, 0xff]), "announced"],
])("[KFK-2] %s closes it with the reason, and nothing more is served", async (_, wrong, reason) => {
  const { socket, request, state } = served();
  await socket.say(wrong);
  expect(socket.closed).toEqual({
    code: CLOSE_FATAL,
    reason: expect.stringContaining(reason),
  });
  await socket.say(request(METADATA, 12, ALL, 1));
  expect(socket.answers).toEqual([]);
  await socket.goes();
  expect(state.isOver).toBe(true);
});

test.each([
  ["asks nothing", 0, 0, "no request came"],
  ["asks no more", 1, 0, "no request came for"],
  ["begins a request and does not go on", 0, 9, "a request does not arrive"],
  ["begins another and does not go on", 1, 9, "a request does not arrive"],
])(
  "[BND-11] a client that %s is closed in time, with the reason",
  async (_, whole, more, reason) => {
    const { socket, request } = served();
    const bytes = request(METADATA, 12, ALL, 1);
    for (let i = 0; i < whole; i++) await socket.say(bytes);
    if (more > 0) await socket.say(bytes.subarray(0, more));
    await vi.advanceTimersByTimeAsync(11 * 60_000);
    expect(socket.closed).toEqual({
      code: CLOSE_FATAL,
      reason: expect.stringContaining(reason),
    });
    await socket.goes();
  },
);

test("[BND-12] a client that takes nothing is sent a bounded part, and the rest as it takes that", async () => {
  const { socket, request } = served({ t: 30_000 });
  socket.isReading = false;
  await socket.say(request(METADATA, 12, ALL, 1));
  const before = socket.bytes.length;
  expect(before).toBeGreaterThan(MAX_KAFKA_UNREAD_BYTES);
  expect(before).toBeLessThanOrEqual(3 * MAX_KAFKA_UNREAD_BYTES);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(socket.bytes.length).toBe(before);
  expect(memory.kafka.bytes).toBeGreaterThan(before);
  socket.isReading = true;
  socket.bufferedAmount = MAX_KAFKA_UNREAD_BYTES;
  await vi.advanceTimersByTimeAsync(5_000);
  const [answer] = socket.answers as [Uint8Array];
  expect(socket.answers).toHaveLength(1);
  expect(answer.length).toBeGreaterThan(before);
  expect(memory.kafka.bytes).toBe(0);
  await socket.goes();
});

test("[KFK-5] it is over when its client has gone and its requests are done", async () => {
  const { socket, request, state } = served();
  const said = socket.say(request(METADATA, 12, ALL, 1));
  await socket.goes();
  await said;
  expect(state.isOver).toBe(true);
  expect(socket.answers).toEqual([]);
});
