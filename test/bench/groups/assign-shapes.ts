// The inputs of the assignor's measurement, the same in every process.
import type { AssignorMember, AssignorTopic } from "../../../src/core/group/assignor/assignor.ts";
import type { PartitionSet } from "../../../src/core/group/partition-key.ts";

const MEMBERS = 1_000;

export type Assignment = ReadonlyMap<string, PartitionSet>;

export interface Shape {
  readonly name: string;
  readonly topics: readonly AssignorTopic[];
  /** All members subscribe to everything. */
  readonly isEven: boolean;
  members(change: Change, previous: Assignment): AssignorMember[];
}

/** The members after it: numbered from `from` up to, but not including, `to`. */
export interface Change {
  readonly from: number;
  readonly to: number;
}

export const CHANGES = {
  first: { from: 0, to: MEMBERS },
  again: { from: 0, to: MEMBERS },
  join: { from: 0, to: MEMBERS + 1 },
  leave: { from: 1, to: MEMBERS },
} as const satisfies Record<string, Change>;

export const SHAPES: readonly Shape[] = [
  shape("10 topics x 1,000, all subscribe to all", 10, 1_000, true),
  shape("20 topics x 500, each to a random half", 20, 500, false),
];

function shape(name: string, topics: number, partitions: number, isEven: boolean): Shape {
  const list = Array.from({ length: topics }, (_, index) => ({
    topicId: uuid(1, index),
    partitions,
  }));
  const random = randomNumbers();
  const subscriptions = Array.from({ length: MEMBERS + 1 }, () => {
    const ids = list.map(({ topicId }) => ({ topicId, order: random() }));
    const chosen = isEven ? ids : ids.sort((a, b) => a.order - b.order).slice(0, topics / 2);
    return new Set(chosen.map(({ topicId }) => topicId));
  });
  return {
    name,
    topics: list,
    isEven,
    members: ({ from, to }, previous) =>
      Array.from({ length: to - from }, (_, index) => {
        const memberId = uuid(2, from + index);
        return {
          memberId,
          topicIds: subscriptions[from + index] ?? new Set(),
          previous: previous.get(memberId) ?? new Set(),
        };
      }),
  };
}

/** As long as the ids of a real group, and like these not in numeric order. */
function uuid(kind: number, index: number): string {
  const tail = ((index + 1) * 7_919).toString(16).padStart(12, "0");
  return `${((index * 40_503) % 65_536).toString(16).padStart(8, "0")}-0000-4000-8000-${kind}${tail.slice(1)}`;
}

/** Lehmer's, from a fixed seed: every run and every thread has the same subscriptions. */
function randomNumbers(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state;
  };
}
