// Attacks: what clients may do that costs a broker memory. Each breaks no rule, or does what a broken client does.
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { WebSocket } from "ws";
import { encodeBatch } from "../../src/core/log/record-batch.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** One attack under way. */
export interface UnderWay {
  /** The clients' outcomes, in a few words. */
  readonly outcome: string;
  /** Disconnects the clients. */
  end(): void;
}

export interface Attack {
  readonly name: string;
  run(url: string, port: number): Promise<UnderWay>;
}

export const ATTACKS: readonly Attack[] = [
  { name: "64 partitions are written to, 5.4 MB each", run: hotPartitions },
  {
    name: "100 readers with the largest window do not read batches of 100 KB",
    run: (url) => deafReaders(url, 100, 100 * KIB),
  },
  {
    name: "100 readers with the largest window do not read batches of 1 MB",
    run: (url) => deafReaders(url, 100, MIB - 200),
  },
  { name: "a plain consumer of 64 partitions never acknowledges", run: silentConsumer },
  { name: "one JSON body of 13.8 MB, 100,000 records", run: (url) => bodies(url, 1, false) },
  { name: "60 gzip bodies that unfold to 13.8 MB each", run: (url) => bodies(url, 60, true) },
  { name: "500 downloads of 8 MB are not read", run: slowDownloads },
];

const TOPIC = "attacked";

async function createTopic(url: string, partitions: number): Promise<void> {
  const body = JSON.stringify({ name: TOPIC, partitions });
  const response = await fetch(`${url}/v1/topics`, { method: "POST", body });
  if (response.status !== 201) throw new Error(await response.text());
}

function batchOf(count: number, valueBytes: number): Uint8Array {
  return encodeBatch(
    Array.from({ length: count }, (_, index) => ({
      key: null,
      value: Buffer.alloc(valueBytes, 97 + (index % 26)),
      headers: [],
      timestamp: Date.now(),
    })),
  );
}

async function append(url: string, partition: number, batch: Uint8Array): Promise<number> {
  const response = await fetch(`${url}/v1/topics/${TOPIC}/partitions/${partition}/batches`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: batch as Uint8Array<ArrayBuffer>,
  });
  await response.arrayBuffer();
  return response.status;
}

/** Runs `count` things, a bounded number at a time, and counts their outcomes. */
async function countEach<T extends string | number>(
  count: number,
  atOnce: number,
  action: (index: number) => Promise<T>,
): Promise<string> {
  const counts = new Map<T | "broken off", number>();
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(atOnce, count) }, async () => {
      while (next < count) {
        const outcome = await action(next++).catch(() => "broken off" as const);
        counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      }
    }),
  );
  return [...counts].map(([outcome, times]) => `${times} × ${outcome}`).join(", ");
}

async function hotPartitions(url: string): Promise<UnderWay> {
  await createTopic(url, 64);
  const batch = batchOf(900, 1_000);
  const outcome = await countEach(64 * 6, 16, (index) => append(url, index % 64, batch));
  return { outcome, end: () => {} };
}

function opened(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url.replace("http", "ws"));
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });
}

async function deafReaders(url: string, count: number, batchBytes: number): Promise<UnderWay> {
  await createTopic(url, 1);
  const batch = batchOf(1, batchBytes);
  for (let bytes = 0; bytes < 8 * MIB; bytes += batch.length) await append(url, 0, batch);
  const sockets: WebSocket[] = [];
  const outcome = await countEach(count, 10, async () => {
    const socket = await opened(`${url}/v1/topics/${TOPIC}/partitions/0/socket`);
    socket.on("error", () => {});
    socket.pause();
    sockets.push(socket);
    await new Promise((resolve) =>
      socket.send(JSON.stringify({ type: "attach", offset: 0, windowBytes: 4 * MIB }), resolve),
    );
    return "attached";
  });
  await pause(2_000);
  const beside = await append(url, 0, batchOf(1, 100));
  return {
    outcome: `${outcome}; an append beside them: ${beside}`,
    end: () => {
      for (const socket of sockets) socket.terminate();
    },
  };
}

async function silentConsumer(url: string): Promise<UnderWay> {
  await createTopic(url, 64);
  const batch = batchOf(500, 60);
  await countEach(64 * 15, 16, (index) => append(url, index % 64, batch));
  const socket = await opened(
    `${url}/v1/groups/silent/consume?topics=${TOPIC}&from=earliest&ack=explicit`,
  );
  let records = 0;
  socket.on("message", (data) => {
    records += (JSON.parse(String(data)).records ?? []).length;
  });
  let before = -1;
  while (records !== before || records === 0) {
    before = records;
    await pause(1_500);
  }
  return { outcome: `was sent ${records} records`, end: () => socket.terminate() };
}

async function bodies(url: string, count: number, isPacked: boolean): Promise<UnderWay> {
  await createTopic(url, 4);
  const record = { key: "k".repeat(20), value: "v".repeat(84), partition: 0 };
  const records = Array.from({ length: 100_000 }, (_, index) => ({
    ...record,
    partition: index % 4,
  }));
  const text = JSON.stringify({ records });
  const body = isPacked ? gzipSync(text) : Buffer.from(text);
  const outcome = await countEach(count, count, async () => {
    const response = await fetch(`${url}/v1/topics/${TOPIC}/records`, {
      method: "POST",
      headers: { ...(isPacked ? { "content-encoding": "gzip" } : {}) },
      body,
    });
    await response.arrayBuffer();
    return response.status;
  });
  return { outcome, end: () => {} };
}

async function slowDownloads(url: string, port: number): Promise<UnderWay> {
  await createTopic(url, 1);
  const batch = batchOf(900, 1_000);
  for (let bytes = 0; bytes < 16 * MIB; bytes += batch.length) await append(url, 0, batch);
  const path = `/v1/topics/${TOPIC}/partitions/0/records?maxBytes=8388608&maxRecords=10000`;
  const sockets: Socket[] = [];
  await countEach(500, 50, async () => {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.pause();
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    return "asked";
  });
  await pause(5_000);
  const response = await fetch(`${url}${path.replace("10000", "1")}`);
  await response.arrayBuffer();
  return {
    outcome: `a read beside them: ${response.status}`,
    end: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
