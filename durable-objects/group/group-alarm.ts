// The reasons for which a group has to wake up by itself, and when. Each line of the table "Who notices a
// death" in ARCHITECTURE.md is one of these:
//
// deadline  A member without a connection has been silent for its session timeout, a member owes partitions that others
//           wait for, a rebalance of classic members has waited long enough, or an empty group's committed offsets expire.
//           The deadline is stored, so an alarm that rings for another reason does not read the members.
// watches   A connection that watches for a Kafka client has to report it alive once per session timeout.
// moved     Members that were given partitions must be heard from within a session timeout. This is noted with the socket,
//           so an alarm that rings earlier does not lose it.
// suspects  A member with a socket has been silent for its session timeout, and something has woken the group.
// expiry    The credential of a member's socket expires. The socket is closed, whatever the member answers.
// safety    Nothing has happened for half an hour.
//
//
// In a group in which nothing happens, all members have sockets and are heard from. So it wakes up for safety
// only.
import { isTooLate } from "../../src/core/elapsed.ts";
import type { GroupEvent, GroupState } from "../../src/core/group/state.ts";
import { DEFAULT_SESSION_TIMEOUT_MS, SAFETY_ALARM_MS } from "../../src/core/limits.ts";
import { startAnew } from "../shared/clock.ts";
import { isLostAlarm } from "../shared/lost-alarm.ts";
import type { Alarm } from "../shared/usage.ts";
import type { GroupClock } from "./group-clock.ts";
import type { Deadline } from "./group-store.ts";
import type { Presence } from "./presence.ts";

/** The deadlines of a group. */
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
  /** The time of the alarm. Null if it is not known, for example after waking up. */
  #atMs: number | null = null;
  /** True if an alarm never rang, or the clock was set forward past it. All sessions then start anew. */
  #wasLost = false;
  /** The time of the last search for silent members. */
  #lookedMs = 0;

  constructor(ctx: Context, presence: Presence, clock: GroupClock, stored: StoredAlarm) {
    this.#ctx = ctx;
    this.#stored = stored;
    this.#presence = presence;
    this.#clock = clock;
  }

  /** Forgets the alarm: it has rung, or it was set by a clock that now shows a different time. */
  forget(): void {
    this.#atMs = null;
  }

  /** True if an alarm that rings now has to examine the members. */
  isDue(store: DeadlineStore, nowMs: number): boolean {
    const { atMs, setAtMs } = store.deadline();
    // Release 0.2 did not store it.
    const isPast = setAtMs === 0 || (atMs ?? Number.POSITIVE_INFINITY) <= nowMs;
    return isPast || this.#wasLost || this.#presence.isAnyoneSilent(nowMs);
  }

  /** Stores the new deadline after all members were examined. */
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

  /** Sets the alarm to ring in time after these events. It may ring early, and is then set again. */
  async schedule(store: DeadlineStore, group: Timed, events: readonly GroupEvent[]): Promise<void> {
    const nowMs = this.#clock.now();
    const storedMs = store.deadline().atMs ?? Number.POSITIVE_INFINITY;
    // An admin may have set committed offsets in an empty group that had none to expire.
    const isEmpty = storedMs === Number.POSITIVE_INFINITY && group.state.emptySinceMs !== null;
    const newMs = isEmpty ? group.nextDeadlineMs : group.deadlineAfter(events);
    if (newMs < storedMs) store.setDeadline({ atMs: newMs, setAtMs: nowMs });
    await this.#ringBy(
      Math.min(
        // A deadline that has passed has its alarm. If it has none, members first get time to show that they
        // are alive.
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

  /** Looks for silent members while the group is awake for another reason, at most once a second. */
  async look(): Promise<void> {
    const nowMs = this.#clock.now();
    if (Math.abs(nowMs - this.#lookedMs) < 1_000) return;
    this.#lookedMs = nowMs;
    await this.#ringBy(this.#presence.suspectDeadlineMs(nowMs));
  }

  /**
   * Handles a partition's report that its owner does not read. If the group does not hear from the owner either
   * until its session ends, the alarm removes it. Returns false if the owner has no socket.
   */
  async suspect(memberNumber: number): Promise<boolean> {
    const nowMs = this.#clock.now(); // Read first. Otherwise heartbeats since the last look would not count.
    const endMs = this.#presence.sessionEndMs(memberNumber);
    if (endMs === null) return false;
    await this.#ringBy(endMs > nowMs ? endMs : this.#presence.suspectDeadlineMs(nowMs));
    return true;
  }

  async #ringBy(deadlineMs: number): Promise<void> {
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    // [CLK-4] An alarm from an earlier life rings on time, even if the clock was set forward since. Set again,
    // for a time that has passed by the new clock, it would ring at once, before members could show that they
    // are alive.
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
