// Counts of what a group does in this life of its object. Its metrics tell them.
import type { Handled } from "../../src/core/group/changes.ts";
import type { GroupState } from "../../src/core/group/state.ts";

/** A removed member was not lost if it has left by itself. */
const LEFT = "left";

export class GroupCounts {
  rebalances = 0;
  /** Operations that the flight recorder tells of: members, assignments, configs. */
  changes = 0;
  /** Offsets that were committed. */
  commits = 0;
  /** Members that were lost, by the reason. */
  readonly lost: Record<string, number> = {};
  /** Offsets that were not committed, by the name of the error. */
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

/** Counts the members, and those that have no partition. */
export function membersOf({ members, classic }: GroupState): { members: number; empty: number } {
  let empty = 0;
  for (const { assigned } of members.values()) if (assigned.size === 0) empty++;
  return { members: members.size + classic.members.size, empty };
}
