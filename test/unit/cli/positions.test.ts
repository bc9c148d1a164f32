// Times, durations and positions as the command line takes them.
import { describe, expect, test } from "vitest";
import { parseDay } from "../../../src/cli/options.ts";
import { fixed, fixedUpToNow, parseFrom, parseUntil } from "../../../src/cli/position.ts";
import { durationIn, parseDuration, parseExpiry, parseTime } from "../../../src/cli/times.ts";
import { isoTimeMs } from "../../../src/core/iso-time.ts";

const NOW_MS = Date.parse("2026-11-30T12:00:00Z");

test.each([
  ["500ms", 500],
  ["90s", 90_000],
  ["15m", 900_000],
  ["2h", 7_200_000],
  ["7d", 604_800_000],
  ["PT1H", 3_600_000],
  ["P1DT2H", 93_600_000],
  ["PT0.5S", 500],
  ["", null],
  ["2", null],
  ["1.5h", null],
  ["-1h", null],
  ["1w", null],
  ["PT", null],
])("[CLI-14] the duration %j is %s ms", (text, ms) => {
  expect(durationIn(text)).toBe(ms);
});

test.each([
  ["2026-11-30", "2026-11-30T00:00:00Z"],
  ["2026-11-30T12:00", "2026-11-30T12:00:00Z"],
  ["2026-11-30T12:00:00.5", "2026-11-30T12:00:00.500Z"],
  ["2026-11-30T12:00:00Z", "2026-11-30T12:00:00Z"],
  ["2026-11-30T12:00:00+02:00", "2026-11-30T10:00:00Z"],
])("[CLI-14] the time %s is %s, in UTC if it names no zone", (text, time) => {
  expect(isoTimeMs(text)).toBe(Date.parse(time));
  expect(parseTime(text)).toBe(Date.parse(time));
});

test.each(["", "soon", "2026", "2026-13-01", "30.11.2026", "2026-11-30 12:00"])(
  "[CLI-14] %j is not a time",
  (text) => {
    expect(isoTimeMs(text)).toBeNull();
    for (const parse of [parseFrom, parseUntil])
      expect(() => parse(text === "2026" ? "2026x" : text)).toThrow("It must be ");
  },
);

test.each(["2026-02-30", "2026-02-31T00:00Z", "2026-04-31T12:00:00+02:00", "2025-02-29T00:00"])(
  "[CLI-23] %s is a day that does not exist",
  (text) => {
    expect(isoTimeMs(text)).toBeNull();
    for (const parse of [parseFrom, parseUntil, parseTime, parseExpiry])
      expect(() => parse(text)).toThrow("It must be ");
    expect(() => parseDay(text)).toThrow("There is no such day");
  },
);

test("[CLI-23] a leap day exists, and a zone does not move a day", () => {
  expect(isoTimeMs("2028-02-29T00:30:00+02:00")).toBe(Date.parse("2028-02-28T22:30:00Z"));
  expect(parseExpiry("2028-02-29T00:00Z")).toEqual({ atMs: Date.parse("2028-02-29T00:00Z") });
  expect(parseDay("1700000000000")).toBe("1700000000000");
});

test.each(["999999999d", "P99999D"])("[CLI-23] %s reaches back beyond 1970", (text) => {
  for (const parse of [parseFrom, parseUntil])
    expect(() => parse(text)).toThrow("It must not reach back beyond 1970");
});

test("[CLI-23] a duration of more than a date can hold is rejected", () => {
  for (const parse of [parseDuration, parseExpiry])
    expect(() => parse("999999999d")).toThrow("It is too long");
});

describe("positions", () => {
  test.each([
    ["earliest", false, { at: "earliest" }],
    ["latest", false, { at: "latest" }],
    ["15m", false, { atMs: NOW_MS - 900_000 }],
    ["PT1H", true, { atMs: NOW_MS - 3_600_000 }],
    ["2026-11-30T11:00:00Z", false, { atMs: NOW_MS - 3_600_000 }],
    [String(NOW_MS), false, { atMs: NOW_MS }],
    ["42", true, { offset: 42 }],
    ["0", true, { offset: 0 }],
    [String(NOW_MS), true, { offset: NOW_MS }],
  ])("[CLI-14] --from %s, with --partition: %s, is %j", (text, hasPartition, position) => {
    expect(fixed("--from", parseFrom(text), hasPartition, NOW_MS)).toEqual(position);
  });

  test.each([
    ["now", { at: "latest" }],
    ["1m", { atMs: NOW_MS - 60_000 }],
    [String(NOW_MS), { atMs: NOW_MS }],
  ])("[CLI-14] --until %s is %j", (text, position) => {
    expect(fixedUpToNow("--until", parseUntil(text), false, NOW_MS)).toEqual(position);
  });

  test("[CLI-14] a small number without --partition is rejected as an offset", () => {
    expect(() => fixed("--from", parseFrom("42"), false, NOW_MS)).toThrow(
      "--from is 42: an offset goes with --partition, and milliseconds since 1970 have at least 12 digits",
    );
  });

  test("[CLI-14] an end that is still to come is rejected, unless it is an offset", () => {
    const later = new Date(NOW_MS + 1).toISOString();
    expect(() => fixedUpToNow("--until", parseUntil(later), false, NOW_MS)).toThrow(
      `--until is ${later}, it must not be later than now`,
    );
    expect(fixedUpToNow("--until", parseUntil("99"), true, NOW_MS)).toEqual({ offset: 99 });
  });

  test("[CLI-23] a start that is still to come is rejected", () => {
    const later = new Date(NOW_MS + 1).toISOString();
    expect(() => fixedUpToNow("--from", parseFrom(later), false, NOW_MS)).toThrow(
      `--from is ${later}, it must not be later than now`,
    );
    expect(() => fixedUpToNow("--from", parseFrom("999999999999999"), false, NOW_MS)).toThrow(
      "it must not be later than now",
    );
  });

  test("[CLI-14] latest is no end, and now is no start", () => {
    expect(() => parseUntil("latest")).toThrow("It must be now, a time");
    expect(() => parseFrom("now")).toThrow("It must be earliest, latest, a time");
  });
});
