// One member's step toward its target assignment (KIP-848; Kafka's CurrentAssignmentBuilder). It revokes before it
// assigns: a partition goes to a member only after its former owner has confirmed giving it up [GRP-2]. It is pure: it
// returns the member's next state, or the same object if nothing changes.
import { EMPTY_SET, type PartitionKey, type PartitionSet } from "./partition-key.ts";
import { type Member, withPartitions } from "./state.ts";

export interface ReconcileInput {
  readonly member: Member;
  readonly target: PartitionSet;
  /** The epoch of the target assignment. */
  readonly assignmentEpoch: number;
  /** The partitions that the member reports to consume, or null if it reported nothing. */
  readonly owned: PartitionSet | null;
  readonly ownerOf: (key: PartitionKey) => string | undefined;
  readonly nowMs: number;
}

export function reconcile(input: ReconcileInput): Member {
  const { member } = input;
  switch (member.state) {
    case "STABLE":
      // It has its whole assignment of this epoch. Only a newer target changes it.
      return member.memberEpoch === input.assignmentEpoch
        ? member
        : advance(input, member.memberEpoch);
    case "UNREVOKED_PARTITIONS":
      // It waits for the member itself. Only a report without these partitions is progress.
      if (input.owned === null || !input.owned.isDisjointFrom(member.revoking)) return member;
      return advance(input, Math.min(member.memberEpoch + 1, input.assignmentEpoch));
    case "UNRELEASED_PARTITIONS":
      // It waits for other members, so any change of theirs may let it continue.
      return advance(input, member.memberEpoch);
  }
}

/** Advances the member. `epoch` is the epoch that it has if it must give up partitions. */
function advance(input: ReconcileInput, epoch: number): Member {
  const { member, target, owned } = input;
  const keeps = member.assigned.intersection(target);
  // It need not give up partitions that it reports not to consume.
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
  // A partition given up and received again starts anew: earlier commits no longer count [OFF-1].
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
