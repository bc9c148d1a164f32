// The clock of a consumer's session, over a wall clock and a monotonic one that the test controls.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Clock } from "../../../src/member/clock.ts";

const START_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

let wallMs = 0;
let monotonicMs = 0;

beforeEach(() => {
  wallMs = START_MS;
  // It counts from when the process began, and in fractions.
  monotonicMs = 1_234.5;
  vi.spyOn(Date, "now").mockImplementation(() => wallMs);
  vi.spyOn(performance, "now").mockImplementation(() => monotonicMs);
});

afterEach(() => void vi.restoreAllMocks());

/** Time passes, by both clocks unless another monotonic time is given. */
function pass(ms: number, byMonotonicMs = ms): void {
  wallMs += ms;
  monotonicMs += byMonotonicMs;
}

/** The clock's reading, counted from the start. */
function shown(clock: Clock): number {
  return clock.now() - START_MS;
}

test("[SES-4] while the wall clock and the monotonic one agree, time is what both show", () => {
  const clock = new Clock();
  expect(shown(clock)).toBe(0);
  pass(250);
  expect(shown(clock)).toBe(250);
  expect(shown(clock)).toBe(250);
  pass(HOUR_MS);
  expect(shown(clock)).toBe(HOUR_MS + 250);
});

test("[SES-4] the clock that has gone further counts, whichever that is", () => {
  const clock = new Clock();
  pass(1_000, 1_400);
  expect(shown(clock)).toBe(1_400);
  // Counted from the start for each, not step by step: otherwise the differences would add up.
  pass(1_000, 100);
  expect(shown(clock)).toBe(2_000);
  pass(1_000, 2_000);
  expect(shown(clock)).toBe(3_500);
});

test("[SES-4] time goes on in whole milliseconds", () => {
  const clock = new Clock();
  pass(0, 10.75);
  expect(shown(clock)).toBe(10);
});

test("[SES-4] after the wall clock is set back, time continues by the monotonic one and never goes back", () => {
  const clock = new Clock();
  pass(5_000);
  expect(shown(clock)).toBe(5_000);
  wallMs -= HOUR_MS;
  expect(shown(clock)).toBe(5_000);
  pass(700);
  expect(shown(clock)).toBe(5_700);
  // The wall clock returns to where it was before: no extra time has passed.
  pass(HOUR_MS);
  expect(shown(clock)).toBe(HOUR_MS + 5_700);
});

test("[SES-4] the time between the last look and a setting back is not forgotten", () => {
  const clock = new Clock();
  pass(5_000);
  clock.now();
  // Nobody looks for half a minute, and in it the wall clock is set back: a session must still be seen to end.
  pass(30_000);
  wallMs -= HOUR_MS;
  expect(shown(clock)).toBe(35_000);
  pass(1_000);
  expect(shown(clock)).toBe(36_000);
});

test("[SES-4] a wall clock that is set back repeatedly delays nothing", () => {
  const clock = new Clock();
  let lastMs = clock.now();
  for (let i = 1; i <= 100; i++) {
    pass(100);
    if (i % 3 === 0) wallMs -= 10_000;
    expect(clock.now()).toBeGreaterThanOrEqual(lastMs);
    lastMs = clock.now();
  }
  expect(shown(clock)).toBe(10_000);
});

test("[SES-4] if the machine sleeps and the monotonic clock with it, time follows the wall clock", () => {
  const clock = new Clock();
  pass(1_000);
  pass(HOUR_MS, 0);
  expect(shown(clock)).toBe(HOUR_MS + 1_000);
  pass(1_000);
  expect(shown(clock)).toBe(HOUR_MS + 2_000);
});

test("[SES-4] sleep counts even after the wall clock is set back, and so does a later sleep", () => {
  const clock = new Clock();
  pass(HOUR_MS, 0);
  expect(shown(clock)).toBe(HOUR_MS);
  wallMs -= 2 * HOUR_MS;
  pass(500);
  expect(shown(clock)).toBe(HOUR_MS);
  pass(500);
  expect(shown(clock)).toBe(HOUR_MS + 500);
  pass(HOUR_MS, 0);
  expect(shown(clock)).toBe(2 * HOUR_MS + 500);
});
