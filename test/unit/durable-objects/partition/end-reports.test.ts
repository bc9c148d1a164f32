// A partition's reports of the end of its log to the cluster: at once, then seldom, and never two at a time.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EndReports } from "../../../../durable-objects/partition/end-reports.ts";

const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 2_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A cluster that answers at once, unless a test makes it wait or fail. */
class Cluster {
  readonly told: number[] = [];
  answer: Promise<unknown> = Promise.resolve();
  readonly reports = new EndReports((end) => {
    this.told.push(end);
    return this.answer;
  });

  /** Lets time pass, and everything happen that is due by then. */
  pass(ms: number): Promise<unknown> {
    return vi.advanceTimersByTimeAsync(ms);
  }
}

test("[FIL-4] the first end is reported at once, even of an empty log, the next after a pause", async () => {
  const cluster = new Cluster();
  cluster.reports.note(0);
  expect(cluster.told).toEqual([0]);
  await cluster.pass(0);
  cluster.reports.note(1);
  cluster.reports.note(2);
  await cluster.pass(FIRST_PAUSE_MS - 1);
  expect(cluster.told).toEqual([0]);
  await cluster.pass(1);
  expect(cluster.told).toEqual([0, 2]);
});

test.each([0, 1, 5])(
  "[FIL-4] after a first end of %d the next is reported after the short pause",
  async (end) => {
    const cluster = new Cluster();
    cluster.reports.note(end);
    await cluster.pass(0);
    cluster.reports.note(end + 1);
    await cluster.pass(FIRST_PAUSE_MS);
    expect(cluster.told).toEqual([end, end + 1]);
  },
);

test("[FIL-4] a quiet partition reports nothing more, and its next end at once", async () => {
  const cluster = new Cluster();
  cluster.reports.note(1);
  await cluster.pass(60_000);
  expect(cluster.told).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
  cluster.reports.note(2);
  expect(cluster.told).toEqual([1, 2]);
});

test("[FIL-4] the pause doubles up to its bound while a partition is busy, and is short again after quiet", async () => {
  const cluster = new Cluster();
  const pauses: number[] = [];
  let end = 0;
  let lastMs = Date.now();
  cluster.reports.note(++end);
  for (let reports = 1; pauses.length < 6; ) {
    await cluster.pass(50);
    if (cluster.told.length > reports) {
      reports = cluster.told.length;
      pauses.push(Date.now() - lastMs);
      lastMs = Date.now();
    }
    cluster.reports.note(++end);
  }
  expect(pauses.map((ms) => Math.round(ms / 50) * 50)).toEqual([
    FIRST_PAUSE_MS,
    500,
    1_000,
    MAX_PAUSE_MS,
    MAX_PAUSE_MS,
    MAX_PAUSE_MS,
  ]);
  await cluster.pass(10 * MAX_PAUSE_MS);
  expect(cluster.told.at(-1), "the last end is told").toBe(end);
  expect(vi.getTimerCount()).toBe(0);
  const { length } = cluster.told;
  cluster.reports.note(++end);
  await cluster.pass(0);
  cluster.reports.note(++end);
  await cluster.pass(500);
  expect(cluster.told.slice(length)).toEqual([end - 1, end]);
});

test("[FIL-4] while the cluster has not answered nothing more is reported, then the newest end", async () => {
  const cluster = new Cluster();
  const answer = Promise.withResolvers<void>();
  cluster.answer = answer.promise;
  cluster.reports.note(1);
  await cluster.pass(60_000);
  cluster.reports.note(2);
  cluster.reports.note(3);
  expect(cluster.told).toEqual([1]);
  answer.resolve();
  await cluster.pass(0);
  expect(cluster.told).toEqual([1]);
  await cluster.pass(FIRST_PAUSE_MS);
  expect(cluster.told).toEqual([1, 3]);
});

test("[FIL-4] a failed report delays none of the next", async () => {
  const cluster = new Cluster();
  cluster.answer = Promise.reject(new Error("out of reach"));
  cluster.reports.note(1);
  await cluster.pass(FIRST_PAUSE_MS);
  cluster.answer = Promise.resolve();
  cluster.reports.note(2);
  expect(cluster.told).toEqual([1, 2]);
});

test("[FIL-4] a repeated end, as after refused appends, makes no pause longer", async () => {
  const cluster = new Cluster();
  cluster.reports.note(1);
  await cluster.pass(60_000);
  cluster.reports.note(1);
  await cluster.pass(0);
  cluster.reports.note(2);
  await cluster.pass(FIRST_PAUSE_MS);
  expect(cluster.told).toEqual([1, 1, 2]);
});

test("[FIL-4] after the clock was set back the next end is reported at once", async () => {
  const cluster = new Cluster();
  cluster.reports.note(1);
  await cluster.pass(0);
  vi.setSystemTime(Date.now() - 3_600_000);
  cluster.reports.note(2);
  expect(cluster.told).toEqual([1, 2]);
  await cluster.pass(0);
  // The timer of the previous pause is useless by now.
  expect(vi.getTimerCount()).toBe(1);
});
