// The lag of a group, from the reports of partitions and the group.
import type { Age } from "./end-history.ts";
import type { MetricsState } from "./metrics-state.ts";
import type { GroupPosition } from "./snapshot.ts";

export interface Lag {
  /** An upper bound: compaction may have left fewer records. */
  readonly records: number;
  /** The age of the first unread record. Null if it is unknown, or if there is none. */
  readonly oldestUnread: Age | null;
}

/** Returns null if the partition has not reported: its lag is then unknown, not zero [MET-5]. */
export function lagOf(state: MetricsState, position: GroupPosition, nowMs: number): Lag | null {
  const partition = state.partitionOf(position.topicId, position.partition);
  if (partition === undefined) return null;
  const { logStartOffset, logEndOffset } = partition.sight;
  // Deleted records do not count.
  const offset = Math.max(position.offset, logStartOffset);
  const records = Math.max(0, logEndOffset - offset);
  return { records, oldestUnread: records === 0 ? null : partition.ends.ageOf(offset, nowMs) };
}

/** The lag of a group in the known partitions of a topic. */
export interface TopicLag {
  readonly topic: string;
  readonly topicId: string;
  readonly offsetSum: number;
  /** Null if no partition is known. */
  readonly records: number | null;
  /** The age of the oldest unread record, or a lower bound of it. 0 if there is none, null if unknown. */
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
