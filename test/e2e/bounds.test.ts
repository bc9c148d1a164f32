// Clients that mean harm, or are broken, over real sockets: no other client notices.
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type BodyPath, bodyPaths } from "../support/body-paths.ts";
import { BrokerProcess } from "./broker.ts";

const MIB = 1024 * 1024;
const TOPIC = "bounds";
const PATHS = bodyPaths(TOPIC, "bounds");
let broker: BrokerProcess;

beforeAll(async () => {
  broker = await BrokerProcess.start();
  await call("POST", "/v1/topics", JSON.stringify({ name: TOPIC }));
  for (let i = 0; i < 8; i++) expect((await produce("x".repeat(MIB - 100))).status).toBe(200);
});
afterAll(() => broker.stop());

function call(method: string, path: string, body?: string): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return fetch(broker.url + path, { method, headers, ...(body === undefined ? {} : { body }) });
}

function produce(value: string): Promise<Response> {
  return call("POST", `/v1/topics/${TOPIC}/records`, JSON.stringify({ records: [{ value }] }));
}

/**
 * Returns the status of a request that is repeated as our own clients do. [BND-26] A read waits ten seconds for its turn,
 * which may not be enough if the machine is busy.
 */
async function statusOfRepeated(ask: () => Promise<Response>): Promise<number> {
  for (;;) {
    const answer = await ask();
    const { code } = (await answer.json()) as { code?: string };
    if (code !== "THROTTLING_QUOTA_EXCEEDED") return answer.status;
  }
}

/** A client that writes what it is told to, and nothing else. */
class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  text = "";
  #wake: () => void = () => {};
  #isClosed = false;

  constructor() {
    this.socket = connect(broker.port, "127.0.0.1");
    this.socket.on("error", () => {}); // The close follows.
    this.socket.on("data", (data) => {
      this.text += data;
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", () => {
        this.#isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** The response, once it contains an error's code. */
  async error(): Promise<{ status: number; code: string; detail: string }> {
    const pattern = /"detail":"((?:[^"\\]|\\.)*)","code":"(\w+)"/;
    while (!pattern.test(this.text) && !this.#isClosed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    const [, detail = "", code = ""] = pattern.exec(this.text) ?? [];
    return { status: Number(/^HTTP\/1.1 (\d+)/.exec(this.text)?.[1]), code, detail };
  }
}

/** A request with this `body`, exactly as it goes over the wire. */
function raw({ method, path, headers }: BodyPath, more: string, body: string | Buffer): RawClient {
  const client = new RawClient();
  const own = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  client.socket.write(
    `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${own.join("")}${more}\r\n`,
  );
  client.socket.write(body);
  return client;
}

const CHUNKED = "transfer-encoding: chunked\r\n";
const isInLines = ({ headers }: BodyPath) => headers.accept !== undefined;

describe.each(PATHS)("$what", (to) => {
  test.each([
    ["chunks that are none", CHUNKED, "5\r\n[[[[[\r\nZZ\r\n", false],
    ["no chunk at all", CHUNKED, "ZZ\r\n", false],
    ["cut off", "content-length: 10\r\n", "[[[", true],
    ["cut off within a chunk", CHUNKED, "5\r\n[[", true],
  ])("[BND-2] a broken body is rejected with the reason: %s", async (_, more, body, endsThere) => {
    const client = raw(to, more, body);
    if (endsThere) client.socket.end();
    const { status, code, detail } = await client.error();
    expect({ status, code }).toEqual({
      status: isInLines(to) ? 200 : 400,
      code: "INVALID_REQUEST",
    });
    expect(detail).toContain("the body is broken, or broke off");
    client.socket.destroy();
  });
});

/** The bytes that the broker's processes have in memory. */
async function memoryOf(pid: number): Promise<number> {
  const { readFileSync, readdirSync } = await import("node:fs");
  let bytes = 0;
  for (const each of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const status = readFileSync(`/proc/${each}/status`, "utf8");
      const isOurs = Number(each) === pid || Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) === pid;
      if (isOurs) bytes += 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    } catch {} // It has ended.
  }
  return bytes;
}

describe("many of them", () => {
  test("[BND-1] [BND-2] uploads that announce much and send little block nobody, and end by themselves", async () => {
    const slow = PATHS.map((to) => raw(to, `content-length: ${16 * MIB}\r\n`, "["));
    const drip = setInterval(() => {
      for (const { socket } of slow) if (!socket.destroyed) socket.write("[");
    }, 1_000);
    for (let i = 0; i < 20; i++) expect((await produce("beside")).status).toBe(200);
    const errors = await Promise.all(slow.map((client) => client.error()));
    clearInterval(drip);
    for (const [i, { status, code, detail }] of errors.entries()) {
      const inLines = isInLines(PATHS[i] as BodyPath);
      expect({ status, code }, PATHS[i]?.what).toEqual({
        status: inLines ? 200 : 408,
        code: "REQUEST_TIMED_OUT",
      });
      expect(detail).toContain("too slowly");
    }
    for (const { socket } of slow) socket.destroy();
  });

  test("[BND-2] compression bombs cost no more than their bound, wherever they go", async () => {
    const before = await memoryOf(broker.pid);
    const bomb = gzipSync(Buffer.alloc(100 * MIB, "["));
    const clients = [...PATHS, ...PATHS, ...PATHS].map((to) =>
      raw(to, `content-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n`, bomb),
    );
    const errors = await Promise.all(clients.map((client) => client.error()));
    for (const { code } of errors)
      expect(["MESSAGE_TOO_LARGE", "THROTTLING_QUOTA_EXCEEDED"]).toContain(code);
    expect(await memoryOf(broker.pid)).toBeLessThan(before + 400 * MIB);
    expect((await produce("after")).status).toBe(200);
    for (const { socket } of clients) socket.destroy();
  });

  test("[BND-6] clients that do not read cost no more than the bound, and others are answered", async () => {
    const before = await memoryOf(broker.pid);
    const path = `/v1/topics/${TOPIC}/partitions/0/records?maxBytes=8388608`;
    const clients = Array.from({ length: 60 }, (_, i) => {
      const accept = i % 2 === 0 ? "application/json" : "application/x-ndjson";
      const client = new RawClient();
      client.socket.pause();
      client.socket.write(
        `GET ${i % 2 === 0 ? path : path.split("?")[0]} HTTP/1.1\r\nhost: localhost\r\naccept: ${accept}\r\n\r\n`,
      );
      return client;
    });
    for (let i = 0; i < 20; i++) {
      const read = () => call("GET", `/v1/topics/${TOPIC}/partitions/0/records?maxRecords=1`);
      expect(await statusOfRepeated(read)).toBe(200);
      expect(await statusOfRepeated(() => produce("beside"))).toBe(200);
    }
    expect(await memoryOf(broker.pid)).toBeLessThan(before + 500 * MIB);
    for (const { socket } of clients) socket.destroy();
  });

  /**
   * The first messages of a client that reads no responses, and the one that it repeats. Each response is larger than it.
   */
  const memberId = "6f1b5d0c-5b0a-4f9a-9a55-111111111111";
  const others = Array.from({ length: 1_000 }, (_, partition) => ({
    topicId: memberId,
    partition,
    offset: 1,
  }));
  const ASKED: [string, string, object[], object][] = [
    [
      "a group's socket",
      "socket",
      [{ type: "join", memberId, memberEpoch: 0, topics: [TOPIC] }],
      { type: "commit", requestId: 1, memberEpoch: 1, offsets: others },
    ],
    [
      "a plain consumer",
      `consume?topics=${TOPIC}&from=latest`,
      [],
      { type: "ack", topic: "x".repeat(249), partition: 7, offset: 1 },
    ],
  ];
  test.each(ASKED)(
    "[BND-17] %s that sends requests and does not read is closed",
    async (_, way, first, again) => {
      const group = `asks-${way.split("?")[0]}`;
      const url = `${broker.url.replace("http", "ws")}/v1/groups/${group}/${way}`;
      const socket = new WebSocket(url);
      const closed = new Promise<string>((resolve) => {
        socket.on("close", (code, reason) => resolve(`${code} ${reason}`));
      });
      await new Promise((resolve) => socket.once("open", resolve));
      socket.pause();
      const isConnected = async () => {
        const response = await call("GET", `/v1/groups/${group}`);
        const { members = [] } = (await response.json()) as { members?: { connected: boolean }[] };
        return members.some(({ connected }) => connected);
      };
      const ask = async (messages: object[]) => {
        const texts = messages.map((message) => JSON.stringify(message));
        await Promise.all(
          texts.map((text) => new Promise((resolve) => socket.send(text, resolve))),
        );
      };
      await ask(first);
      while (!(await isConnected())) await new Promise((resolve) => setTimeout(resolve, 20));
      while (await isConnected()) await ask(new Array(50).fill(again));
      socket.resume();
      expect(await closed).toMatch(/^4000 THROTTLING_QUOTA_EXCEEDED: /);
    },
  );

  test("[BND-18] readers of a partition that do not read cost no more than the bound", async () => {
    const path = `${broker.url.replace("http", "ws")}/v1/topics/${TOPIC}/partitions/0/socket`;
    const attach = JSON.stringify({ type: "attach", offset: 0, windowBytes: 4 * MIB });
    const before = await memoryOf(broker.pid);
    const open = async () => {
      const socket = new WebSocket(path);
      await new Promise((resolve) => socket.once("open", resolve));
      await new Promise((resolve) => socket.send(attach, resolve));
      return socket;
    };
    // One is sent something before all others leave so much unread that newcomers must wait [BND-25].
    const first = await open();
    await new Promise((resolve) => first.once("message", resolve));
    first.pause();
    const others = await Promise.all(
      Array.from({ length: 149 }, async () => {
        const socket = await open();
        socket.pause();
        return socket;
      }),
    );
    const readers = [first, ...others];
    expect((await produce("beside")).status).toBe(200);
    expect(await memoryOf(broker.pid)).toBeLessThan(before + 300 * MIB);
    // One that finally reads gets what its window has room for.
    const reader = readers[0] as WebSocket;
    let bytes = 0;
    const full = new Promise<void>((resolve) => {
      reader.on("message", (data: Buffer, isBinary) => {
        if (isBinary) bytes += data.length;
        if (bytes >= 4 * MIB) resolve();
      });
    });
    reader.resume();
    await full;
    for (const socket of readers) socket.terminate();
  });

  test("[BND-7] a plain client is sent nothing more until it reads, and it does not count as done", async () => {
    const count = 48;
    const topic = "unread";
    await call("POST", "/v1/topics", JSON.stringify({ name: topic }));
    const value = "x".repeat(MIB / 2);
    for (let i = 0; i < count; i++)
      await call("POST", `/v1/topics/${topic}/records`, JSON.stringify({ records: [{ value }] }));

    const open = async (group: string) => {
      const query = `topics=${topic}&ack=auto&from=earliest`;
      const url = `${broker.url.replace("http", "ws")}/v1/groups/${group}/consume?${query}`;
      const socket = new WebSocket(url);
      const offsets: number[] = [];
      socket.on("message", (data) => {
        const message = JSON.parse(String(data));
        for (const record of message.records ?? []) offsets.push(record.offset);
      });
      await new Promise((resolve) => socket.once("open", resolve));
      socket.pause();
      return { socket, offsets };
    };
    const stateOf = async (group: string) => {
      const { state, offsets } = (await (await call("GET", `/v1/groups/${group}`)).json()) as {
        state: string;
        offsets: { committedOffset: number | null }[];
      };
      return { state, committed: offsets[0]?.committedOffset ?? 0 };
    };
    const until = async (isTrue: () => boolean | Promise<boolean>) => {
      while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 50));
    };

    const reads = await open("unread-reads");
    const dead = await open("unread-dead");
    await until(async () => (await stateOf("unread-reads")).committed > 0);
    // It has gone as far as it gets once it stays there.
    let last = -1;
    let same = 0;
    await until(async () => {
      const { committed } = await stateOf("unread-reads");
      same = committed === last ? same + 1 : 0;
      last = committed;
      return same === 20;
    });
    expect(last).toBeLessThan(count);
    reads.socket.resume();
    await until(() => reads.offsets.length >= count);
    expect(reads.offsets).toEqual(Array.from({ length: count }, (_, i) => i));
    await until(async () => (await stateOf("unread-reads")).committed === count);
    // A client that takes nothing at all is disconnected.
    await until(async () => (await stateOf("unread-dead")).state === "EMPTY");
    expect((await stateOf("unread-dead")).committed).toBeLessThan(count);
    reads.socket.terminate();
    dead.socket.terminate();
  });
});
