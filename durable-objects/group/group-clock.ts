// A group's clock. Everything that the group waits for ends by it, so that it notices when somebody sets the machine's.
import { CLOCK_SLACK_MS, wasSetBack } from "../../src/core/elapsed.ts";
import { ObjectClock } from "../shared/clock.ts";
import type { Sql } from "../shared/sql.ts";

export class GroupClock {
  readonly #clock: ObjectClock;
  readonly #wasSetBack: (nowMs: number) => void;
  #latestMs: number;

  /** [CLK-4] `wasSetBack` is called from within `now`, before anybody hears the time. */
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

  /** In an earlier life the clock had come as far as that. */
  noted(atMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, atMs);
  }

  /** When somebody was heard from; 0 where that was before the clock was set back, and says nothing now. */
  heard(atMs: number): number {
    return atMs <= this.#latestMs + CLOCK_SLACK_MS ? atMs : 0;
  }
}
