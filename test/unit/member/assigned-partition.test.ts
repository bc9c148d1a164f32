// One partition of a consumer: what it takes from the socket, and what it delivers to the application.
import { beforeAll, expect, test } from "vitest";
import { compressor } from "../../../src/compression/compress.ts";
import { MAX_DECODED_IN_HAND_BYTES } from "../../../src/core/limits.ts";
import { COMPRESSIONS } from "../../../src/core/log/compression.ts";
import { type Compressor, encodeBatch } from "../../../src/core/log/record-batch.ts";
import { AssignedPartition } from "../../../src/member/assigned-partition.ts";
import { loadDecompress } from "../../../src/member/decoder.ts";

const MIB = 1024 * 1024;

beforeAll(loadDecompress);

function batch(baseOffset: number, sizeInBytes: number, isFolded: boolean): Uint8Array {
  const value = new Uint8Array(sizeInBytes).fill(97);
  const records = [{ key: null, value, headers: [], timestamp: 1 }];
  const compression = compressor(COMPRESSIONS.zstd) as Compressor;
  return encodeBatch(records, isFolded ? { baseOffset, compression } : { baseOffset });
}

function newPartition(): AssignedPartition {
  return new AssignedPartition({ topic: "t", topicId: "t-1", partition: 0 }, 0);
}

test("[SES-5] compressed batches are decompressed one by one, as the application makes room for them", () => {
  const partition = newPartition();
  const count = 12;
  partition.receive(Buffer.concat(Array.from({ length: count }, (_, i) => batch(i, MIB, true))));
  expect(partition.position).toBe(count);
  expect(partition.held).toHaveLength(count);
  const delivered: number[] = [];
  let inHand = 0;
  while (partition.held.length > 0) {
    while (partition.hasRoom && partition.held.length > 0) {
      const frame = partition.held.shift();
      if (frame === undefined) break;
      delivered.push(...partition.deliver(frame).map(({ offset }) => offset));
      inHand += MIB;
      expect(inHand).toBeLessThanOrEqual(MAX_DECODED_IN_HAND_BYTES);
    }
    expect(partition.hasRoom || partition.held.length === 0).toBe(partition.held.length === 0);
    inHand = 0;
    partition.processed = (delivered.at(-1) ?? -1) + 1;
    partition.settle(MIB);
    expect(partition.hasRoom).toBe(true);
  }
  expect(delivered).toEqual(Array.from({ length: count }, (_, i) => i));
});

test("[SES-1] batches of both kinds are delivered in order, uncompressed ones together", () => {
  const partition = newPartition();
  const kinds = [false, false, true, false, true, true, false];
  partition.receive(Buffer.concat(kinds.map((isFolded, i) => batch(i, 10, isFolded))));
  expect(partition.held.map(({ startOffset }) => startOffset)).toEqual([0, 2, 3, 4, 5, 6]);
  const offsets = partition.held.map((frame) =>
    partition.deliver(frame).map((each) => each.offset),
  );
  expect(offsets).toEqual([[0, 1], [2], [3], [4], [5], [6]]);
});

test("[SES-1] data before a batch that cannot be read is delivered, and the batch comes again", () => {
  const partition = newPartition();
  const broken = batch(1, 100, true);
  broken.fill(0xff, 70);
  partition.receive(Buffer.concat([batch(0, 10, false), broken]));
  const [good, bad] = partition.held;
  if (good === undefined || bad === undefined) throw new Error("there are two frames");
  expect(partition.deliver(good)).toHaveLength(1);
  expect(() => partition.deliver(bad)).toThrow(/zstd/);
  partition.held.shift();
  partition.dropHeld();
  expect(partition.position).toBe(1);
});

test("[SES-5] a batch larger than the window is returned whole, or the window would close in the end", () => {
  const partition = newPartition();
  const windowBytes = 1_000;
  // The bytes that the broker may still send. It sends while any is left, and then a whole batch.
  let windowLeft = windowBytes;
  for (let offset = 0; offset < 20; offset++) {
    expect(windowLeft, `before offset ${offset}`).toBeGreaterThan(0);
    const bytes = batch(offset, 1_500, false);
    windowLeft -= bytes.length;
    partition.receive(bytes);
    for (const frame of partition.held.splice(0)) partition.deliver(frame);
    partition.processed = offset + 1;
    windowLeft += partition.settle(windowBytes);
  }
  expect(windowLeft).toBe(windowBytes);
});

test("[SES-5] small frames that together exceeded the window are returned whole too", () => {
  const partition = newPartition();
  const windowBytes = 1_000;
  let received = 0;
  for (let offset = 0; offset < 8; offset++) {
    const bytes = batch(offset, 300, false);
    received += bytes.length;
    partition.receive(bytes);
  }
  expect(received).toBeGreaterThan(2 * windowBytes);
  for (const frame of partition.held.splice(0)) partition.deliver(frame);
  // Processed at once: nothing is due before, and all of it then.
  partition.processed = 8;
  expect(partition.settle(windowBytes)).toBe(received);
  expect(partition.settle(windowBytes)).toBe(0);
});
