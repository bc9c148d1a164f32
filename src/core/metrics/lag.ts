// How far a group is behind, from what partitions and group have told.
import type { Age } from "./end-history.ts";
import type { MetricsState } from "./metrics-state.ts";
import type { GroupPosition } from "./snapshot.ts";

export interface Lag {
  /** An upper bound: compaction may have left fewer. */
  readonly records: number;
  /** How old the first unread record is. Null if that is not known, or if all is read. */
  readonly oldestUnread: Age | null;
}

/** Returns null if the partition has told nothing: its lag is unknown then, and no zero [MET-5]. */
export function lagOf(state: MetricsState, position: GroupPosition, nowMs: number): Lag | null {
  const partition = state.partitionOf(position.topicId, position.partition);
  if (partition === undefined) return null;
  const { logStartOffset, logEndOffset } = partition.sight;
  // Records that were deleted are not behind.
  const offset = Math.max(position.offset, logStartOffset);
  const records = Math.max(0, logEndOffset - offset);
  return { records, oldestUnread: records === 0 ? null : partition.ends.ageOf(offset, nowMs) };
}

/** The lag of a group in the partitions of a topic that are known. */
export interface TopicLag {
  readonly topic: string;
  readonly topicId: string;
  readonly offsetSum: number;
  /** Null if no partition is known. */
  readonly records: number | null;
  /** The age of the oldest unread record, or what it is at least. 0 if all is read, null if it is not known. */
  readonly oldestUnreadMs: number | null;
}

export function topicLagsOf(
  state: MetricsState,
  positions: readonly GroupPosition[],
  nowMs: number,
): TopicLag[] {
  const lags = new Map<string, TopicLag>();
  for (const position of positions) {
    const { topic, topicId, offset } = position;
    const nothing = { topic, topicId, offsetSum: 0, records: null, oldestUnreadMs: null };
    const sum: TopicLag = lags.get(topicId) ?? nothing;
    const lag = lagOf(state, position, nowMs);
    const ageMs = lag === null ? null : lag.records === 0 ? 0 : (lag.oldestUnread?.ms ?? null);
    lags.set(topicId, {
      ...sum,
      offsetSum: sum.offsetSum + offset,
      records: plus(sum.records, lag?.records ?? null),
      oldestUnreadMs: maxOf(sum.oldestUnreadMs, ageMs),
    });
  }
  return [...lags.values()];
}

function plus(a: number | null, b: number | null): number | null {
  return a === null ? b : a + (b ?? 0);
}

function maxOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}
