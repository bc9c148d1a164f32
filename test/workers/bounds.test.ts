// What one client can make the broker do for it is bounded: unfolding, bodies, windows, producer ids.
import { afterEach, describe, expect, test, vi } from "vitest";
import { compressor } from "../../src/compression/compress.ts";
import { MAX_DECODED_FETCH_BYTES, MAX_DECODED_REQUEST_BYTES } from "../../src/core/limits.ts";
import { COMPRESSIONS } from "../../src/core/log/compression.ts";
import { type Compressor, encodeBatch } from "../../src/core/log/record-batch.ts";
import { partitionStub } from "../../src/env.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import {
  call,
  closeSockets,
  createTopic,
  env,
  expectStatus,
  fetchRecords,
  isBytes,
  joined,
  produce,
  recordBatch,
  TestSocket,
  TWINS,
} from "./support.ts";

afterEach(() => {
  vi.useRealTimers();
  closeSockets();
});

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
  test("[FCH-1] [ZIP-2] a read ends where what it unfolds passes its bound, and goes on from there", async () => {
    const { topic, stub } = await newPartition();
    const count = 20;
    const batches = Array.from({ length: count }, () => foldedBatch(MIB));
    expect(await stub.append(joined(...batches))).toMatchObject({ ok: true });
    const most = MAX_DECODED_FETCH_BYTES / MIB;
    let read = 0;
    while (read < count) {
      const { records, nextOffset } = await fetchRecords(topic.name, 0, `?offset=${read}`);
      expect(records.length).toBe(Math.min(most, count - read));
      read += records.length;
      expect(nextOffset).toBe(read);
    }
  });

  test("[VAL-2] [ZIP-2] batches that together unfold beyond the bound are refused, and nothing is stored", async () => {
    const { topic } = await newPartition();
    const path = `/v1/topics/${topic.name}/partitions/0/batches`;
    const batch = foldedBatch(8 * MIB);
    const most = MAX_DECODED_REQUEST_BYTES / (8 * MIB);
    const post = (count: number) =>
      call("POST", path, joined(...Array.from({ length: count }, () => batch)));
    expect(await post(most + 1)).toMatchObject({
      status: 413,
      body: { code: "MESSAGE_TOO_LARGE", detail: expect.stringContaining("unfold") },
    });
    expect((await fetchRecords(topic.name, 0)).highWatermark).toBe(0);
    expect(await post(most - 1)).toMatchObject({ status: 200 });
  });
});

describe("bodies", () => {
  test("[PRD-4] a compressed body that breaks off is refused by name", async () => {
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

describe("readers", () => {
  test.each(TWINS)(
    "[TAIL-2] [TAIL-3] an attach that was refused does not give the window back$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      for (let i = 0; i < 10; i++) await stub.append(recordBatch(["x".repeat(1_000)]));
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
  test("[IDM-6] the Worker's appends are stored though another client has used its producer's id", async () => {
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
