// One member's step towards its target assignment (KIP-848; Kafka's CurrentAssignmentBuilder). It revokes before it
// assigns: a partition goes to a member only after its former owner said that it let go [GRP-2]. It is pure: it returns
// the member's next state, or the same object if nothing changes.
import { EMPTY_SET, type PartitionKey, type PartitionSet } from "./partition-key.ts";
import { type Member, withPartitions } from "./state.ts";

export interface ReconcileInput {
  readonly member: Member;
  readonly target: PartitionSet;
  /** The epoch of the target assignment. */
  readonly assignmentEpoch: number;
  /** The partitions that the member says it consumes, or null if it did not say. */
  readonly owned: PartitionSet | null;
  readonly ownerOf: (key: PartitionKey) => string | undefined;
  readonly nowMs: number;
}

export function reconcile(input: ReconcileInput): Member {
  const { member } = input;
  switch (member.state) {
    case "STABLE":
      // It has everything that it should have at this epoch. Only a newer target moves it.
      return member.memberEpoch === input.assignmentEpoch
        ? member
        : advance(input, member.memberEpoch);
    case "UNREVOKED_PARTITIONS":
      // It waits for the member. Only a report without these partitions is progress, and silence is not.
      if (input.owned === null || !input.owned.isDisjointFrom(member.revoking)) return member;
      return advance(input, Math.min(member.memberEpoch + 1, input.assignmentEpoch));
    case "UNRELEASED_PARTITIONS":
      // It waits for other members, so any change elsewhere may let it go on.
      return advance(input, member.memberEpoch);
  }
}

/** `epoch` is the member's epoch if it must still give up partitions. */
function advance(input: ReconcileInput, epoch: number): Member {
  const { member, target, owned } = input;
  const keeps = member.assigned.intersection(target);
  // It need not give up partitions that it says it does not consume.
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
  // A partition that it has given up and gets back begins anew: earlier commits do not count any more [OFF-1].
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
