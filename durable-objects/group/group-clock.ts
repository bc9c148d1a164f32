// A group's clock. All waits of the group are measured by it, so the group notices if somebody sets the
// machine's clock.
import { CLOCK_SLACK_MS, wasSetBack } from "../../src/core/elapsed.ts";
import { ObjectClock } from "../shared/clock.ts";
import type { Sql } from "../shared/sql.ts";

export class GroupClock {
  readonly #clock: ObjectClock;
  readonly #wasSetBack: (nowMs: number) => void;
  #latestMs: number;

  /** [CLK-4] `wasSetBack` is called within `now`, before any caller gets the time. */
  constructor(sql: Sql, wasSetBack: (nowMs: number) => void) {
    this.#clock = new ObjectClock(sql);
    this.#wasSetBack = wasSetBack;
    this.#latestMs = this.#clock.now();
  }

  get isStanding(): boolean {
    return this.#clock.isStanding;
  }

  now(): number {
    const nowMs = this.#clock.now();
    const isSetBack = wasSetBack(this.#latestMs, nowMs);
    this.#latestMs = isSetBack ? nowMs : Math.max(this.#latestMs, nowMs);
    if (isSetBack) this.#wasSetBack(nowMs);
    return nowMs;
  }

  /** Notes a time that the clock had reached in an earlier life. */
  noted(atMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, atMs);
  }

  /** Returns the time of a sign of life, or 0 if it precedes a setting back of the clock and so means nothing now. */
  heard(atMs: number): number {
    return atMs <= this.#latestMs + CLOCK_SLACK_MS ? atMs : 0;
  }
}
