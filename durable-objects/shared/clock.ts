// Time for an object. Its Date.now() never goes back within a life. If the wall clock is set back,
// Date.now() stands still until the wall clock has caught up, and so do the object's timers and the alarms
// that it sets. SQLite always shows the real wall clock.
import { message } from "./message.ts";
import type { Sql } from "./sql.ts";
import { wallClockMs } from "./wall-clock.ts";

/** How far two readings may differ even if nobody has set a clock. */
const SLACK_MS = 500;
/**
 * How far Date.now() may be ahead of SQLite's clock while it still
 * goes. Both are cut to milliseconds, at different times.
 */
const STANDING_MS = 20;
/** A busy object looks at its clock this often. */
const BUSY_MS = 20;

/** True if this object's time, and with it its timers, stands still until the wall clock has caught up. */
export function isStanding(sql: Sql): boolean {
  return Date.now() > wallClockMs(sql) + STANDING_MS;
}

/** The small part of a Durable Object's state that ends its life. */
interface Life {
  readonly storage: { sync(): Promise<void> };
  abort(reason: string): void;
}

/**
 * [CLK-2] Ends the life of an object whose time stands still, once its writes are durable and its answers are under
 * way. The next life begins with the clock as it is now. Sockets break, and the clients at their other ends come back.
 */
export async function startAnew(ctx: Life): Promise<void> {
  await ctx.storage.sync();
  await message();
  ctx.abort("the clock was set back");
}

/** Both clocks of an object, and whether its own is ahead. */
interface Look {
  readonly wallMs: number;
  readonly shownMs: number;
  readonly isAhead: boolean;
}

/** The time of an object: Date.now(), or the wall clock if Date.now() stands still. */
export class ObjectClock {
  readonly #sql: Sql;
  #wallMs: number;
  #shownMs: number;
  #isAhead: boolean;
  #isStanding = false;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#shownMs = Date.now();
    this.#wallMs = wallClockMs(sql);
    this.#isAhead = this.#shownMs > this.#wallMs + STANDING_MS;
  }

  /** True if the time stood still at the last look. No alarm can then be set that rings on time. */
  get isStanding(): boolean {
    return this.#isStanding;
  }

  now(): number {
    const { wallMs, shownMs } = this.look();
    return this.#isStanding ? wallMs : shownMs;
  }

  /** Returns both clocks, and whether Date.now() is so far ahead that a timer set now would be late. */
  look(): Look {
    return this.#note(Date.now(), wallClockMs(this.#sql));
  }

  /**
   * Looks as `look` does, but asks SQLite only if the object's time is ahead, stands still, or has moved by more than
   * `BUSY_MS` since the last look. A time that moves on is the wall clock's, because a time that is ahead stands still.
   * A clock that was set back in these few milliseconds is noticed by the next look. Asking would cost a busy partition
   * 5 to 40 µs a commit.
   */
  glance(): Look {
    const shownMs = Date.now();
    const movedMs = shownMs - this.#shownMs;
    const isMoving = !this.#isAhead && movedMs > 0 && movedMs <= BUSY_MS;
    return this.#note(shownMs, isMoving ? shownMs : wallClockMs(this.#sql));
  }

  #note(shownMs: number, wallMs: number): Look {
    if (wallMs < this.#wallMs - SLACK_MS) this.#isStanding = true;
    if (shownMs <= wallMs + SLACK_MS) this.#isStanding = false;
    this.#wallMs = wallMs;
    this.#shownMs = shownMs;
    this.#isAhead = shownMs > wallMs + STANDING_MS;
    return { wallMs, shownMs, isAhead: this.#isAhead };
  }
}
