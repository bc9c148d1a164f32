import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SlowReaders } from "../../../../durable-objects/partition/slow-readers.ts";
import { MAX_READER_UNREAD_BYTES } from "../../../../src/core/limits.ts";

const HOUR_MS = 3_600_000;
const FULL = MAX_READER_UNREAD_BYTES + 1;

/** A socket whose client leaves so many bytes unread. */
function socketWith(bufferedAmount?: number) {
  return { bufferedAmount } as unknown as WebSocket & { bufferedAmount: number };
}

class Bench {
  readonly drained: WebSocket[] = [];
  readonly readers = new SlowReaders((socket) => this.drained.push(socket));
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([
  ["at the bound", MAX_READER_UNREAD_BYTES, false],
  ["beyond the bound", FULL, true],
  ["where the runtime does not tell", undefined, false],
])("[BND-18] a client %s", (_, unreadBytes, isFull) => {
  expect(SlowReaders.isFull(socketWith(unreadBytes))).toBe(isFull);
});

test("[BND-18] a client that has taken enough is told of once, and at once where it is quick", () => {
  const bench = new Bench();
  const [quick, slow] = [socketWith(FULL), socketWith(FULL)];
  bench.readers.add(quick);
  bench.readers.add(slow);
  bench.readers.add(slow); // It is waited for already.
  quick.bufferedAmount = MAX_READER_UNREAD_BYTES;
  vi.advanceTimersByTime(1);
  expect(bench.drained).toEqual([quick]);
  vi.advanceTimersByTime(HOUR_MS);
  expect(bench.drained).toEqual([quick]);
  slow.bufferedAmount = 0;
  vi.advanceTimersByTime(10_000);
  expect(bench.drained).toEqual([quick, slow]);
  expect(vi.getTimerCount()).toBe(0);
});

test("[BND-18] a client that takes nothing is waited for, and looked at ever more seldom", () => {
  let looks = 0;
  let unreadBytes = FULL;
  const socket = {
    get bufferedAmount() {
      looks++;
      return unreadBytes;
    },
  } as unknown as WebSocket;
  const bench = new Bench();
  bench.readers.add(socket);
  vi.advanceTimersByTime(HOUR_MS);
  expect(looks).toBeLessThan(HOUR_MS / 10_000 + 20);
  unreadBytes = 0;
  vi.advanceTimersByTime(10_000);
  expect(bench.drained).toEqual([socket]);
});

test("[BND-18] a client that has taken a little is looked at soon again", () => {
  const bench = new Bench();
  const socket = socketWith(FULL + 2);
  bench.readers.add(socket);
  vi.advanceTimersByTime(HOUR_MS);
  socket.bufferedAmount = FULL + 1;
  vi.advanceTimersToNextTimer();
  socket.bufferedAmount = 0;
  vi.advanceTimersByTime(1);
  expect(bench.drained).toEqual([socket]);
});

test("[BND-18] a client that has taken enough, and then takes nothing again, is waited for again", () => {
  const bench = new Bench();
  const socket = socketWith(FULL);
  for (let waits = 1; waits <= 2; waits++) {
    socket.bufferedAmount = FULL;
    bench.readers.add(socket);
    vi.advanceTimersByTime(HOUR_MS);
    socket.bufferedAmount = 0;
    vi.advanceTimersByTime(10_000);
    expect(bench.drained).toHaveLength(waits);
  }
});

test("[BND-18] a client that has gone is not waited for", () => {
  const bench = new Bench();
  const socket = socketWith(FULL);
  bench.readers.add(socket);
  bench.readers.delete(socket);
  socket.bufferedAmount = 0;
  vi.advanceTimersByTime(HOUR_MS);
  expect(bench.drained).toEqual([]);
  // A check that was under way does not count for a later wait.
  bench.readers.add(socket);
  vi.advanceTimersByTime(10_000);
  expect(bench.drained).toEqual([socket]);
});
