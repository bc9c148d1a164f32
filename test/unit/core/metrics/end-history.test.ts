// The history of a log's end, and a record's age by it.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_END_HISTORY_POINTS } from "../../../../src/core/limits.ts";
import { EndHistory } from "../../../../src/core/metrics/end-history.ts";
import { runs } from "../../../support/effort.ts";
import { HOUR_MS, MINUTE_MS } from "../../../support/metrics-snapshots.ts";

/** A history of (minute, end). */
function historyOf(points: readonly (readonly [number, number])[]): EndHistory {
  const history = new EndHistory();
  for (const [minute, end] of points) history.add(minute * MINUTE_MS, end);
  return history;
}

describe("the history of a log's end", () => {
  test("[MET-6] an age is in whole milliseconds, wherever the record lies between two points", () => {
    const history = historyOf([
      [0, 0],
      [1, 7],
    ]);
    for (let offset = 0; offset < 7; offset++) {
      const { ms = 0.5 } = history.ageOf(offset, 5 * MINUTE_MS) ?? {};
      expect(Number.isInteger(ms), `offset ${offset}`).toBe(true);
    }
  });

  test.each<{
    name: string;
    points: [number, number][];
    offset: number;
    nowMinute: number;
    minutes: number | null;
    isAtLeast?: true;
  }>([
    { name: "nothing is known", points: [], offset: 0, nowMinute: 5, minutes: null },
    {
      name: "there is no such record yet",
      points: [
        [0, 0],
        [1, 10],
      ],
      offset: 10,
      nowMinute: 5,
      minutes: null,
    },
    {
      name: "the log grew evenly",
      points: [
        [0, 0],
        [1, 10],
        [2, 20],
      ],
      offset: 14,
      nowMinute: 5,
      minutes: 3.5,
    },
    {
      name: "it is the last record before a point",
      points: [
        [0, 0],
        [1, 10],
        [2, 20],
      ],
      offset: 9,
      nowMinute: 5,
      minutes: 4,
    },
    {
      name: "it was there when the partition was first heard of",
      points: [[3, 10]],
      offset: 2,
      nowMinute: 5,
      minutes: 2,
      isAtLeast: true,
    },
    {
      name: "one record came after a long pause",
      points: [
        [0, 10],
        [1, 10],
        [90, 11],
      ],
      offset: 10,
      nowMinute: 90,
      minutes: 0,
    },
    {
      name: "many records came after a long pause",
      points: [
        [0, 10],
        [90, 30],
      ],
      offset: 19,
      nowMinute: 90,
      minutes: 0.5,
    },
    {
      name: "the log was restored to an earlier end",
      points: [
        [0, 10],
        [1, 100],
        [2, 20],
      ],
      offset: 14,
      nowMinute: 5,
      minutes: 4,
    },
    {
      name: "the clock was set back",
      points: [
        [0, 0],
        [60, 10],
        [1, 10],
      ],
      offset: 9,
      nowMinute: 1,
      minutes: 0,
    },
  ])("[MET-6] a record has its age where $name", (row) => {
    const age = historyOf(row.points).ageOf(row.offset, row.nowMinute * MINUTE_MS);
    if (row.minutes === null) expect(age).toBe(null);
    else expect(age).toEqual({ ms: row.minutes * MINUTE_MS, isExact: row.isAtLeast !== true });
  });

  test("[MET-6] a day of appends fits, and a record's age is known to the minute for an hour, then to a quarter", () => {
    const history = new EndHistory();
    const nowMs = 3 * 24 * HOUR_MS;
    // A record each 10 s, reported each 20 s.
    for (let ms = 0; ms <= nowMs; ms += 20_000) history.add(ms, ms / 10_000);
    expect(history.size / 2).toBeLessThanOrEqual(MAX_END_HISTORY_POINTS);
    for (const [hours, precisionMs] of [
      [0.5, MINUTE_MS],
      [1.5, 15 * MINUTE_MS],
      [22, 15 * MINUTE_MS],
    ] as const) {
      const age = history.ageOf((nowMs - hours * HOUR_MS) / 10_000, nowMs);
      expect(age?.isExact).toBe(true);
      expect(Math.abs((age?.ms ?? 0) - hours * HOUR_MS), `${hours} h`).toBeLessThan(precisionMs);
    }
    const old = history.ageOf(0, nowMs);
    expect(old?.isExact).toBe(false);
    expect(old?.ms).toBeGreaterThan(23 * HOUR_MS);
  });

  test("[MET-6] whatever is reported whenever, it is bounded, older records are older, and it is restored as it was", () => {
    const step = fc.record({
      afterMs: fc.oneof(
        fc.integer({ min: -600_000, max: 120_000 }),
        fc.integer({ min: 0, max: 9 }),
      ),
      grown: fc.integer({ min: -5, max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
        const history = new EndHistory();
        let nowMs = 1e12;
        let end = 0;
        for (const { afterMs, grown } of steps) {
          nowMs += afterMs;
          end = Math.max(0, end + grown);
          history.add(nowMs, end);
        }
        expect(history.size / 2).toBeLessThanOrEqual(MAX_END_HISTORY_POINTS);
        const some = Array.from({ length: 100 }, (_, i) => Math.floor((i * end) / 100));
        const ages = end === 0 ? [] : some.map((offset) => history.ageOf(offset, nowMs)?.ms);
        for (const [i, age] of ages.entries()) {
          expect(age).toBeGreaterThanOrEqual(ages[i + 1] ?? 0);
        }
        expect(history.ageOf(end, nowMs)).toBe(null);
        const restored = EndHistory.fromJSON(JSON.parse(JSON.stringify(history)));
        expect(restored.toJSON()).toEqual(history.toJSON());
      }),
      runs(40),
    );
  });
});
