// The lags of groups over the last day: one point per minute for an hour, then one per quarter of an hour. A point is
// added only when a report arrives anyway, and only if it differs from the one before.
import {
  END_HISTORY_COARSE_STEP_MS,
  END_HISTORY_FINE_MS,
  END_HISTORY_MS,
  MAX_METRICS_GROUPS,
  METRICS_INTERVAL_MS,
} from "../limits.ts";
import { isCount } from "./counters.ts";
import { groupLag } from "./group-lags.ts";
import type { MetricsState } from "./metrics-state.ts";

export interface LagPoint {
  readonly atMs: number;
  /** Records in all known partitions. */
  readonly lag: number;
  /** The age of the oldest unread record. Null if there is none, or if it is unknown. */
  readonly oldestUnreadMs: number | null;
}

export class LagTrends {
  /** In the order of their last point, the oldest first. */
  readonly #groups = new Map<string, LagPoint[]>();
  #notedMs = 0;

  /** Notes the lag of each group, unless that was done within the last minute. */
  note(state: MetricsState, nowMs: number): void {
    const sinceMs = nowMs - this.#notedMs;
    if (sinceMs >= 0 && sinceMs < METRICS_INTERVAL_MS) return; // The clock may have been set back.
    this.#notedMs = nowMs;
    for (const { sight } of state.objects()) {
      if (sight.kind !== "group") continue;
      const offsets = groupLag(state, sight.groupId, nowMs)?.offsets ?? [];
      const known = offsets.filter(({ lag }) => lag !== null);
      if (known.length === 0) continue;
      const lag = known.reduce((sum, each) => sum + (each.lag ?? 0), 0);
      const ages = known.flatMap(({ oldestUnreadMs }) => oldestUnreadMs ?? []);
      const oldestUnreadMs = ages.length === 0 ? null : Math.round(Math.max(...ages));
      this.#add(sight.groupId, { atMs: nowMs, lag, oldestUnreadMs });
    }
  }

  #add(groupId: string, point: LagPoint): void {
    const points = (this.#groups.get(groupId) ?? []).filter(({ atMs }) => atMs < point.atMs);
    const [before, last] = points.slice(-2);
    // An unchanged stretch has two points: its beginning, and its end so far.
    if (before !== undefined && isSame(before, point) && last !== undefined && isSame(last, point))
      points.pop();
    points.push(point);
    this.#groups.delete(groupId);
    this.#groups.set(groupId, thinned(points, point.atMs));
    for (const oldest of this.#groups.keys()) {
      if (this.#groups.size <= MAX_METRICS_GROUPS) return;
      this.#groups.delete(oldest);
    }
  }

  of(groupId: string): readonly LagPoint[] {
    return this.#groups.get(groupId) ?? [];
  }

  remove(groupId: string): void {
    this.#groups.delete(groupId);
  }

  *rows(): Generator<unknown> {
    for (const [groupId, points] of this.#groups)
      yield [
        "trend",
        groupId,
        points.flatMap(({ atMs, lag, oldestUnreadMs }) => [atMs, lag, oldestUnreadMs]),
      ];
  }

  /** Restores rows without their kind. Unreadable parts are left out. */
  restore(rows: readonly (readonly unknown[])[]): void {
    for (const [groupId, numbers] of rows.slice(0, MAX_METRICS_GROUPS)) {
      if (typeof groupId !== "string" || !Array.isArray(numbers)) continue;
      const points: LagPoint[] = [];
      for (let i = 0; i + 2 < numbers.length; i += 3) {
        const [atMs, lag, oldestUnreadMs] = numbers.slice(i, i + 3);
        const isPoint = isCount(atMs) && isCount(lag);
        if (isPoint && (oldestUnreadMs === null || isCount(oldestUnreadMs)))
          points.push({ atMs, lag, oldestUnreadMs });
      }
      this.#groups.set(groupId, points);
    }
  }
}

function isSame(one: LagPoint, other: LagPoint): boolean {
  return one.lag === other.lag && one.oldestUnreadMs === null && other.oldestUnreadMs === null;
}

/**
 * Thins out the points that are older than an hour to the largest of each quarter of an hour. Drops those older than a
 * day.
 */
function thinned(points: readonly LagPoint[], nowMs: number): LagPoint[] {
  const kept: LagPoint[] = [];
  for (const point of points) {
    if (point.atMs < nowMs - END_HISTORY_MS) continue;
    const last = kept.at(-1);
    const isOld = point.atMs < nowMs - END_HISTORY_FINE_MS;
    const step = (atMs: number) => Math.floor(atMs / END_HISTORY_COARSE_STEP_MS);
    if (!isOld || last === undefined || step(last.atMs) !== step(point.atMs)) kept.push(point);
    else if (point.lag > last.lag) kept[kept.length - 1] = point;
  }
  return kept;
}
