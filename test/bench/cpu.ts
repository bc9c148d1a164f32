// The CPU time of a session in the Worker until its estimate reaches a bound (src/worker/edge/invocation.ts). Locally
// nothing bounds it, so only this shows whether the estimate is high enough. Each figure is the CPU time of workerd's
// process, the objects' share included, divided by the estimate. It should be below 1. Most of the CPU of Produce requests
// is the partition's, not the session's. An SDK's append uses as much over a partition's socket, where no code of the Worker
// runs.
import { request } from "node:http";
import { gzipSync, zstdCompressSync } from "node:zlib";
import WebSocket from "ws";
import { batches, type Compressor, encodeBatch } from "../../src/core/log/record-batch.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { ZERO_UUID } from "../../src/worker/kafka/wire.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { RawKafka } from "../support/kafka-client.ts";
import { FETCH, HEARTBEAT, METADATA, PRODUCE } from "../support/kafka-schemas.ts";
import { pidOfWorkerd } from "./kafka/memory.ts";
import { cpuNs } from "./processes/cpu.ts";
import { median, printTable, round } from "./report.ts";

const SESSION_CPU_MS = 500;
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const BACKLOG_BYTES = 128 * 1024 * 1024;
const MAX_BACKLOG_RECORDS = 100_000;
const SIZES = [10, 100, 1_000, 10_000, 100_000];
/** The maximum of records in one batch. */
const BATCHES = [1, 500];

interface Shape {
  readonly name: string;
  /** Serves a session until it ends. Returns the number of repetitions. */
  run(): Promise<number>;
}

interface Options {
  readonly compression?: Compressor | undefined;
  /** True if the values are not UTF-8. */
  readonly isBinary?: boolean;
}

class Bench {
  readonly broker: BrokerProcess;
  readonly rivulet: Rivulet;
  #topics = 0;

  constructor(broker: BrokerProcess) {
    this.broker = broker;
    this.rivulet = new Rivulet({ url: broker.url });
  }

  async topic(partitions = 1): Promise<string> {
    const name = `cpu-${++this.#topics}`;
    // The records have old timestamps, so that they are the same in each run.
    const config = { "retention.ms": -1 };
    await this.rivulet.admin.createTopic({ name, partitions, config });
    return name;
  }

  /** A topic with records of `size` bytes, `perBatch` in a batch. */
  async filled(bytes: number, perBatch: number, options: Options = {}): Promise<string> {
    const name = await this.topic();
    const count = Math.min(MAX_BACKLOG_RECORDS, Math.ceil(BACKLOG_BYTES / (bytes + 70)));
    const path = `${this.broker.url}/v1/topics/${name}/partitions/0/batches`;
    const most = Math.min(perBatch, Math.ceil(1_000_000 / (bytes + 70)));
    const batch = batchOf(bytes, most, options);
    const perRequest = Math.max(1, Math.floor(2_000_000 / (most * (bytes + 70))));
    for (let stored = 0; stored < count; stored += perRequest * batch.records) {
      const body = Buffer.concat(Array.from({ length: perRequest }, () => batch.bytes));
      const answer = await fetch(path, { method: "POST", body });
      if (!answer.ok) throw new Error(`the backlog was refused: ${await answer.text()}`);
    }
    return name;
  }
}

function batchOf(bytes: number, records: number, { compression, isBinary = false }: Options = {}) {
  // Varied text, so that compression has something to do.
  const words = Array.from({ length: 1 + bytes / 4 }, (_, i) => ((i * 7_919) % 997).toString(36));
  const value = new TextEncoder().encode(words.join(" ").padEnd(bytes)).slice(0, bytes);
  if (isBinary) value[0] = 0xff;
  const record = { key: null, value, headers: [], timestamp: 1_700_000_000_000 };
  const all = Array.from({ length: records }, () => record);
  return { bytes: encodeBatch(all, { compression }), records };
}

/** A plain WebSocket, which reads from the beginning, over and over. */
function plain(bench: Bench, name: string, query: string, topic: string): Shape {
  return {
    name,
    run: () =>
      new Promise((resolve, reject) => {
        let count = 0;
        let end = Number.POSITIVE_INFINITY;
        const socket = new WebSocket(`${bench.broker.url.replace("http", "ws")}${query}`);
        void bench.rivulet.admin.listOffset(topic, 0, "latest").then(({ offset }) => {
          end = offset;
        });
        socket.on("message", (data) => {
          const message = JSON.parse(String(data));
          if (message.type !== "records") return;
          count += message.records.length;
          const { offset } = message.records.at(-1);
          const place = { topic, partition: 0 };
          socket.send(JSON.stringify({ type: "ack", ...place, offset }));
          if (offset + 1 >= end) socket.send(JSON.stringify({ type: "seek", ...place, offset: 0 }));
        });
        socket.on("error", reject);
        socket.on("close", (code, reason) =>
          code === 4006 ? resolve(count) : reject(new Error(`${name}: ${code} ${reason}`)),
        );
      }),
  };
}

function eventStream(bench: Bench, name: string, topic: string): Shape {
  return {
    name,
    run: async () => {
      const answer = await fetch(`${bench.broker.url}/v1/topics/${topic}/stream?from=earliest`);
      let count = 0;
      for await (const piece of answer.body ?? [])
        for (const byte of piece) if (byte === 10) count++;
      return Math.round(count / 3);
    },
  };
}

/** A Kafka client that repeats one request. */
function kafka(bench: Bench, name: string, asked: readonly Parameters<RawKafka["ask"]>[]): Shape {
  return {
    name,
    run: async () => {
      const client = new RawKafka(bench.broker.kafka);
      let count = 0;
      try {
        for (;;) {
          const next = asked[count % asked.length] as Parameters<RawKafka["ask"]>;
          await client.ask(...next);
          count++;
        }
      } catch (error) {
        if (!String(error).includes("closed")) throw error;
        client.close();
      }
      return count;
    },
  };
}

interface FetchAnswer {
  readonly topics: readonly {
    readonly partitions: readonly { readonly records: Uint8Array | null }[];
  }[];
}

const fetchFrom = (topic: string, fetchOffset: number, maxWaitMs = 0) => ({
  maxWaitMs,
  minBytes: 1,
  maxBytes: 1_000_000,
  topics: [
    {
      name: topic,
      topicId: ZERO_UUID,
      partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }],
    },
  ],
});

/** Fetches all records from its offset on. */
function fetching(bench: Bench, name: string, topic: string): Shape {
  return {
    name,
    run: async () => {
      const client = new RawKafka(bench.broker.kafka);
      let count = 0;
      let offset = 0;
      try {
        for (;;) {
          const answer = await client.ask<FetchAnswer>(FETCH, 11, fetchFrom(topic, offset, 500));
          const records = answer.topics[0]?.partitions[0]?.records ?? new Uint8Array();
          if (records.length === 0) offset = 0;
          for (const { header } of batches(records)) {
            offset = header.baseOffset + header.lastOffsetDelta + 1;
            count++;
          }
        }
      } catch (error) {
        if (!String(error).includes("closed")) throw error;
        client.close();
      }
      return count;
    },
  };
}

function lines(bench: Bench, name: string, topic: string, bytes: number): Shape {
  const line = `{"value":"${"a".repeat(bytes)}"}\n`;
  const piece = Buffer.from(line.repeat(Math.ceil(200_000 / line.length)));
  return {
    name,
    run: () =>
      new Promise((resolve, reject) => {
        const sent = request(`${bench.broker.url}/v1/topics/${topic}/records`, {
          method: "POST",
          headers: { "content-type": "application/x-ndjson", accept: "application/x-ndjson" },
        });
        let text = "";
        let isOver = false;
        const write = () => {
          while (!isOver && sent.write(piece));
        };
        sent.on("drain", write);
        sent.on("error", () => {});
        sent.on("response", (answer) => {
          answer.on("data", (data) => {
            text += data;
          });
          answer.on("close", () => {
            isOver = true;
            sent.destroy();
            const last = JSON.parse(text.trim().split("\n").at(-1) ?? "");
            if (last.done === false) resolve(last.lines);
            else reject(new Error(text.slice(-200)));
          });
        });
        write();
      }),
  };
}

function linesDown(bench: Bench, name: string, topic: string): Shape {
  return {
    name,
    run: async () => {
      const answer = await fetch(
        `${bench.broker.url}/v1/topics/${topic}/partitions/0/records?offset=0`,
        { headers: { accept: "application/x-ndjson" } },
      );
      const text = await answer.text();
      const all = text.trim().split("\n");
      if (!all.at(-1)?.includes("nextOffset")) throw new Error(`${name}: there is too little`);
      return all.length - 1;
    },
  };
}

/** Each is made when it runs. */
function shapesOf(bench: Bench, only: string): (() => Promise<Shape>)[] {
  const makers: [string, () => Promise<(name: string) => Shape>][] = [];
  for (const perBatch of BATCHES)
    for (const bytes of SIZES) {
      if (perBatch > 1 && bytes > 10_000) continue;
      const what = `${bytes} B, ${perBatch} a batch`;
      let topic: Promise<string> | null = null;
      const filled = () => (topic ??= bench.filled(bytes, perBatch));
      const consume = (query: string) => async () => {
        const name = await filled();
        return (title: string) =>
          plain(
            bench,
            title,
            `/v1/groups/${crypto.randomUUID()}/consume?topics=${name}${query}`,
            name,
          );
      };
      makers.push([`plain, ${what}`, consume("")]);
      if (perBatch > 1) makers.push([`plain, one by one, ${what}`, consume("&window=1")]);
      if (perBatch > 1) makers.push([`plain, ack=auto, ${what}`, consume("&ack=auto")]);
      makers.push([
        `event stream, ${what}`,
        async () => {
          const name = await filled();
          return (title) => eventStream(bench, title, name);
        },
      ]);
      makers.push([
        `fetch, ${what}`,
        async () => {
          const name = await filled();
          return (title) => fetching(bench, title, name);
        },
      ]);
      makers.push([
        `lines down, ${what}`,
        async () => {
          const name = await filled();
          return (title) => linesDown(bench, title, name);
        },
      ]);
      makers.push([
        `produce, ${what}`,
        async () => {
          const name = await bench.topic();
          const records = batchOf(bytes, perBatch).bytes;
          const topics = [
            { name, topicId: ZERO_UUID, partitions: [{ partition: 0, records: [records] }] },
          ];
          const asked = { acks: -1, timeoutMs: 30_000, topics };
          return (title) => kafka(bench, title, [[PRODUCE, 9, asked]]);
        },
      ]);
      if (perBatch > 1)
        makers.push([
          `lines up, ${bytes} B`,
          async () => {
            const name = await bench.topic();
            return (title) => lines(bench, title, name, bytes);
          },
        ]);
    }
  makers.push([
    "plain, binary, 10 B, 500 a batch",
    async () => {
      const name = await bench.filled(10, 500, { isBinary: true });
      const query = `/v1/groups/${crypto.randomUUID()}/consume?topics=${name}`;
      return (title) => plain(bench, title, query, name);
    },
  ]);
  const compressions = [
    ["gzip", { type: 1, compress: gzipSync }],
    ["zstd", { type: 4, compress: zstdCompressSync }],
  ] as const;
  for (const [codec, compression] of compressions)
    makers.push([
      `plain, ${codec}, 1000 B, 500 a batch`,
      async () => {
        const name = await bench.filled(1_000, 500, { compression });
        const query = `/v1/groups/${crypto.randomUUID()}/consume?topics=${name}`;
        return (title) => plain(bench, title, query, name);
      },
    ]);
  makers.push([
    "an append of the SDK, 100 B",
    async () => {
      const name = await bench.topic();
      return (title) => ({
        name: title,
        run: async () => {
          const { producer } = bench.rivulet;
          for (let i = 0; i < 1_000; i++) await producer.send(name, [{ value: "a".repeat(100) }]);
          return 1_000;
        },
      });
    },
  ]);
  makers.push([
    "fetch of nothing",
    async () => {
      const name = await bench.topic();
      return (title) => kafka(bench, title, [[FETCH, 11, fetchFrom(name, 0)]]);
    },
  ]);
  makers.push([
    "metadata of 1,000 partitions",
    async () => {
      const name = await bench.topic(1_000);
      return (title) =>
        kafka(bench, title, [[METADATA, 8, { topics: [{ name, topicId: ZERO_UUID }] }]]);
    },
  ]);
  makers.push([
    "heartbeat of nobody",
    async () => (title) =>
      kafka(bench, title, [[HEARTBEAT, 4, { groupId: "none", generationId: 1, memberId: "m" }]]),
  ]);
  return makers
    .filter(([name]) => name.includes(only))
    .map(
      ([name, make]) =>
        async () =>
          (await make())(name),
    );
}

export async function benchCpu(): Promise<void> {
  const only = process.argv[3] ?? "";
  const broker = await BrokerProcess.start({
    env: { RIVULET_SESSION_CPU_MS: String(SESSION_CPU_MS) },
  });
  try {
    const bench = new Bench(broker);
    const pid = pidOfWorkerd(broker.dataDir);
    const rows: string[][] = [];
    for (const make of shapesOf(bench, only)) {
      const shape = await make();
      const ratios: number[] = [];
      const counts: number[] = [];
      for (let i = 0; i <= ROUNDS; i++) {
        const beforeNs = cpuNs(pid);
        const count = await shape.run();
        const usedMs = (cpuNs(pid) - beforeNs) / 1e6;
        if (i === 0) continue; // Compiled and warm before anything counts.
        ratios.push(usedMs / SESSION_CPU_MS);
        counts.push(count);
      }
      const usPerUnit = (median(ratios) * SESSION_CPU_MS * 1_000) / median(counts);
      rows.push([
        shape.name,
        round(median(ratios)),
        round(Math.max(...ratios)),
        round(usPerUnit),
        String(median(counts)),
      ]);
      process.stderr.write(`${rows.at(-1)?.join(" | ")}\n`);
    }
    console.log(
      `CPU of workerd until a session's estimate says ${SESSION_CPU_MS} ms, divided by that: medians of ${ROUNDS} sessions\n`,
    );
    printTable(["what", "used / estimated", "at most", "µs each", "how many"], rows);
  } finally {
    await broker.stop();
  }
}
