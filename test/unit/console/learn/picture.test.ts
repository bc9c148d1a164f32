// The picture of the lesson, and how records move in it.
import { describe, expect, test } from "vitest";
import {
  CELL,
  MAX_FLYING,
  type Picture,
  paceOf,
  pictureOf,
  pointsBetween,
  wayTo,
} from "../../../../src/console/learn/picture.ts";
import { BEGINNING } from "../../../../src/console/learn/state.ts";
import { SESSION_MS } from "../../../../src/console/learn/steps.ts";
import { assigned, handled, joined, replayed, sent, TOPIC, told } from "./world.ts";

const WIDTHS = [290, 328, 560, 815];

const BUSY = replayed([
  { type: "created", topic: TOPIC },
  ...Array.from({ length: 160 }, (_, i) => sent(i % 4, Math.floor(i / 4), "Lima")),
  sent(2, 40, "Cairo", true),
  joined("a", 1),
  joined("b", 2),
  joined("z", 1, "audit"),
  assigned("a", [0, 1]),
  assigned("b", [2, 3]),
  handled("a", 0, 38, "Kyoto"),
  told({ a: [0, 1], b: [2, 3] }, [38, 40, 30, 40]),
  told({ z: [0, 1, 2, 3], stranger: [] }, [10, 0, 20, null], { group: "audit" }),
]);

function boxesOf({ producer, logs, members }: Picture) {
  return [producer, ...logs, ...members];
}

describe.each(WIDTHS)("in %i pixels", (width) => {
  test("[LRN-6] everything is within the picture, and nothing covers anything else", () => {
    for (const lesson of [BEGINNING, BUSY]) {
      const picture = pictureOf(lesson, width, 0);
      const boxes = boxesOf(picture);
      for (const { x, y, width: wide, height } of boxes) {
        expect(x).toBeGreaterThanOrEqual(0);
        expect(y).toBeGreaterThanOrEqual(0);
        expect(x + wide).toBeLessThanOrEqual(width);
        expect(y + height).toBeLessThanOrEqual(picture.height);
      }
      for (const [i, a] of boxes.entries())
        for (const b of boxes.slice(i + 1))
          expect(
            a.x + a.width <= b.x ||
              b.x + b.width <= a.x ||
              a.y + a.height <= b.y ||
              b.y + b.height <= a.y,
          ).toBe(true);
      for (const log of picture.logs) {
        expect(log.tail.x + CELL / 2).toBeLessThanOrEqual(log.x + log.width);
        for (const bar of log.bars) expect(bar.markX).toBeLessThanOrEqual(bar.x + bar.width);
      }
    }
  });

  test("[LRN-6] a log shows its newest records, and which of them are committed", () => {
    const { logs } = pictureOf(BUSY, width, 0);
    const [first, second, third] = logs;
    expect(first?.cells.at(-1)).toMatchObject({
      offset: 39,
      letter: "L",
      isRead: false,
      isOwn: false,
    });
    expect(first?.cells.at(-3)).toMatchObject({ offset: 37, isRead: true });
    expect(second?.cells.every(({ isRead }) => isRead)).toBe(true);
    expect(third?.cells.at(-1)).toMatchObject({ offset: 40, letter: "C", isOwn: true });
  });
});

test("[LRN-6] committed offsets of both groups are at their place in the whole log", () => {
  const [first, second, third, fourth] = pictureOf(BUSY, 815, 0).logs;
  const at = (bar: { x: number; width: number; markX: number } | undefined) =>
    bar === undefined ? null : (bar.markX - bar.x) / bar.width;
  expect(at(first?.bars[0])).toBeCloseTo(38 / 40);
  expect(at(first?.bars[1])).toBeCloseTo(10 / 40);
  expect(at(second?.bars[1])).toBe(0);
  expect(third?.bars.map(({ lag }) => lag)).toEqual([11, 21]);
  expect(fourth?.bars[1]).toMatchObject({ group: "audit", position: null });
});

test("[LRN-6] members are shown with what they own, those elsewhere too", () => {
  const { members } = pictureOf(BUSY, 815, 0);
  expect(members.map(({ name, state, kind, count }) => [name, kind, state, count])).toEqual([
    ["Consumer 1", "working", "owns 0, 1", "1 handled: Kyoto"],
    ["Consumer 2", "working", "owns 2, 3", ""],
    ["Auditor 1", "working", "owns 0–3", ""],
    ["A consumer", "working", "owns nothing yet", "not in this page"],
  ]);
  expect(members[0]?.edges).toEqual([
    { kind: "keeps", partition: 0 },
    { kind: "keeps", partition: 1 },
  ]);
});

test("[LRN-5] a silent member keeps its lines, and its session is counted down", () => {
  const silent = replayed([{ type: "unplugged", memberId: "a", lastHeardMs: 1_000 }], BUSY);
  const stateAt = (ms: number, width = 815) => pictureOf(silent, width, ms).members[0];
  expect(stateAt(1_000)).toMatchObject({
    kind: "silent",
    state: "silent: 6 s left",
    count: "owns 0, 1",
  });
  expect(stateAt(1_000, 328)?.state).toBe("silent: 6 s");
  expect(stateAt(1_000 + SESSION_MS - 1)?.state).toBe("silent: 1 s left");
  expect(stateAt(1_000 + SESSION_MS)?.state).toBe("time is up");
  expect(stateAt(1_000)?.edges).toHaveLength(2);
});

test("[LRN-6] the words say what the picture shows", () => {
  expect(pictureOf(BEGINNING, 815, 0).words).toBe("There is no topic yet.");
  const { words } = pictureOf(BUSY, 815, 0);
  expect(words).toContain("The producer has sent 161 records.");
  expect(words).toContain(
    "Partition 2 has 41 records, the newest from Cairo, billing is at 30, audit is at 20.",
  );
  expect(words).toContain("Consumer 1 of billing: owns 0, 1, 1 handled: Kyoto.");
});

test("[LRN-7] the more records move, the faster they are, and beyond the bound none starts", () => {
  const paces = Array.from({ length: MAX_FLYING }, (_, flying) => paceOf(flying) ?? 0);
  for (const [i, pace] of paces.entries()) if (i > 0) expect(pace).toBeLessThan(paces[i - 1] ?? 0);
  expect(paces.at(-1)).toBeGreaterThan(300);
  expect(paceOf(MAX_FLYING)).toBe(null);
});

test.each([328, 815])(
  "[LRN-6] a path leads from the producer to the log, in %i pixels",
  (width) => {
    const { producer, logs } = pictureOf(BUSY, width, 0);
    for (const log of logs) {
      const [from, to] = wayTo(producer, log);
      const points = pointsBetween(from, to, 12);
      expect(points).toHaveLength(12);
      expect(points[0]).toEqual(from);
      expect(points.at(-1)?.x).toBeCloseTo(to.x);
      expect(to.y).toBe(log.tail.y);
      expect(from.x).toBeLessThanOrEqual(producer.x + producer.width);
    }
  },
);
