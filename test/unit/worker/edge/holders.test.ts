// The memory that a Worker's requests hold.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Budget, Ledger } from "../../../../src/core/ledger.ts";
import {
  ANSWER_SHARES,
  HOLDER_SILENT_MS,
  MAX_WORK_BYTES,
  MAX_WORK_BYTES_PER_REQUEST,
  MIN_ANSWER_SHARE_BYTES,
} from "../../../../src/core/limits.ts";
import { Work } from "../../../../src/worker/edge/holders.ts";

function ledgerOf(maxBytes: number, what: string): Ledger {
  return new Ledger(maxBytes, what, new Budget(10 * maxBytes, () => Date.now()));
}

function newRoom() {
  const ledger = ledgerOf(MAX_WORK_BYTES, "requests");
  return {
    begin: () => new Work(ledger),
    get bytes() {
      return ledger.bytes;
    },
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("work", () => {
  test("[BND-3] the largest request begins if nobody else works, and beside small ones", () => {
    const room = newRoom();
    room.begin().add(1024);
    const largest = room.begin();
    largest.add(10 * MAX_WORK_BYTES);
    expect(room.bytes).toBe(1024 + MAX_WORK_BYTES_PER_REQUEST);
    largest.end();
    largest.end();
    expect(room.bytes).toBe(1024);
  });

  test("[BND-3] however many large ones come, small ones find room", () => {
    const room = newRoom();
    for (let size = MAX_WORK_BYTES_PER_REQUEST; size >= 1024 * 1024; size /= 2) {
      const begin = () => {
        for (;;) room.begin().add(size);
      };
      expect(begin).toThrow(/kept free for smaller ones, they would exceed the bound of \d+/);
    }
    for (let i = 0; i < 500; i++) room.begin().add(1024);
    expect(room.bytes).toBeLessThanOrEqual(MAX_WORK_BYTES);
  });

  test("[BND-3] a refused one takes no more than before", () => {
    const room = newRoom();
    room.begin().add(MAX_WORK_BYTES_PER_REQUEST);
    const other = room.begin();
    other.add(100);
    expect(() => other.add(MAX_WORK_BYTES)).toThrow(/bound/);
    expect(room.bytes).toBe(MAX_WORK_BYTES_PER_REQUEST + 100);
  });

  test("[BND-3] one with a request's maximum continues, however little is free by then", () => {
    const room = newRoom();
    const large = room.begin();
    large.add(MAX_WORK_BYTES_PER_REQUEST);
    const others = room.begin();
    const free = MAX_WORK_BYTES - MAX_WORK_BYTES_PER_REQUEST;
    others.add(Math.floor(free / 2));
    large.add(1);
    others.add(0);
    expect(room.bytes).toBe(MAX_WORK_BYTES_PER_REQUEST + Math.floor(free / 2));
    expect(() => others.add(free)).toThrow(/bound/);
    large.end();
    others.end();
    expect(room.bytes).toBe(0);
  });

  test("[BND-3] work of a cancelled request is forgotten", () => {
    const room = newRoom();
    room.begin().add(MAX_WORK_BYTES_PER_REQUEST);
    vi.advanceTimersByTime(HOLDER_SILENT_MS + 1);
    room.begin().add(7);
    expect(room.bytes).toBe(7);
  });
});

describe("a ledger of requests", () => {
  test("[BND-1] a cancelled request no longer counts; a moving one does", () => {
    const ledger = ledgerOf(100, "bodies");
    const moves = ledger.hold(() => {});
    const silent = ledger.hold(() => {});
    moves.set(10);
    silent.set(20);
    vi.advanceTimersByTime(HOLDER_SILENT_MS);
    moves.set(11);
    vi.advanceTimersByTime(1);
    ledger.hold(() => {});
    expect(ledger.bytes).toBe(11);
    // It was not cancelled, only slow: it counts again, and may be dropped.
    silent.set(30);
    expect(ledger.bytes).toBe(41);
    moves.release();
    silent.release();
    silent.release();
    expect(ledger.bytes).toBe(0);
  });

  test("[BND-1] the largest holder is dropped, once", () => {
    const ledger = ledgerOf(100, "bodies");
    const evicted = vi.fn();
    const large = ledger.hold(evicted);
    large.set(80);
    const small = ledger.hold(() => {});
    small.set(30);
    expect(evicted).toHaveBeenCalledOnce();
    expect(() => large.set(1)).toThrow(/this one takes the most, 80/);
    expect(ledger.bytes).toBe(30);
  });

  test("[BND-6] a share is a part of what is free, and never nothing", () => {
    const maxBytes = ANSWER_SHARES * 4 * MIN_ANSWER_SHARE_BYTES;
    const ledger = ledgerOf(maxBytes, "answers");
    expect(ledger.share).toBe(4 * MIN_ANSWER_SHARE_BYTES);
    const [one, other] = [ledger.hold(() => {}), ledger.hold(() => {})];
    one.set(maxBytes / 2);
    expect(ledger.share).toBe(2 * MIN_ANSWER_SHARE_BYTES);
    other.set(maxBytes / 2);
    expect(ledger.share).toBe(MIN_ANSWER_SHARE_BYTES);
    one.release();
    expect(ledger.share).toBe(2 * MIN_ANSWER_SHARE_BYTES);
  });

  test("[BND-6] shares taken one after another do not exceed the bound before they are at the least", () => {
    const maxBytes = 64 * MIN_ANSWER_SHARE_BYTES * ANSWER_SHARES;
    const ledger = ledgerOf(maxBytes, "answers");
    while (ledger.share > MIN_ANSWER_SHARE_BYTES) ledger.hold(() => {}).set(ledger.share);
    expect(ledger.bytes).toBeLessThanOrEqual(maxBytes);
  });

  /** Takes a response that is dropped in some way; from then on only the ledger knows what it held. */
  const LET_GO: [string, (ledger: Ledger, evict: () => void) => void][] = [
    [
      "refused when it comes",
      (ledger, evict) => expect(() => ledger.hold(evict).set(1_000)).toThrow(/takes the most/),
    ],
    [
      "refused when it grows",
      (ledger, evict) => {
        const holding = ledger.hold(evict);
        holding.set(60);
        expect(() => holding.set(1_000)).toThrow(/takes the most/);
        expect(() => holding.set(1)).toThrow(/takes the most/);
      },
    ],
    [
      "let go for another",
      (ledger, evict) => {
        ledger.hold(evict).set(90);
        ledger.hold(() => {}).set(20);
      },
    ],
    [
      "done",
      (ledger, evict) => {
        const holding = ledger.hold(evict);
        holding.set(50);
        holding.release();
      },
    ],
  ];
  test.each(LET_GO)("[BND-6] nothing stays of what was %s", async (_, letGo) => {
    vi.useRealTimers();
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const ledger = ledgerOf(100, "answers");
    const held = () => {
      const answer = { bytes: new Uint8Array(1_000) };
      letGo(ledger, () => void answer.bytes);
      return new WeakRef(answer);
    };
    const answer = held();
    await new Promise((resolve) => setTimeout(resolve, 0)); // A WeakRef keeps its target for a turn.
    collect();
    expect(answer.deref()).toBeUndefined();
    expect(ledger.bytes).toBeLessThanOrEqual(100);
  });
});
