// Elapsed time by a clock that somebody may set. The difference of two readings is trusted only within bounds.

/** The largest difference between two clocks that nobody has set. */
export const CLOCK_SLACK_MS = 1_000;

/**
 * [CLK-3] True if less than `forMs` has passed since `sinceMs`. False if `sinceMs` is in the future: the clock was set
 * back, so the elapsed time is unknown.
 */
export function isWithin(sinceMs: number, forMs: number, nowMs: number): boolean {
  return nowMs >= sinceMs && nowMs - sinceMs < forMs;
}

/**
 * [CLK-3] Returns the rest of a wait of `forMs` that began at `sinceMs`. 0 if the clock was set back since then, so the
 * wait ends.
 */
export function leftOf(sinceMs: number, forMs: number, nowMs: number): number {
  return isWithin(sinceMs, forMs, nowMs) ? sinceMs + forMs - nowMs : 0;
}

/** [CLK-1] Returns the time at which `forMs` have passed since `sinceMs`. Now, if the clock was set back since then. */
export function dueMs(sinceMs: number, forMs: number, nowMs: number): number {
  return wasSetBack(sinceMs, nowMs) ? nowMs : sinceMs + forMs;
}

/** [CLK-1] [CLK-4] True if the clock was set back since it showed `latestMs`. */
export function wasSetBack(latestMs: number, nowMs: number): boolean {
  return nowMs < latestMs - CLOCK_SLACK_MS;
}

/**
 * [CLK-4] True if an alarm rings so late that members with a session timeout of `sessionTimeoutMs` may have sent a
 * heartbeat in time. Then the clock was set forward, or the machine stood still, together with the code that would have
 * noted the heartbeat. The exact amount matters little: a member that sends a heartbeat only once in most of a session
 * is lost even by a small step.
 */
export function isTooLate(dueMs: number, sessionTimeoutMs: number, nowMs: number): boolean {
  return nowMs - dueMs >= Math.min(sessionTimeoutMs / 2, CLOCK_SLACK_MS);
}
