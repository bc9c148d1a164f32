// The `range` assignor (KIP-848's RangeAssignor): each topic's partitions in order, in stretches of equal length
// (the first ones one longer), to its subscribers in order. Members that subscribe to the same topics with as
// many partitions so get the same numbers of each: what belongs together by key stays together [RNG-2]. Static
// members come first, by instanceId, so that the order outlives restarts. Moves are not saved.
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
