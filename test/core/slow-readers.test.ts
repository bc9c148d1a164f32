import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SlowReaders } from "../../durable-objects/partition/slow-readers.ts";
import { ANSWER_STALL_MS, MAX_READER_UNREAD_BYTES } from "../../src/core/limits.ts";

const FULL = MAX_READER_UNREAD_BYTES + 1;

/** A socket whose client leaves so many bytes unread. */
function socketWith(bufferedAmount?: number) {
  return { bufferedAmount } as unknown as WebSocket & { bufferedAmount: number };
}

class Bench {
  readonly drained: WebSocket[] = [];
  readonly stalled: [WebSocket, number][] = [];
  readonly readers = new SlowReaders({
    drained: (socket) => this.drained.push(socket),
    stalled: (socket, unreadBytes) => this.stalled.push([socket, unreadBytes]),
  });
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
  vi.advanceTimersByTime(ANSWER_STALL_MS / 2);
  expect(bench.drained).toEqual([quick]);
  slow.bufferedAmount = 0;
  vi.advanceTimersByTime(1_000);
  expect(bench.drained).toEqual([quick, slow]);
  expect(vi.getTimerCount()).toBe(0);
});

test("[BND-18] a client that takes nothing has stalled; one that takes a little now and then has not", () => {
  const bench = new Bench();
  const [stuck, slow] = [socketWith(FULL), socketWith(FULL + 1_000)];
  bench.readers.add(stuck);
  bench.readers.add(slow);
  for (let i = 0; i < 10; i++) {
    vi.advanceTimersByTime(ANSWER_STALL_MS / 2);
    slow.bufferedAmount--;
  }
  expect(bench).toMatchObject({ drained: [], stalled: [[stuck, FULL]] });
  vi.advanceTimersByTime(ANSWER_STALL_MS + 2_000);
  expect(bench.stalled).toEqual([
    [stuck, FULL],
    [slow, FULL + 990],
  ]);
  expect(vi.getTimerCount()).toBe(0);
});

test("[BND-18] a client that has stalled is not looked at more than once a second", () => {
  const looks: number[] = [];
  const socket = {
    get bufferedAmount() {
      looks.push(Date.now());
      return FULL;
    },
  } as unknown as WebSocket;
  new Bench().readers.add(socket);
  vi.advanceTimersByTime(ANSWER_STALL_MS);
  expect(looks.length).toBeLessThan(ANSWER_STALL_MS / 1_000 + 15);
});

test("[BND-18] a client that has gone is not waited for", () => {
  const bench = new Bench();
  const socket = socketWith(FULL);
  bench.readers.add(socket);
  bench.readers.delete(socket);
  socket.bufferedAmount = 0;
  vi.advanceTimersByTime(ANSWER_STALL_MS);
  expect(bench.drained).toEqual([]);
  // What is waited for anew is not told of by the check that was on its way.
  bench.readers.add(socket);
  vi.advanceTimersByTime(1_000);
  expect(bench.drained).toEqual([socket]);
});
