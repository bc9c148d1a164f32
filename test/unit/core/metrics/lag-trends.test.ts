// The lag of groups over the last day.
import { beforeEach, expect, test } from "vitest";
import { MAX_METRICS_GROUPS } from "../../../../src/core/limits.ts";
import { LagTrends } from "../../../../src/core/metrics/lag-trends.ts";
import { MetricsState } from "../../../../src/core/metrics/metrics-state.ts";
import {
  groupSnapshot,
  HOUR_MS,
  MINUTE_MS,
  partitionSnapshot,
  position,
  START_MS,
} from "../../../support/metrics-snapshots.ts";

let state: MetricsState;
let trends: LagTrends;
beforeEach(() => {
  state = new MetricsState();
  trends = new LagTrends();
});

/** The log ends here from this minute on, and the group is at the beginning. */
function tell(minute: number, logEndOffset: number, offset = 0): void {
  const atMs = START_MS + minute * MINUTE_MS;
  state.take(atMs, "id-of-orders/0", partitionSnapshot({ logEndOffset }));
  state.take(atMs, "billing", groupSnapshot({ epoch: minute + 1, positions: [position(offset)] }));
  trends.note(state, atMs);
}

const lags = () => trends.of("billing").map(({ lag }) => lag);

test("[MET-14] a point is made once a minute, and not more often", () => {
  tell(0, 10);
  tell(0.5, 15);
  tell(1, 20);
  expect(trends.of("billing")).toMatchObject([
    { atMs: START_MS, lag: 10 },
    { atMs: START_MS + MINUTE_MS, lag: 20 },
  ]);
});

test("[MET-14] a group that has read everything has two points, however long that lasts", () => {
  for (let minute = 0; minute < 30; minute++) tell(minute, 10, 10);
  expect(trends.of("billing")).toEqual([
    { atMs: START_MS, lag: 0, oldestUnreadMs: null },
    { atMs: START_MS + 29 * MINUTE_MS, lag: 0, oldestUnreadMs: null },
  ]);
});

test("[MET-14] beyond an hour the largest point of each quarter of an hour stays, and nothing beyond a day", () => {
  for (let minute = 0; minute < 26 * 60; minute++)
    tell(minute, minute + 1, minute % 20 === 7 ? 0 : minute);
  const points = trends.of("billing");
  const endMs = points.at(-1)?.atMs ?? 0;
  const older = points.filter(({ atMs }) => atMs < endMs - HOUR_MS);
  expect(older.length).toBeLessThanOrEqual(23 * 4 + 1);
  expect(older.length).toBeGreaterThanOrEqual(23 * 4 - 1);
  expect(points.length - older.length).toBeLessThanOrEqual(61);
  expect(Math.min(...points.map(({ atMs }) => atMs))).toBeGreaterThanOrEqual(endMs - 24 * HOUR_MS);
  expect(older.filter(({ lag }) => lag > 100).length, "peaks are seen").toBeGreaterThan(60);
});

test("[MET-14] a group without commits has no trend, and a deleted one loses it", () => {
  state.take(START_MS, "billing", groupSnapshot());
  trends.note(state, START_MS);
  expect(lags()).toEqual([]);
  tell(1, 5);
  trends.remove("billing");
  expect(lags()).toEqual([]);
});

test("[MET-14] comes back from storage, except what cannot be read", () => {
  for (let minute = 0; minute < 5; minute++) tell(minute, 10 * minute);
  const rows = JSON.parse(JSON.stringify([...trends.rows()])) as unknown[][];
  const revived = new LagTrends();
  revived.restore(rows.map(([, ...rest]) => rest));
  expect(revived.of("billing")).toEqual(trends.of("billing"));
  const damaged = new LagTrends();
  damaged.restore([[], [3, []], ["a", "x"], ["b", [1, "x", null, 2, 3, null, 4]]]);
  expect(damaged.of("a")).toEqual([]);
  expect(damaged.of("b")).toEqual([{ atMs: 2, lag: 3, oldestUnreadMs: null }]);
});

test("[MET-14] begins again after the clock was set back", () => {
  tell(60, 10);
  tell(61, 20);
  tell(30, 30);
  expect(lags()).toEqual([30]);
});

test("[MET-14] is kept for a bounded number of groups, those heard of last", () => {
  state.take(START_MS, "id-of-orders/0", partitionSnapshot({ logEndOffset: 5 }));
  for (let i = 0; i <= MAX_METRICS_GROUPS; i++) {
    const groupId = `group-${i}`;
    state.take(START_MS, groupId, groupSnapshot({ groupId, positions: [position(0)] }));
  }
  trends.note(state, START_MS);
  expect(trends.of("group-0")).toEqual([]);
  expect(trends.of("group-1")).toHaveLength(1);
});
