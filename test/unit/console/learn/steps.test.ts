// When a step of the lesson is done, and the choices of its buttons.
import { describe, expect, test } from "vitest";
import { CITIES, OWN_CITY, PARTITIONS } from "../../../../src/console/learn/cities.ts";
import { meet, NOTHING_MET } from "../../../../src/console/learn/progress.ts";
import { BEGINNING, type Lesson, type LessonEvent } from "../../../../src/console/learn/state.ts";
import { MUCH_LAG, STEPS, type Step } from "../../../../src/console/learn/steps.ts";
import { partitionForKey } from "../../../../src/core/partitioner.ts";
import { assigned, handled, joined, replayed, sent, TOPIC, told } from "./world.ts";

function stepOf(id: string): Step {
  const step = STEPS.find((each) => each.id === id);
  if (step === undefined) throw new Error(`there is no step ${id}`);
  return step;
}

const metOf = (id: string, lesson: Lesson) => stepOf(id).goals.map(({ isMet }) => isMet(lesson));
const offeredOf = (id: string, lesson: Lesson) =>
  stepOf(id)
    .actions.filter(({ isOffered }) => isOffered(lesson))
    .map(({ name }) => name);
const labelsOf = (id: string, lesson: Lesson) =>
  stepOf(id).actions.map(({ label }) => label(lesson));

const CREATED: LessonEvent = { type: "created", topic: TOPIC };
/** Four members with a partition each, and a spare. */
const FIVE = [
  CREATED,
  ...["a", "b", "c", "d", "e"].map((id, i) => joined(id, i + 1)),
  ...["a", "b", "c", "d"].map((id, i) => assigned(id, [i])),
  told({ a: [0], b: [1], c: [2], d: [3], e: [] }, [5, 5, 5, 5]),
];

test("[LRN-4] each partition has two cities, all with letters of their own", () => {
  const bytes = new TextEncoder();
  const places = CITIES.map((city) => partitionForKey(bytes.encode(city), PARTITIONS));
  for (let partition = 0; partition < PARTITIONS; partition++)
    expect(places.filter((each) => each === partition)).toHaveLength(2);
  expect(new Set(CITIES.map((city) => city[0])).size).toBe(CITIES.length);
  expect(CITIES).toContain(OWN_CITY);
});

test("[LRN-3] no goal is met before anything has happened, and a met goal stays met", () => {
  for (const { goals } of STEPS) {
    expect(goals.length).toBeGreaterThan(0);
    expect(goals.filter(({ isMet }) => isMet(BEGINNING))).toEqual([]);
  }
  const index = STEPS.findIndex(({ id }) => id === "one");
  const first = meet(
    NOTHING_MET,
    index,
    replayed([CREATED, joined("a", 1), told({ a: [0, 1, 2, 3] })]),
  );
  expect([first.has(index, 0), first.has(index, 1), first.isDone(index)]).toEqual([
    true,
    false,
    false,
  ]);
  const later = meet(first, index, replayed([told({ a: [0, 1], b: [2, 3] }, [1, 1, 1, 1])]));
  expect([later.has(index, 0), later.isDone(index)]).toEqual([true, true]);
  expect(meet(later, index, BEGINNING)).toBe(later);
  expect(meet(later, STEPS.length, BEGINNING)).toBe(later);
});

describe("[LRN-3] a step is done by what was shown", () => {
  test("[LRN-3] topic: records everywhere, and two of the reader's in one partition", () => {
    const all = [CREATED, ...[0, 1, 2, 3].map((partition) => sent(partition, 0))];
    expect(offeredOf("topic", BEGINNING)).toEqual(["create"]);
    expect(offeredOf("topic", replayed(all))).toEqual(["send"]);
    expect(metOf("topic", replayed(all))).toEqual([true, false]);
    const once = replayed([...all, sent(2, 1, OWN_CITY, true)]);
    expect(metOf("topic", once)).toEqual([true, false]);
    expect(metOf("topic", replayed([sent(2, 2, OWN_CITY, true)], once))).toEqual([true, true]);
    expect(metOf("topic", replayed([sent(1, 2, OWN_CITY, true)], once))).toEqual([true, false]);
    expect(stepOf("topic").finding?.(once)).toBe("Your last order is in partition 2, at offset 1.");
  });

  test("[LRN-3] one: all four partitions and a committed offset in each, both from the broker", () => {
    const own = [CREATED, joined("a", 1), assigned("a", [0, 1, 2, 3])];
    expect(metOf("one", replayed(own))).toEqual([false, false]);
    expect(metOf("one", replayed([...own, told({ a: [0, 1, 2, 3] }, [1, 1, null, 1])]))).toEqual([
      true,
      false,
    ]);
    expect(metOf("one", replayed([...own, told({ a: [0, 1, 2, 3] }, [1, 1, 0, 1])]))).toEqual([
      true,
      true,
    ]);
    expect(offeredOf("one", replayed([CREATED]))).toEqual(["join"]);
    expect(offeredOf("one", replayed(own))).toEqual([]);
    expect(labelsOf("one", replayed(own))).toEqual(["Start the first consumer"]);
  });

  test("[LRN-3] two: somebody gave up partitions, and the shares are even", () => {
    const two = [CREATED, joined("a", 1), joined("b", 2)];
    const even = told({ a: [0, 1], b: [2, 3] });
    expect(metOf("two", replayed([...two, even]))).toEqual([false, true]);
    const revoked: LessonEvent = { type: "revoked", memberId: "a", partitions: [2, 3] };
    expect(metOf("two", replayed([...two, revoked, told({ a: [0, 1], b: [] })]))).toEqual([
      true,
      false,
    ]);
    expect(metOf("two", replayed([...two, revoked, even]))).toEqual([true, true]);
    expect(offeredOf("two", replayed([CREATED, joined("a", 1)]))).toEqual(["join"]);
    expect(offeredOf("two", replayed(two))).toEqual([]);
  });

  test("[LRN-3] four and five: one each, and one member without any", () => {
    expect(metOf("four", replayed([told({ a: [0, 1], b: [2], c: [3] })]))).toEqual([false]);
    expect(metOf("four", replayed([told({ a: [0], b: [1], c: [2], d: [3] })]))).toEqual([true]);
    expect(metOf("five", replayed([told({ a: [0], b: [1], c: [2], d: [3] })]))).toEqual([false]);
    expect(metOf("five", replayed(FIVE))).toEqual([true]);
    expect(labelsOf("four", replayed([CREATED, joined("a", 1), joined("b", 2)]))).toEqual([
      "Start a third consumer",
    ]);
  });

  test("[LRN-3] [LRN-5] death: it keeps its partition, is removed, and another continues where it was", () => {
    const dead = replayed([
      ...FIVE,
      handled("a", 0, 8),
      { type: "unplugged", memberId: "a", lastHeardMs: 1_000 },
    ]);
    expect(metOf("death", dead)).toEqual([false, false, false]);
    expect(offeredOf("death", dead)).toEqual([]);
    const kept = replayed([told({ a: [0], b: [1], c: [2], d: [3], e: [] }, [5, 5, 5, 5])], dead);
    expect(metOf("death", kept)).toEqual([true, false, false]);
    expect(kept.members.find(({ memberId }) => memberId === "a")?.silentSinceMs).toBe(1_000);
    const taken = replayed([assigned("e", [0], 7, 8_400)], kept);
    expect(metOf("death", taken)).toEqual([true, false, true]);
    const over = replayed([told({ b: [1], c: [2], d: [3], e: [0] }, [7, 5, 5, 5])], taken);
    expect(metOf("death", over)).toEqual([true, true, true]);
    expect(over.members.map(({ memberId }) => memberId)).toEqual(["b", "c", "d", "e"]);
    expect(stepOf("death").finding?.(over)).toBe(
      "In partition 0, everything before offset 9 had been handled. Another consumer went on at offset 7, 7.4 s after the broker last heard from the dead one. 2 records came again.",
    );
  });

  test("[LRN-3] death: a successor that skips records does not count, and one elsewhere does", () => {
    const dead = replayed([
      ...FIVE,
      handled("a", 0, 8),
      { type: "unplugged", memberId: "a", lastHeardMs: 0 },
    ]);
    expect(metOf("death", replayed([assigned("e", [0], 10)], dead))[2]).toBe(false);
    const elsewhere = replayed(
      [told({ b: [1], c: [2], d: [3], terminal: [0] }, [9, 5, 5, 5])],
      dead,
    );
    expect(metOf("death", elsewhere)).toEqual([false, true, true]);
    expect(elsewhere.death?.taken).toMatchObject({ by: "terminal", offset: 9 });
    expect(stepOf("death").finding?.(elsewhere)).toContain("nothing came again");
  });

  test("[LRN-3] farewell: the partition has moved and the member has gone", () => {
    const closing = replayed([...FIVE, { type: "closing", memberId: "a", atMs: 100 }]);
    expect(metOf("farewell", closing)).toEqual([false, false]);
    const ended = replayed(
      [{ type: "ended", memberId: "a", failure: null }, assigned("e", [0], 5, 135)],
      closing,
    );
    expect(metOf("farewell", ended)).toEqual([true, false]);
    expect(metOf("farewell", replayed([told({ b: [1], c: [2], d: [3], e: [0] })], ended))).toEqual([
      true,
      true,
    ]);
    expect(stepOf("farewell").finding?.(ended)).toBe("Partition 0 moved within 35 ms.");
  });

  test("[LRN-3] groups: a second group owns everything too, and handles the same records", () => {
    const both = replayed([
      ...FIVE,
      ...[0, 1, 2, 3].map((i) => handled("abcd"[i] ?? "", i, 4)),
      joined("z", 1, "audit"),
    ]);
    expect(metOf("groups", both)).toEqual([false, false]);
    const owns = replayed(
      [told({ z: [0, 1, 2, 3] }, [null, null, null, null], { group: "audit" })],
      both,
    );
    expect(metOf("groups", owns)).toEqual([true, false]);
    const some = replayed(
      [0, 1, 2].map((i) => handled("z", i, 0)),
      owns,
    );
    expect(metOf("groups", some)).toEqual([true, false]);
    expect(metOf("groups", replayed([handled("z", 3, 0)], some))).toEqual([true, true]);
  });

  test("[LRN-3] lag: large while they are slow, and small again after", () => {
    const slow = replayed([...FIVE, { type: "paced", isSlow: true }]);
    expect(offeredOf("lag", replayed(FIVE))).toEqual(["slow"]);
    expect(offeredOf("lag", slow)).toEqual(["fast"]);
    const behind = told({ a: [0], b: [1], c: [2], d: [3] }, [5, 5, 5, 5], { lag: MUCH_LAG / 4 });
    expect(metOf("lag", replayed([behind], replayed(FIVE)))).toEqual([false, false]);
    const much = replayed([behind], slow);
    expect(metOf("lag", much)).toEqual([true, false]);
    const hurrying = replayed([{ type: "paced", isSlow: false }], much);
    expect(metOf("lag", hurrying)).toEqual([true, false]);
    expect(metOf("lag", replayed([told({}, [5, 5, 5, 5], { lag: 1 })], hurrying))).toEqual([
      true,
      true,
    ]);
  });

  test("[LRN-3] rewind: each first record comes again, and the other group does not move back", () => {
    const audit = replayed([
      ...FIVE,
      joined("z", 1, "audit"),
      ...[0, 1, 2, 3].map((i) => handled("z", i, 4)),
    ]);
    expect(offeredOf("rewind", replayed(FIVE))).toEqual([]);
    expect(offeredOf("rewind", audit)).toEqual(["rewind"]);
    const back = replayed(
      [{ type: "rewound", to: new Map([0, 1, 2, 3].map((i) => [i, 0])) }],
      audit,
    );
    expect(back.groups.audit.next).toEqual([0, 0, 0, 0]);
    expect(metOf("rewind", back)).toEqual([true, false, true]);
    const some = replayed([handled("z", 0, 0), handled("z", 0, 1), handled("b", 1, 0)], back);
    expect(metOf("rewind", some)).toEqual([true, false, true]);
    const all = replayed(
      [1, 2, 3].map((i) => handled("z", i, 0)),
      some,
    );
    expect(metOf("rewind", all)).toEqual([true, true, true]);
    expect(metOf("rewind", replayed([told({}, [4, 5, 5, 5])], all))).toEqual([true, true, false]);
  });
});
