// The `uniform` assignor. Its rules, in this order:
// 1. Every partition of every subscribed topic goes to exactly one subscriber [ASN-1].
// 2. Each topic is spread: its subscribers' shares differ by at most one [ASN-2].
// 3. The members' totals are balanced as far as rule 2 allows [ASN-3].
// 4. As few partitions leave their previous owner as rules 1 to 3 allow [ASN-5].
//
// The answer depends only on the content of the input, and applying it again changes nothing [ASN-4].
//
// Rule 2 determines a topic's shares except for the remainder: `partitions mod subscribers` members get one extra. So
// the task is to distribute the extras. They first go to members that would otherwise lose a partition. Then they shift
// along chains of topics from heavier to lighter members until no chain helps. That is the optimum for balance (shares
// are a matroid base, and balance is separable and convex). Last, they shift around cycles that leave the totals
// unchanged and save moves (save-moves.ts), which is the optimum for moves.
import { fromSet, type PartitionKey, type PartitionSet, partitionKey } from "../partition-key.ts";
import type { Assignor, AssignorTopic } from "./assignor.ts";
import { compareText } from "./compare-text.ts";
import { saveMoves } from "./save-moves.ts";
import { keepsMore, type TopicShare } from "./topic-share.ts";

export const uniform: Assignor = (members, topics) => {
  const sortedMembers = [...members]
    .sort((a, b) => compareText(a.memberId, b.memberId))
    .map((member) => ({ ...member, previous: byTopic(member.previous) }));
  const sortedTopics = [...topics].sort((a, b) => compareText(a.topicId, b.topicId));
  const shares: TopicShare[] = [];
  for (const topic of sortedTopics) {
    const share = topicShare(topic, sortedMembers);
    if (share !== null) shares.push(share);
  }
  const totals = new Map(sortedMembers.map((member) => [member.memberId, 0]));
  for (const share of shares) {
    for (const memberId of share.subscribers) add(totals, memberId, share.floor);
  }
  for (const share of shares) chooseExtras(share, totals);
  balanceExtras(shares, totals);
  saveMoves(shares, totals);

  const assignment = new Map(
    sortedMembers.map((member) => [member.memberId, new Set<PartitionKey>()]),
  );
  for (const share of shares) handOut(share, assignment);
  return assignment;
};

interface SortedMember {
  readonly memberId: string;
  readonly topicIds: ReadonlySet<string>;
  /** By topic, ascending. */
  readonly previous: ReadonlyMap<string, readonly number[]>;
}

/**
 * Groups a member's partitions by topic, once. Otherwise each topic would require a search through all partitions of
 * all members.
 */
function byTopic(partitions: PartitionSet): Map<string, readonly number[]> {
  return new Map(fromSet(partitions).map(({ topicId, partitions: own }) => [topicId, own]));
}

function topicShare(topic: AssignorTopic, members: readonly SortedMember[]): TopicShare | null {
  const subscribers = members.filter((member) => member.topicIds.has(topic.topicId));
  if (subscribers.length === 0) return null;
  const previous = new Map<string, number[]>();
  const taken = new Set<number>();
  for (const { memberId, previous: own } of subscribers) {
    const kept = (own.get(topic.topicId) ?? []).filter(
      (partition) => partition < topic.partitions && !taken.has(partition),
    );
    for (const partition of kept) taken.add(partition);
    previous.set(memberId, kept);
  }
  return {
    topicId: topic.topicId,
    partitions: topic.partitions,
    subscribers: subscribers.map((member) => member.memberId),
    floor: Math.floor(topic.partitions / subscribers.length),
    extras: new Set(),
    previous,
  };
}

function chooseExtras(share: TopicShare, totals: Map<string, number>): void {
  const count = share.partitions % share.subscribers.length;
  if (count === 0) return;
  const ordered = [...share.subscribers].sort(
    (a, b) =>
      Number(keepsMore(share, b)) - Number(keepsMore(share, a)) ||
      total(totals, a) - total(totals, b) ||
      compareText(a, b),
  );
  for (const memberId of ordered.slice(0, count)) {
    share.extras.add(memberId);
    add(totals, memberId, 1);
  }
}

/** Shifts extras along chains until no member has two more than a member that could take one. */
function balanceExtras(shares: readonly TopicShare[], totals: Map<string, number>): void {
  const bySubscriber = new Map<string, TopicShare[]>();
  for (const share of shares) {
    if (share.partitions % share.subscribers.length === 0) continue;
    for (const memberId of share.subscribers) {
      const list = bySubscriber.get(memberId);
      if (list === undefined) bySubscriber.set(memberId, [share]);
      else list.push(share);
    }
  }
  // Each shift lowers the sum of the squared totals, so this ends.
  for (;;) {
    const heavyFirst = [...bySubscriber.keys()].sort(
      (a, b) => total(totals, b) - total(totals, a) || compareText(a, b),
    );
    const lightest = heavyFirst.at(-1);
    const hasShifted = heavyFirst.some((heavy) => {
      if (lightest === undefined || total(totals, heavy) - total(totals, lightest) < 2)
        return false;
      return shiftFrom(heavy, bySubscriber, totals);
    });
    if (!hasShifted) return;
  }
}

/** Searches breadth-first for a chain from `heavy` to a member with at least two fewer, and shifts along it. */
function shiftFrom(
  heavy: string,
  bySubscriber: Map<string, TopicShare[]>,
  totals: Map<string, number>,
): boolean {
  const cameFrom = new Map<string, { giver: string; share: TopicShare }>();
  const queue = [heavy];
  const seenShares = new Set<TopicShare>();
  for (const giver of queue) {
    for (const share of bySubscriber.get(giver) ?? []) {
      if (!share.extras.has(giver) || seenShares.has(share)) continue;
      seenShares.add(share);
      for (const taker of share.subscribers) {
        if (share.extras.has(taker) || taker === heavy || cameFrom.has(taker)) continue;
        cameFrom.set(taker, { giver, share });
        queue.push(taker);
        if (total(totals, heavy) - total(totals, taker) >= 2) {
          applyChain(heavy, taker, cameFrom);
          add(totals, heavy, -1);
          add(totals, taker, 1);
          return true;
        }
      }
    }
  }
  return false;
}

function applyChain(
  from: string,
  to: string,
  cameFrom: Map<string, { giver: string; share: TopicShare }>,
): void {
  let taker = to;
  while (taker !== from) {
    const step = cameFrom.get(taker);
    if (step === undefined) return;
    step.share.extras.delete(step.giver);
    step.share.extras.add(taker);
    taker = step.giver;
  }
}

/**
 * Assigns the partitions. Members keep their previous partitions up to their share. The rest goes to members below
 * their share.
 */
function handOut(share: TopicShare, assignment: Map<string, Set<PartitionKey>>): void {
  const free = new Set<number>();
  for (let partition = 0; partition < share.partitions; partition++) free.add(partition);
  const wants = new Map<string, number>();
  for (const memberId of share.subscribers) {
    const quota = share.floor + (share.extras.has(memberId) ? 1 : 0);
    const kept = (share.previous.get(memberId) ?? []).slice(0, quota);
    for (const partition of kept) {
      free.delete(partition);
      assignment.get(memberId)?.add(partitionKey(share.topicId, partition));
    }
    wants.set(memberId, quota - kept.length);
  }
  const left = free.values();
  for (const memberId of share.subscribers) {
    for (let missing = wants.get(memberId) ?? 0; missing > 0; missing--) {
      const next = left.next();
      if (next.done) return;
      assignment.get(memberId)?.add(partitionKey(share.topicId, next.value));
    }
  }
}

function total(totals: Map<string, number>, memberId: string): number {
  return totals.get(memberId) ?? 0;
}

function add(totals: Map<string, number>, memberId: string, amount: number): void {
  totals.set(memberId, total(totals, memberId) + amount);
}
