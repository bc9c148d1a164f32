// The group's flight recorder. It says what happened to whom, at which epoch and why, so that "why did it rebalance"
// has an answer. Entries are derived from the coordinator's events as they are emitted.
import type { ConfigOverrides } from "../config-table.ts";
import type { HistoryEntry } from "../group-info.ts";
import {
  MAX_HISTORY_ENTRIES_PER_OPERATION,
  MAX_HISTORY_PARTITIONS,
  MAX_HISTORY_PARTITIONS_PER_OPERATION,
} from "../limits.ts";
import { fromSet, type PartitionSet } from "./partition-key.ts";
import type { GroupEvent, GroupState, Member } from "./state.ts";

export type { HistoryEntry };

/** The most reasons named for one rebalance. A thousand members may go at once. */
const MAX_CAUSES = 10;

/** Records the entries of one operation of the coordinator. */
export class HistoryRecorder {
  #entries: HistoryEntry[] = [];
  #causes: string[] = [];
  /** The number of partitions that the operation may still name. */
  #room = MAX_HISTORY_PARTITIONS_PER_OPERATION;

  /** Records an event. Must be called before the event changes the state. */
  record(state: GroupState, event: GroupEvent): void {
    switch (event.type) {
      case "member":
        this.#recordMember(state, event.member);
        return;
      case "member-removed": {
        const member = state.members.get(event.memberId);
        if (member === undefined) return;
        this.#add(state, { type: "removed", ...nameOf(member), reason: event.reason });
        this.#causes.push(`${member.clientId ?? member.memberId} removed: ${event.reason}`);
        return;
      }
      case "group":
        if (event.overrides !== state.overrides)
          this.#add(state, { type: "config changed", reason: overridesText(event.overrides) });
        if (event.overrides !== state.overrides) this.#causes.push("the config was changed");
        if (event.groupEpoch === state.groupEpoch) return;
        this.#add(state, {
          type: "rebalanced",
          newEpoch: event.groupEpoch,
          reason: this.#causes.slice(0, MAX_CAUSES).join("; "),
        });
        return;
      case "topic": {
        const { name, partitions } = event.topic;
        const before = state.topics.get(name)?.partitions;
        const reason = `partitions: ${before ?? "unknown"} → ${partitions}`;
        this.#add(state, { type: "topic changed", topic: name, reason });
        this.#causes.push(`topic ${name} has ${partitions} partitions`);
        return;
      }
      case "topic-removed":
        this.#add(state, { type: event.reason, topic: event.name });
        if (event.reason === "topic removed") this.#causes.push(`topic ${event.name} was deleted`);
        return;
      default: // Targets follow from these. Commits are too many, and can be seen in the offsets.
    }
  }

  #recordMember(state: GroupState, member: Member): void {
    const before = state.members.get(member.memberId);
    const name = { ...nameOf(member), memberEpoch: member.memberEpoch };
    const called = member.clientId ?? member.memberId;
    if (before === undefined) {
      this.#add(state, { type: "joined", ...name });
      this.#causes.push(`${called} joined`);
    } else {
      if (before.silentSinceMs === null && member.silentSinceMs !== null && !member.polls)
        this.#add(state, { type: "disconnected", ...name });
      if (before.silentSinceMs !== null && member.silentSinceMs === null && !before.polls)
        this.#add(state, { type: "resumed", ...name });
      if (subscription(before) !== subscription(member)) {
        this.#add(state, { type: "subscribed", ...name, reason: subscription(member) });
        this.#causes.push(`${called} subscribed to ${subscription(member)}`);
      }
    }
    const revoking = member.revoking.difference(before?.revoking ?? new Set());
    if (revoking.size > 0)
      this.#add(state, { type: "revoking", ...name, ...this.#listed(state, revoking) });
    const revoked = (before?.revoking ?? new Set()).difference(member.revoking);
    if (revoked.size > 0)
      this.#add(state, { type: "revoked", ...name, ...this.#listed(state, revoked) });
    const assigned = member.assigned.difference(before?.assigned ?? new Set());
    if (assigned.size > 0)
      this.#add(state, { type: "assigned", ...name, ...this.#listed(state, assigned) });
  }

  /** Records that positions were set from outside. */
  reset(state: GroupState, partitions: PartitionSet): void {
    this.#add(state, { type: "offsets reset", ...this.#listed(state, partitions) });
  }

  /** Adds an entry. An operation gets no more than MAX_HISTORY_ENTRIES_PER_OPERATION of them. */
  #add(state: GroupState, entry: Omit<HistoryEntry, "epoch">): void {
    if (this.#entries.length >= MAX_HISTORY_ENTRIES_PER_OPERATION) return;
    this.#entries.push({ epoch: state.groupEpoch, ...entry });
  }

  /** Returns the entries of this operation. */
  take(): readonly HistoryEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    this.#causes = [];
    this.#room = MAX_HISTORY_PARTITIONS_PER_OPERATION;
    return entries;
  }

  #listed(state: GroupState, set: PartitionSet) {
    const names = new Map([...state.topics.values()].map(({ topicId, name }) => [topicId, name]));
    let room = Math.min(this.#room, MAX_HISTORY_PARTITIONS);
    this.#room -= Math.min(room, set.size);
    const partitions = fromSet(set).map(({ topicId, partitions: all }) => {
      const some = all.slice(0, room);
      room -= some.length;
      return { topic: names.get(topicId) ?? topicId, partitions: some };
    });
    return {
      partitions: partitions.filter((each) => each.partitions.length > 0),
      partitionCount: set.size,
    };
  }
}

function subscription({ topics, topicPattern }: Member): string {
  return [...topics, ...(topicPattern === null ? [] : [`/${topicPattern}/`])].join(", ");
}

function overridesText(overrides: ConfigOverrides): string {
  const set = Object.entries(overrides).map(([key, value]) => `${key}=${value}`);
  return set.length === 0 ? "nothing set" : set.join(", ");
}

function nameOf({ memberId, instanceId, clientId }: Member) {
  return {
    memberId,
    ...(instanceId === null ? {} : { instanceId }),
    ...(clientId === null ? {} : { clientId }),
  };
}
