// Who is there, as a test says it: see core/group/session.ts.
import type { Sight } from "../../src/core/group/session.ts";

/**
 * Members that were last heard from at these times. By default no connection reports them alive, so each has a deadline
 * of its own.
 */
export function sightOf(
  lastSeenMs: (memberId: string) => number,
  isConnected: (memberId: string) => boolean = () => false,
): Sight {
  return { lastSeenMs, isConnected };
}

/** All members were last heard from at this time. */
export function seen(atMs: number): Sight {
  return sightOf(() => atMs);
}
