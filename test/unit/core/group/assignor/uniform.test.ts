import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type {
  AssignorMember,
  AssignorTopic,
} from "../../../../../src/core/group/assignor/assignor.ts";
import { uniform } from "../../../../../src/core/group/assignor/uniform.ts";
import {
  type PartitionKey,
  parsePartitionKey,
  partitionKey,
} from "../../../../../src/core/group/partition-key.ts";
import { runs } from "../../../../support/effort.ts";

type Assignment = ReadonlyMap<string, ReadonlySet<PartitionKey>>;

/** A group before or after a change: the subscriptions, and the number of partitions of each topic. */
interface Group {
  readonly members: Readonly<Record<string, string>>;
  readonly topics: Readonly<Record<string, number>>;
}

const NOBODY: Assignment = new Map();

function assign(group: Group, previous: Assignment = NOBODY): Map<string, Set<PartitionKey>> {
  const members = Object.entries(group.members).map(([memberId, topics]) => ({
    memberId,
    topicIds: new Set(topics.split(" ").filter((topic) => topic !== "")),
    previous: previous.get(memberId) ?? new Set<PartitionKey>(),
  }));
  const topics = Object.entries(group.topics).map(([topicId, partitions]) => ({
    topicId,
    partitions,
  }));
  return uniform(members, topics);
}

/** Partitions taken from a remaining member: those that these members must give up. */
function moves(before: Assignment, after: Assignment): number {
  let count = 0;
  for (const [memberId, partitions] of before) {
    const kept = after.get(memberId);
    if (kept !== undefined) count += partitions.difference(kept).size;
  }
  return count;
}

/** "orders 3 + clicks 1", the topics in the order of their names. */
function shareText(partitions: ReadonlySet<PartitionKey>): string {
  const shares = new Map<string, number>();
  for (const key of partitions) {
    const { topicId } = parsePartitionKey(key);
    shares.set(topicId, (shares.get(topicId) ?? 0) + 1);
  }
  return [...shares]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topicId, share]) => `${topicId} ${share}`)
    .join(" + ");
}

function sharesOf(assignment: Assignment): Record<string, string> {
  return Object.fromEntries(
    [...assignment].map(([memberId, partitions]) => [memberId, shareText(partitions)]),
  );
}

function withPrevious(members: readonly AssignorMember[], previous: Assignment): AssignorMember[] {
  return members.map((member) => ({
    ...member,
    previous: previous.get(member.memberId) ?? new Set<PartitionKey>(),
  }));
}

/** Targets as a coordinator has them: of several that claim a partition the first keeps it. */
function withoutDoubleClaims(members: readonly AssignorMember[]): AssignorMember[] {
  const claimed = new Set<PartitionKey>();
  return members.map((member) => {
    const previous = member.previous.difference(claimed);
    for (const key of previous) claimed.add(key);
    return { ...member, previous };
  });
}

/** [ASN-1] and [ASN-2], checked by the result alone. */
function expectValidAndSpread(
  members: readonly AssignorMember[],
  topics: readonly AssignorTopic[],
  result: Assignment,
): void {
  expect([...result.keys()].sort()).toEqual(members.map(({ memberId }) => memberId).sort());
  let wanted = 0;
  for (const { topicId, partitions } of topics) {
    const subscribers = members.filter((member) => member.topicIds.has(topicId));
    if (subscribers.length === 0) continue;
    wanted += partitions;
    const shares = new Map(subscribers.map(({ memberId }) => [memberId, 0]));
    for (let partition = 0; partition < partitions; partition++) {
      const key = partitionKey(topicId, partition);
      const owners = [...result].filter(([, set]) => set.has(key)).map(([memberId]) => memberId);
      expect(owners, key).toHaveLength(1);
      const owner = owners[0] ?? "";
      expect([...shares.keys()], `${key} goes to a subscriber`).toContain(owner);
      shares.set(owner, (shares.get(owner) ?? 0) + 1);
    }
    const sizes = [...shares.values()];
    expect(Math.max(...sizes) - Math.min(...sizes), `spread of ${topicId}`).toBeLessThan(2);
  }
  // Nothing else was handed out: no topic without subscribers, no partition that does not exist.
  expect([...result.values()].reduce((sum, set) => sum + set.size, 0)).toBe(wanted);
}

function squaredTotals(totals: Iterable<number>): number {
  let sum = 0;
  for (const total of totals) sum += total * total;
  return sum;
}

/** Every way to cut `partitions` into shares that differ by at most one, by trying all of them. */
function spreadShares(partitions: number, subscribers: number): number[][] {
  const found: number[][] = [];
  const extend = (shares: number[], left: number): void => {
    if (shares.length === subscribers) {
      if (left === 0 && Math.max(...shares) - Math.min(...shares) < 2) found.push(shares);
      return;
    }
    for (let share = 0; share <= left; share++) extend([...shares, share], left - share);
  };
  extend([], partitions);
  return found;
}

/**
 * The least sum of squared totals that a valid and spread assignment can have. Also the fewest partitions that any such
 * assignment takes from their previous owners. By brute force.
 */
function bestOf(
  members: readonly AssignorMember[],
  topics: readonly AssignorTopic[],
): { balance: number; moves: number } {
  let best = { balance: Number.POSITIVE_INFINITY, moves: 0 };
  const totals = new Map(members.map(({ memberId }) => [memberId, 0]));
  const place = (index: number, moved: number): void => {
    const topic = topics[index];
    if (topic === undefined) {
      const balance = squaredTotals(totals.values());
      const isBetter = balance - best.balance || moved - best.moves;
      if (isBetter < 0) best = { balance, moves: moved };
      return;
    }
    const subscribers = members.filter((member) => member.topicIds.has(topic.topicId));
    if (subscribers.length === 0) {
      place(index + 1, moved);
      return;
    }
    const had = subscribers.map((member) => previousOf(member, topic).size);
    for (const shares of spreadShares(topic.partitions, subscribers.length)) {
      const before = subscribers.map(({ memberId }) => totals.get(memberId) ?? 0);
      let lost = 0;
      for (const [i, { memberId }] of subscribers.entries()) {
        const share = shares[i] ?? 0;
        totals.set(memberId, (before[i] ?? 0) + share);
        lost += Math.max(0, (had[i] ?? 0) - share);
      }
      place(index + 1, moved + lost);
      for (const [i, { memberId }] of subscribers.entries()) totals.set(memberId, before[i] ?? 0);
    }
  };
  place(0, 0);
  return best;
}

/** The member's former share of a topic's existing partitions. */
function previousOf(member: AssignorMember, topic: AssignorTopic): Set<PartitionKey> {
  const all = Array.from({ length: topic.partitions }, (_, i) => partitionKey(topic.topicId, i));
  return new Set(all).intersection(member.previous);
}

/** Members, topics, subscriptions and previous targets of any kind, senseless ones included. */
function anyGroup(most: { members: number; topics: number; partitions: number }) {
  const topicIds = Array.from({ length: most.topics + 1 }, (_, i) => `topic-${i}`);
  const key = fc
    // One topic and some partitions more than exist: deleted ones are still in `previous`.
    .tuple(fc.constantFrom(...topicIds), fc.nat(most.partitions + 1))
    .map(([topicId, partition]) => partitionKey(topicId, partition));
  const member = fc.record({
    memberId: fc.string({ minLength: 1, maxLength: 3 }),
    topicIds: fc.subarray(topicIds).map((ids) => new Set(ids)),
    previous: fc.array(key, { maxLength: 12 }).map((keys) => new Set(keys)),
  });
  return fc.record({
    members: fc.uniqueArray(member, {
      selector: ({ memberId }) => memberId,
      maxLength: most.members,
    }),
    topics: fc
      .array(fc.integer({ min: 1, max: most.partitions }), { maxLength: most.topics })
      .map((counts) => counts.map((partitions, i) => ({ topicId: `topic-${i}`, partitions }))),
  });
}

const group = anyGroup({ members: 7, topics: 5, partitions: 9 });

describe("uniform, case by case", () => {
  test.each<[string, Group, Record<string, string>]>([
    ["one member has all", { members: { a: "t" }, topics: { t: 6 } }, { a: "t 6" }],
    [
      "two members halve",
      { members: { a: "t", b: "t" }, topics: { t: 6 } },
      { a: "t 3", b: "t 3" },
    ],
    [
      "three members have two each",
      { members: { a: "t", b: "t", c: "t" }, topics: { t: 6 } },
      { a: "t 2", b: "t 2", c: "t 2" },
    ],
    [
      "more members than partitions leave some with nothing",
      { members: { a: "t", b: "t", c: "t" }, topics: { t: 2 } },
      { a: "t 1", b: "t 1", c: "" },
    ],
    [
      "the odd partitions of several topics do not pile up on one member",
      { members: { a: "t u v", b: "t u v" }, topics: { t: 3, u: 3, v: 2 } },
      { a: "t 2 + u 1 + v 1", b: "t 1 + u 2 + v 1" },
    ],
    [
      "who subscribes to more gets its even share of each",
      { members: { a: "t", b: "t u", c: "u" }, topics: { t: 4, u: 4 } },
      { a: "t 2", b: "t 2 + u 2", c: "u 2" },
    ],
    [
      "an odd partition goes to the subscriber who has less of the other topic",
      { members: { a: "t", b: "t u" }, topics: { t: 3, u: 2 } },
      { a: "t 2", b: "t 1 + u 2" },
    ],
    [
      "a topic that nobody subscribes to stays unassigned",
      { members: { a: "t" }, topics: { t: 2, u: 5 } },
      { a: "t 2" },
    ],
    [
      "a subscription to a missing topic gives nothing",
      { members: { a: "t" }, topics: {} },
      { a: "" },
    ],
  ])("[ASN-2] from nothing: %s", (_title, wanted, shares) => {
    const result = assign(wanted);
    expect(sharesOf(result)).toEqual(shares);
    expect(moves(NOBODY, result)).toBe(0);
  });

  test("[ASN-1] a group without members gets an empty assignment", () => {
    expect(assign({ members: {}, topics: { t: 3 } })).toEqual(new Map());
  });

  test.each<[string, Group, Group, Record<string, string>, number]>([
    [
      "a second member takes half",
      { members: { a: "t" }, topics: { t: 6 } },
      { members: { a: "t", b: "t" }, topics: { t: 6 } },
      { a: "t 3", b: "t 3" },
      3,
    ],
    [
      "a third member takes one from each",
      { members: { a: "t", b: "t" }, topics: { t: 6 } },
      { members: { a: "t", b: "t", c: "t" }, topics: { t: 6 } },
      { a: "t 2", b: "t 2", c: "t 2" },
      2,
    ],
    [
      "a third member takes one from each also where its name comes first",
      { members: { b: "t", c: "t" }, topics: { t: 6 } },
      { members: { a: "t", b: "t", c: "t" }, topics: { t: 6 } },
      { a: "t 2", b: "t 2", c: "t 2" },
      2,
    ],
    [
      "a member that finds all others at their least gets nothing",
      { members: { a: "t", b: "t" }, topics: { t: 2 } },
      { members: { a: "t", b: "t", c: "t" }, topics: { t: 2 } },
      { a: "t 1", b: "t 1", c: "" },
      0,
    ],
    [
      "a member leaves and the others share what it had",
      { members: { a: "t", b: "t", c: "t" }, topics: { t: 6 } },
      { members: { a: "t", c: "t" }, topics: { t: 6 } },
      { a: "t 3", c: "t 3" },
      0,
    ],
    [
      "the last but one leaves",
      { members: { a: "t", b: "t" }, topics: { t: 6 } },
      { members: { b: "t" }, topics: { t: 6 } },
      { b: "t 6" },
      0,
    ],
    [
      "a member is replaced by another",
      { members: { a: "t", b: "t", c: "t" }, topics: { t: 6 } },
      { members: { a: "t", c: "t", d: "t" }, topics: { t: 6 } },
      { a: "t 2", c: "t 2", d: "t 2" },
      0,
    ],
    [
      "a topic grows and nobody gives anything up",
      { members: { a: "t", b: "t" }, topics: { t: 4 } },
      { members: { a: "t", b: "t" }, topics: { t: 7 } },
      { a: "t 4", b: "t 3" },
      0,
    ],
    [
      "the odd partition stays with its owner though another name comes first",
      { members: { b: "t" }, topics: { t: 2 } },
      { members: { a: "t", b: "t" }, topics: { t: 3 } },
      { a: "t 1", b: "t 2" },
      0,
    ],
    [
      "a topic is deleted",
      { members: { a: "t u", b: "t u" }, topics: { t: 4, u: 2 } },
      { members: { a: "t u", b: "t u" }, topics: { u: 2 } },
      { a: "u 1", b: "u 1" },
      4, // All of them belong to the deleted topic.
    ],
    [
      "a topic is added",
      { members: { a: "t u", b: "t u" }, topics: { t: 3 } },
      { members: { a: "t u", b: "t u" }, topics: { t: 3, u: 3 } },
      { a: "t 2 + u 1", b: "t 1 + u 2" },
      0,
    ],
    [
      "a member joins a group of two topics and takes from both",
      { members: { a: "t u", b: "t u" }, topics: { t: 4, u: 2 } },
      { members: { a: "t u", b: "t u", c: "t u" }, topics: { t: 4, u: 2 } },
      { a: "t 1 + u 1", b: "t 1 + u 1", c: "t 2" },
      2,
    ],
    [
      "a member drops one of its topics",
      { members: { a: "t u", b: "t u" }, topics: { t: 2, u: 2 } },
      { members: { a: "t", b: "t u" }, topics: { t: 2, u: 2 } },
      { a: "t 1", b: "t 1 + u 2" },
      1,
    ],
    [
      "a member that subscribes to one topic only joins",
      { members: { a: "t u", b: "t u" }, topics: { t: 4, u: 4 } },
      { members: { a: "t u", b: "t u", c: "u" }, topics: { t: 4, u: 4 } },
      { a: "t 2 + u 1", b: "t 2 + u 1", c: "u 2" },
      2,
    ],
    [
      "a newcomer takes the one partition that balance asks for, nobody else swaps",
      { members: { a: "t", b: "u", c: "t u" }, topics: { t: 2, u: 3 } },
      { members: { a: "t", b: "u", c: "t u", d: "t" }, topics: { t: 2, u: 3 } },
      { a: "t 1", b: "u 2", c: "u 1", d: "t 1" },
      1,
    ],
  ])("[ASN-5] a change: %s", (_title, before, after, shares, moved) => {
    const previous = assign(before);
    const result = assign(after, previous);
    expect(sharesOf(result)).toEqual(shares);
    expect(moves(previous, result)).toBe(moved);
  });

  test("[ASN-3] an odd partition moves along a chain of topics to the member with the least", () => {
    // a and b share t, b and c share u: only by b giving u's odd one to c may a's t go to b.
    const members = { a: "x t", b: "t u", c: "u" };
    const topics = { x: 2, t: 1, u: 1 };
    const previous: Assignment = new Map([
      ["a", new Set([partitionKey("x", 0), partitionKey("x", 1), partitionKey("t", 0)])],
      ["b", new Set([partitionKey("u", 0)])],
    ]);
    expect(sharesOf(assign({ members, topics }, previous))).toEqual({
      a: "x 2",
      b: "t 1",
      c: "u 1",
    });
  });
});

describe("uniform, any group", () => {
  test("[ASN-1] each partition of each subscribed topic has one owner, a subscriber, and nothing else has any", () => {
    fc.assert(
      fc.property(group, ({ members, topics }) => {
        expectValidAndSpread(members, topics, uniform(members, topics));
      }),
      runs(100),
    );
  });

  test("[ASN-4] the order of members, topics and previous partitions does not matter", () => {
    const shuffled = group.chain((original) =>
      fc.record({
        original: fc.constant(original),
        members: fc.shuffledSubarray(original.members, { minLength: original.members.length }),
        topics: fc.shuffledSubarray(original.topics, { minLength: original.topics.length }),
        isReversed: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ original, members, topics, isReversed }) => {
        const reordered = members.map((member) => ({
          ...member,
          previous: new Set(isReversed ? [...member.previous].reverse() : member.previous),
          topicIds: new Set(isReversed ? [...member.topicIds].reverse() : member.topicIds),
        }));
        expect(uniform(reordered, topics)).toEqual(uniform(original.members, original.topics));
      }),
      runs(100),
    );
  });

  test("[ASN-4] applied to its own result it changes nothing", () => {
    fc.assert(
      fc.property(group, ({ members, topics }) => {
        const result = uniform(members, topics);
        expect(uniform(withPrevious(members, result), topics)).toEqual(result);
      }),
      runs(100),
    );
  });

  test("[ASN-3] the totals are as balanced as brute force can make them", () => {
    fc.assert(
      fc.property(anyGroup({ members: 4, topics: 3, partitions: 4 }), ({ members, topics }) => {
        const result = uniform(members, topics);
        const totals = [...result.values()].map((set) => set.size);
        expect(squaredTotals(totals)).toBe(bestOf(members, topics).balance);
      }),
      runs(200),
    );
  });

  test("[ASN-5] among assignments that are so balanced none moves fewer partitions, by brute force", () => {
    fc.assert(
      fc.property(anyGroup({ members: 4, topics: 3, partitions: 4 }), ({ members, topics }) => {
        const claimed = withoutDoubleClaims(members);
        const result = uniform(claimed, topics);
        let moved = 0;
        for (const topic of topics) {
          for (const member of claimed) {
            // Partitions that were dropped with their subscription are lost in any case.
            if (!member.topicIds.has(topic.topicId)) continue;
            const has = result.get(member.memberId) ?? new Set();
            moved += previousOf(member, topic).difference(has).size;
          }
        }
        expect(moved).toBe(bestOf(claimed, topics).moves);
      }),
      runs(200),
    );
  });

  test("[ASN-3] members with the same subscription have totals that differ by at most one", () => {
    fc.assert(
      fc.property(group, ({ members, topics }) => {
        const alike = members.map((member) => ({
          ...member,
          topicIds: new Set(topics.map(({ topicId }) => topicId)),
        }));
        const totals = [...uniform(alike, topics).values()].map((set) => set.size);
        if (totals.length > 0)
          expect(Math.max(...totals) - Math.min(...totals)).toBeLessThanOrEqual(1);
      }),
      runs(100),
    );
  });

  test("[ASN-5] over a topic's life newcomers take, leavers give, and nobody else swaps", () => {
    const step = fc.record({ memberId: fc.integer({ min: 0, max: 7 }), grows: fc.nat(2) });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(step, { maxLength: 20 }),
        (initial, steps) => {
          let partitions = initial;
          const present = new Set<string>();
          let before: Assignment = NOBODY;
          for (const { memberId: number, grows } of steps) {
            const memberId = `m${number}`;
            const isJoining = !present.delete(memberId);
            if (isJoining) present.add(memberId);
            const isGrowing = !isJoining && grows > 0;
            if (isGrowing) partitions += grows;
            const after = assign(
              {
                members: Object.fromEntries([...present].map((id) => [id, "t"])),
                topics: { t: partitions },
              },
              before,
            );
            // The newcomer has what the others gave up, and a leaver costs them nothing.
            const taken = isJoining && present.size > 1 ? (after.get(memberId)?.size ?? 0) : 0;
            expect(moves(before, after)).toBe(taken);
            before = after;
          }
        },
      ),
    );
  });

  test("[ASN-5] a member gives up partitions of a topic only down to its share of it", () => {
    fc.assert(
      fc.property(group, ({ members, topics }) => {
        const claimed = withoutDoubleClaims(members);
        const result = uniform(claimed, topics);
        for (const topic of topics) {
          for (const member of claimed) {
            if (!member.topicIds.has(topic.topicId)) continue;
            const previous = result.get(member.memberId) ?? new Set<PartitionKey>();
            const had = previousOf(member, topic);
            const has = previousOf({ ...member, previous }, topic);
            expect(had.intersection(has).size, `${member.memberId} of ${topic.topicId}`).toBe(
              Math.min(had.size, has.size),
            );
          }
        }
      }),
      runs(100),
    );
  });
});
