// Time for a consumer's session. It must not seem shorter than it was, or a member would keep
// partitions that the group has given to others. A wall clock can be set back, and a monotonic
// clock stands still on some machines while they sleep.

declare const performance: { now(): number };

/** The longest time that a timer takes. A longer one rings at once. */
export const MAX_TIMER_MS = 0x7fff_ffff;

/** A clock for bounded waits. Nobody can set it. */
export function monotonicMs(): number {
  return performance.now();
}

/** Estimates milliseconds since the epoch. It never goes back, and advances by the clock that has advanced further. */
export class Clock {
  /** The time that it showed when the clocks were last compared anew. */
  #sinceMs = Date.now();
  #wallMs = this.#sinceMs;
  #monotonicMs = performance.now();
  #lastWallMs = this.#sinceMs;

  now(): number {
    const wallMs = Date.now();
    const monotonicMs = performance.now();
    if (wallMs < this.#lastWallMs) {
      // The clock was set back. The time that it had shown counts, plus the time since then by the other clock.
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
