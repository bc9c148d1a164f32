// Time for a consumer's session: it must not seem shorter than it was, or a member would go on with partitions
// that the group has given to others. A wall clock can be set back, and a monotonic one stands still on some
// machines while they sleep.

declare const performance: { now(): number };

/** For what may take so long and no longer: nobody sets it. */
export function monotonicMs(): number {
  return performance.now();
}

/** Milliseconds since the epoch, about. Never goes back, and goes on by whichever clock has gone further. */
export class Clock {
  /** What it showed when the clocks were compared anew. */
  #sinceMs = Date.now();
  #wallMs = this.#sinceMs;
  #monotonicMs = performance.now();
  #lastWallMs = this.#sinceMs;

  now(): number {
    const wallMs = Date.now();
    const monotonicMs = performance.now();
    if (wallMs < this.#lastWallMs) {
      // It was set back. What it had shown before counts, and what has passed since by the other clock.
      this.#sinceMs += Math.max(
        this.#lastWallMs - this.#wallMs,
        Math.floor(monotonicMs - this.#monotonicMs),
      );
      this.#wallMs = wallMs;
      this.#monotonicMs = monotonicMs;
    }
    this.#lastWallMs = wallMs;
    const elapsedMs = Math.max(wallMs - this.#wallMs, Math.floor(monotonicMs - this.#monotonicMs));
    return this.#sinceMs + elapsedMs;
  }
}
