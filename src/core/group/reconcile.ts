// One member's step towards its target assignment (KIP-848; Kafka's CurrentAssignmentBuilder). Revokes
// before it assigns: a partition is handed to a member only after its former owner said it let go
// [GRP-2]. Pure: returns the member as it is next, or the same object where nothing changes.
import { EMPTY_SET, type PartitionKey, type PartitionSet } from "./partition-key.ts";
import { type Member, withPartitions } from "./state.ts";

export interface ReconcileInput {
  readonly member: Member;
  readonly target: PartitionSet;
  /** The epoch of the target assignment. */
  readonly assignmentEpoch: number;
  /** What the member says it consumes, or null where it did not say. */
  readonly owned: PartitionSet | null;
  readonly ownerOf: (key: PartitionKey) => string | undefined;
  readonly nowMs: number;
}

export function reconcile(input: ReconcileInput): Member {
  const { member } = input;
  switch (member.state) {
    case "STABLE":
      // It has everything it should have at this epoch; only a newer target moves it.
      return member.memberEpoch === input.assignmentEpoch
        ? member
        : advance(input, member.memberEpoch);
    case "UNREVOKED_PARTITIONS":
      // Waits for the member. Silence is no progress: only a report without the partitions is.
      if (input.owned === null || !input.owned.isDisjointFrom(member.revoking)) return member;
      return advance(input, Math.min(member.memberEpoch + 1, input.assignmentEpoch));
    case "UNRELEASED_PARTITIONS":
      // Waits for other members, so any change elsewhere may let it go on.
      return advance(input, member.memberEpoch);
  }
}

/** `epoch` is where the member stands if it must still give partitions up. */
function advance(input: ReconcileInput, epoch: number): Member {
  const { member, target, owned } = input;
  const keeps = member.assigned.intersection(target);
  // What the member says it does not consume it need not give up.
  const lost = member.assigned.difference(target);
  const revoking = owned === null ? lost : lost.intersection(owned);
  if (revoking.size > 0) {
    return {
      ...withPartitions(member, { assigned: keeps, revoking }, epoch),
      memberEpoch: epoch,
      state: "UNREVOKED_PARTITIONS",
      revokeDeadlineMs: input.nowMs + member.rebalanceTimeoutMs,
    };
  }
  // What it has let go of and gets back begins anew: a commit from before does not count any more [OFF-1].
  const kept = withPartitions(member, { assigned: keeps, revoking: EMPTY_SET }, epoch);

  const assigned = new Set(keeps);
  let isWaiting = false;
  for (const key of target) {
    if (assigned.has(key)) continue;
    const owner = input.ownerOf(key);
    if (owner === undefined || (owner === member.memberId && !keeps.has(key))) assigned.add(key);
    else isWaiting = true;
  }
  const state = isWaiting ? "UNRELEASED_PARTITIONS" : "STABLE";
  const isUnchanged =
    member.state === state &&
    member.memberEpoch === input.assignmentEpoch &&
    assigned.size === member.assigned.size &&
    keeps.size === assigned.size;
  if (isUnchanged) return member;
  return {
    ...withPartitions(kept, { assigned, revoking: EMPTY_SET }, input.assignmentEpoch),
    memberEpoch: input.assignmentEpoch,
    state,
    revokeDeadlineMs: null,
  };
}
