// The `range` assignor (KIP-848's RangeAssignor). It gives each topic's partitions, in order, in stretches of equal
// length (the first ones longer by one), to its subscribers in order. So members that subscribe to the same topics with
// equally many partitions get the same numbers of each, and records with the same key stay together [RNG-2]. Static
// members come first, by instanceId, so the order outlives restarts. Moves are not saved.
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
