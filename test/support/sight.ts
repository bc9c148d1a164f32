// The presence of members, as a test states it: see core/group/session.ts.
import type { Sight } from "../../src/core/group/session.ts";

/**
 * Members that were last heard from at these times. By default no connection reports them alive, so each has its own
 * deadline.
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
