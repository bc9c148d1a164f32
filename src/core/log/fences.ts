// Exclusive delivery. For each group, a partition remembers the newest owner that attached, and accepts no older one
// [ATT-2]. Kafka has no such fence: there a zombie consumer continues to fetch.

/**
 * The owner of a partition in a group. Owners are ordered by incarnation (a group that is deleted and created again
 * starts a new one), then member epoch, then member number. A static member that replaces another at the same epoch has
 * a higher number.
 */
export interface OwnerToken {
  readonly incarnation: number;
  readonly memberEpoch: number;
  readonly memberNumber: number;
}

/** Returns a negative number if `a` is older than `b`, 0 if they are the same owner at the same epoch. */
export function compareOwners(a: OwnerToken, b: OwnerToken): number {
  return (
    a.incarnation - b.incarnation ||
    a.memberEpoch - b.memberEpoch ||
    a.memberNumber - b.memberNumber
  );
}

/** [ATT-1] True if the candidate may attach: the same or a newer owner may, an older one may not. */
export function mayAttach(newest: OwnerToken | null, candidate: OwnerToken): boolean {
  return newest === null || compareOwners(candidate, newest) >= 0;
}
