// When the group has to wake up by itself, and why. Each line of the table "Who notices a death" in ARCHITECTURE.md is one
// of these:
//
// deadline  A member without a connection has been silent for its session timeout, a member owes partitions that others
//           wait for, a rebalance of classic members has waited long enough, or an empty group's positions expire.
//           It is stored, so an alarm that rings for something else does not look at the members.
// watches   A connection that watches for a Kafka client has to report it alive once in a session timeout.
// moved     Members that were given partitions must be heard from within a session timeout. That is noted with the socket,
//           so an alarm that rings before does not forget it.
// suspects  A member with a socket was not heard from for its session timeout, and something has woken the group.
// expiry    The credential of a member's socket expires. The socket is closed, whatever the member answers.
// safety    Nothing has happened for half an hour.
//
// In a group in which nothing happens, all members have sockets and are heard from. So it wakes up for safety only.
import { isTooLate } from "../../src/core/elapsed.ts";
import type { GroupEvent, GroupState } from "../../src/core/group/state.ts";
import { DEFAULT_SESSION_TIMEOUT_MS, SAFETY_ALARM_MS } from "../../src/core/limits.ts";
import { startAnew } from "../shared/clock.ts";
import { isLostAlarm } from "../shared/lost-alarm.ts";
import type { Alarm } from "../shared/usage.ts";
import type { GroupClock } from "./group-clock.ts";
import type { Deadline } from "./group-store.ts";
import type { Presence } from "./presence.ts";

/** The group, as far as its deadlines go. */
interface Timed {
  readonly state: GroupState;
  /** Iterates over all members. */
  readonly nextDeadlineMs: number;
  deadlineAfter(events: readonly GroupEvent[]): number;
}

interface DeadlineStore {
  deadline(): Deadline;
  setDeadline(deadline: Deadline): void;
}

type Context = Pick<DurableObjectState, "storage" | "waitUntil" | "abort">;
type StoredAlarm = Pick<Alarm, "getAlarm" | "setAlarm">;

export class GroupAlarm {
  readonly #ctx: Context;
  readonly #stored: StoredAlarm;
  readonly #presence: Presence;
  readonly #clock: GroupClock;
  /** When the alarm will ring. Null if that is not known, for example after waking up. */
  #atMs: number | null = null;
  /** True if an alarm never rang, or the clock was set forward past it. All sessions begin anew then. */
  #wasLost = false;
  /** When a silent member was last looked for. */
  #lookedMs = 0;

  constructor(ctx: Context, presence: Presence, clock: GroupClock, stored: StoredAlarm) {
    this.#ctx = ctx;
    this.#stored = stored;
    this.#presence = presence;
    this.#clock = clock;
  }

  /** Nothing is known of the alarm any more: it has rung, or it was set by a clock that now shows a different time. */
  forget(): void {
    this.#atMs = null;
  }

  /** True if an alarm that rings now has to look at the members. */
  isDue(store: DeadlineStore, nowMs: number): boolean {
    const { atMs, setAtMs } = store.deadline();
    // Release 0.2 did not store it.
    const isPast = setAtMs === 0 || (atMs ?? Number.POSITIVE_INFINITY) <= nowMs;
    return isPast || this.#wasLost || this.#presence.isAnyoneSilent(nowMs);
  }

  /** Stores the deadline anew after all members were looked at. */
  settle(store: DeadlineStore, group: Timed): void {
    this.#wasLost = false;
    const { nextDeadlineMs } = group;
    const atMs = nextDeadlineMs === Number.POSITIVE_INFINITY ? null : nextDeadlineMs;
    const known = store.deadline();
    const nowMs = this.#clock.now();
    // A time in the future, from before the clock was set back, must not stay.
    const isKnown = known.setAtMs > 0 && known.setAtMs <= nowMs && known.atMs === atMs;
    if (!isKnown) store.setDeadline({ atMs, setAtMs: nowMs });
  }

  /** Sets the alarm so that it rings in time after these events. It may ring early, and is then set anew. */
  async schedule(store: DeadlineStore, group: Timed, events: readonly GroupEvent[]): Promise<void> {
    const nowMs = this.#clock.now();
    const storedMs = store.deadline().atMs ?? Number.POSITIVE_INFINITY;
    // Positions may have been set by hand in an empty group that had nothing to expire.
    const isEmpty = storedMs === Number.POSITIVE_INFINITY && group.state.emptySinceMs !== null;
    const newMs = isEmpty ? group.nextDeadlineMs : group.deadlineAfter(events);
    if (newMs < storedMs) store.setDeadline({ atMs: newMs, setAtMs: nowMs });
    await this.#ringBy(
      Math.min(
        // One that has passed has its alarm. If it has none, members first have time to show that they are there.
        storedMs > nowMs ? storedMs : nowMs + DEFAULT_SESSION_TIMEOUT_MS,
        newMs,
        this.#presence.nextWatchDeadlineMs(nowMs),
        this.#presence.movedDeadlineMs(nowMs),
        this.#presence.suspectDeadlineMs(nowMs),
        Math.max(this.#presence.nextExpiryMs, nowMs),
        this.#presence.hasSockets ? nowMs + SAFETY_ALARM_MS : Number.POSITIVE_INFINITY,
      ),
    );
  }

  /** Looks for silent members while the group is awake for something else, but not more than once a second. */
  async look(): Promise<void> {
    const nowMs = this.#clock.now();
    if (Math.abs(nowMs - this.#lookedMs) < 1_000) return;
    this.#lookedMs = nowMs;
    await this.#ringBy(this.#presence.suspectDeadlineMs(nowMs));
  }

  /**
   * Handles the word of a partition that its owner does not read. If the owner is not heard from here either until its
   * session ends, the alarm finds that out. Returns false if it has no socket.
   */
  async suspect(memberNumber: number): Promise<boolean> {
    const nowMs = this.#clock.now(); // First, or heartbeats that were answered since the last look do not count.
    const endMs = this.#presence.sessionEndMs(memberNumber);
    if (endMs === null) return false;
    await this.#ringBy(endMs > nowMs ? endMs : this.#presence.suspectDeadlineMs(nowMs));
    return true;
  }

  async #ringBy(deadlineMs: number): Promise<void> {
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    // [CLK-4] An alarm from an earlier life rings on time, even if the clock was set forward
    // since. If it were set anew, for a time that has already passed by that clock, it would ring
    // at once, before members could show that they are there.
    this.#atMs ??= await this.#stored.getAlarm();
    const nowMs = this.#clock.now();
    const isLost = this.#atMs !== null && isLostAlarm(this.#atMs, nowMs);
    if (this.#atMs !== null && this.#atMs <= deadlineMs && !isLost) return;
    this.#wasLost ||= isLost;
    const atMs = isLost ? nowMs : deadlineMs;
    this.#atMs = atMs;
    if (this.#clock.isStanding) this.#ctx.waitUntil(startAnew(this.#ctx));
    await this.#stored.setAlarm(atMs);
  }

  /** [CLK-4] True if the alarm rings too late, as it does after the clock was set forward. */
  wasSetForward({ state }: Timed, dueMs: number, nowMs: number): boolean {
    const isLate = [...state.members.values(), ...state.classic.members.values()].some(
      ({ sessionTimeoutMs }) => isTooLate(dueMs, sessionTimeoutMs, nowMs),
    );
    return isLate || this.#wasLost;
  }
}
