// One client's demands on the broker are bounded: decompression, bodies, windows, producer ids.
import { exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { compressor } from "../../src/compression/compress.ts";
import {
  MAX_ANSWER_BYTES_IN_PROGRESS,
  MAX_DECODED_FETCH_BYTES,
  MAX_DECODED_REQUEST_BYTES,
} from "../../src/core/limits.ts";
import { COMPRESSIONS } from "../../src/core/log/compression.ts";
import { type Compressor, encodeBatch } from "../../src/core/log/record-batch.ts";
import { partitionStub } from "../../src/env.ts";
import { memory } from "../../src/memory.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import { bodyPaths } from "../support/body-paths.ts";
import {
  call,
  createTopic,
  env,
  eventually,
  expectStatus,
  type Fetched,
  fetchRecords,
  isBytes,
  joined,
  ORIGIN,
  produce,
  recordBatch,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.useRealTimers());

const MIB = 1024 * 1024;

/** A batch of a kilobyte or so whose one record has a value of this size. */
function foldedBatch(sizeInBytes: number): Uint8Array {
  const value = new Uint8Array(sizeInBytes).fill(97);
  const compression = compressor(COMPRESSIONS.zstd) as Compressor;
  return encodeBatch([{ key: null, value, headers: [], timestamp: 1 }], { compression });
}

async function newPartition() {
  const topic = await createTopic(1);
  return { topic, stub: partitionStub(env, topic.topicId, 0) };
}

describe("compressed batches", () => {
  test("[FCH-1] [ZIP-2] a read ends where its decompressed data exceeds its bound, and continues from there", async () => {
    const { topic, stub } = await newPartition();
    const count = 20;
    const batches = Array.from({ length: count }, () => foldedBatch(MIB));
    expect(await stub.append({ batches: joined(...batches) })).toMatchObject({ ok: true });
    const most = MAX_DECODED_FETCH_BYTES / MIB;
    let read = 0;
    while (read < count) {
      const { records, nextOffset } = await fetchRecords(topic.name, 0, `?offset=${read}`);
      expect(records.length).toBe(Math.min(most, count - read));
      read += records.length;
      expect(nextOffset).toBe(read);
    }
  });

  test("[VAL-2] [ZIP-2] batches that together decompress beyond the bound are rejected, and nothing is stored", async () => {
    const { topic } = await newPartition();
    const path = `/v1/topics/${topic.name}/partitions/0/batches`;
    const batch = foldedBatch(8 * MIB);
    const most = MAX_DECODED_REQUEST_BYTES / (8 * MIB);
    const post = (count: number) =>
      call("POST", path, joined(...Array.from({ length: count }, () => batch)));
    expect(await post(most + 1)).toMatchObject({
      status: 413,
      body: { code: "MESSAGE_TOO_LARGE", detail: expect.stringContaining("decompress") },
    });
    expect((await fetchRecords(topic.name, 0)).highWatermark).toBe(0);
    expect(await post(most - 1)).toMatchObject({ status: 200 });
  });
});

describe("bodies", () => {
  test("[PRD-4] a compressed body that breaks off is rejected by name", async () => {
    const { topic } = await newPartition();
    const path = `/v1/topics/${topic.name}/records`;
    const body = new Uint8Array([0x1f, 0x8b, 8, 0]);
    expect(await call("POST", path, body, { "content-encoding": "gzip" })).toMatchObject({
      status: 400,
      body: {
        code: "INVALID_REQUEST",
        detail: expect.stringContaining("the body is not gzip"),
      },
    });
  });
});

describe.each(bodyPaths("bounds-topic", "bounds-group"))("$what", ({ method, path, headers }) => {
  /** The problem, or the line in its place. */
  async function refusal(body: BodyInit, more: Record<string, string> = {}) {
    await call("POST", "/v1/topics", { name: "bounds-topic" });
    const response = await exports.default.fetch(`${ORIGIN}${path}`, {
      method,
      headers: { ...headers, ...more },
      body,
    });
    const told = (await response.json()) as { error?: Problem } & Problem;
    return told.error ?? told;
  }
  interface Problem {
    readonly code: string;
    readonly detail: string;
  }

  async function packed(format: "gzip" | "deflate", bytes: number): Promise<ArrayBuffer> {
    const stream = new Blob([new Uint8Array(bytes).fill(0x5b)]).stream();
    return new Response(stream.pipeThrough(new CompressionStream(format))).arrayBuffer();
  }

  test("[BND-4] a million brackets are rejected with the bound on depth", async () => {
    const { code, detail } = await refusal(`{"a":${"[".repeat(1_000_000)}`);
    if (path.endsWith("/batches")) return expect(code).toBe("CORRUPT_MESSAGE");
    expect(code).toBe("INVALID_REQUEST");
    expect(detail).toContain("nested more than 100 levels deep");
  });

  test.each(["gzip", "deflate"] as const)(
    "[BND-2] %s that decompresses beyond the bound, breaks off or is invalid is rejected",
    async (format) => {
      const encoding = { "content-encoding": format };
      expect((await refusal(await packed(format, 17 * MIB), encoding)).code).toBe(
        "MESSAGE_TOO_LARGE",
      );
      for (const body of [(await packed(format, MIB)).slice(0, 500), "plain text"]) {
        const { code, detail } = await refusal(body, encoding);
        expect({ code, detail }).toEqual({
          code: "INVALID_REQUEST",
          detail: expect.stringContaining(`the body is not ${format}`),
        });
      }
    },
  );
});

describe("large bodies of records", () => {
  const COUNT = 3_000;
  const padding = "x".repeat(500);
  /** Records of every kind, which take more than a megabyte. */
  const records = Array.from({ length: COUNT }, (_, i) => ({
    ...(i % 3 === 0 ? { key: `k${i}` } : {}),
    value: i % 2 === 0 ? `${padding}${i}` : { padding, i },
    ...(i % 5 === 0 ? { headers: { h: [`${i}`, null] }, timestamp: i } : {}),
    partition: i % 2,
  }));
  const post = (topic: string, body: string, headers = {}) =>
    exports.default.fetch(`${ORIGIN}/v1/topics/${topic}/records`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
  const linesOf = (some: readonly object[]) => some.map((each) => JSON.stringify(each)).join("\n");

  test.each([
    ["JSON", (some: readonly object[]) => JSON.stringify({ records: some }), "application/json"],
    ["lines", linesOf, "application/x-ndjson"],
  ])("[PRD-9] %s: all is stored as it was sent, once under one key", async (_, write, type) => {
    const topic = await createTopic(2);
    const headers = { "content-type": type, "idempotency-key": unique("key") };
    for (let times = 0; times < 2; times++) {
      const response = await post(topic.name, write(records), headers);
      const { results } = (await response.json()) as { results: { offset: number }[] };
      expect(response.status).toBe(200);
      expect(results.map(({ offset }) => offset)).toEqual(records.map((_, i) => i >> 1));
    }
    for (const partition of [0, 1]) {
      const read = await fetchRecords(topic.name, partition, `?offset=${COUNT / 2 - 20}`);
      const sent = records.filter((each) => each.partition === partition).slice(-20);
      expect(read.records).toHaveLength(20);
      for (const [i, { key, value, headers, timestamp }] of read.records.entries()) {
        const each = sent[i] as (typeof records)[number];
        expect({ key, value, headers }).toEqual({
          key: each.key ?? null,
          value: typeof each.value === "string" ? each.value : JSON.stringify(each.value),
          headers: each.headers ?? {},
        });
        if (each.timestamp !== undefined) expect(timestamp).toBe(each.timestamp);
      }
    }
  });

  test.each<[string, (text: string) => string, string]>([
    [
      "a record",
      (text) => text.replace('"partition":1}]', '"partition":-1}]'),
      "records[2999].partition: must be",
    ],
    ["a field beside them", (text) => text.replace(/}$/, ',"x":1}'), "the request: unknown field"],
    ["the list", (text) => text.replace(/]}$/, ",]}"), "the body is not JSON"],
    ["the end", (text) => text.slice(0, -1), "the body is not JSON"],
    ["an offset", (text) => text.replace(/}$/, ',"expectedOffset":-1}'), "expectedOffset: must be"],
    [
      "a place",
      (text) => text.replace('"partition":1}]', '"partition":7}]'),
      "records[2999].partition is 7",
    ],
  ])("[PRD-9] if %s is invalid, nothing is stored", async (_, break_, detail) => {
    const topic = await createTopic(2);
    const response = await post(topic.name, break_(JSON.stringify({ records })));
    const problem = (await response.json()) as { detail: string };
    expect(problem.detail).toContain(detail);
    expect([400, 404]).toContain(response.status);
    for (const partition of [0, 1])
      expect((await fetchRecords(topic.name, partition, "")).records).toEqual([]);
  });

  test("[PRD-9] a body without a list of records is rejected, before anything is made of it", async () => {
    const topic = await createTopic(1);
    const detail = async (body: string) =>
      ((await (await post(topic.name, body)).json()) as { detail: string }).detail;
    const many = (text: string) => Array.from({ length: 300_000 }, () => text).join();
    expect(await detail(`{"x":[${many("{  }")}]}`)).toContain("JSON values, the bound");
    expect(await detail(`{"records":[{"value":[${many("[[],[],[]]")}]}]}`)).toContain(
      "JSON values",
    );
    expect(await detail(`{"records":"${"x".repeat(2_000_000)}"}`)).toContain("records: must be");
  });
});

describe("reads", () => {
  // A response is released a moment after it is read, and these tests count the rest.
  beforeEach(() =>
    eventually(async () => memory.answers.bytes === 0, "earlier answers to be given back"),
  );

  test("[BND-5] no more of a batch is decoded than requested", async () => {
    const { topic, stub } = await newPartition();
    await stub.append({ batches: recordBatch(Array.from({ length: 1_000 }, (_, i) => `v${i}`)) });
    const read = await fetchRecords(topic.name, 0, "?offset=10&maxRecords=5");
    expect(read.records.map(({ value }) => value)).toEqual(["v10", "v11", "v12", "v13", "v14"]);
    expect(read.nextOffset).toBe(15);
  });

  test.each(TWINS)(
    "[BND-6] while much is unread reads are shorter, none is refused, and one after another reads all$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const count = 20;
      for (let i = 0; i < count; i++)
        await produce(topic.name, [{ value: String(i).padEnd(50_000, ".") }]);
      const mebibytes = MAX_ANSWER_BYTES_IN_PROGRESS / MIB - 1;
      const unread = Array.from({ length: mebibytes }, () => memory.answers.hold(() => {}));
      for (const holding of unread) holding.set(MIB);
      const values: number[] = [];
      let longest = 0;
      for (let offset = 0; offset < count; ) {
        const query = `?offset=${offset}&maxBytes=8388608`;
        const { records, nextOffset } = await fetchRecords(topic.name, 0, query);
        expect(records.length).toBeGreaterThan(0);
        for (const { value } of records) values.push(Number(value?.split(".")[0]));
        longest = Math.max(longest, records.length);
        offset = nextOffset;
        await interrupt(partitionStub(env, topic.topicId, 0));
      }
      expect(values).toEqual(Array.from({ length: count }, (_, i) => i));
      expect(longest).toBeLessThan(count / 2);
      for (const holding of unread) holding.release();
      expect((await fetchRecords(topic.name, 0, "?maxBytes=8388608")).records).toHaveLength(count);
    },
  );

  test("[BND-6] a large response comes whole, piece by piece, and holds nothing when it is read", async () => {
    const { topic } = await newPartition();
    const values = Array.from({ length: 30 }, (_, i) => String(i % 10).repeat(50_000));
    for (const value of values) await produce(topic.name, [{ value }]);
    const path = `${ORIGIN}/v1/topics/${topic.name}/partitions/0/records?maxBytes=8000000`;
    const response = await exports.default.fetch(path);
    expect(memory.answers.bytes).toBeGreaterThan(1_500_000);
    const { records, nextOffset } = (await response.json()) as Fetched;
    expect(records.map(({ value }) => value)).toEqual(values);
    expect(nextOffset).toBe(30);
    expect(memory.answers.bytes).toBe(0);
    const left = await exports.default.fetch(path);
    await left.body?.cancel();
    await eventually(async () => memory.answers.bytes === 0, "what was not read to be given back");
  });
});

describe("readers", () => {
  test.each(TWINS)(
    "[TAIL-2] [TAIL-3] a refused attach does not return the window$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      for (let i = 0; i < 10; i++) await stub.append({ batches: recordBatch(["x".repeat(1_000)]) });
      const path = `/v1/topics/${topic.name}/partitions/0/socket`;
      const reader = await TestSocket.open<PartitionMessage>(path);
      const attach = async (attachId: number, offset: number) => {
        reader.send({ type: "attach", attachId, offset, windowBytes: 3_000 });
        return reader.next(
          (message): message is PartitionMessage =>
            !isBytes(message) && message !== "pong" && message.attachId === attachId,
        );
      };
      expect(await attach(1, 0)).toMatchObject({ type: "attached", windowBytes: 3_000 });
      await reader.next(isBytes);
      await reader.untilPong();
      const sentBytes = () =>
        reader.received.filter(isBytes).reduce((size, bytes) => size + bytes.length, 0);
      const sent = sentBytes();
      for (let round = 0; round < 5; round++) {
        expect(await attach(2 + 2 * round, 9_000_000)).toMatchObject({
          type: "error",
          code: "OFFSET_OUT_OF_RANGE",
        });
        await interrupt(stub);
        expect(await attach(3 + 2 * round, 0)).toMatchObject({ type: "attached", windowBytes: 0 });
        await reader.untilPong();
        expect(sentBytes()).toBe(sent);
      }
    },
  );
});

describe("producer ids", () => {
  test("[IDM-6] the Worker's appends are stored even if another client has used its producer's id", async () => {
    const { topic, stub } = await newPartition();
    await produce(topic.name, [{ value: "a" }]);
    const { batches } = (await stub.read({ offset: 0, maxBytes: 1 })) as unknown as {
      batches: Uint8Array;
    };
    const view = new DataView(batches.buffer, batches.byteOffset);
    const producerId = Number(view.getBigInt64(43));
    const foreign = encodeBatch(
      [{ key: null, value: new Uint8Array(1), headers: [], timestamp: 1 }],
      { producerId, producerEpoch: 7, baseSequence: 0 },
    );
    await expectStatus(200, "POST", `/v1/topics/${topic.name}/partitions/0/batches`, foreign);
    for (let i = 0; i < 5; i++)
      expect(await produce(topic.name, [{ value: `b${i}` }])).toMatchObject([{ offset: 2 + i }]);
  });
});
