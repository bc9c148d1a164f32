// The lag of a group in each partition, from the reports of partitions and the group.
import type { GroupOffsetInfo } from "../group-info.ts";
import { lagOf } from "./lag.ts";
import type { MetricsState } from "./metrics-state.ts";

export interface GroupLag {
  /** The time of the group's last report. */
  readonly toldMs: number;
  readonly state: string;
  readonly members: number;
  readonly offsets: readonly (GroupOffsetInfo & { readonly topicId: string })[];
}

/**
 * Returns the lag of a group, or null if the group has not reported. Partitions that have not reported are left out.
 */
export function groupLag(state: MetricsState, groupId: string, nowMs: number): GroupLag | null {
  const found = state.objectOf("group", groupId);
  if (found === undefined || found.sight.kind !== "group") return null;
  const { positions, state: name, members } = found.sight;
  const offsets = positions.flatMap((position) => {
    const { topic, topicId, partition, offset } = position;
    const known = state.partitionOf(topicId, partition);
    const lag = lagOf(state, position, nowMs);
    if (known === undefined || lag === null) return [];
    return [
      {
        ...{ topic, topicId, partition, committedOffset: offset },
        logEndOffset: known.sight.logEndOffset,
        ...{ lag: lag.records, oldestUnreadMs: lag.oldestUnread?.ms ?? null },
      },
    ];
  });
  return { toldMs: found.seenMs, state: name, members, offsets };
}
