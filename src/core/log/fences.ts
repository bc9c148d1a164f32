// Exclusive delivery: for each group a partition remembers the newest owner that attached, and admits
// nobody older [ATT-2]. Kafka has no such fence: there a zombie consumer goes on fetching.

/**
 * Who owns a partition in a group. Ordered by incarnation (a group deleted and created again starts
 * anew), then member epoch, then member number (a static member that replaced another at the same
 * epoch has the higher one).
 */
export interface OwnerToken {
  readonly incarnation: number;
  readonly memberEpoch: number;
  readonly memberNumber: number;
}

/** Negative where `a` is older than `b`, 0 where they are the same owner at the same epoch. */
export function compareOwners(a: OwnerToken, b: OwnerToken): number {
  return (
    a.incarnation - b.incarnation ||
    a.memberEpoch - b.memberEpoch ||
    a.memberNumber - b.memberNumber
  );
}

/** [ATT-1] The same or a newer owner may attach; an older one is refused. */
export function mayAttach(newest: OwnerToken | null, candidate: OwnerToken): boolean {
  return newest === null || compareOwners(candidate, newest) >= 0;
}
