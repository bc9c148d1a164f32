// Record batches as clients encode them: the broker's checks, over HTTP and over the partition socket, and in every
// compression.
import { afterEach, describe, expect, test, vi } from "vitest";
import { compressor } from "../../src/compression/compress.ts";
import { COMPRESSIONS, type CompressionName } from "../../src/core/log/compression.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  type Compressor,
  encodeBatch,
} from "../../src/core/log/record-batch.ts";
import { partitionStub } from "../../src/env.ts";
import {
  type AppendErrorMessage,
  type AppendedMessage,
  writeAppendFrame,
} from "../../src/protocol/append-frame.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import {
  call,
  createTopic,
  env,
  fetchRecords,
  isBytes,
  joined,
  produce,
  readValues,
  recordBatch,
  TestSocket,
  type TopicJson,
  TWINS,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const UTF8 = new TextEncoder();

async function newPartition(config: Readonly<Record<string, unknown>> = {}) {
  const topic = await createTopic(1, config);
  return { topic, stub: partitionStub(env, topic.topicId, 0) };
}

function post(topic: TopicJson, bytes: Uint8Array, query = "") {
  return call<{ baseOffset?: number; code?: string; detail?: string }>(
    "POST",
    `/v1/topics/${topic.name}/partitions/0/batches${query}`,
    bytes,
  );
}

/** The batch with its header changed, and a CRC that fits. */
function changed(batch: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const bytes = batch.slice();
  const view = new DataView(bytes.buffer);
  change(view);
  view.setUint32(17, crc32c(bytes, 21));
  return bytes;
}

type Answer = AppendedMessage | AppendErrorMessage;

class Appender {
  readonly socket: TestSocket<Answer | PartitionMessage>;

  constructor(socket: TestSocket<Answer | PartitionMessage>) {
    this.socket = socket;
  }

  static async open({ name }: TopicJson): Promise<Appender> {
    return new Appender(await TestSocket.open(`/v1/topics/${name}/partitions/0/socket`));
  }

  send(requestId: number, batches: Uint8Array, expectedOffset: number | null = null): void {
    this.socket.send(writeAppendFrame({ requestId, expectedOffset, batches }));
  }

  answer(): Promise<Answer> {
    return this.socket.next(
      (message): message is Answer => typeof message === "object" && "requestId" in message,
    );
  }

  append(requestId: number, batches: Uint8Array, expected: number | null = null): Promise<Answer> {
    this.send(requestId, batches, expected);
    return this.answer();
  }
}

describe("what is checked of a batch", () => {
  const good = () => recordBatch(["a", "b"]);
  const broken = (change: (view: DataView) => void) => changed(good(), change);
  const WRONG: readonly { what: string; bytes: Uint8Array; code: string; detail: RegExp }[] = [
    { what: "no batch", bytes: new Uint8Array(), code: "INVALID_RECORD", detail: /at least one/ },
    {
      what: "a header cut short",
      bytes: good().subarray(0, 60),
      code: "CORRUPT_MESSAGE",
      detail: /60 bytes.*61/,
    },
    {
      what: "magic 1",
      bytes: broken((view) => view.setInt8(16, 1)),
      code: "CORRUPT_MESSAGE",
      detail: /magic 1.*2/,
    },
    {
      what: "a length beyond the bytes",
      bytes: broken((view) => view.setInt32(8, 10_000)),
      code: "CORRUPT_MESSAGE",
      detail: /10012 bytes/,
    },
    {
      what: "a negative length",
      bytes: broken((view) => view.setInt32(8, -1)),
      code: "CORRUPT_MESSAGE",
      detail: /batchLength/,
    },
    {
      what: "a wrong CRC",
      bytes: good().map((byte, index) => (index === 17 ? byte ^ 1 : byte)),
      code: "CORRUPT_MESSAGE",
      detail: /CRC/,
    },
    {
      what: "a record count beyond the bytes",
      bytes: broken((view) => view.setInt32(57, 2_000_000_000)),
      code: "CORRUPT_MESSAGE",
      detail: /recordCount is 2000000000/,
    },
    {
      what: "offsets with a gap",
      bytes: broken((view) => view.setInt32(23, 2)),
      code: "INVALID_RECORD",
      detail: /lastOffsetDelta is 2.*recordCount 2.*1/,
    },
    {
      what: "a control batch",
      bytes: broken((view) => view.setInt16(21, 0x20)),
      code: "INVALID_RECORD",
      detail: /control/,
    },
    {
      what: "a transactional batch",
      bytes: broken((view) => view.setInt16(21, 0x10)),
      code: "INVALID_RECORD",
      detail: /transactional/,
    },
    {
      what: "a delete horizon",
      bytes: broken((view) => view.setInt16(21, 0x40)),
      code: "INVALID_RECORD",
      detail: /horizon/,
    },
    {
      what: "LogAppendTime",
      bytes: broken((view) => {
        view.setInt16(21, 0x08);
      }),
      code: "INVALID_TIMESTAMP",
      detail: /LogAppendTime/,
    },
    {
      what: "compression 5",
      bytes: broken((view) => view.setInt16(21, 5)),
      code: "UNSUPPORTED_COMPRESSION_TYPE",
      detail: /5.*0 to 4/,
    },
    {
      what: "a producer without an epoch",
      bytes: broken((view) => view.setInt32(47, 5) ?? view.setInt32(43, 0)),
      code: "INVALID_RECORD",
      detail: /producerId 5.*producerEpoch -1/,
    },
    {
      what: "batches of two producers",
      bytes: joined(
        recordBatch(["a"], { producer: [1, 0, 0] }),
        recordBatch(["b"], { producer: [2, 0, 1] }),
      ),
      code: "INVALID_RECORD",
      detail: /from one producer/,
    },
    {
      what: "batches with and without a producer",
      bytes: joined(recordBatch(["a"], { producer: [1, 0, 0] }), recordBatch(["b"])),
      code: "INVALID_RECORD",
      detail: /with and without/,
    },
    {
      what: "a gap between its batches",
      bytes: joined(
        recordBatch(["a"], { producer: [1, 0, 0] }),
        recordBatch(["b"], { producer: [1, 0, 2] }),
      ),
      code: "INVALID_RECORD",
      detail: /in sequence/,
    },
    {
      what: "a batch above max.message.bytes",
      bytes: recordBatch(["x".repeat(3_000)]),
      code: "MESSAGE_TOO_LARGE",
      detail: /max\.message\.bytes is 2000/,
    },
    {
      what: "a timestamp too far ahead",
      bytes: recordBatch(["a"], { timestamps: [Date.now() + 10 * 3_600_000] }),
      code: "INVALID_TIMESTAMP",
      detail: /after.*message\.timestamp\.after\.max\.ms, 3600000/,
    },
    {
      what: "a timestamp too far back",
      bytes: recordBatch(["a"], { timestamps: [1] }),
      code: "INVALID_TIMESTAMP",
      detail: /before.*message\.timestamp\.before\.max\.ms, 7200000/,
    },
  ];
  const CONFIG = {
    "max.message.bytes": 2_000,
    "message.timestamp.after.max.ms": 3_600_000,
    "message.timestamp.before.max.ms": 7_200_000,
  };

  test.each(TWINS.flatMap((twin) => WRONG.map((each) => ({ ...twin, ...each }))))(
    "[VAL-1] $what rejects the append whole, by RPC, HTTP and socket$when",
    async ({ interrupt, bytes, code, detail }) => {
      const { topic, stub } = await newPartition(CONFIG);
      const appender = await Appender.open(topic);
      expect(await appender.append(1, good())).toMatchObject({ type: "appended", baseOffset: 0 });
      await interrupt(stub);
      const expected = { code, detail: expect.stringMatching(detail) };
      expect(await stub.append({ batches: bytes })).toMatchObject({
        error: code,
        detail: expected.detail,
      });
      expect(await appender.append(2, bytes)).toMatchObject({
        type: "error",
        requestId: 2,
        ...expected,
      });
      const answer = await post(topic, bytes);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.body.code).toBe(code);
      if (bytes.length > 0) {
        const behind = await stub.append({ batches: joined(good(), bytes) });
        expect(behind.ok).toBe(false);
      }
      await interrupt(stub);
      expect(await appender.append(3, good())).toMatchObject({ type: "appended", baseOffset: 2 });
      expect(await readValues(topic)).toHaveLength(4);
    },
  );

  const gzip = compressor(COMPRESSIONS.gzip) as Compressor;
  const UNREADABLE: readonly { what: string; bytes: Uint8Array; code: string }[] = [
    {
      what: "a record that is longer than its batch",
      bytes: changed(good(), (view) => view.setInt8(BATCH_HEADER_BYTES, 126)),
      code: "CORRUPT_MESSAGE",
    },
    {
      what: "fewer records than in its header",
      bytes: changed(good(), (view) => view.setInt32(57, 3) ?? view.setInt32(23, 2)),
      code: "CORRUPT_MESSAGE",
    },
    {
      what: "more records than in its header",
      bytes: changed(good(), (view) => view.setInt32(57, 1) ?? view.setInt32(23, 0)),
      code: "CORRUPT_MESSAGE",
    },
    {
      what: "a newest time that differs from its header",
      bytes: changed(good(), (view) => view.setInt32(39, 1)),
      code: "INVALID_RECORD",
    },
    {
      what: "bytes that are not gzip",
      bytes: changed(good(), (view) => view.setInt16(21, COMPRESSIONS.gzip)),
      code: "CORRUPT_MESSAGE",
    },
    {
      what: "bytes that are not zstd",
      bytes: changed(good(), (view) => view.setInt16(21, COMPRESSIONS.zstd)),
      code: "CORRUPT_MESSAGE",
    },
    {
      what: "gzip that is cut off",
      bytes: encodeBatch([{ key: null, value: UTF8.encode("a"), headers: [], timestamp: 1 }], {
        compression: { ...gzip, compress: (bytes) => gzip.compress(bytes).subarray(0, -9) },
      }),
      code: "CORRUPT_MESSAGE",
    },
    {
      what: "gzip that decompresses to 64 MiB",
      bytes: encodeBatch([{ key: null, value: null, headers: [], timestamp: 1 }], {
        compression: { ...gzip, compress: () => gzip.compress(new Uint8Array(2 ** 26)) },
      }),
      code: "CORRUPT_MESSAGE",
    },
  ];

  test.each(TWINS.flatMap((twin) => UNREADABLE.map((each) => ({ ...twin, ...each }))))(
    "[VAL-2] [ZIP-2] a batch of $what is rejected over HTTP$when",
    async ({ interrupt, bytes, code }) => {
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "first" }]);
      await interrupt(stub);
      expect(await post(topic, bytes)).toMatchObject({ status: 400, body: { code } });
      expect(await post(topic, joined(good(), bytes))).toMatchObject({ status: 400 });
      await interrupt(stub);
      expect(await readValues(topic)).toEqual([[0, "first"]]);
    },
  );
});

/** Compressors for the kinds that the broker only reads: literals only, which every decoder accepts. */
const SNAPPY: Compressor = {
  type: COMPRESSIONS.snappy,
  compress(bytes) {
    const length = [bytes.length & 0x7f, bytes.length >> 7];
    if (bytes.length < 128) length.pop();
    else length[0] = (length[0] ?? 0) | 0x80;
    return joined(
      Uint8Array.from([...length, 61 << 2, (bytes.length - 1) & 0xff, (bytes.length - 1) >> 8]),
      bytes,
    );
  },
};
const LZ4: Compressor = {
  type: COMPRESSIONS.lz4,
  compress(bytes) {
    // An uncompressed block in a frame of version 1 with independent blocks.
    const frame = new Uint8Array(7 + 4 + bytes.length + 4);
    const view = new DataView(frame.buffer);
    view.setUint32(0, 0x184d2204, true);
    frame.set([0x60, 0x40, 0x82], 4);
    view.setUint32(7, (0x80000000 | bytes.length) >>> 0, true);
    frame.set(bytes, 11);
    return frame;
  },
};

describe("compression", () => {
  const KINDS: readonly { name: CompressionName; compression: Compressor | undefined }[] = [
    { name: "none", compression: undefined },
    { name: "gzip", compression: compressor(COMPRESSIONS.gzip) },
    { name: "snappy", compression: SNAPPY },
    { name: "lz4", compression: LZ4 },
    { name: "zstd", compression: compressor(COMPRESSIONS.zstd) },
  ];

  test.each(TWINS.flatMap((twin) => KINDS.map((each) => ({ ...twin, ...each }))))(
    "[ZIP-1] batches of compression $name are stored as received and read by everybody$when",
    async ({ interrupt, name, compression }) => {
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "before" }]);
      await interrupt(stub);
      const options = compression === undefined ? {} : { compression };
      const values = ["first", "x".repeat(500), "Zürich"];
      const batch = recordBatch(values, { ...options, keys: ["k", null, "l"] });
      expect(new DataView(batch.buffer).getInt16(21)).toBe(COMPRESSIONS[name]);
      expect(await post(topic, batch)).toMatchObject({ status: 200, body: { baseOffset: 1 } });
      const appender = await Appender.open(topic);
      expect(await appender.append(1, batch)).toMatchObject({ baseOffset: 4 });
      await interrupt(stub);
      // Byte for byte, except for the base offset.
      const result = await stub.read({ offset: 1, maxBytes: 1 });
      if (!result.ok) throw new Error(result.detail);
      const expected = batch.slice();
      new DataView(expected.buffer).setUint32(4, 1);
      expect(result.batches).toEqual(expected);
      const { records } = await fetchRecords(topic.name, 0, "?offset=1");
      expect(records.map(({ offset, key, value }) => [offset, key, value])).toEqual(
        [...values, ...values].map((value, i) => [i + 1, ["k", null, "l"][i % 3], value]),
      );
      const consumer = await TestSocket.open<{ type: string; records: { value: string }[] }>(
        `/v1/groups/g-${topic.name}/consume?topics=${topic.name}`,
      );
      const read: string[] = [];
      while (read.length < 7) {
        const message = await consumer.next(
          (each): each is { type: string; records: { value: string }[] } =>
            typeof each === "object" && "type" in each && each.type === "records",
        );
        read.push(...message.records.map(({ value }) => value));
      }
      expect(read).toEqual(["before", ...values, ...values]);
    },
  );
});

describe("the partition socket", () => {
  test.each(TWINS)(
    "[LOG-1] [LOG-3] each of many appends in flight is answered with its offsets$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const appender = await Appender.open(topic);
      await appender.append(0, recordBatch(["first"]));
      await interrupt(stub);
      const count = 300;
      const ids = Array.from({ length: count }, (_, index) => 2 ** 32 - 1 - index);
      for (const id of ids) appender.send(id, recordBatch([`${id} a`, `${id} b`]));
      const offsets = new Map<number, number>();
      for (let index = 0; index < count; index++) {
        const answer = await appender.answer();
        if (answer.type !== "appended") throw new Error(answer.detail);
        offsets.set(answer.requestId, answer.baseOffset);
      }
      // One socket's appends are stored in the order in which it sent them.
      expect(ids.map((id) => offsets.get(id))).toEqual(ids.map((_, index) => 1 + 2 * index));
      await interrupt(stub);
      const stored = new Map(await readValues(topic));
      for (const id of ids) expect(stored.get(offsets.get(id) ?? -1)).toBe(`${id} a`);
      expect(stored.size).toBe(1 + 2 * count);
    },
  );

  test.each(TWINS)(
    "[IDM-1] [IDM-2] [CND-1] producers and conditions count on a socket, errors leave it open$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const appender = await Appender.open(topic);
      const batch = (sequence: number, epoch = 1) =>
        recordBatch([`${sequence}`], { producer: [3, epoch, sequence] });
      expect(await appender.append(1, batch(0), 0)).toEqual({
        type: "appended",
        requestId: 1,
        baseOffset: 0,
      });
      await interrupt(stub);
      expect(await appender.append(2, batch(0))).toMatchObject({ requestId: 2, baseOffset: 0 });
      expect(await appender.append(3, batch(2))).toMatchObject({
        requestId: 3,
        code: "OUT_OF_ORDER_SEQUENCE_NUMBER",
        errorCode: 45,
        retriable: false,
      });
      expect(await appender.append(4, batch(1, 0))).toMatchObject({
        requestId: 4,
        code: "INVALID_PRODUCER_EPOCH",
        errorCode: 47,
      });
      await interrupt(stub);
      expect(await appender.append(5, batch(1), 2 ** 40)).toMatchObject({
        requestId: 5,
        code: "INVALID_UPDATE_VERSION",
        nextOffset: 1,
        detail: expect.stringContaining(String(2 ** 40)),
      });
      expect(await appender.append(6, batch(1), 1)).toMatchObject({ baseOffset: 1 });
      expect(await readValues(topic)).toHaveLength(2);
    },
  );

  test.each(TWINS)(
    "[LOG-10] appends over a socket return the time that they got$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition({ "message.timestamp.type": "LogAppendTime" });
      const appender = await Appender.open(topic);
      await stub.offsets();
      await interrupt(stub);
      const answer = await appender.append(1, recordBatch(["a"], { timestamps: [5] }));
      const { records } = await fetchRecords(topic.name, 0);
      expect(answer).toEqual({
        type: "appended",
        requestId: 1,
        baseOffset: 0,
        logAppendTimeMs: records[0]?.timestamp,
      });
    },
  );

  const frame = writeAppendFrame({
    requestId: 1,
    expectedOffset: null,
    batches: recordBatch(["x"]),
  });
  const MALFORMED = [
    { what: "no bytes", bytes: new Uint8Array(0) },
    { what: "half a header", bytes: frame.slice(0, 11) },
    { what: "an expected offset of -2", bytes: frame.map((byte, i) => (i === 11 ? 0xfe : byte)) },
    { what: "an expected offset of 2^62", bytes: frame.map((byte, i) => (i === 4 ? 0x40 : byte)) },
  ];

  test.each(TWINS.flatMap((twin) => MALFORMED.map((each) => ({ ...twin, ...each }))))(
    "[PLN-5] [VAL-1] a frame of $what closes its socket with 4000, and no other$when",
    async ({ interrupt, bytes }) => {
      const { topic, stub } = await newPartition();
      const [bad, good] = [await Appender.open(topic), await Appender.open(topic)];
      await interrupt(stub);
      bad.socket.send(bytes);
      expect(await bad.socket.closed).toMatchObject({
        code: 4000,
        reason: expect.stringMatching(/^INVALID_REQUEST: /),
      });
      expect(await good.append(1, recordBatch(["a"]))).toMatchObject({ baseOffset: 0 });
      expect(await readValues(topic)).toEqual([[0, "a"]]);
    },
  );

  test.each(TWINS)(
    "[TAIL-4] readers at the same offset are sent one frame$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const readers = await Promise.all(
        Array.from({ length: 5 }, () =>
          TestSocket.open<PartitionMessage>(`/v1/topics/${topic.name}/partitions/0/socket`),
        ),
      );
      for (const reader of readers) {
        reader.send({ type: "attach", offset: 0, windowBytes: 4_000_000 });
        await reader.next((each): each is PartitionMessage => typeof each === "object");
      }
      await interrupt(stub);
      const frames: unknown[] = [];
      const send = WebSocket.prototype.send;
      vi.spyOn(WebSocket.prototype, "send").mockImplementation(function (this: WebSocket, data) {
        if (typeof data !== "string") frames.push(data);
        send.call(this, data);
      });
      // More than one frame's worth in one chunk: each reader is sent several pieces of it.
      const batches = Array.from({ length: 8 }, (_, index) =>
        recordBatch([`${index}`.repeat(90_000)]),
      );
      expect(await stub.append({ batches: joined(...batches) })).toMatchObject({ ok: true });
      for (const reader of readers) {
        let size = 0;
        while (size < joined(...batches).length) size += (await reader.next(isBytes)).length;
      }
      expect(new Set(frames).size).toBeGreaterThan(1);
      expect(frames).toHaveLength(readers.length * new Set(frames).size);
    },
  );
});
