// The lag of a group.
import type { GroupOffsetInfo } from "../core/group-info.ts";
import { durationText } from "./format.ts";

export interface LagSum {
  /** Null if nothing was committed anywhere. */
  readonly records: number | null;
  /** The age of the oldest unread record in all partitions. */
  readonly oldestMs: number | null;
  /** The number of partitions in which nothing was committed. */
  readonly uncommitted: number;
}

/** Returns the lag of a whole group. A partition without a committed offset has none; it does not count as 0. */
export function lagOf(offsets: readonly GroupOffsetInfo[]): LagSum {
  let records: number | null = null;
  let oldestMs: number | null = null;
  let uncommitted = 0;
  for (const { lag, oldestUnreadMs } of offsets) {
    if (lag === null) uncommitted++;
    else records = (records ?? 0) + lag;
    if (oldestUnreadMs !== null) oldestMs = Math.max(oldestMs ?? 0, oldestUnreadMs);
  }
  return { records, oldestMs, uncommitted };
}

/** The lag in time: the age of the oldest unread record. */
export function ageText(oldestUnreadMs: number | null): string {
  return oldestUnreadMs === null ? "–" : durationText(oldestUnreadMs);
}
