// The predictions of `npm run cost` for a workload, beside the counts of a broker's run. Sharing depends on the rate in one
// partition. So a workload is made smaller by leaving out partitions, groups and topics, not by slowing it down.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Billed, Measured } from "../cost/counted.ts";
import { countsOf } from "../cost/counts.ts";
import { type Line, linesOf, trafficOf } from "../cost/rates.ts";
import { growth } from "../cost/stored.ts";
import { parseWorkload, type Workload } from "../cost/workload.ts";
import { isDeep } from "../support/effort.ts";
import { measureLoad } from "./load.ts";

const ROOT = new URL("../../", import.meta.url);
const COUNTS = countsOf(readFileSync(new URL("ARCHITECTURE.md", ROOT), "utf8"));
/** They may differ by this share, and by two of each object in the time of the run, for where it begins and ends. */
const TOLERANCE = 0.1;
/** A run is open and has one isolate, no sockets break in it, and it is too short for a segment to be closed. */
const OF_A_RUN = {
  ...{ isClosed: false, isolates: 1 },
  ...{ reconnectsPerMonth: 0, segmentBytes: 2_147_483_647 },
};

interface Case {
  readonly name: string;
  readonly file: string;
  readonly part: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** `npm run test:deep` gives them more time. */
const CASES: readonly Case[] = [
  {
    ...{ name: "a quarter of the event bus, one of three groups", file: "event-bus" },
    ...{ part: { partitions: 3, groups: 1, membersPerGroup: 1 }, seconds: isDeep ? 120 : 8 },
  },
  {
    ...{ name: "an eighth of the devices", file: "devices" },
    ...{
      part: { partitions: 2, recordsPerSecond: 125, membersPerGroup: 1 },
      seconds: isDeep ? 20 : 3,
    },
  },
  {
    ...{ name: "ten quiet tenants", file: "quiet-tenants" },
    ...{ part: { topics: 10 }, seconds: isDeep ? 7_200 : 1_800 },
  },
  {
    ...{ name: "ten tenants of a record a minute", file: "tenants-of-a-record-a-minute" },
    ...{ part: { topics: 10 }, seconds: isDeep ? 3_600 : 900 },
  },
];

function workloadOf({ file, part }: Case, changes: object = {}): Workload {
  const path = new URL(`test/cost/workloads/${file}.json`, ROOT);
  const json = JSON.parse(readFileSync(path, "utf8"));
  return parseWorkload({ ...json, ...part, ...OF_A_RUN, ...changes }, 0);
}

async function run(workload: Workload, seconds: number): Promise<Measured> {
  const { topics, partitions, lingerMs, recordsPerRequest, recordBytes, keyBytes } = workload;
  return await measureLoad({
    ...{ topics, partitions, recordsPerRequest, recordBytes, keyBytes, seconds },
    isKeyed: workload.isKeyed,
    config: lingerMs === 0 ? {} : { "commit.linger.ms": lingerMs },
    requestsPerSecond: workload.recordsPerSecond / recordsPerRequest,
    groupsPerTopic: workload.groups,
    membersPerGroup: workload.membersPerGroup,
    commitIntervalMs: workload.commitIntervalMs,
    commitMs: workload.commitMs,
  });
}

function predicted(lines: readonly Line[], kind: Line["object"]): Omit<Billed, "storedBytes"> {
  const own = lines.filter(({ object }) => object === kind);
  const sum = (rate: (line: Line) => number | undefined) =>
    own.reduce((total, line) => total + (rate(line) ?? 0), 0);
  return {
    rowsWritten: sum((line) => line.rowsWritten),
    calls: sum((line) => line.calls),
    alarms: sum((line) => line.alarms),
    messages: sum((line) => line.messages),
  };
}

/** Returns the rates that differ from the prediction. */
function wrongOf(
  counted: Omit<Billed, "storedBytes">,
  expected: Omit<Billed, "storedBytes">,
  leastDifference: number,
): string[] {
  return Object.entries(expected).flatMap(([what, rate]) => {
    const count = counted[what as keyof typeof expected];
    const isRight = Math.abs(count - rate) <= TOLERANCE * rate + leastDifference;
    return isRight ? [] : [`${what}: ${count}/s counted, ${rate}/s predicted`];
  });
}

async function expectPrediction(each: Case, changes: object = {}): Promise<void> {
  const asked = workloadOf(each, changes);
  const counted = await run(asked, each.seconds);
  // Chance decides how many requests came.
  const recordsPerSecond = (counted.produceRequests * asked.recordsPerRequest) / asked.topics;
  const workload = workloadOf(each, { ...changes, recordsPerSecond });
  const lines = linesOf(workload, COUNTS);
  const { topics, partitions, groups } = workload;
  const objects = { partition: topics * partitions, group: topics * groups, cluster: 1 };
  for (const kind of ["partition", "group", "cluster"] as const) {
    const least = (2 * objects[kind]) / each.seconds;
    expect(wrongOf(counted[kind], predicted(lines, kind), least), kind).toEqual([]);
  }
  const grown = growth(trafficOf(workload)) * objects.partition;
  const page = (4_096 * objects.partition) / each.seconds;
  expect(Math.abs(counted.partition.storedBytes - grown), `${grown} bytes/s`).toBeLessThanOrEqual(
    TOLERANCE * grown + 4 * page,
  );
  const requests = lines.reduce((sum, { workerRequests = 0 }) => sum + workerRequests, 0);
  expect(counted.workerRequests).toBeCloseTo(requests, 0);
}

test.each(CASES)("[COST-4] $name", async (each) => {
  await expectPrediction(each);
});

test.each(CASES.slice(0, 2))("[COST-4] [LNG-1] $name, with 100 ms of linger", async (each) => {
  await expectPrediction(each, { lingerMs: 100 });
});
