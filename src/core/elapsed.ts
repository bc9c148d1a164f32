// Elapsed time by a clock that somebody may set. What a difference of two readings says is only believed within bounds.

/** Two readings of clocks that nobody has set differ by no more than that. */
export const CLOCK_SLACK_MS = 1_000;

/**
 * [CLK-3] Whether less than `forMs` has passed since `sinceMs`. Not where `sinceMs` lies ahead: then the clock was set back, and
 * nobody knows how long ago it was.
 */
export function isWithin(sinceMs: number, forMs: number, nowMs: number): boolean {
  return nowMs >= sinceMs && nowMs - sinceMs < forMs;
}

/** [CLK-3] What is left of `forMs` that began at `sinceMs`: nothing where the clock was set back since, so that a wait ends. */
export function leftOf(sinceMs: number, forMs: number, nowMs: number): number {
  return isWithin(sinceMs, forMs, nowMs) ? sinceMs + forMs - nowMs : 0;
}

/** [CLK-1] When what began at `sinceMs` has lasted `forMs`: now, where the clock was set back since. */
export function dueMs(sinceMs: number, forMs: number, nowMs: number): number {
  return wasSetBack(sinceMs, nowMs) ? nowMs : sinceMs + forMs;
}

/** [CLK-1] [CLK-4] Whether a clock that showed `latestMs` was set back since. */
export function wasSetBack(latestMs: number, nowMs: number): boolean {
  return nowMs < latestMs - CLOCK_SLACK_MS;
}

/**
 * [CLK-4] Whether an alarm rings so late that those with a session of `sessionTimeoutMs` may have spoken in time: the clock
 * was set forward, or the machine stood still, and with it what would have noted that they did. By how much does not matter:
 * whoever speaks once in most of a session is lost by a small step.
 */
export function isTooLate(dueMs: number, sessionTimeoutMs: number, nowMs: number): boolean {
  return nowMs - dueMs >= Math.min(sessionTimeoutMs / 2, CLOCK_SLACK_MS);
}
