// Retention drops segments while they are being compacted.
import { expect, test } from "vitest";
import {
  COMPACTING,
  type CompactionState,
  type LogStore,
  withoutSegment,
} from "../../../../src/core/log/log-store.ts";

/** Notes the fate of the segment that a pass is writing. */
function noting(): { store: LogStore; done: string[] } {
  const done: string[] = [];
  const note = (what: string) => (segment: number) => {
    if (segment === COMPACTING) done.push(what);
  };
  const store = { dropSegment: note("drop"), createSegment: note("create") };
  return { store: store as unknown as LogStore, done };
}

const PASS = { mapEnd: 100, groupBase: 40, position: 60, nextHorizonMs: null };
const state = (more: Partial<CompactionState> = {}): CompactionState => ({
  cleanedOffset: 20,
  nextHorizonMs: null,
  pass: PASS,
  ...more,
});

test("[CMP-4] without a pass, or before its place, only the clean end moves, and never back", () => {
  const { store, done } = noting();
  const none = state({ pass: null, nextHorizonMs: 7 });
  expect(withoutSegment(store, none, 0, 30)).toEqual({ ...none, cleanedOffset: 30 });
  expect(withoutSegment(store, none, 0, 10)).toEqual(none);
  expect(withoutSegment(store, state(), 30, 40)).toEqual(state({ cleanedOffset: 40 }));
  expect(done).toEqual([]);
});

test("[CMP-4] a pass whose segments are dropped begins again behind them", () => {
  const { store, done } = noting();
  expect(withoutSegment(store, state(), 40, 80)).toEqual({
    cleanedOffset: 80,
    nextHorizonMs: null,
    pass: { ...PASS, groupBase: 80, position: 80 },
  });
  expect(done).toEqual(["drop", "create"]);
  expect(withoutSegment(store, state(), 40, 99).pass).not.toBeNull();
});

test.each([
  { log: null, pass: null, is: null },
  { log: 5, pass: null, is: 5 },
  { log: null, pass: 6, is: 6 },
  { log: 5, pass: 6, is: 5 },
  { log: 8, pass: 6, is: 6 },
])(
  "[CMP-2] [CMP-4] a pass with nothing left ends, and tombstones kept till $log and $pass go at $is",
  ({ log, pass, is }) => {
    for (const next of [100, 150]) {
      const { store, done } = noting();
      const before = state({ nextHorizonMs: log, pass: { ...PASS, nextHorizonMs: pass } });
      expect(withoutSegment(store, before, 60, next)).toEqual({
        cleanedOffset: next,
        nextHorizonMs: is,
        pass: null,
      });
      expect(done).toEqual(["drop"]);
    }
  },
);
