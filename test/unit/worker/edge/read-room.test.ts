// Concurrent reads.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  MAX_MESSAGE_BYTES,
  MAX_READ_TURN_MS,
  MAX_READS_BYTES,
  MIN_READ_ROOM_BYTES,
} from "../../../../src/core/limits.ts";
import { memory } from "../../../../src/memory.ts";
import { forgetEverything } from "../../../../src/worker/edge/isolate.ts";
import { readInTurn } from "../../../../src/worker/edge/read-room.ts";

/** Partitions that answer on request. */
class Bench {
  readonly #asked: ((bytes: number) => void)[] = [];
  readonly done: number[] = [];
  readonly refused: unknown[] = [];
  atOnce = 0;

  read(name: number, maxBytes = 1): void {
    const read = () => {
      this.atOnce++;
      return new Promise<{ batches: Uint8Array }>((resolve) => {
        this.#asked.push((bytes) => {
          this.atOnce--;
          resolve({ batches: new Uint8Array(bytes) });
        });
      });
    };
    readInTurn(maxBytes, read).then(
      () => this.done.push(name),
      (error) => this.refused.push(error),
    );
  }

  async answer(bytes: number): Promise<void> {
    this.#asked.shift()?.(bytes);
    await vi.advanceTimersByTimeAsync(0);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  forgetEverything();
});
afterEach(() => {
  forgetEverything();
  vi.useRealTimers();
});

test("[BND-26] as many run as may return what there is room for, and the others come in their order", async () => {
  const bench = new Bench();
  const room = MAX_READS_BYTES / MIN_READ_ROOM_BYTES;
  for (let i = 0; i < room + 3; i++) bench.read(i);
  await vi.advanceTimersByTimeAsync(1);
  expect(bench.atOnce).toBe(room);
  for (let i = 0; i < room + 3; i++) await bench.answer(10);
  expect(bench.done).toEqual(Array.from({ length: room + 3 }, (_, i) => i));
  expect([memory.reads.bytes, vi.getTimerCount()]).toEqual([0, 0]);
});

test("[BND-26] after large ones fewer run at once, and after small ones more again", async () => {
  const bench = new Bench();
  const atOnce = async () => {
    for (let i = 0; i < 100; i++) bench.read(i);
    await vi.advanceTimersByTimeAsync(1);
    return bench.atOnce;
  };
  bench.read(0);
  await bench.answer(5 * MAX_MESSAGE_BYTES);
  expect(await atOnce()).toBe(Math.floor(MAX_READS_BYTES / MAX_MESSAGE_BYTES));
  for (let i = 0; i < 100; i++) await bench.answer(1);
  expect(await atOnce()).toBe(MAX_READS_BYTES / MIN_READ_ROOM_BYTES);
});

test("[BND-26] one that waits for too long is refused, and may come again", async () => {
  const bench = new Bench();
  bench.read(0, MAX_READS_BYTES);
  bench.read(1);
  await vi.advanceTimersByTimeAsync(MAX_READ_TURN_MS);
  expect(bench.refused).toEqual([]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(bench.refused).toMatchObject([{ code: "THROTTLING_QUOTA_EXCEEDED", retriable: true }]);
  await bench.answer(1);
  bench.read(2);
  await bench.answer(1);
  expect(bench.done).toEqual([0, 2]);
});

test("[BND-26] [BND-24] one whose invocation was killed keeps nobody waiting forever", async () => {
  const bench = new Bench();
  bench.read(0, MAX_READS_BYTES); // It never returns.
  await vi.advanceTimersByTimeAsync(58_000);
  bench.read(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(bench.atOnce).toBe(1);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(bench.atOnce).toBe(2);
});
