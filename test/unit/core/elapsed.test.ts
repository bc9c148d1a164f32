// Elapsed time by clocks that somebody sets.
import { expect, test } from "vitest";
import { dueMs, isTooLate, isWithin, leftOf, wasSetBack } from "../../../src/core/elapsed.ts";

const SINCE_MS = 1_000_000;
const HOUR_MS = 3_600_000;

test.each([
  { name: "at once", atMs: 0, within: true, left: 500 },
  { name: "in between", atMs: 499, within: true, left: 1 },
  { name: "when it is over", atMs: 500, within: false, left: 0 },
  { name: "an hour forward", atMs: HOUR_MS, within: false, left: 0 },
  { name: "a millisecond back", atMs: -1, within: false, left: 0 },
  { name: "an hour back", atMs: -HOUR_MS, within: false, left: 0 },
])("[CLK-3] 500 ms, checked $name", ({ atMs, within, left }) => {
  expect(isWithin(SINCE_MS, 500, SINCE_MS + atMs)).toBe(within);
  expect(leftOf(SINCE_MS, 500, SINCE_MS + atMs)).toBe(left);
});

test.each([
  { ms: HOUR_MS, setBack: false },
  { ms: 0, setBack: false },
  { ms: -1_000, setBack: false },
  { ms: -1_001, setBack: true },
  { ms: -HOUR_MS, setBack: true },
])("[CLK-4] a clock that shows $ms ms more than it did", ({ ms, setBack }) => {
  expect(wasSetBack(SINCE_MS, SINCE_MS + ms)).toBe(setBack);
});

test.each([
  { ms: HOUR_MS, due: SINCE_MS + 500 },
  { ms: 0, due: SINCE_MS + 500 },
  { ms: -1_000, due: SINCE_MS + 500 },
  { ms: -1_001, due: SINCE_MS - 1_001 },
  { ms: -HOUR_MS, due: SINCE_MS - HOUR_MS },
])(
  "[CLK-1] 500 ms are over at $due, by a clock that shows $ms ms more than it did",
  ({ ms, due }) => {
    expect(dueMs(SINCE_MS, 500, SINCE_MS + ms)).toBe(due);
  },
);

test.each([
  { lateMs: -HOUR_MS, tooLate: false },
  { lateMs: 0, tooLate: false },
  { lateMs: 999, tooLate: false },
  { lateMs: 1_000, tooLate: true },
  { lateMs: HOUR_MS, tooLate: true },
])("[CLK-4] an alarm that rings $lateMs ms late, with sessions of 10 s", ({ lateMs, tooLate }) => {
  expect(isTooLate(SINCE_MS, 10_000, SINCE_MS + lateMs)).toBe(tooLate);
});

test("[CLK-4] an alarm that rings half a session late is too late for the shortest sessions", () => {
  expect(isTooLate(SINCE_MS, 1_000, SINCE_MS + 499)).toBe(false);
  expect(isTooLate(SINCE_MS, 1_000, SINCE_MS + 500)).toBe(true);
});
