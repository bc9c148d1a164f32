// The changes that a request makes to a group. An event is replayed as soon as it is emitted, and nothing else changes
// state. The object stores the events in one transaction before anybody gets a reply. If that fails, it must drop the
// group and load it again, because memory is then ahead of storage.
import { BrokerError } from "../errors.ts";
import { type HistoryEntry, HistoryRecorder } from "./history.ts";
import type { PartitionSet } from "./partition-key.ts";
import { exists, type GroupEvent, type GroupState, hasMembers, replay } from "./state.ts";

/** An answer to a request: the current one, or an earlier one that had to wait for other members. */
export interface Reply {
  /** The ticket of the answered request. */
  readonly to: number;
  readonly answer: unknown;
}

export interface Handled {
  readonly events: readonly GroupEvent[];
  /** The events in a form for people. */
  readonly history: readonly HistoryEntry[];
  readonly replies: readonly Reply[];
}

export class Changes {
  readonly state: GroupState;
  /** [CLK-5] The incarnation for a group that is created now. Null if the cluster was not asked for one. */
  newIncarnation: number | null = null;
  readonly #recorder = new HistoryRecorder();
  #events: GroupEvent[] = [];
  #replies: Reply[] = [];

  constructor(state: GroupState) {
    this.state = state;
  }

  emit(event: GroupEvent): void {
    this.#recorder.record(this.state, event);
    replay(this.state, event);
    this.#events.push(event);
  }

  /** Emits a change of the group's own fields. */
  emitGroup(change: Partial<Omit<Extract<GroupEvent, { type: "group" }>, "type">>): void {
    const { incarnation, groupEpoch, assignmentEpoch, nextMemberNumber } = this.state;
    const { overrides, emptySinceMs, kind } = this.state;
    const before = { incarnation, groupEpoch, assignmentEpoch, nextMemberNumber };
    const kindOf = kind === null ? {} : { kind };
    this.emit({ type: "group", ...before, overrides, emptySinceMs, ...kindOf, ...change });
  }

  /**
   * Notes that the group has members, or that it has none. This creates a missing group. A group without members starts
   * to age [OFF-10].
   */
  occupy(isOccupied: boolean, nowMs: number): void {
    const { incarnation, emptySinceMs } = this.state;
    const isNoted = isOccupied ? emptySinceMs === null : emptySinceMs !== null;
    if (exists(this.state) && isNoted) return;
    this.emitGroup({
      incarnation: incarnation || this.#takeIncarnation(),
      emptySinceMs: isOccupied ? null : nowMs,
    });
  }

  /** Throws if the cluster was not asked, because the group still existed a moment ago. */
  #takeIncarnation(): number {
    if (this.newIncarnation !== null) return this.newIncarnation;
    const detail = `group ${this.state.groupId} was deleted; ask again`;
    throw new BrokerError("COORDINATOR_NOT_AVAILABLE", detail);
  }

  /** Notes whether the group has members, if it has some or already exists. */
  noteMembers(nowMs: number): void {
    const isOccupied = hasMembers(this.state);
    if (isOccupied || exists(this.state)) this.occupy(isOccupied, nowMs);
  }

  /** Records an offset reset. */
  recordReset(partitions: PartitionSet): void {
    this.#recorder.reset(this.state, partitions);
  }

  reply(to: number, answer: unknown): void {
    this.#replies.push({ to, answer });
  }

  /** Returns the changes since the last call. */
  take(): Handled {
    const handled = {
      events: this.#events,
      history: this.#recorder.take(),
      replies: this.#replies,
    };
    this.#events = [];
    this.#replies = [];
    return handled;
  }
}
