// The Worker's timers, in one place. All code that waits, or bounds a wait, starts its timer here.
import type { Caller } from "../../core/access/caller.ts";

/** Runs `action` after this many milliseconds, unless the returned function is called first. */
export function after(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}

/** Resolves after this many milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void after(ms, resolve));
}

/** A timer takes about three weeks at most. */
const LONGEST_TIMER_MS = 24 * 3_600_000;

/** [ACL-8] Runs `action` once the caller's credential has expired, unless the returned function is called first. */
export function atExpiry({ expiresAtMs }: Caller, action: () => void): () => void {
  if (expiresAtMs === null) return () => {};
  let stop = () => {};
  const wait = () => {
    const leftMs = expiresAtMs - Date.now();
    stop = after(Math.min(Math.max(0, leftMs), LONGEST_TIMER_MS), () =>
      Date.now() >= expiresAtMs ? action() : wait(),
    );
  };
  wait();
  return () => stop();
}

/**
 * Resolves in a later turn of the event loop. Long work yields to others this way: on one machine all share a
 * thread.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
