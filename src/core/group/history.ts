// The group's history. It records each change with its member, epoch and reason, so that "why did it rebalance" has an
// answer. Entries are derived from the group's events as they are emitted. The epochs of a classic group are Kafka's
// generations, and the epochs of native members continue from there.
import type { ConfigOverrides } from "../config-table.ts";
import type { HistoryEntry, TopicAssignment } from "../group-info.ts";
import {
  MAX_HISTORY_ENTRIES_PER_OPERATION,
  MAX_HISTORY_PARTITIONS,
  MAX_HISTORY_PARTITIONS_PER_OPERATION,
} from "../limits.ts";
import { readAssignment } from "./classic-assignment.ts";
import type { ClassicMember, ClassicState } from "./classic-state.ts";
import { fromSet, type PartitionSet } from "./partition-key.ts";
import { type GroupEvent, type GroupState, type Member, newestEpoch } from "./state.ts";
import { hasSameRights } from "./topic-pattern.ts";

export type { HistoryEntry };

/** The maximum number of reasons for one rebalance. A thousand members may leave at once. */
const MAX_CAUSES = 10;

/** Records the entries of one operation. */
export class HistoryRecorder {
  #entries: HistoryEntry[] = [];
  #causes: string[] = [];
  /** The causes since the last rebalance of a classic group. A rebalance may take many operations. */
  #classicCauses: string[] = [];
  /** The number of partitions that the operation may still name. */
  #room = MAX_HISTORY_PARTITIONS_PER_OPERATION;

  /** Records an event. Must be called before the event changes the state. */
  record(state: GroupState, event: GroupEvent): void {
    const epoch = newestEpoch(state);
    switch (event.type) {
      case "member":
        this.#recordMember(state, event.member);
        return;
      case "member-removed": {
        const member = state.members.get(event.memberId);
        if (member === undefined) return;
        this.#add(epoch, { type: "removed", ...nameOf(member), reason: event.reason });
        this.#causes.push(`${calledOf(member)} removed: ${event.reason}`);
        return;
      }
      case "group":
        if (event.overrides !== state.overrides)
          this.#add(epoch, {
            type: "config changed",
            reason: overridesText(event.overrides),
          });
        if (event.overrides !== state.overrides) this.#causes.push("the config was changed");
        if (event.groupEpoch === state.groupEpoch) return;
        this.#add(epoch, {
          type: "rebalanced",
          newEpoch: event.groupEpoch,
          reason: this.#causes.slice(0, MAX_CAUSES).join("; "),
        });
        return;
      case "topic": {
        const { name, partitions } = event.topic;
        const before = state.topics.get(name)?.partitions;
        const reason = `partitions: ${before ?? "unknown"} → ${partitions}`;
        this.#add(epoch, { type: "topic changed", topic: name, reason });
        this.#causes.push(`topic ${name} has ${partitions} partitions`);
        return;
      }
      case "topic-removed":
        this.#add(epoch, { type: event.reason, topic: event.name });
        if (event.reason === "topic removed") this.#causes.push(`topic ${event.name} was deleted`);
        return;
      case "classic":
        this.#recordClassic(state.classic, event.classic, event.reason);
        return;
      default: // Targets follow from the other events. Commits are too many, and show in the offsets.
    }
  }

  #recordMember(state: GroupState, member: Member): void {
    const epoch = newestEpoch(state);
    const before = state.members.get(member.memberId);
    const name = { ...nameOf(member), memberEpoch: member.memberEpoch };
    const called = calledOf(member);
    if (before === undefined) {
      this.#add(epoch, { type: "joined", ...name });
      this.#causes.push(`${called} joined`);
    } else {
      if (before.silentSinceMs === null && member.silentSinceMs !== null && !member.polls)
        this.#add(epoch, { type: "disconnected", ...name });
      if (before.silentSinceMs !== null && member.silentSinceMs === null && !before.polls)
        this.#add(epoch, { type: "resumed", ...name });
      if (subscription(before) !== subscription(member)) {
        this.#add(epoch, {
          type: "subscribed",
          ...name,
          reason: subscription(member),
        });
        this.#causes.push(`${called} subscribed to ${subscription(member)}`);
      }
    }
    if (before !== undefined && !hasSameRights(before, member))
      this.#causes.push(`${called} may read other topics now`);
    const revoking = member.revoking.difference(before?.revoking ?? new Set());
    if (revoking.size > 0)
      this.#add(epoch, {
        type: "revoking",
        ...name,
        ...this.#listed(state, revoking),
      });
    const revoked = (before?.revoking ?? new Set()).difference(member.revoking);
    if (revoked.size > 0)
      this.#add(epoch, { type: "revoked", ...name, ...this.#listed(state, revoked) });
    const assigned = member.assigned.difference(before?.assigned ?? new Set());
    if (assigned.size > 0)
      this.#add(epoch, {
        type: "assigned",
        ...name,
        ...this.#listed(state, assigned),
      });
  }

  /** Records the differences. `reason` applies to every removed member. */
  #recordClassic(before: ClassicState, after: ClassicState, reason: string): void {
    const { generation: epoch } = before;
    const { members, phase, generation } = after;
    if (members !== before.members) {
      for (const member of members.values()) {
        if (before.members.has(member.memberId)) continue;
        this.#add(epoch, { type: "joined", ...nameOf(member) });
        this.#classicCauses.push(`${calledOf(member)} joined`);
      }
      for (const member of before.members.values()) {
        if (members.has(member.memberId)) continue;
        this.#add(epoch, { type: "removed", ...nameOf(member), reason });
        this.#classicCauses.push(`${calledOf(member)} removed: ${reason}`);
      }
    }
    if (generation !== before.generation) {
      const causes = this.#classicCauses.splice(0).slice(0, MAX_CAUSES).join("; ");
      const why = causes === "" ? "a member asked for it" : causes;
      this.#add(epoch, { type: "rebalanced", newEpoch: generation, reason: why });
    }
    if (phase !== "STABLE" || before.phase === "STABLE") return;
    for (const member of members.values()) {
      const assigned = readAssignment(member.assignment);
      const partitionCount = countOf(assigned);
      const room = Math.min(this.#room, MAX_HISTORY_PARTITIONS);
      const partitions = firstOf(assigned, room);
      this.#room -= countOf(partitions);
      const who = { ...nameOf(member), memberEpoch: generation };
      if (partitionCount > 0)
        this.#add(generation, { type: "assigned", ...who, partitions, partitionCount });
    }
  }

  /** Records an offset reset. */
  reset(state: GroupState, partitions: PartitionSet): void {
    this.#add(newestEpoch(state), { type: "offsets reset", ...this.#listed(state, partitions) });
  }

  /** Adds an entry. An operation has at most MAX_HISTORY_ENTRIES_PER_OPERATION entries. */
  #add(epoch: number, entry: Omit<HistoryEntry, "epoch">): void {
    if (this.#entries.length >= MAX_HISTORY_ENTRIES_PER_OPERATION) return;
    this.#entries.push({ epoch, ...entry });
  }

  /** Returns and removes the entries of this operation. */
  take(): readonly HistoryEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    this.#causes = [];
    this.#room = MAX_HISTORY_PARTITIONS_PER_OPERATION;
    return entries;
  }

  #listed(state: GroupState, set: PartitionSet) {
    const names = new Map([...state.topics.values()].map(({ topicId, name }) => [topicId, name]));
    const room = Math.min(this.#room, MAX_HISTORY_PARTITIONS);
    this.#room -= Math.min(room, set.size);
    const named = fromSet(set).map(({ topicId, partitions }) => ({
      topic: names.get(topicId) ?? topicId,
      partitions,
    }));
    return { partitions: firstOf(named, room), partitionCount: set.size };
  }
}

function subscription({ topics, topicPattern }: Member): string {
  return [...topics, ...(topicPattern === null ? [] : [`/${topicPattern}/`])].join(", ");
}

function overridesText(overrides: ConfigOverrides): string {
  const set = Object.entries(overrides).map(([key, value]) => `${key}=${value}`);
  return set.length === 0 ? "nothing set" : set.join(", ");
}

function nameOf({ memberId, instanceId, clientId }: Member | ClassicMember) {
  return {
    memberId,
    ...(instanceId === null ? {} : { instanceId }),
    ...(clientId === null ? {} : { clientId }),
  };
}

function calledOf({ memberId, clientId }: Member | ClassicMember): string {
  return clientId || memberId;
}

/** Returns the first `count` partitions. */
function firstOf(assigned: readonly TopicAssignment[], count: number): TopicAssignment[] {
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
