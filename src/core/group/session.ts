// A member's session ends after its timeout without a sign of life.

/** Knows which members are alive: see durable-objects/group/presence.ts. */
export interface Sight {
  /**
   * Returns when the member last gave a sign of life, by a socket, a watching connection or a call. 0 if it never did.
   */
  lastSeenMs(memberId: string): number;
  /**
   * True if a connection reports the member alive. The connection is then watched, and the member needs no deadline.
   */
  isConnected(memberId: string): boolean;
}

export interface Session {
  readonly memberId: string;
  readonly sessionTimeoutMs: number;
  /** The time at which signs of life stopped. Null while the member is known to be alive. */
  readonly silentSinceMs: number | null;
}

export function sessionEndMs(
  { memberId, sessionTimeoutMs, silentSinceMs }: Session,
  sight: Sight,
): number {
  return (silentSinceMs ?? sight.lastSeenMs(memberId)) + sessionTimeoutMs;
}

/** The time at which the group itself must check the member. Infinity while its connection is watched. */
export function sessionDeadlineMs(member: Session, sight: Sight): number {
  const isLookedAt = member.silentSinceMs === null && sight.isConnected(member.memberId);
  return isLookedAt ? Number.POSITIVE_INFINITY : sessionEndMs(member, sight);
}
