// The cost of a topic's traffic on K2 and on Queues.
import { describe, expect, test } from "vitest";
import { dollarsElsewhere } from "../../../../src/core/metrics/elsewhere.ts";

const NOTHING = { recordsIn: 0, bytesIn: 0, bytesOut: 0, byteSeconds: 0 };
const GB = 1e9;

describe("elsewhere", () => {
  test.each([
    ["nothing", {}, 0],
    ["a GB in", { recordsIn: 1, bytesIn: GB }, 0.04],
    ["a GB in and three out", { recordsIn: 1, bytesIn: GB, bytesOut: 3 * GB }, 0.16],
    ["a GB that is kept for a month of 30 days", { byteSeconds: GB * 30 * 24 * 3_600 }, 0.02],
  ])("[MTR-4] K2 costs for %s", (_, some, dollars) => {
    expect(dollarsElsewhere({ ...NOTHING, ...some }).k2).toBeCloseTo(dollars, 9);
  });

  test.each([
    ["nothing", {}, 0],
    ["a million small records that nobody reads", { recordsIn: 1e6, bytesIn: 1e8 }, 0.4],
    ["those, read once", { recordsIn: 1e6, bytesIn: 1e8, bytesOut: 1e8 }, 1.2],
    ["those, read by three groups", { recordsIn: 1e6, bytesIn: 1e8, bytesOut: 3e8 }, 3.6],
    ["a million records of 64 KB", { recordsIn: 1e6, bytesIn: 64e9 }, 0.4],
    ["a million records of a byte more", { recordsIn: 1e6, bytesIn: 64e9 + 1e6 }, 0.8],
    ["records without content", { recordsIn: 1e6 }, 0.4],
  ])("[MTR-4] Queues cost for %s", (_, some, dollars) => {
    expect(dollarsElsewhere({ ...NOTHING, ...some }).queues).toBeCloseTo(dollars, 9);
  });
});
