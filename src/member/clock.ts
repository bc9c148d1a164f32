// Time for a consumer's session. It must not seem shorter than it was. Otherwise a member would keep partitions that
// the group has given to others. A wall clock can be set back, and on some machines a monotonic clock stands still
// during sleep.

declare const performance: { now(): number };

/** The longest delay of a timer. A longer one fires at once. */
export const MAX_TIMER_MS = 0x7fff_ffff;

/** Returns the time of a clock that nobody can set, for bounded waits. */
export function monotonicMs(): number {
  return performance.now();
}

/** Estimates milliseconds since the epoch. It never goes back, and follows the clock that has advanced further. */
export class Clock {
  /** The time that it showed when the two clocks were last synchronized. */
  #sinceMs = Date.now();
  #wallMs = this.#sinceMs;
  #monotonicMs = performance.now();
  #lastWallMs = this.#sinceMs;

  now(): number {
    const wallMs = Date.now();
    const monotonicMs = performance.now();
    if (wallMs < this.#lastWallMs) {
      // The clock was set back. The time shown before counts, plus the time since then by the other clock.
      this.#sinceMs += this.#elapsedMs(this.#lastWallMs, monotonicMs);
      this.#wallMs = wallMs;
      this.#monotonicMs = monotonicMs;
    }
    this.#lastWallMs = wallMs;
    return this.#sinceMs + this.#elapsedMs(wallMs, monotonicMs);
  }

  #elapsedMs(wallMs: number, monotonicMs: number): number {
    return Math.max(wallMs - this.#wallMs, Math.floor(monotonicMs - this.#monotonicMs));
  }
}
