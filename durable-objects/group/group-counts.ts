// Counts of a group's activity in this life of its object, for its metrics.
import type { Handled } from "../../src/core/group/changes.ts";
import type { GroupState } from "../../src/core/group/state.ts";

/** The reason for which a member left by itself. It was not lost. */
const LEFT = "left";

export class GroupCounts {
  rebalances = 0;
  /** The number of operations that the history records: members, assignments, configs. */
  changes = 0;
  /** The number of committed offsets. */
  commits = 0;
  /** The numbers of lost members, by reason. */
  readonly lost: Record<string, number> = {};
  /** The numbers of offsets that were not committed, by error name. */
  readonly rejected: Record<string, number> = {};

  add({ events, history, replies }: Handled): void {
    for (const { type } of events) if (type === "offset") this.commits++;
    if (history.length > 0) this.changes++;
    for (const entry of history) {
      if (entry.type === "rebalanced") this.rebalances++;
      else if (entry.type === "removed" && entry.reason !== LEFT)
        increase(this.lost, entry.reason ?? "unknown");
    }
    for (const { answer } of replies)
      for (const { error } of rejectedIn(answer)) increase(this.rejected, error);
  }
}

/** Returns the commits that an answer rejects. Only answers to commits have any. */
function rejectedIn(answer: unknown): readonly { readonly error: string }[] {
  return (answer as { rejected?: readonly { readonly error: string }[] }).rejected ?? [];
}

function increase(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** Counts the members, and the members without a partition. */
export function membersOf({ members, classic }: GroupState): { members: number; empty: number } {
  let empty = 0;
  for (const { assigned } of members.values()) if (assigned.size === 0) empty++;
  return { members: members.size + classic.members.size, empty };
}
