// The states, members and lags of all groups, from the reports of groups and partitions, in a chosen order.
import { topicLagsOf } from "./lag.ts";
import type { MetricsState } from "./metrics-state.ts";

export const GROUP_ORDERS = ["age", "lag", "name"] as const;
/** By the age of the oldest unread record or by the lag in records, the largest first, or by name. */
export type GroupOrder = (typeof GROUP_ORDERS)[number];

export interface GroupSummary {
  readonly groupId: string;
  /** KIP-848's name of the state. */
  readonly state: string;
  readonly members: number;
  /** The topics in which it has committed offsets. */
  readonly topics: readonly string[];
  /** The lag in records, an upper bound. Null if nothing was committed, or no partition has reported. */
  readonly lag: number | null;
  /** The age of the oldest unread record. 0 if there is none, null if unknown. */
  readonly oldestUnreadMs: number | null;
  /** The time of the group's last report. */
  readonly toldAtMs: number;
}

/** Returns the groups that have reported. */
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

/** A group without known values comes after groups without a lag. */
function measure({ lag, oldestUnreadMs }: GroupSummary, order: GroupOrder): number {
  if (order === "name") return 0;
  return (order === "lag" ? lag : oldestUnreadMs) ?? -1;
}
