// The `range` assignor (KIP-848's RangeAssignor). It divides each topic's partitions, in order, into ranges of equal
// length (the first ones longer by one) for its subscribers in order. So members with equal subscriptions get the same
// partition numbers of all topics with equally many partitions. Records with the same key thus stay together [RNG-2].
// Static members come first, by instanceId, so the order survives restarts. It does not try to avoid moves.
import { type PartitionKey, partitionKey } from "../partition-key.ts";
import type { Assignor, AssignorMember } from "./assignor.ts";
import { compareText } from "./compare-text.ts";

export const range: Assignor = (members, topics) => {
  const ordered = [...members].sort(compareMembers);
  const assignment = new Map(ordered.map(({ memberId }) => [memberId, new Set<PartitionKey>()]));
  for (const { topicId, partitions } of topics) {
    const subscribers = ordered.filter((member) => member.topicIds.has(topicId));
    const share = Math.floor(partitions / subscribers.length);
    let next = 0;
    for (const [place, { memberId }] of subscribers.entries()) {
      const end = next + share + (place < partitions % subscribers.length ? 1 : 0);
      for (; next < end; next++) assignment.get(memberId)?.add(partitionKey(topicId, next));
    }
  }
  return assignment;
};

function compareMembers(a: AssignorMember, b: AssignorMember): number {
  const [aName, bName] = [a.instanceId ?? null, b.instanceId ?? null];
  if ((aName === null) !== (bName === null)) return aName === null ? 1 : -1;
  return compareText(aName ?? "", bName ?? "") || compareText(a.memberId, b.memberId);
}
