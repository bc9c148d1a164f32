// The flight recorder of a classic group, in the terms of history.ts. It compares the group before and
// after an operation. Its epochs are Kafka's generations.
import type { HistoryEntry, TopicAssignment } from "../group-info.ts";
import {
  MAX_HISTORY_ENTRIES_PER_OPERATION,
  MAX_HISTORY_PARTITIONS,
  MAX_HISTORY_PARTITIONS_PER_OPERATION,
} from "../limits.ts";
import type { ClassicGroup, ClassicMember, ClassicPhase } from "./classic.ts";
import { readAssignment } from "./classic-assignment.ts";

/** The most reasons named for one rebalance. */
const MAX_CAUSES = 10;

interface Snapshot {
  readonly members: ReadonlyMap<string, ClassicMember>;
  readonly phase: ClassicPhase;
  readonly generation: number;
}

export function snapshotOf({ members, phase, generation }: ClassicGroup): Snapshot {
  return { members: new Map(members), phase, generation };
}

export class ClassicHistory {
  #entries: HistoryEntry[] = [];
  /** The reasons since the last rebalance was completed. */
  #causes: string[] = [];

  /** Records the changes. `reason` says why any member that has gone has gone. */
  record(before: Snapshot, after: ClassicGroup, reason: string): void {
    const epoch = before.generation;
    const { members, phase, generation } = after;
    for (const member of members.values()) {
      if (before.members.has(member.memberId)) continue;
      this.#add({ type: "joined", epoch, ...nameOf(member) });
      this.#causes.push(`${calledOf(member)} joined`);
    }
    for (const member of before.members.values()) {
      if (members.has(member.memberId)) continue;
      this.#add({ type: "removed", epoch, ...nameOf(member), reason });
      this.#causes.push(`${calledOf(member)} removed: ${reason}`);
    }
    if (generation !== before.generation) {
      const causes = this.#causes.splice(0).slice(0, MAX_CAUSES).join("; ");
      const why = causes === "" ? "a member asked for it" : causes;
      this.#add({ type: "rebalanced", epoch, newEpoch: generation, reason: why });
    }
    if (phase !== "STABLE" || before.phase === "STABLE") return;
    let room = MAX_HISTORY_PARTITIONS_PER_OPERATION;
    for (const member of members.values()) {
      const assigned = readAssignment(member.assignment);
      const partitions = some(assigned, Math.min(room, MAX_HISTORY_PARTITIONS));
      const partitionCount = countOf(assigned);
      room -= countOf(partitions);
      const who = { ...nameOf(member), memberEpoch: generation };
      if (partitionCount > 0)
        this.#add({ type: "assigned", epoch: generation, ...who, partitions, partitionCount });
    }
  }

  /** Returns the entries recorded since the last call. */
  take(): readonly HistoryEntry[] {
    return this.#entries.splice(0);
  }

  #add(entry: HistoryEntry): void {
    if (this.#entries.length < MAX_HISTORY_ENTRIES_PER_OPERATION) this.#entries.push(entry);
  }
}

function some(assigned: readonly TopicAssignment[], count: number): TopicAssignment[] {
  let room = count;
  return assigned.flatMap(({ topic, partitions }) => {
    const first = partitions.slice(0, room);
    room -= first.length;
    return first.length === 0 ? [] : [{ topic, partitions: first }];
  });
}

function countOf(assigned: readonly TopicAssignment[]): number {
  return assigned.reduce((sum, { partitions }) => sum + partitions.length, 0);
}

function nameOf({ memberId, instanceId, clientId }: ClassicMember) {
  return { memberId, clientId, ...(instanceId === null ? {} : { instanceId }) };
}

function calledOf({ memberId, clientId }: ClassicMember): string {
  return clientId === "" ? memberId : clientId;
}
