// The effects of time on a group: its alarm rings, and somebody may set the clock.

import { memberOf } from "../../src/core/group/state.ts";
import { ALARM_RETRY_MS, MAX_ALARM_RETRY_MS } from "../../src/core/limits.ts";
import { logLine } from "../../src/log.ts";
import { startAnew } from "../shared/clock.ts";
import { RetryPause } from "../shared/retry.ts";
import type { Alarm } from "../shared/usage.ts";
import type { GroupAlarm } from "./group-alarm.ts";
import type { GroupClock } from "./group-clock.ts";
import type { GroupKeeper } from "./group-keeper.ts";
import type { GroupStore } from "./group-store.ts";
import type { Presence } from "./presence.ts";

/** The parts of the group's object that are needed here. */
export interface GroupTimeParts {
  readonly keeper: GroupKeeper;
  readonly presence: Presence;
  readonly clock: GroupClock;
  readonly alarm: GroupAlarm;
  /** The platform's alarm. */
  readonly storedAlarm: Pick<Alarm, "setAlarm">;
  store(): GroupStore;
  /** Notifies the members of what has changed for them, and sets the alarm. */
  announce(): Promise<void>;
  /** [ACL-8] Closes the sockets whose credentials have expired. */
  closeExpired(): void;
  /** Deletes a group if nothing of it is left, and unlists one that was never created. */
  end(): Promise<void>;
  couldNotNote(error: unknown): void;
}

export class GroupTime {
  readonly #ctx: DurableObjectState;
  readonly #parts: GroupTimeParts;
  readonly #retry = new RetryPause(ALARM_RETRY_MS, MAX_ALARM_RETRY_MS);

  constructor(ctx: DurableObjectState, parts: GroupTimeParts) {
    this.#ctx = ctx;
    this.#parts = parts;
  }

  /**
   * [GRP-7] [ALM-1] Handles the alarm. The platform gives up on an alarm that keeps failing; this one sets
   * itself again until it succeeds.
   */
  async ring(scheduledMs: number | undefined): Promise<void> {
    const { clock, alarm, keeper } = this.#parts;
    alarm.forget();
    try {
      const nowMs = clock.now();
      this.#parts.closeExpired();
      if (alarm.isDue(this.#parts.store(), nowMs)) this.#lookAtMembers(scheduledMs ?? nowMs, nowMs);
      await this.#parts.announce();
      const isOver = keeper.look((group) => !group.exists || group.isDead(nowMs));
      if (isOver) await this.#parts.end();
      this.#retry.succeeded();
    } catch (error) {
      const { groupId } = keeper.group.state;
      logLine("error", `group ${groupId}: the alarm failed, it will be tried again: ${error}`);
      await this.#parts.storedAlarm.setAlarm(clock.now() + this.#retry.failed());
    }
  }

  /** Removes members that were silent for too long, and computes the next deadline. It reads all members. */
  #lookAtMembers(scheduledMs: number, nowMs: number): void {
    const { keeper, alarm, presence, store } = this.#parts;
    if (keeper.look((group) => alarm.wasSetForward(group, scheduledMs, nowMs)))
      this.#beginSessionsAnew(nowMs);
    keeper.handle({ type: "expire" });
    const { state } = keeper.group; // All members are in memory now.
    presence.closeSilentWatches((memberId) => memberOf(state, memberId) !== undefined, nowMs);
    alarm.settle(store(), keeper.group);
  }

  /** [CLK-4] Checks if somebody has set the clock back. It does not answer if a new life has to begin. */
  async noticeClock(): Promise<void> {
    const { clock, announce } = this.#parts;
    clock.now();
    await announce();
    if (clock.isStanding) await startAnew(this.#ctx);
  }

  /**
   * [CLK-4] Stores the new start of all sessions and sets the alarm again, even during another request, such as
   * a commit. The old alarm waits for a later time of the clock, and nothing else may wake the group.
   */
  wasSetBack(nowMs: number): void {
    const { presence, announce, couldNotNote } = this.#parts;
    presence.beginSessionsAnew(nowMs);
    const stored = Promise.resolve().then(async () => {
      this.#beginSessionsAnew(nowMs);
      await announce();
    });
    this.#ctx.waitUntil(stored.catch(couldNotNote));
  }

  /**
   * [CLK-4] Starts all sessions anew, as after a restart. Somebody set the clock, so nobody knows how long a
   * member has been silent. The new start is noted; otherwise this would happen again and again.
   */
  #beginSessionsAnew(nowMs: number): void {
    const { presence, alarm, keeper, store } = this.#parts;
    presence.beginSessionsAnew(nowMs);
    alarm.forget();
    keeper.handle({ type: "beginSessionsAnew" });
    alarm.settle(store(), keeper.group);
  }
}
