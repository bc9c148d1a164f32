import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TopicConfig } from "../../../../src/core/cluster/config.ts";
import {
  MAX_PARTITION_BYTES,
  MAX_SEGMENT_CHUNKS,
  MAX_SEGMENTS,
  MIN_SEGMENT_BYTES,
} from "../../../../src/core/limits.ts";
import type { LogStore } from "../../../../src/core/log/log-store.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import {
  answers,
  appendOf,
  batchOf,
  configOf,
  dump,
  failing,
  memoryPlace,
  PLACES,
  type Place,
  shape,
  singleAppend,
} from "../../../support/log-fixtures.ts";
import { segmentsOf } from "../../../support/memory-log-store.ts";

/** Bytes of an append of one record. */
const SIZE = singleAppend([0]).bytes.length;

/** A log that has a segment for each timestamp, appended at that time. */
function segmentEach(place: Place, timestamps: readonly number[], config: TopicConfig) {
  const writer = new PartitionLog(place.open(), { ...config, retentionMs: -1, retentionBytes: -1 });
  for (const timestamp of timestamps) writer.commit([singleAppend([timestamp])], timestamp);
  expect(segmentsOf(place.open())).toEqual(timestamps.map((_, i) => i));
  return new PartitionLog(place.open(), config);
}

/** The log's own numbers match the stored data. */
function expectBookkeeping(log: PartitionLog, store: LogStore): void {
  const segments = segmentsOf(store);
  const sizes = segments.map((segment) => {
    let size = 0;
    for (const { bytes } of store.chunksFrom(segment, segment)) size += bytes.length;
    expect(store.totals(segment)?.sizeInBytes ?? 0).toBe(size);
    return size;
  });
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  expect(store.state()).toMatchObject({
    sealedBytes: sum(sizes.slice(0, -1)),
    segmentCount: segments.length,
    logStartOffset: log.logStartOffset,
  });
  expect([log.sizeInBytes, log.segmentCount]).toEqual([sum(sizes), segments.length]);
  expect(log.activeBaseOffset).toBe(segments.at(-1) ?? 0);
}

const single = (timestamp: number) => [singleAppend([timestamp])];

describe.each(PLACES)("segments on $name", ({ newPlace }) => {
  test.each([
    { appends: 4, bound: 4 * SIZE, segments: [0] },
    { appends: 5, bound: 4 * SIZE, segments: [0, 4] },
    { appends: 5, bound: 4 * SIZE + 1, segments: [0, 4] },
    { appends: 5, bound: 4 * SIZE - 1, segments: [0, 3] },
    { appends: 3, bound: 1, segments: [0, 1, 2] },
  ])("[SEG-1] $appends appends with segment.bytes $bound make segments $segments", (row) => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), configOf({ segmentBytes: row.bound }));
    for (let i = 0; i < row.appends; i++) log.commit(single(i), 0);
    expect(segmentsOf(place.open())).toEqual(row.segments);
    expectBookkeeping(log, place.open());
  });

  test("[SEG-1] an append larger than segment.bytes has a segment of its own", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), configOf({ segmentBytes: MIN_SEGMENT_BYTES }));
    const large = () => appendOf([0, 1, 2].map((i) => batchOf([shape(1, 700_000)], i, 0)));
    log.commit(single(0), 0);
    log.commit([large()], 0);
    // One append may thus lie in several segments; a chunk lies in one.
    expect(segmentsOf(place.open())).toEqual([0, 2, 3]);
    expect(log.logEndOffset).toBe(4);
    expectBookkeeping(log, place.open());
  });

  test.each([
    { ageMs: 999, segments: [0] },
    { ageMs: 1_000, segments: [0, 2] },
    { ageMs: 5_000, segments: [0, 2] },
  ])("[SEG-1] an append $ageMs ms after the segment's first, with segment.ms 1000", (row) => {
    const place = newPlace();
    const config = configOf({ segmentMs: 1_000 });
    const log = new PartitionLog(place.open(), config);
    log.commit(single(0), 500);
    log.commit(single(0), 1_400);
    // The age is that of the segment, not of the last append, even after an eviction.
    const next = new PartitionLog(place.open(), config);
    next.commit(single(0), 500 + row.ageMs);
    const store = place.open();
    expect(segmentsOf(store)).toEqual(row.segments);
    expect(row.segments.map((segment) => store.createdAtMs(segment))).toEqual(
      [500, 500 + row.ageMs].slice(0, row.segments.length),
    );
  });

  test("[SEG-1] a segment closed by its age is closed by the next append and not before", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), configOf({ segmentMs: 1_000 }));
    log.commit(single(0), 0);
    log.enforceRetention(50_000);
    expect(segmentsOf(place.open())).toEqual([0]);
    log.commit(single(0), 50_000);
    expect(segmentsOf(place.open())).toEqual([0, 1]);
  });

  test("[SEG-1] a segment with its maximum of chunks is closed", () => {
    const place = newPlace();
    const store = place.open();
    new PartitionLog(store, configOf()).commit(single(0), 0);
    const [last] = dump(store).segments[0]?.chunks ?? [];
    if (last === undefined) throw new Error("an append makes a chunk");
    const chunk = { ...last, baseOffset: 1, nextOffset: 2, maxTimestamp: 0, appends: [] };
    store.insertChunk(0, chunk, {
      nextOffset: 2,
      maxTimestamp: 0,
      sizeInBytes: 2 * SIZE,
      chunkCount: MAX_SEGMENT_CHUNKS,
    });
    const log = new PartitionLog(store, configOf());
    log.commit(single(0), 0);
    expect(segmentsOf(store)).toEqual([0, 2]);
    expectBookkeeping(log, store);
  });

  test("[SEG-1] a changed config counts from the next append on", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), configOf());
    for (let i = 0; i < 3; i++) log.commit(single(i), 0);
    log.config = configOf({ segmentBytes: 2 * SIZE });
    for (let i = 3; i < 6; i++) log.commit(single(i), 0);
    expect(segmentsOf(place.open())).toEqual([0, 3, 5]);
  });
});

describe.each(PLACES)("retention on $name", ({ newPlace }) => {
  const times = [1_000, 3_000, 2_000, 4_000];

  test.each<{ nowMs: number; kept: number[]; config?: Partial<TopicConfig> }>([
    { nowMs: 1_499, kept: [0, 1, 2, 3] },
    { nowMs: 1_501, kept: [1, 2, 3] },
    // The third is old enough, but the second, before it, is not.
    { nowMs: 3_499, kept: [1, 2, 3] },
    { nowMs: 3_501, kept: [3] },
    { nowMs: 4_499, kept: [3] },
    // Everything has expired: an empty segment says where the log ends.
    { nowMs: 4_501, kept: [4] },
    { nowMs: 2 ** 50, kept: [0, 1, 2, 3], config: { retentionMs: -1 } },
    { nowMs: 2 ** 50, kept: [0, 1, 2, 3], config: { cleanupPolicy: [] } },
    { nowMs: 2 ** 50, kept: [0, 1, 2, 3], config: { cleanupPolicy: ["compact"] } },
    { nowMs: 3_501, kept: [3], config: { cleanupPolicy: ["compact", "delete"] } },
  ])("[RET-1] [RET-3] at $nowMs with $config segments $kept are kept", (row) => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1, retentionMs: 500, ...row.config });
    const log = segmentEach(place, times, config);
    log.enforceRetention(row.nowMs);
    expect(segmentsOf(place.open())).toEqual(row.kept);
    expect([log.logStartOffset, log.logEndOffset]).toEqual([row.kept[0], 4]);
    expectBookkeeping(log, place.open());
    const next = new PartitionLog(place.open(), config);
    expect([next.logStartOffset, next.logEndOffset]).toEqual([row.kept[0], 4]);
    expectBookkeeping(next, place.open());
    // A repetition changes nothing.
    const before = dump(place.open());
    next.enforceRetention(row.nowMs);
    expect(dump(place.open())).toEqual(before);
  });

  test.each<{ bound: number; kept: number[]; config?: Partial<TopicConfig> }>([
    { bound: -1, kept: [0, 1, 2, 3] },
    { bound: 4 * SIZE, kept: [0, 1, 2, 3] },
    { bound: 3 * SIZE + 1, kept: [0, 1, 2, 3] },
    { bound: 3 * SIZE, kept: [1, 2, 3] },
    { bound: 2 * SIZE + 1, kept: [1, 2, 3] },
    { bound: SIZE, kept: [3] },
    // The active segment stays.
    { bound: 0, kept: [3] },
    { bound: 0, kept: [0, 1, 2, 3], config: { cleanupPolicy: [] } },
    { bound: 0, kept: [0, 1, 2, 3], config: { cleanupPolicy: ["compact"] } },
    { bound: 0, kept: [3], config: { cleanupPolicy: ["compact", "delete"] } },
  ])("[RET-2] [RET-3] with retention.bytes $bound and $config segments $kept are kept", (row) => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1, retentionBytes: row.bound, ...row.config });
    const log = segmentEach(place, times, config);
    log.enforceRetention(0);
    expect(segmentsOf(place.open())).toEqual(row.kept);
    expect(log.logStartOffset).toBe(row.kept[0]);
    expectBookkeeping(log, place.open());
  });

  test("[RET-1] an expired log continues at its end", () => {
    const place = newPlace();
    const config = configOf({ retentionMs: 500 });
    const log = new PartitionLog(place.open(), config);
    log.commit([singleAppend([1, 2, 3])], 3);
    log.enforceRetention(10_000);
    expect([log.logStartOffset, log.logEndOffset, log.sizeInBytes]).toEqual([3, 3, 0]);
    expect(log.validateOffset(2)).toMatchObject({
      error: "OFFSET_OUT_OF_RANGE",
      logStartOffset: 3,
    });
    expect(log.read(3, 1_000)).toMatchObject({ pieces: [], nextOffset: 3 });
    const next = new PartitionLog(place.open(), config);
    expect([next.logStartOffset, next.logEndOffset]).toEqual([3, 3]);
    expect(answers(next.commit(single(10_000), 10_000))).toEqual([3]);
    expect(next.read(3, 1_000).nextOffset).toBe(4);
    expectBookkeeping(next, place.open());
    expect(segmentsOf(place.open())).toEqual([3]);
  });

  test("[RET-1] [RET-2] an append that begins a segment drops what is no longer kept", () => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 2 * SIZE, retentionBytes: 4 * SIZE, retentionMs: 500 });
    const log = new PartitionLog(place.open(), config);
    for (let i = 0; i < 20; i++) {
      log.commit(single(i), i);
      expectBookkeeping(log, place.open());
      expect(log.sizeInBytes).toBeLessThan((4 + 2 + 1) * SIZE);
    }
    expect(log.logStartOffset).toBe(14);
    log.commit(single(900), 900);
    expect(segmentsOf(place.open())).toEqual([20]);
    expect([log.logStartOffset, log.logEndOffset]).toEqual([20, 21]);
  });

  test.each<{ why: string; config: Partial<TopicConfig>; nowMs: number }>([
    { why: "is too old", config: { retentionMs: 500 }, nowMs: 10_000 },
    { why: "is too much", config: { retentionBytes: 0 }, nowMs: 0 },
  ])("[RET-1] [RET-2] a log just woken up accepts an append when all before it $why", (row) => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1, ...row.config });
    new PartitionLog(place.open(), config).commit(single(0), 0);
    const woken = new PartitionLog(place.open(), config);
    expect(answers(woken.commit(single(row.nowMs), row.nowMs))).toEqual([1]);
    expect(segmentsOf(place.open())).toEqual([1]);
    expectBookkeeping(woken, place.open());
  });

  test.each(["createSegment", "setState", "dropSegment", "setProducerSnapshot"] as const)(
    "[RET-1] [LOG-12] retention whose %s throws leaves log and store as they were",
    (method) => {
      const place = newPlace();
      const config = configOf({ segmentBytes: 1, retentionMs: 500 });
      segmentEach(place, times, config);
      const log = new PartitionLog(failing(place.open(), method, 1), config);
      // The active segment is expired too, so it is closed first.
      expect(() => log.enforceRetention(50_000)).toThrow("the disk is full");
      const reopened = new PartitionLog(place.open(), config);
      for (const each of [log, reopened]) {
        expect(each.logEndOffset).toBe(4);
        expect(each.read(each.logStartOffset, 10_000).nextOffset).toBe(4);
        expectBookkeeping(each, place.open());
      }
      log.enforceRetention(50_000);
      expect(segmentsOf(place.open())).toEqual([4]);
      expectBookkeeping(log, place.open());
    },
  );

  test("[RET-1] a log says when the first of its segments expires", () => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1, retentionMs: 500 });
    expect(new PartitionLog(newPlace().open(), config).nextHousekeepingMs(3_000)).toBeNull();
    const log = segmentEach(place, [1_000, 3_000], config);
    const dues: (number | null)[] = [];
    const next = () => log.nextHousekeepingMs(3_000);
    for (let due = next(); due !== null; due = next()) {
      dues.push(due);
      const { logStartOffset } = log;
      log.enforceRetention(due - 1);
      expect(log.logStartOffset).toBe(logStartOffset);
      log.enforceRetention(due);
      expect(log.logStartOffset).toBe(logStartOffset + 1);
    }
    expect(dues).toEqual([1_500, 3_500]);
    for (const change of [{ retentionMs: -1 }, { cleanupPolicy: [] }]) {
      const kept = newPlace();
      const other = configOf({ ...config, ...change });
      expect(segmentEach(kept, [1_000], other).nextHousekeepingMs(1_000)).toBeNull();
    }
  });

  test("[CLK-1] after the clock was set back, a segment is as old as the next one", () => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1, retentionMs: 5_000 });
    const log = segmentEach(place, [50_000_000, 50_001_000, 10_000, 12_000], config);
    expect(log.nextHousekeepingMs(12_000)).toBe(15_000);
    log.enforceRetention(14_999);
    expect(log.logStartOffset).toBe(0);
    log.enforceRetention(15_000);
    expect(log.logStartOffset).toBe(3);
    expectBookkeeping(log, place.open());
  });

  test("[CLK-1] records from the future do not make a segment older than they are", () => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1, retentionMs: 5_000 });
    const log = new PartitionLog(place.open(), config);
    for (const atMs of [10_000, 11_000]) log.commit(single(50_000_000), atMs);
    log.enforceRetention(49_000_000);
    expect(log.logStartOffset).toBe(0);
    expect(log.nextHousekeepingMs(49_000_000)).toBe(50_005_000);
  });

  test("[SEG-1] [CLK-1] a segment begun when the clock showed more is closed, once", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), configOf({ segmentMs: 10_000 }));
    for (const atMs of [50_000_000, 50_000_001, 10_000, 19_999, 20_000])
      log.commit(single(atMs), atMs);
    expect(segmentsOf(place.open())).toEqual([0, 2, 4]);
  });

  test("[RET-1] [RET-2] [LOG-8] after any steps the log's numbers are those of what is stored", () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          type: fc.constant("commit"),
          at: fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 4 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ type: fc.constant("delete"), at: fc.tuple(fc.nat(9)) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant("retain"), at: fc.constant([]) }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant("reopen"), at: fc.constant([]) }) },
    );
    const configs = fc.record({
      segmentBytes: fc.constantFrom(1, 3 * SIZE, 1_000_000),
      segmentMs: fc.constantFrom(7, 1_000_000),
      retentionMs: fc.constantFrom(-1, 20),
      retentionBytes: fc.constantFrom(-1, 0, 5 * SIZE),
    });
    let dropped = 0;
    let deepest = 0;
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 5, maxLength: 40, size: "max" }),
        configs,
        (steps, changes) => {
          const place = newPlace();
          const config = configOf(changes);
          let log = new PartitionLog(place.open(), config);
          for (const [nowMs, { type, at }] of steps.entries()) {
            const { logStartOffset, logEndOffset } = log;
            if (type === "commit") {
              const appends = at.map((time) => singleAppend([time]));
              expect(answers(log.commit(appends, nowMs))).toEqual(
                at.map((_, i) => logEndOffset + i),
              );
            } else if (type === "delete") log.deleteRecordsBefore(logStartOffset + (at[0] ?? 0), 0);
            else if (type === "retain") log.enforceRetention(nowMs);
            else log = new PartitionLog(place.open(), config);
            const appended = type === "commit" ? at.length : 0;
            expect(log.logEndOffset).toBe(logEndOffset + appended);
            expect(log.logStartOffset).toBeGreaterThanOrEqual(logStartOffset);
            expectBookkeeping(log, place.open());
            dropped += log.logStartOffset - logStartOffset;
            deepest = Math.max(deepest, log.segmentCount);
          }
        },
      ),
      { seed: 3, numRuns: 60 },
    );
    expect(dropped).toBeGreaterThan(50);
    expect(deepest).toBeGreaterThan(5);
  });
});

describe("the bounds of a partition", () => {
  /** A log that claims to have `room` bytes left. */
  function almostFull(place: Place, room: number): PartitionLog {
    const store = place.open();
    new PartitionLog(store, configOf()).commit(single(0), 0);
    const sealedBytes = MAX_PARTITION_BYTES - SIZE - room;
    store.setState({ ...store.state(), sealedBytes });
    const log = new PartitionLog(store, configOf());
    expect(log.sizeInBytes).toBe(MAX_PARTITION_BYTES - room);
    return log;
  }

  test("[LOG-13] a partition is filled to its bound, and one byte more is refused", () => {
    const full = almostFull(memoryPlace(), SIZE - 1);
    const [refused] = full.commit(single(0), 0);
    expect(refused).toMatchObject({
      ok: false,
      error: "KAFKA_STORAGE_ERROR",
      retriable: false,
      detail: expect.stringContaining(`the bound is ${MAX_PARTITION_BYTES}`),
    });
    const exact = almostFull(memoryPlace(), SIZE);
    expect(answers(exact.commit(single(0), 0))).toEqual([1]);
    expect(answers(exact.commit(single(0), 0))).toEqual(["KAFKA_STORAGE_ERROR"]);
  });

  test("[LOG-13] of one commit, what still fits is stored, and reads continue", () => {
    const place = memoryPlace();
    const log = almostFull(place, 2 * SIZE);
    const large = singleAppend([0], SIZE + 100);
    const outcomes = log.commit([...single(0), large, ...single(0), ...single(0)], 0);
    const full = "KAFKA_STORAGE_ERROR";
    expect(answers(outcomes)).toEqual([1, full, 2, full]);
    const before = dump(place.open());
    expect(answers(log.commit([large, ...single(0)], 0))).toEqual([full, full]);
    expect(dump(place.open())).toEqual(before);
    expect(log.read(0, 10_000).nextOffset).toBe(3);
    expect(log.logEndOffset).toBe(3);
  });

  test("[LOG-13] [LOG-8] once a deletion makes room, the partition accepts appends again", () => {
    const store = memoryPlace().open();
    new PartitionLog(store, configOf()).commit(single(0), 0);
    // A second chunk that claims that its segment is as large as a partition may be.
    const [first] = store.chunksFrom(0, 0);
    if (first === undefined) throw new Error("an append makes a chunk");
    const totals = { nextOffset: 2, maxTimestamp: 0, chunkCount: 2 };
    const chunk = { ...first, baseOffset: 1, nextOffset: 2, maxTimestamp: 0, appends: [] };
    store.insertChunk(0, chunk, { ...totals, sizeInBytes: MAX_PARTITION_BYTES - SIZE });
    const log = new PartitionLog(store, configOf({ segmentBytes: 1 }));
    expect(answers(log.commit([...single(0), ...single(0)], 0))).toEqual([
      2,
      "KAFKA_STORAGE_ERROR",
    ]);
    log.deleteRecordsBefore(2, 0);
    expect(log.sizeInBytes).toBe(SIZE);
    expect(answers(log.commit(single(0), 0))).toEqual([3]);
  });

  /** The maximum number of segments, and then `more` appends. */
  function manySegments(more: number, changes: Partial<TopicConfig>) {
    const place = memoryPlace();
    const log = new PartitionLog(place.open(), configOf({ segmentBytes: 1, ...changes }));
    for (let i = 0; i < MAX_SEGMENTS + more; i++) log.commit(single(i), 0);
    return { place, log };
  }

  test("[SEG-1] with the maximum of segments the last one grows", () => {
    const { place, log } = manySegments(3, {});
    expect(log.segmentCount).toBe(MAX_SEGMENTS);
    expect(place.open().totals(MAX_SEGMENTS - 1)).toMatchObject({ chunkCount: 4 });
    expectBookkeeping(log, place.open());
    log.deleteRecordsBefore(1, 0);
    log.commit(single(0), 0);
    expect(segmentsOf(place.open()).slice(-2)).toEqual([MAX_SEGMENTS - 1, MAX_SEGMENTS + 3]);
  });

  test("[RET-2] with the maximum of segments the oldest still go for their bytes", () => {
    const bound = (MAX_SEGMENTS + 5) * SIZE;
    const { place, log } = manySegments(20, { retentionBytes: bound });
    expectBookkeeping(log, place.open());
    expect(log.sizeInBytes).toBeLessThanOrEqual(bound + SIZE);
  });
});
