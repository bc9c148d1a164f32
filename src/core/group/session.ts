// A member's session ends if nothing shows for its timeout that it is alive.

/** Tells who is there: see durable-objects/group/presence.ts. */
export interface Sight {
  /** Returns when the member was last heard from, by a socket, a watching connection or a call. 0 if it never was. */
  lastSeenMs(memberId: string): number;
  /** True if a connection reports the member alive. It is then looked at there, and needs no deadline of its own. */
  isConnected(memberId: string): boolean;
}

export interface Session {
  readonly memberId: string;
  readonly sessionTimeoutMs: number;
  /** When reports that it is alive ended. Null while there are reports. */
  readonly silentSinceMs: number | null;
}

export function sessionEndMs(
  { memberId, sessionTimeoutMs, silentSinceMs }: Session,
  sight: Sight,
): number {
  return (silentSinceMs ?? sight.lastSeenMs(memberId)) + sessionTimeoutMs;
}

/** When the group has to look at the member by itself. Infinity for a member whose connection is looked at. */
export function sessionDeadlineMs(member: Session, sight: Sight): number {
  const isLookedAt = member.silentSinceMs === null && sight.isConnected(member.memberId);
  return isLookedAt ? Number.POSITIVE_INFINITY : sessionEndMs(member, sight);
}
