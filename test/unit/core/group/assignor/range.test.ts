import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type {
  AssignorMember,
  AssignorTopic,
} from "../../../../../src/core/group/assignor/assignor.ts";
import { range } from "../../../../../src/core/group/assignor/range.ts";
import { fromSet, partitionKey } from "../../../../../src/core/group/partition-key.ts";
import { runs } from "../../../../support/effort.ts";

function member(
  memberId: string,
  topicIds: readonly string[],
  instanceId?: string,
): AssignorMember {
  return {
    memberId,
    topicIds: new Set(topicIds),
    previous: new Set(),
    ...(instanceId === undefined ? {} : { instanceId }),
  };
}

/** Partitions by topic, as text: `a:0-2 b:0`. */
function shown(members: readonly AssignorMember[], topics: readonly AssignorTopic[]) {
  const assignment = range(members, topics);
  return Object.fromEntries(
    Array.from(assignment, ([memberId, partitions]) => [
      memberId,
      fromSet(partitions)
        .map(({ topicId, partitions: numbers }) => `${topicId}:${numbers.join(",")}`)
        .join(" "),
    ]),
  );
}

describe("range", () => {
  test("[RNG-1] contiguous ranges in order, the first ones one longer", () => {
    const members = [member("m1", ["a"]), member("m2", ["a"]), member("m3", ["a"])];
    expect(shown(members, [{ topicId: "a", partitions: 7 }])).toEqual({
      m1: "a:0,1,2",
      m2: "a:3,4",
      m3: "a:5,6",
    });
  });

  test("[RNG-1] more members than partitions leaves the last ones without any", () => {
    const members = [member("m1", ["a"]), member("m2", ["a"]), member("m3", ["a"])];
    expect(shown(members, [{ topicId: "a", partitions: 2 }])).toEqual({
      m1: "a:0",
      m2: "a:1",
      m3: "",
    });
  });

  test("[RNG-2] equal subscriptions get equal numbers of each topic", () => {
    const members = [member("m1", ["a", "b"]), member("m2", ["a", "b"])];
    const topics = [
      { topicId: "a", partitions: 3 },
      { topicId: "b", partitions: 3 },
    ];
    expect(shown(members, topics)).toEqual({ m1: "a:0,1 b:0,1", m2: "a:2 b:2" });
  });

  test("[RNG-3] static members come first, by instanceId, whatever their member ids", () => {
    const members = [member("m1", ["a"]), member("m9", ["a"], "i1"), member("m0", ["a"], "i2")];
    expect(shown(members, [{ topicId: "a", partitions: 3 }])).toEqual({
      m9: "a:0",
      m0: "a:1",
      m1: "a:2",
    });
  });

  test("[RNG-1] [RNG-3] each partition of each subscribed topic has one owner, in any listed order", () => {
    const groups = fc.record({
      members: fc.uniqueArray(
        fc.record({
          id: fc.integer({ min: 0, max: 20 }),
          topics: fc.subarray(["a", "b", "c"]),
          isStatic: fc.boolean(),
        }),
        { selector: ({ id }) => id, maxLength: 8 },
      ),
      partitions: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 3, maxLength: 3 }),
    });
    fc.assert(
      fc.property(groups, ({ members, partitions }) => {
        const all = members.map(({ id, topics, isStatic }) =>
          member(`m${id}`, topics, isStatic ? `i${id}` : undefined),
        );
        const topics = ["a", "b", "c"].map((topicId, i) => ({
          topicId,
          partitions: partitions[i] as number,
        }));
        const assignment = range(all, topics);
        for (const { topicId, partitions: count } of topics) {
          const subscribers = all.filter(({ topicIds }) => topicIds.has(topicId));
          for (let partition = 0; partition < count; partition++) {
            const key = partitionKey(topicId, partition);
            const owners = all.filter(({ memberId }) => assignment.get(memberId)?.has(key));
            expect(owners.length).toBe(subscribers.length === 0 ? 0 : 1);
            for (const owner of owners) expect(owner.topicIds.has(topicId)).toBe(true);
          }
        }
        expect(shown(all.toReversed(), topics.toReversed())).toEqual(shown(all, topics));
      }),
      runs(200),
    );
  });
});
