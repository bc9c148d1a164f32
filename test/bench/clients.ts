// The two sides of a comparison behind one interface: an object that takes messages and gives them back.
import { WebSocket } from "ws";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { writeAppendFrame } from "../../src/protocol/append-frame.ts";
import type { Servers } from "./servers.ts";

/** Room for frames in flight, as in the SDK. */
const WINDOW_BYTES = 1024 * 1024;

export interface Side {
  readonly name: "rivulet" | "bare";
  /** A new, empty object. */
  create(): Promise<Target>;
}

export interface Target {
  /** Sends every payload, `inFlight` at a time, and waits for all responses. */
  produce(payloads: readonly Uint8Array[], inFlight: number): Promise<void>;
  /** Milliseconds from sending each payload to its response, one at a time. */
  latencies(payloads: readonly Uint8Array[]): Promise<number[]>;
  /** Reads everything from the beginning; resolves with the bytes received. */
  readAll(expectedBytes: number): Promise<number>;
  /** Sockets that receive the appends from now on. */
  listen(count: number): Promise<Listeners>;
  /** Milliseconds until the last append is read, by a new reader on an open connection. */
  close(): void;
}

export interface Listeners {
  /** Resolves when each has received this many bytes in total. */
  received(bytes: number): Promise<void>;
  close(): void;
}

/** A batch of `count` records with values of `size` random letters. */
export function payload(count: number, size: number): Uint8Array {
  const records = Array.from({ length: count }, (_, index) => ({
    key: null,
    value: Buffer.alloc(size, 97 + (index % 26)),
    headers: [],
    timestamp: Date.now(),
  }));
  return encodeBatch(records);
}

let created = 0;

export async function createTopic(url: string, config = {}): Promise<string> {
  const name = `bench-${++created}`;
  const response = await fetch(`${url}/v1/topics`, {
    method: "POST",
    body: JSON.stringify({ name, config }),
  });
  if (response.status !== 201) throw new Error(await response.text());
  return name;
}

export function rivuletSide(servers: Servers): Side {
  return {
    name: "rivulet",
    create: async () => rivuletTarget(servers.rivulet, await createTopic(servers.rivulet)),
  };
}

export async function rivuletTarget(url: string, topic: string): Promise<Target> {
  const address = `${url.replace("http", "ws")}/v1/topics/${topic}/partitions/0/socket`;
  const socket = await open(address);
  let requestId = 0;
  const frame = (batches: Uint8Array) =>
    writeAppendFrame({ requestId: requestId++, expectedOffset: null, batches });
  const attach = (reader: WebSocket, offset: number | "latest") =>
    reader.send(JSON.stringify({ type: "attach", attachId: 1, offset, windowBytes: WINDOW_BYTES }));
  const giveBack = (reader: WebSocket, bytes: number) =>
    reader.send(JSON.stringify({ type: "window", attachId: 1, bytes }));
  return {
    produce: (payloads, inFlight) => pipeline(socket, payloads.map(frame), inFlight),
    latencies: (payloads) => oneByOne(socket, payloads.map(frame)),
    readAll: async (expectedBytes) => {
      const reader = await open(address);
      const done = countBytes(reader, expectedBytes, giveBack);
      attach(reader, 0);
      const bytes = await done;
      reader.close();
      return bytes;
    },
    listen: async (count) => {
      const readers = await openMany(address, count);
      const counters = readers.map((reader) => new Counter(reader, giveBack));
      const attached = counters.map((counter) => counter.text);
      for (const reader of readers) attach(reader, "latest");
      await Promise.all(attached);
      return listeners(readers, counters);
    },
    close: () => socket.close(),
  };
}

export function bareSide(servers: Servers): Side {
  return {
    name: "bare",
    create: async () => {
      const address = `${servers.bare.replace("http", "ws")}/?name=bare-${++created}`;
      const socket = await open(address);
      return {
        produce: (payloads, inFlight) => pipeline(socket, payloads, inFlight),
        latencies: (payloads) => oneByOne(socket, payloads),
        readAll: async (expectedBytes) => {
          const reader = await open(address);
          const bytes = await readBare(reader, expectedBytes);
          reader.close();
          return bytes;
        },
        listen: async (count) => {
          const readers = await openMany(`${address}&listen=1`, count);
          return listeners(
            readers,
            readers.map((reader) => new Counter(reader)),
          );
        },
        close: () => socket.close(),
      };
    },
  };
}

/** Requests a window when half of the previous one has arrived, so the object never waits. */
function readBare(reader: WebSocket, expectedBytes: number): Promise<number> {
  return new Promise((resolve) => {
    let received = 0;
    const ask = (from: number) =>
      reader.send(JSON.stringify({ type: "read", from, bytes: WINDOW_BYTES / 2 }));
    reader.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) {
        received += data.length;
        if (received >= expectedBytes) resolve(received);
        return;
      }
      const { next } = JSON.parse(data.toString()) as { next: number };
      if (received < expectedBytes) ask(next);
    });
    ask(1);
  });
}

export function open(address: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address, { perMessageDeflate: false });
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });
}

async function openMany(address: string, count: number): Promise<WebSocket[]> {
  const sockets: WebSocket[] = [];
  while (sockets.length < count) {
    const some = Math.min(50, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: some }, () => open(address)))));
  }
  return sockets;
}

/** Responses come in the order of the frames. */
function pipeline(
  socket: WebSocket,
  frames: readonly Uint8Array[],
  inFlight: number,
): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0;
    let answered = 0;
    const onMessage = (data: Buffer, isBinary: boolean) => {
      if (isBinary) return;
      assertAnswerSize(data);
      answered++;
      if (sent < frames.length) socket.send(frames[sent++] as Uint8Array);
      if (answered < frames.length) return;
      socket.off("message", onMessage);
      resolve();
    };
    socket.on("message", onMessage);
    while (sent < Math.min(inFlight, frames.length)) socket.send(frames[sent++] as Uint8Array);
  });
}

function oneByOne(socket: WebSocket, frames: readonly Uint8Array[]): Promise<number[]> {
  return new Promise((resolve) => {
    const times: number[] = [];
    let sentMs = 0;
    const next = () => {
      const frame = frames[times.length];
      if (frame === undefined) {
        socket.off("message", onMessage);
        resolve(times);
        return;
      }
      sentMs = performance.now();
      socket.send(frame);
    };
    const onMessage = (data: Buffer) => {
      times.push(performance.now() - sentMs);
      assertAnswerSize(data);
      next();
    };
    socket.on("message", onMessage);
    next();
  });
}

function assertAnswerSize(data: Buffer): void {
  if (!data.includes('"appended"')) throw new Error(`not appended: ${data.toString()}`);
}

/** Counts what a socket receives, and returns the window by halves. */
class Counter {
  readonly text: Promise<void>;
  #bytes = 0;
  #due = 0;
  #wanted = Number.POSITIVE_INFINITY;
  #reached: () => void = () => {};

  constructor(socket: WebSocket, giveBack?: (socket: WebSocket, bytes: number) => void) {
    let heard: () => void = () => {};
    this.text = new Promise((resolve) => {
      heard = resolve;
    });
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (!isBinary) {
        heard();
        return;
      }
      this.#bytes += data.length;
      this.#due += data.length;
      if (giveBack !== undefined && this.#due * 2 >= WINDOW_BYTES) {
        giveBack(socket, this.#due);
        this.#due = 0;
      }
      if (this.#bytes >= this.#wanted) this.#reached();
    });
  }

  received(bytes: number): Promise<void> {
    if (this.#bytes >= bytes) return Promise.resolve();
    this.#wanted = bytes;
    return new Promise((resolve) => {
      this.#reached = resolve;
    });
  }

  get bytes(): number {
    return this.#bytes;
  }
}

async function countBytes(
  reader: WebSocket,
  expectedBytes: number,
  giveBack: (socket: WebSocket, bytes: number) => void,
): Promise<number> {
  const counter = new Counter(reader, giveBack);
  await counter.received(expectedBytes);
  return counter.bytes;
}

function listeners(sockets: readonly WebSocket[], counters: readonly Counter[]): Listeners {
  return {
    received: async (bytes) => {
      await Promise.all(counters.map((counter) => counter.received(bytes)));
    },
    close: () => {
      for (const socket of sockets) socket.terminate();
    },
  };
}
