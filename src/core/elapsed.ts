// Elapsed time by a clock that somebody may set. The difference of two readings is believed only within bounds.

/** The most that two readings differ by if nobody has set the clocks. */
export const CLOCK_SLACK_MS = 1_000;

/**
 * [CLK-3] True if less than `forMs` has passed since `sinceMs`. False if `sinceMs` is in the future: the clock was
 * then set back, and nobody knows how long ago it was.
 */
export function isWithin(sinceMs: number, forMs: number, nowMs: number): boolean {
  return nowMs >= sinceMs && nowMs - sinceMs < forMs;
}

/**
 * [CLK-3] Returns the rest of a wait of `forMs` that began at `sinceMs`.
 * 0 if the clock was set back since, so the wait ends.
 */
export function leftOf(sinceMs: number, forMs: number, nowMs: number): number {
  return isWithin(sinceMs, forMs, nowMs) ? sinceMs + forMs - nowMs : 0;
}

/** [CLK-1] Returns the time at which `forMs` from `sinceMs` on have passed. Now, if the clock was set back since. */
export function dueMs(sinceMs: number, forMs: number, nowMs: number): number {
  return wasSetBack(sinceMs, nowMs) ? nowMs : sinceMs + forMs;
}

/** [CLK-1] [CLK-4] True if a clock that showed `latestMs` was set back since. */
export function wasSetBack(latestMs: number, nowMs: number): boolean {
  return nowMs < latestMs - CLOCK_SLACK_MS;
}

/**
 * [CLK-4] True if an alarm rings so late that members with a session of `sessionTimeoutMs` may have spoken in time. The
 * clock was then set forward, or the machine stood still, and with it the code that would have noted them. The amount
 * does not matter much: a member that speaks once in most of a session is lost by a small step.
 */
export function isTooLate(dueMs: number, sessionTimeoutMs: number, nowMs: number): boolean {
  return nowMs - dueMs >= Math.min(sessionTimeoutMs / 2, CLOCK_SLACK_MS);
}
