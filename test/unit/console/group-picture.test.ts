import { describe, expect, test } from "vitest";
import { MAX_DRAWN, partitionsOf, pictureOf } from "../../../src/console/group-picture.ts";
import { lagOf } from "../../../src/console/lag.ts";
import type { GroupInfo, MemberInfo, TopicAssignment } from "../../../src/core/group-info.ts";

const of = (...partitions: number[]): TopicAssignment[] =>
  partitions.length === 0 ? [] : [{ topic: "t", partitions }];

function member(memberId: string, has: number[], shallHave = has, revoking: number[] = []) {
  return {
    memberId,
    memberEpoch: 1,
    state: "STABLE",
    connected: true,
    assignment: of(...has),
    target: of(...shallHave),
    ...(revoking.length === 0 ? {} : { revoking: of(...revoking) }),
  } satisfies MemberInfo;
}

function group(partitions: number, ...members: MemberInfo[]): GroupInfo {
  return {
    groupId: "g",
    state: "STABLE",
    epoch: 1,
    assignor: "uniform",
    members,
    offsets: Array.from({ length: partitions }, (_, partition) => ({
      topic: "t",
      partition,
      committedOffset: partition === 0 ? null : 5,
      logEndOffset: 10,
      lag: partition === 0 ? null : 5,
      oldestUnreadMs: partition === 0 ? 9_000 : 4_000,
    })),
  };
}

const edgesOf = (info: GroupInfo) =>
  pictureOf(info).members.map(({ member: { memberId }, edges }) => [
    memberId,
    edges.map(({ kind }) => kind),
  ]);

describe("a group is drawn", () => {
  test("[CON-14] with its owners", () => {
    const info = group(3, member("a", [0, 1]), member("b", [2]), member("c", []));
    expect(edgesOf(info)).toEqual([
      ["a", ["keeps", "keeps"]],
      ["b", ["keeps"]],
      ["c", []],
    ]);
    expect(pictureOf(info).members.map(({ isIdle }) => isIdle)).toEqual([false, false, true]);
    expect(pictureOf(info)).toMatchObject({ hiddenPartitions: 0, hiddenMembers: 0 });
  });

  test("[CON-14] with what is moving", () => {
    const info = group(4, member("a", [0], [0], [1, 2]), member("b", [3], [1, 3]));
    expect(partitionsOf(info)).toMatchObject([
      { owner: { memberId: "a" }, holder: null, next: null },
      { owner: null, holder: { memberId: "a" }, next: { memberId: "b" } },
      { owner: null, holder: { memberId: "a" }, next: null },
      { owner: { memberId: "b" }, next: null },
    ]);
    expect(edgesOf(info)).toEqual([
      ["a", ["keeps", "gives up", "gives up"]],
      ["b", ["gets", "keeps"]],
    ]);
  });

  test("[CON-14] with partitions without an owner", () => {
    expect(partitionsOf(group(2))).toMatchObject([
      { owner: null, next: null },
      { owner: null, next: null },
    ]);
  });

  test("[CON-14] with unreadable partitions", () => {
    const info = {
      ...group(1),
      unreadable: [{ topic: "s", partition: 0, offset: 0, code: "X", detail: "" }],
    };
    expect(partitionsOf(info)).toMatchObject([
      { topic: "s", offset: null },
      { topic: "t", offset: { lag: null } },
    ]);
  });

  test("[CON-14] as far as there is room, and says what was left out", () => {
    const info = group(MAX_DRAWN + 7, member("a", [0]));
    expect(pictureOf(info).partitions).toHaveLength(MAX_DRAWN);
    expect(pictureOf(info).hiddenPartitions).toBe(7);
  });
});

test("[CON-14] a partition without a committed offset has no lag, which is not 0", () => {
  expect(lagOf(group(1).offsets)).toEqual({ records: null, oldestMs: 9_000, uncommitted: 1 });
  expect(lagOf(group(3).offsets)).toEqual({ records: 10, oldestMs: 9_000, uncommitted: 1 });
  expect(lagOf([])).toEqual({ records: null, oldestMs: null, uncommitted: 0 });
});
