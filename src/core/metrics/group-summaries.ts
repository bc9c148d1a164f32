// How all groups are, from what they and the partitions have told: their states, members and lags, in an order.
import { topicLagsOf } from "./lag.ts";
import type { MetricsState } from "./metrics-state.ts";

export const GROUP_ORDERS = ["age", "lag", "name"] as const;
/** By the age of the oldest unread record, by the lag in records, the largest first, or by name. */
export type GroupOrder = (typeof GROUP_ORDERS)[number];

export interface GroupSummary {
  readonly groupId: string;
  /** KIP-848's name of the state. */
  readonly state: string;
  readonly members: number;
  /** The topics in which it has a position. */
  readonly topics: readonly string[];
  /** Records, an upper bound. Null if nothing was committed, or no partition has told of itself. */
  readonly lag: number | null;
  /** The age of the oldest unread record. 0 if all is read, null if it is not known. */
  readonly oldestUnreadMs: number | null;
  /** When the group last told of itself. */
  readonly toldAtMs: number;
}

/** Returns the groups that have told of themselves. */
export function groupSummaries(
  state: MetricsState,
  order: GroupOrder,
  nowMs: number,
): GroupSummary[] {
  const groups: GroupSummary[] = [];
  for (const { sight, seenMs } of state.objects()) {
    if (sight.kind !== "group") continue;
    const { groupId, members, positions } = sight;
    const lags = topicLagsOf(state, positions, nowMs);
    const known = lags.filter(({ records }) => records !== null);
    const ages = known.flatMap(({ oldestUnreadMs }) => oldestUnreadMs ?? []);
    groups.push({
      ...{ groupId, state: sight.state, members, toldAtMs: seenMs },
      topics: [...new Set(lags.map(({ topic }) => topic))],
      lag: known.length === 0 ? null : known.reduce((sum, each) => sum + (each.records ?? 0), 0),
      oldestUnreadMs: ages.length === 0 ? null : Math.round(Math.max(...ages)),
    });
  }
  return groups.sort(
    (a, b) => measure(b, order) - measure(a, order) || (a.groupId < b.groupId ? -1 : 1),
  );
}

/** A group of which nothing is known comes after those that have read everything. */
function measure({ lag, oldestUnreadMs }: GroupSummary, order: GroupOrder): number {
  if (order === "name") return 0;
  return (order === "lag" ? lag : oldestUnreadMs) ?? -1;
}
