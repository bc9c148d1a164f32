import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SlowReaders } from "../../../../durable-objects/partition/slow-readers.ts";
import {
  MAX_READER_UNREAD_BYTES,
  MAX_UNREAD_BYTES,
  MIN_READER_UNREAD_BYTES,
} from "../../../../src/core/limits.ts";
import { memory } from "../../../../src/memory.ts";

const HOUR_MS = 3_600_000;
const FULL = MIN_READER_UNREAD_BYTES + 1;

/** A socket whose client leaves this many bytes unread. */
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
  memory.budget.forgetEverything();
});

test.each([
  ["at the bound", MIN_READER_UNREAD_BYTES, false],
  ["beyond the bound", FULL, true],
  ["where the runtime does not tell", undefined, false],
])("[BND-18] a client %s", (_, unreadBytes, isFull) => {
  expect(new Bench().readers.isFull(socketWith(unreadBytes))).toBe(isFull);
});

test("[BND-18] a client that has taken enough is reported once, and at once if it is quick", () => {
  const bench = new Bench();
  const [quick, slow] = [socketWith(FULL), socketWith(FULL)];
  bench.readers.add(quick);
  bench.readers.add(slow);
  bench.readers.add(slow); // It is already waited for.
  quick.bufferedAmount = MIN_READER_UNREAD_BYTES;
  vi.advanceTimersByTime(1);
  expect(bench.drained).toEqual([quick]);
  vi.advanceTimersByTime(HOUR_MS);
  expect(bench.drained).toEqual([quick]);
  slow.bufferedAmount = 0;
  vi.advanceTimersByTime(10_000);
  expect(bench.drained).toEqual([quick, slow]);
  expect(vi.getTimerCount()).toBe(0);
});

test("[BND-18] a client that takes nothing is waited for, and checked ever more seldom", () => {
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

test("[BND-18] a client that has taken a little is checked soon again", () => {
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

test("[BND-18] a client that has shown that it reads may leave more unread, up to the bound", () => {
  const bench = new Bench();
  const socket = socketWith(MIN_READER_UNREAD_BYTES + 1);
  expect(bench.readers.isFull(socket)).toBe(true);
  bench.readers.noteRead(socket);
  expect(bench.readers.isFull(socket)).toBe(false);
  for (let i = 0; i < 20; i++) bench.readers.noteRead(socket);
  expect(bench.readers.allowedBytes(socket)).toBe(MAX_READER_UNREAD_BYTES);
});

test("[BND-25] if all readers of the isolate leave too much unread, only those continue that read", () => {
  const bench = new Bench();
  const [reads, leaves, isNew] = [socketWith(0), socketWith(1), socketWith(0)];
  bench.readers.noteRead(reads);
  bench.readers.noteRead(leaves);
  const isFull = () => [reads, leaves, isNew].map((socket) => bench.readers.isFull(socket));
  expect(isFull()).toEqual([false, false, false]);
  const others = memory.unread.holdFixed();
  others.note(MAX_UNREAD_BYTES);
  expect(isFull()).toEqual([false, true, true]);
  others.release();
  expect(isFull()).toEqual([false, false, false]);
});

test("[BND-25] unread data counts until the clients have taken it, even if nobody waits for them", () => {
  const bench = new Bench();
  const sockets = Array.from({ length: 20 }, () => socketWith(MIN_READER_UNREAD_BYTES));
  for (const socket of sockets) bench.readers.isFull(socket);
  expect(memory.unread.bytes).toBe(20 * MIN_READER_UNREAD_BYTES);
  for (const socket of sockets.slice(0, 10)) socket.bufferedAmount = 0;
  vi.advanceTimersByTime(1);
  expect(memory.unread.bytes).toBe(10 * MIN_READER_UNREAD_BYTES);
  for (const socket of sockets) socket.bufferedAmount = 0;
  vi.advanceTimersByTime(10_000);
  expect([memory.unread.bytes, vi.getTimerCount()]).toEqual([0, 0]);
});
