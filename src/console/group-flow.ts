// Computes the flow from partitions to members: the speed at which a group's committed offsets move between two
// updates.
import type { GroupInfo } from "../core/group-info.ts";
import type { LagPoint } from "../core/metrics/lag-trends.ts";
import { durationText, numberText } from "./format.ts";
import { lagOf } from "./lag.ts";

/** Records per second, by topic/partition. Partitions without movement are absent. */
export type Flows = ReadonlyMap<string, number>;

export const NO_FLOWS: Flows = new Map();

/** Returns the flow in a time span. An offset that went back counts as no flow. */
export function flowsOf(before: GroupInfo, after: GroupInfo, elapsedMs: number): Flows {
  const positions = new Map(
    before.offsets.map(({ topic, partition, committedOffset }) => [
      `${topic}/${partition}`,
      committedOffset,
    ]),
  );
  const flows = new Map<string, number>();
  for (const { topic, partition, committedOffset } of after.offsets) {
    const place = `${topic}/${partition}`;
    const from = positions.get(place) ?? null;
    if (from === null || committedOffset === null || committedOffset <= from) continue;
    flows.set(place, ((committedOffset - from) * 1_000) / Math.max(1, elapsedMs));
  }
  return flows;
}

/** Joins the reported trend with the points seen since the page was opened. */
export function joinTrend(
  told: readonly LagPoint[],
  seen: readonly LagPoint[],
): readonly LagPoint[] {
  const [first] = seen;
  return first === undefined ? told : [...told.filter(({ atMs }) => atMs < first.atMs), ...seen];
}

/** The number of points that are kept, and their distance. The newest point is always current. */
const MAX_SEEN = 120;
const SEEN_STEP_MS = 5_000;

export function withPoint(seen: readonly LagPoint[], point: LagPoint): readonly LagPoint[] {
  const [before] = seen.slice(-2);
  const isNear = seen.length > 1 && before !== undefined && point.atMs - before.atMs < SEEN_STEP_MS;
  return [...(isNear ? seen.slice(0, -1) : seen), point].slice(-MAX_SEEN);
}

/** Returns the lag of a group as a point. Null if nothing was committed. */
export function pointOf(group: GroupInfo, atMs: number): LagPoint | null {
  const { records, oldestMs } = lagOf(group.offsets);
  return records === null ? null : { atMs, lag: records, oldestUnreadMs: oldestMs };
}

/**
 * Describes the line in words. A lag grows if its last quarter ends higher than it begins, by a twentieth of
 * the maximum.
 */
export function trendText(points: readonly LagPoint[]): string {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return "";
  const fromMs = last.atMs - (last.atMs - first.atMs) / 4;
  const before = points.findLast(({ atMs }) => atMs <= fromMs) ?? first;
  const most = Math.max(...points.map(({ lag }) => lag));
  const change = last.lag - before.lag;
  const direction = Math.abs(change) * 20 <= most ? "steady" : change > 0 ? "growing" : "shrinking";
  return `Lag over ${durationText(last.atMs - first.atMs)}: ${direction}, from ${numberText(first.lag)} to ${numberText(last.lag)}, at most ${numberText(most)}.`;
}
