// Time for an object. Its Date.now() never goes back within a life: where the wall clock was set back, it stands still until
// that has caught up, and so do its timers and the alarms that it sets. SQLite shows the wall clock as it is.
import { message } from "./message.ts";
import type { Sql } from "./sql.ts";
import { wallClockMs } from "./wall-clock.ts";

/** What two readings may differ by without anybody's having set a clock. */
const SLACK_MS = 500;
/** By how much Date.now() may be ahead of SQLite's clock though it goes: both are cut to milliseconds, at different times. */
const STANDING_MS = 20;

/** Whether this object's time stands still, and its timers with it, until the wall clock has caught up. */
export function isStanding(sql: Sql): boolean {
  return Date.now() > wallClockMs(sql) + STANDING_MS;
}

/** The narrow slice of a Durable Object's state that ends its life. */
interface Life {
  readonly storage: { sync(): Promise<void> };
  abort(reason: string): void;
}

/**
 * [CLK-2] Ends the life of an object whose time stands still, once what it has written is durable and its answers are on their
 * way. The next one begins with the clock as it is. Sockets break, and whoever is at their other ends comes back.
 */
export async function startAnew(ctx: Life): Promise<void> {
  await ctx.storage.sync();
  await message();
  ctx.abort("the clock was set back");
}

/** The time of an object: Date.now(), and where that stands still, the wall clock. */
export class ObjectClock {
  readonly #sql: Sql;
  #wallMs: number;
  #isStanding = false;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#wallMs = wallClockMs(sql);
  }

  /** Whether it stood still when it was last looked at. Then no alarm can be set that rings in time. */
  get isStanding(): boolean {
    return this.#isStanding;
  }

  now(): number {
    const { wallMs, shownMs } = this.look();
    return this.#isStanding ? wallMs : shownMs;
  }

  /** Both clocks; and whether Date.now() is so far ahead that a timer that is set now is late. */
  look(): { readonly wallMs: number; readonly shownMs: number; readonly isAhead: boolean } {
    const wallMs = wallClockMs(this.#sql);
    const shownMs = Date.now();
    if (wallMs < this.#wallMs - SLACK_MS) this.#isStanding = true;
    if (shownMs <= wallMs + SLACK_MS) this.#isStanding = false;
    this.#wallMs = wallMs;
    return { wallMs, shownMs, isAhead: shownMs > wallMs + STANDING_MS };
  }
}
