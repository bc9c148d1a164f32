// The time of an object. Its Date.now() never goes back within a life. If the wall clock is set back,
// Date.now() stands still until the wall clock has caught up. So do the object's timers and the alarms that it
// sets. SQLite always shows the real wall clock.
import { message } from "./message.ts";
import type { Sql } from "./sql.ts";
import { wallClockMs } from "./wall-clock.ts";

/** The most that two readings may differ when nobody has set a clock. */
const SLACK_MS = 500;
/**
 * The most that Date.now() may be ahead of SQLite's clock while it still runs. Both are cut to milliseconds, at
 * different times.
 */
const STANDING_MS = 20;
/** The interval at which a busy object reads its clock. */
const BUSY_MS = 20;

/** True if this object's time and its timers stand still until the wall clock has caught up. */
export function isStanding(sql: Sql): boolean {
  return Date.now() > wallClockMs(sql) + STANDING_MS;
}

/** The small part of a Durable Object's state that ends its life. */
interface Life {
  readonly storage: { sync(): Promise<void> };
  abort(reason: string): void;
}

/**
 * [CLK-2] Ends the life of an object whose time stands still, once its writes are durable and its answers are
 * under way. The next life starts with the clock as it is then. Sockets break, and their clients reconnect.
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

  /** True if the time stood still at the last look. No alarm set now would ring on time. */
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
   * Looks as `look` does, but does not always ask SQLite. It asks if the object's time is ahead, stands still,
   * or has moved by more than `BUSY_MS` since the last look. A time that moves is the wall clock's, because a
   * time that is ahead stands still. If the clock was set back in these few milliseconds, the next look
   * notices. Asking SQLite every time would cost a busy partition 5 to 40 µs per commit.
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
