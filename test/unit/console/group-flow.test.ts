// The flow to the members of a group, and its lag over time in words.
import { expect, test } from "vitest";
import { flowsOf, joinTrend, trendText, withPoint } from "../../../src/console/group-flow.ts";
import type { GroupInfo } from "../../../src/core/group-info.ts";

function groupAt(...committed: (number | null)[]): GroupInfo {
  const offsets = committed.map((committedOffset, partition) => ({
    ...{ topic: "orders", partition, committedOffset },
    ...{ logEndOffset: 100, lag: null, oldestUnreadMs: null },
  }));
  return {
    ...{ groupId: "billing", state: "STABLE", epoch: 1, assignor: "uniform", members: [] },
    offsets,
  };
}

test("[CON-20] the flow is what committed offsets moved by in the time between, and none that went back", () => {
  const flows = flowsOf(groupAt(10, 20, 30, null), groupAt(20, 20, 5, 7), 2_000);
  expect([...flows]).toEqual([["orders/0", 5]]);
  expect([...flowsOf(groupAt(0), groupAt(3), 0)], "no time is a moment").toEqual([
    ["orders/0", 3_000],
  ]);
});

const point = (atMs: number, lag: number) => ({ atMs, lag, oldestUnreadMs: null });

test("[CON-20] observed lag continues reported lag", () => {
  const told = [point(0, 1), point(60_000, 2), point(120_000, 3)];
  expect(joinTrend(told, [])).toEqual(told);
  expect(joinTrend(told, [point(60_000, 9), point(65_000, 8)])).toEqual([
    point(0, 1),
    point(60_000, 9),
    point(65_000, 8),
  ]);
});

test("[CON-20] an observed point is kept every five seconds, and the newest of all", () => {
  let seen: readonly { atMs: number; lag: number; oldestUnreadMs: null }[] = [];
  for (let i = 0; i <= 50; i++) seen = withPoint(seen, point(i * 1_000, i)) as typeof seen;
  expect(seen.length).toBeLessThanOrEqual(15);
  expect(seen.at(-1)?.atMs).toBe(50_000);
  const steps = seen.slice(1, -1).map(({ atMs }, i) => atMs - (seen[i]?.atMs ?? 0));
  expect(Math.min(...steps)).toBeGreaterThanOrEqual(1_000);
  for (let i = 0; i < 5_000; i++)
    seen = withPoint(seen, point(60_000 + i * 5_000, i)) as typeof seen;
  expect(seen.length).toBeLessThanOrEqual(120);
});

test.each([
  [[5, 5, 5, 5, 5], "steady, from 5 to 5, at most 5"],
  [[0, 0, 0, 50, 100], "growing, from 0 to 100, at most 100"],
  [[100, 90, 80, 60, 10], "shrinking, from 100 to 10, at most 100"],
  [[0, 1_000, 1_000, 1_000, 1_010], "steady, from 0 to 1,010, at most 1,010"],
])("[CON-20] a lag of %j is %s", (lags, text) => {
  const points = lags.map((lag, i) => point(i * 60_000, lag));
  expect(trendText(points)).toBe(`Lag over 4 min: ${text}.`);
});
