import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SqlLogStore } from "../../durable-objects/partition/sql-log-store.ts";
import type { SqlValue, Transactional } from "../../durable-objects/shared/sql.ts";
import { type ErrorName, unwrap } from "../../src/core/errors.ts";
import {
  DEFAULT_SEGMENT_BYTES,
  MAX_APPEND_BYTES,
  MAX_CHUNK_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_SEGMENT_CHUNKS,
  TAIL_CACHE_BYTES,
} from "../../src/core/limits.ts";
import { type Append, concatBytes, planChunks, validateAppend } from "../../src/core/log/append.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import type { LogStore } from "../../src/core/log/log-store.ts";
import { PartitionLog } from "../../src/core/log/partition-log.ts";
import {
  BATCH_HEADER_BYTES,
  batches,
  decodeBatch,
  encodeBatch,
  recordSize,
} from "../../src/core/log/record-batch.ts";
import type { ProducerRecord } from "../../src/core/record.ts";
import { MemoryLogStore, segmentsOf } from "../support/memory-log-store.ts";
import { nodeSql } from "../support/node-sql.ts";

/** Where one log lives; each `open()` is a store on the same data, as after an eviction. */
interface Place {
  open(): LogStore;
}

const PLACES: { name: string; newPlace: () => Place }[] = [
  {
    name: "MemoryLogStore",
    newPlace: () => {
      const store = new MemoryLogStore();
      return { open: () => store };
    },
  },
  { name: "SqlLogStore", newPlace: () => sqlPlace(nodeSql()) },
];

function sqlPlace(storage: Transactional): Place {
  const config = { maxMessageBytes: MAX_MESSAGE_BYTES };
  new SqlLogStore(storage).setTopic({ name: "t", topicId: "t-1", partitions: 1, config });
  return { open: () => new SqlLogStore(storage) };
}

// Records, batches and appends.

interface RecordShape {
  readonly timestamp: number;
  readonly valueBytes: number;
}
type BatchShape = readonly RecordShape[];
type AppendShape = readonly BatchShape[];

function record({ timestamp, valueBytes }: RecordShape, seed: number): ProducerRecord {
  const value = new Uint8Array(valueBytes).fill(seed % 251);
  return { key: Uint8Array.of(seed >>> 16, seed >>> 8, seed), value, headers: [], timestamp };
}

/** The batch that `shape` makes when `seed` tells its records from all others. */
function batchOf(shape: BatchShape, seed: number, baseOffset: number): Uint8Array {
  return encodeBatch(
    shape.map((each, i) => record(each, seed + i)),
    { baseOffset },
  );
}

function appendOf(batchBytes: readonly Uint8Array[]): Append {
  return unwrap(validateAppend(concatBytes(batchBytes), MAX_MESSAGE_BYTES));
}

/** One append of one batch; producers may write anything where the base offset goes. */
function singleAppend(timestamps: readonly number[], valueBytes = 5): Append {
  const shape = timestamps.map((timestamp) => ({ timestamp, valueBytes }));
  return appendOf([batchOf(shape, 77, 123_456)]);
}

/** A batch of exactly `size` bytes. */
function batchOfSize(size: number): Uint8Array {
  for (let valueBytes = size - BATCH_HEADER_BYTES; valueBytes > 0; valueBytes--) {
    const only = { key: null, headers: [], timestamp: 0, value: new Uint8Array(valueBytes) };
    if (BATCH_HEADER_BYTES + recordSize(only, 0, 0) === size) return encodeBatch([only]);
  }
  throw new Error(`no batch has ${size} bytes`);
}

const smallRecord = fc.record({
  timestamp: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: -3, max: 1_000 })),
  valueBytes: fc.nat(40),
});
/** Two or three of these fill a chunk. */
const largeRecord = fc.record({
  timestamp: fc.integer({ min: 1, max: 30 }),
  valueBytes: fc.integer({ min: 300_000, max: 700_000 }),
});
const smallBatch = fc.array(smallRecord, { minLength: 1, maxLength: 5 });
const anyBatch = fc.oneof(
  { withCrossShrink: true },
  { weight: 4, arbitrary: smallBatch },
  { weight: 1, arbitrary: fc.tuple(largeRecord) },
);
const anyAppends = fc.array(fc.array(anyBatch, { minLength: 1, maxLength: 4, size: "max" }), {
  minLength: 1,
  maxLength: 3,
});

// The model: what a log is, in an array.

interface ModelBatch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly shape: BatchShape;
  readonly bytes: Uint8Array;
}

class LogModel {
  readonly batches: ModelBatch[] = [];
  logStartOffset = 0;

  get logEndOffset(): number {
    return this.batches.at(-1)?.nextOffset ?? 0;
  }

  /** Takes the append and returns it as a producer sends it, with nonsense for base offsets. */
  append(shapes: AppendShape): { append: Append; baseOffset: number } {
    const { logEndOffset } = this;
    const sent: Uint8Array[] = [];
    for (const shape of shapes) {
      const baseOffset = this.logEndOffset;
      const bytes = batchOf(shape, baseOffset, baseOffset);
      const asSent = bytes.slice();
      new DataView(asSent.buffer).setBigInt64(0, 123_456_789_012n);
      sent.push(asSent);
      this.batches.push({ baseOffset, nextOffset: baseOffset + shape.length, shape, bytes });
    }
    return { append: appendOf(sent), baseOffset: logEndOffset };
  }

  read(offset: number, maxBytes: number): { bytes: Uint8Array; nextOffset: number } {
    const pieces: Uint8Array[] = [];
    let sizeInBytes = 0;
    let nextOffset = offset;
    for (const batch of this.batches) {
      if (batch.nextOffset <= offset) continue;
      if (pieces.length > 0 && sizeInBytes + batch.bytes.length > maxBytes) break;
      pieces.push(batch.bytes);
      sizeInBytes += batch.bytes.length;
      nextOffset = batch.nextOffset;
    }
    return { bytes: concatBytes(pieces), nextOffset };
  }

  /** The offset of the first record kept that is at least that new. */
  lookUp(timestamp: number): number | null {
    for (const { baseOffset, shape } of this.batches) {
      const index = shape.findIndex(
        (each, i) => baseOffset + i >= this.logStartOffset && each.timestamp >= timestamp,
      );
      if (index >= 0) return baseOffset + index;
    }
    return null;
  }

  deleteRecordsBefore(before: number): void {
    const start = Math.min(Math.max(before, this.logStartOffset), this.logEndOffset);
    this.logStartOffset = start;
  }
}

// The log against the model.

function expectRead(log: PartitionLog, model: LogModel, offset: number, maxBytes: number): number {
  const { pieces, sizeInBytes, nextOffset } = log.read(offset, maxBytes);
  const expected = model.read(offset, maxBytes);
  const bytes = concatBytes(pieces);
  // Compared as buffers: vitest takes seconds for arrays of megabytes.
  expect(Buffer.compare(bytes, expected.bytes), `read(${offset}, ${maxBytes})`).toBe(0);
  expect({ sizeInBytes, nextOffset }).toEqual({
    sizeInBytes: expected.bytes.length,
    nextOffset: expected.nextOffset,
  });
  return nextOffset;
}

/** Finds the record as the callers of the log do: in the batches that the log answers with. */
function lookUp(log: PartitionLog, timestamp: number): number | null {
  let from = 0;
  for (;;) {
    const candidate = log.findBatchByTimestamp(timestamp, from);
    if (candidate === null) return null;
    const found = decodeBatch(candidate.batch).find(
      (each) => each.offset >= log.logStartOffset && each.timestamp >= timestamp,
    );
    if (found !== undefined) return found.offset;
    from = candidate.nextOffset;
  }
}

function expectBounds(log: PartitionLog, model: LogModel): void {
  expect([log.logStartOffset, log.logEndOffset]).toEqual([
    model.logStartOffset,
    model.logEndOffset,
  ]);
}

/** Only the last segment may lie wholly before the log start: it says where the log ends. */
function expectFreed(store: LogStore, logStartOffset: number): void {
  for (const segment of segmentsOf(store).slice(0, -1)) {
    expect(store.totals(segment)?.nextOffset, `segment ${segment}`).toBeGreaterThan(logStartOffset);
  }
}

/** Everything that is stored. */
function dump(store: LogStore) {
  return {
    logStartOffset: store.logStartOffset(),
    segments: segmentsOf(store).map((segment) => ({
      segment,
      totals: store.totals(segment),
      chunks: Array.from(store.chunksFrom(segment, segment)),
    })),
  };
}

type Step =
  | { readonly type: "commit"; readonly appends: readonly AppendShape[] }
  | { readonly type: "read"; readonly at: number; readonly maxBytes: number }
  | { readonly type: "look-up"; readonly timestamp: number }
  | { readonly type: "delete"; readonly at: number }
  | { readonly type: "reopen" };

const at = fc.nat(1_000_000);
const maxBytes = fc.oneof(fc.nat(600), fc.nat(3_000_000));
const commitStep = fc.record({ type: fc.constant("commit" as const), appends: anyAppends });
const readStep = fc.record({ type: fc.constant("read" as const), at, maxBytes });
const lookUpStep = fc.record({
  type: fc.constant("look-up" as const),
  timestamp: fc.integer({ min: -5, max: 60 }),
});
const deleteStep = fc.record({ type: fc.constant("delete" as const), at });
const reopenStep = fc.record({ type: fc.constant("reopen" as const) });
const anySteps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: commitStep },
    { weight: 6, arbitrary: readStep },
    { weight: 2, arbitrary: lookUpStep },
    { weight: 1, arbitrary: deleteStep },
    { weight: 1, arbitrary: reopenStep },
  ),
  { minLength: 5, maxLength: 40, size: "max" },
);
const anySegmentBytes = fc.constantFrom(1, 1_000, 1_500_000, DEFAULT_SEGMENT_BYTES);

/** What random runs came across; a generator that misses what it is for must not pass unseen. */
interface Seen {
  segments: number;
  chunksOfOneCommit: number;
}

function runSteps(place: Place, steps: readonly Step[], segmentBytes: number, seen: Seen): void {
  const model = new LogModel();
  let store = place.open();
  let log = new PartitionLog(store, { segmentBytes });
  const reopen = () => {
    store = place.open();
    log = new PartitionLog(store, { segmentBytes });
  };
  for (const step of steps) {
    switch (step.type) {
      case "commit": {
        const taken = step.appends.map((shapes) => model.append(shapes));
        const before = chunkCount(store);
        const baseOffsets = log.commit(taken.map(({ append }) => append));
        expect(baseOffsets).toEqual(taken.map(({ baseOffset }) => baseOffset));
        const chunks = chunkCount(store) - before;
        seen.chunksOfOneCommit = Math.max(seen.chunksOfOneCommit, chunks);
        seen.segments = Math.max(seen.segments, segmentsOf(store).length);
        break;
      }
      case "read": {
        const range = model.logEndOffset - model.logStartOffset + 1;
        expectRead(log, model, model.logStartOffset + (step.at % range), step.maxBytes);
        break;
      }
      case "look-up":
        expect(lookUp(log, step.timestamp), `look-up of ${step.timestamp}`).toBe(
          model.lookUp(step.timestamp),
        );
        break;
      case "delete": {
        const before = (step.at % (model.logEndOffset + 6)) - 3;
        const { logStartOffset } = model;
        model.deleteRecordsBefore(before);
        log.deleteRecordsBefore(before);
        if (model.logStartOffset > logStartOffset) expectFreed(store, model.logStartOffset);
        break;
      }
      case "reopen":
        reopen();
        break;
    }
    expectBounds(log, model);
  }
  reopen();
  expectBounds(log, model);
  let offset = model.logStartOffset;
  while (offset < model.logEndOffset) offset = expectRead(log, model, offset, 1_200_000);
  expectRead(log, model, model.logEndOffset, 1_200_000);
}

function chunkCount(store: LogStore): number {
  return segmentsOf(store).reduce(
    (sum, segment) => sum + (store.totals(segment)?.chunkCount ?? 0),
    0,
  );
}

describe.each(PLACES)("partition log on $name", ({ newPlace }) => {
  test("[LOG-5] after any steps and reopenings the log is what the model says", () => {
    const seen: Seen = { segments: 0, chunksOfOneCommit: 0 };
    fc.assert(
      fc.property(anySteps, anySegmentBytes, (steps, segmentBytes) => {
        runSteps(newPlace(), steps, segmentBytes, seen);
      }),
      { seed: 20_260_401, numRuns: 25 },
    );
    expect(seen.segments).toBeGreaterThan(10);
    expect(seen.chunksOfOneCommit).toBeGreaterThan(2);
  });

  test("[LOG-1] offsets go on per batch, append and commit, and over a reopening", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open());
    expect([log.logStartOffset, log.logEndOffset]).toEqual([0, 0]);
    const two = batchOf([shape(1), shape(2)], 0, 50);
    const three = batchOf([shape(3), shape(4), shape(5)], 2, 0);
    expect(log.commit([appendOf([two, three]), singleAppend([6])])).toEqual([0, 5]);
    expect(log.commit([singleAppend([7, 8])])).toEqual([6]);
    const next = new PartitionLog(place.open());
    expect(next.commit([singleAppend([9])])).toEqual([8]);
    expect(next.logEndOffset).toBe(9);
    const read = concatBytes(next.read(0, 10_000).pieces);
    const records = Array.from(batches(read)).flatMap(({ start }) => decodeBatch(read, start));
    expect(records.map(({ offset, timestamp }) => [offset, timestamp])).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((timestamp, offset) => [offset, timestamp]),
    );
  });

  test.each([
    { layout: "in one chunk", isJoined: true },
    { layout: "in a segment each", isJoined: false },
  ])(
    "[LOG-4] a read of batches $layout begins with the one that holds the offset",
    ({ isJoined }) => {
      const model = new LogModel();
      const log = new PartitionLog(newPlace().open(), { segmentBytes: 1 });
      const shapes = [3, 1, 2, 4].map((count) => new Array<RecordShape>(count).fill(shape(1)));
      const appends = shapes.map((each) => model.append([each]).append);
      if (isJoined) log.commit(appends);
      else for (const append of appends) log.commit([append]);
      const sizeOf = (...indexes: number[]) =>
        indexes.reduce((sum, i) => sum + (model.batches[i]?.bytes.length ?? 0), 0);
      const readAt = (offset: number, room: number) => {
        expectRead(log, model, offset, room);
        const { pieces, nextOffset } = log.read(offset, room);
        const from = pieces.length === 0 ? null : decodeBatch(concatBytes(pieces))[0]?.offset;
        return [from, nextOffset];
      };
      expect(readAt(0, sizeOf(0))).toEqual([0, 3]);
      expect(readAt(2, sizeOf(0))).toEqual([0, 3]);
      expect(readAt(2, sizeOf(0, 1) - 1)).toEqual([0, 3]);
      expect(readAt(2, sizeOf(0, 1))).toEqual([0, 4]);
      expect(readAt(3, 100_000)).toEqual([3, 10]);
      expect(readAt(5, sizeOf(2, 3))).toEqual([4, 10]);
      expect(readAt(10, 100_000)).toEqual([null, 10]);
    },
  );

  test.each([1, 0, -1])("[LOG-4] a read of %i bytes returns one batch, however large", (room) => {
    const { log, place } = filled(newPlace(), [2, 2]);
    for (const each of [log, new PartitionLog(place.open())]) {
      expect(each.read(1, room).nextOffset).toBe(2);
      expect(each.read(2, room).nextOffset).toBe(4);
      expect(each.read(4, room)).toEqual({ pieces: [], sizeInBytes: 0, nextOffset: 4 });
    }
  });

  test("[LOG-8] an offset outside the log is out of range, and told the bounds", () => {
    const { log } = filled(newPlace(), [2, 3]);
    log.deleteRecordsBefore(3);
    for (const offset of [3, 4, 5]) expect(log.checkOffset(offset)).toEqual({ ok: true });
    for (const offset of [0, 2, 6]) {
      expect(log.checkOffset(offset)).toMatchObject({
        ok: false,
        error: "OFFSET_OUT_OF_RANGE",
        logStartOffset: 3,
        highWatermark: 5,
      });
    }
    expect(() => log.read(2, 100)).toThrow("checked by the caller");
  });

  test("[LOG-8] the log start never moves back or past the end, and is kept", () => {
    const { log, place } = filled(newPlace(), [2, 3, 2]);
    const starts = [4, 1, -7, 4, 6, 100].map((before) => {
      log.deleteRecordsBefore(before);
      const again = new PartitionLog(place.open());
      expect([again.logStartOffset, again.logEndOffset]).toEqual([log.logStartOffset, 7]);
      return log.logStartOffset;
    });
    expect(starts).toEqual([4, 4, 4, 4, 6, 7]);
    expect(log.commit([singleAppend([1])])).toEqual([7]);
    expect(log.read(7, 10_000).nextOffset).toBe(8);
  });

  test("[LOG-8] whole segments before the log start are freed, the last one never", () => {
    const place = newPlace();
    const { log } = filled(place, [2, 2, 2, 2], { segmentBytes: 1 });
    const segmentsAfter = (before: number) => {
      log.deleteRecordsBefore(before);
      return segmentsOf(place.open());
    };
    expect(segmentsAfter(0)).toEqual([0, 2, 4, 6]);
    expect(segmentsAfter(1)).toEqual([0, 2, 4, 6]);
    expect(segmentsAfter(2)).toEqual([2, 4, 6]);
    expect(segmentsAfter(5)).toEqual([4, 6]);
    expect(segmentsAfter(8)).toEqual([6]);
    const next = new PartitionLog(place.open(), { segmentBytes: 1 });
    expect(next.commit([singleAppend([1])])).toEqual([8]);
    next.deleteRecordsBefore(9);
    expect(segmentsOf(place.open())).toEqual([8]);
  });

  test("[LOG-8] an emptied segment that held the end is freed once another does", () => {
    const place = newPlace();
    const { log } = filled(place, [2, 2], { segmentBytes: 1 });
    log.deleteRecordsBefore(4);
    expect(segmentsOf(place.open())).toEqual([2]);
    log.commit([singleAppend([1])]);
    // Said again, as a clean-up job does; segment 2 lies wholly before the log start.
    log.deleteRecordsBefore(4);
    expect(segmentsOf(place.open())).toEqual([4]);
  });

  test("[LOG-8] a segment rolls at its bound of bytes", () => {
    const place = newPlace();
    const size = singleAppend([1]).bytes.length;
    filled(place, [1, 1, 1, 1, 1], { segmentBytes: 2 * size });
    const store = place.open();
    expect(segmentsOf(store)).toEqual([0, 2, 4]);
    expect(store.totals(0)).toMatchObject({ nextOffset: 2, sizeInBytes: 2 * size, chunkCount: 2 });
  });

  test("[LOG-8] a segment rolls at its bound of chunks", () => {
    const store = newPlace().open();
    const [chunk] = planChunks([singleAppend([1])], 0).chunks;
    if (chunk === undefined) throw new Error("an append makes a chunk");
    store.createSegment(0);
    store.insertChunk(0, chunk, {
      nextOffset: 1,
      maxTimestamp: 1,
      sizeInBytes: chunk.bytes.length,
      chunkCount: MAX_SEGMENT_CHUNKS - 1,
    });
    const log = new PartitionLog(store);
    log.commit([singleAppend([1])]);
    expect(segmentsOf(store)).toEqual([0]);
    log.commit([singleAppend([1])]);
    expect(segmentsOf(store)).toEqual([0, 2]);
    expect(log.read(0, 10_000).nextOffset).toBe(3);
  });

  test("[LOG-6] a look-up finds the first record new enough, in any order of times", () => {
    const rows = [[10, 40, 20], [5], [30, 7], [60, 60], [41, 90]];
    const place = newPlace();
    const log = new PartitionLog(place.open(), { segmentBytes: 200 });
    for (const timestamps of rows) log.commit([singleAppend(timestamps)]);
    expect(segmentsOf(place.open()).length).toBeGreaterThan(1);
    const times = [Number.NEGATIVE_INFINITY, 10, 11, 40, 41, 60, 61, 90, 91];
    expect(times.map((time) => lookUp(log, time))).toEqual([0, 0, 1, 1, 6, 6, 9, 9, null]);
    expect(lookUp(new PartitionLog(newPlace().open()), 0)).toBeNull();
  });

  test("[LOG-6] a look-up answers as a search from the log start does", () => {
    const commits = fc.array(fc.array(smallBatch, { minLength: 1, maxLength: 3 }), {
      minLength: 1,
      maxLength: 12,
      size: "max",
    });
    fc.assert(
      fc.property(commits, fc.constantFrom(1, 400, 100_000), at, (shapes, segmentBytes, before) => {
        const model = new LogModel();
        const log = new PartitionLog(newPlace().open(), { segmentBytes });
        for (const each of shapes) log.commit([model.append(each).append]);
        for (const start of [0, before % (model.logEndOffset + 1)]) {
          log.deleteRecordsBefore(start);
          model.deleteRecordsBefore(start);
          for (const time of [-4, 0, 5, 15, 25, 30, 31, 500, 1_001]) {
            expect(lookUp(log, time), `look-up of ${time} from ${start}`).toBe(model.lookUp(time));
          }
        }
      }),
      { seed: 6, numRuns: 80 },
    );
  });

  test("[LOG-6] a record deleted out of the middle of a batch hides no later one", () => {
    const log = new PartitionLog(newPlace().open());
    log.commit([singleAppend([100, 1])]);
    log.commit([singleAppend([100])]);
    log.deleteRecordsBefore(1);
    // Offset 0 was new enough but is gone, offset 1 of the same batch is too old: 2 is the answer.
    expect(lookUp(log, 50)).toBe(2);
  });

  test("[LOG-6] where only deleted records are new enough a look-up finds none", () => {
    const log = new PartitionLog(newPlace().open());
    log.commit([singleAppend([100, 1])]);
    log.deleteRecordsBefore(1);
    expect(lookUp(log, 50)).toBeNull();
  });

  test("[LOG-6] a look-up among 2,000 chunks halves its way and does not walk", () => {
    const place = newPlace();
    const writer = new PartitionLog(place.open());
    for (let i = 0; i < 2_000; i++) writer.commit([singleAppend([i])]);
    const { store, take } = countCalls(place.open());
    const log = new PartitionLog(store);
    for (const offset of [0, 1, 999, 1_500, 1_999]) {
      take();
      expect(lookUp(log, offset)).toBe(offset);
      // 2,000 offsets are halved 11 times; the rest is the segment, its totals and the chunk.
      expect(take().total, `look-up of ${offset}`).toBeLessThanOrEqual(11 + 5);
    }
  });

  test("[LOG-7] the newest chunks come from memory, up to a bound, as they are stored", () => {
    const place = newPlace();
    const counted = countCalls(place.open());
    const log = new PartitionLog(counted.store);
    const size = 600_000;
    const count = 10;
    for (let i = 0; i < count; i++) {
      log.commit([appendOf([batchOfSize(size)])]);
    }
    const isStored = Array.from({ length: count }, (_, offset) => {
      counted.take();
      const fromLog = concatBytes(log.read(offset, size).pieces);
      const calls = counted.take();
      const fromStore = concatBytes(new PartitionLog(place.open()).read(offset, size).pieces);
      expect(Buffer.compare(fromLog, fromStore), `offset ${offset}`).toBe(0);
      expect(decodeBatch(fromLog)[0]?.offset).toBe(offset);
      return calls.total > 0;
    });
    const kept = Math.floor(TAIL_CACHE_BYTES / size);
    expect(isStored).toEqual(Array.from({ length: count }, (_, i) => i < count - kept));
  });

  test.each(["insertChunk", "createSegment"] as const)(
    "[LOG-2] a commit whose %s throws midway leaves log and store as they were",
    (method) => {
      // Three appends of two large batches each make three chunks, each in a segment of its own.
      const appends = () =>
        [0, 1, 2].map((i) =>
          appendOf([batchOf([shape(i, 500_000)], i, 0), batchOf([shape(i, 300_000)], i, 0)]),
        );
      for (const call of [1, 2, 3]) {
        const place = newPlace();
        filled(place, [2, 1], { segmentBytes: 1 });
        const before = dump(place.open());
        const log = new PartitionLog(failing(place.open(), method, call), { segmentBytes: 1 });
        expect(() => log.commit(appends())).toThrow("the disk is full");
        expect([log.logStartOffset, log.logEndOffset]).toEqual([0, 3]);
        expect(log.read(3, 100)).toEqual({ pieces: [], sizeInBytes: 0, nextOffset: 3 });
        expect(log.read(2, 100_000).nextOffset).toBe(3);
        expect(dump(place.open())).toEqual(before);
        // The same log goes on as if nothing had happened.
        expect(log.commit(appends())).toEqual([3, 5, 7]);
        expect(log.read(2, 8_000_000)).toMatchObject({ nextOffset: 9 });
        const cold = new PartitionLog(place.open()).read(0, 8_000_000);
        expect(Buffer.compare(bytesOf(log.read(0, 8_000_000)), bytesOf(cold))).toBe(0);
      }
    },
  );

  test.each(["setLogStartOffset", "dropSegment"] as const)(
    "[LOG-8] a deletion whose %s throws leaves log and store as they were",
    (method) => {
      const place = newPlace();
      filled(place, [2, 2, 2], { segmentBytes: 1 });
      const before = dump(place.open());
      const log = new PartitionLog(failing(place.open(), method, 1), { segmentBytes: 1 });
      expect(() => log.deleteRecordsBefore(5)).toThrow("the disk is full");
      expect(log.logStartOffset).toBe(0);
      expect(log.read(0, 10_000).nextOffset).toBe(6);
      expect(dump(place.open())).toEqual(before);
      log.deleteRecordsBefore(5);
      expect(segmentsOf(place.open())).toEqual([4]);
    },
  );

  test("[LOG-9] append, read and wake-up ask for the same at 10 chunks and at 2,000", () => {
    const costAt = (chunks: number) => {
      const place = newPlace();
      const writer = new PartitionLog(place.open());
      for (let i = 0; i < chunks; i++) writer.commit([singleAppend([i % 7])]);
      return costs(place, {});
    };
    const few = costAt(10);
    expect(few.append).toMatchObject({ transaction: 1, insertChunk: 1, total: 2 });
    expect(few.readOne).toMatchObject({ floorChunk: 1, chunksFrom: 1, chunks: 1 });
    expect(few.readFour).toMatchObject({ floorChunk: 1, chunksFrom: 1, chunks: 4 });
    expect(costAt(2_000)).toEqual(few);
  });

  test("[LOG-9] append and read ask for the same in 2 segments and in 200", () => {
    const size = singleAppend([1]).bytes.length;
    const costAt = (segments: number) => {
      const place = newPlace();
      const options = { segmentBytes: 10 * size };
      const writer = new PartitionLog(place.open(), options);
      // The last segment has room, so that the append measured does not roll it.
      for (let i = 0; i < segments * 10 - 3; i++) writer.commit([singleAppend([i % 7])]);
      expect(segmentsOf(place.open())).toHaveLength(segments);
      const { append, readOne, readFour } = costs(place, options);
      return { append, readOne, readFour };
    };
    expect(costAt(200)).toEqual(costAt(2));
  });

  test("[LOG-9] a wake-up asks for the same with 2 segments and with 200", () => {
    const costAt = (segments: number) => {
      const place = newPlace();
      filled(place, new Array<number>(segments).fill(1), { segmentBytes: 1 });
      expect(segmentsOf(place.open())).toHaveLength(segments);
      const { store, take } = countCalls(place.open());
      expect(new PartitionLog(store, { segmentBytes: 1 }).logEndOffset).toBe(segments);
      return take();
    };
    expect(costAt(200)).toEqual(costAt(2));
  });
});

describe("rows of SQLite", () => {
  test("[LOG-9] append, read and wake-up cost the same rows at 10 chunks and at 2,000", () => {
    const costAt = (chunks: number) => {
      const storage = nodeSql();
      const sql = countSql(storage);
      const place = sqlPlace(sql.storage);
      const writer = new PartitionLog(place.open());
      for (let i = 0; i < chunks; i++) writer.commit([singleAppend([i % 7])]);
      sql.take();
      const log = new PartitionLog(place.open());
      const wakeUp = sql.take();
      log.commit([singleAppend([1])]);
      const append = sql.take();
      log.read(5, 1);
      const read = sql.take();
      return { wakeUp, append, read };
    };
    const few = costAt(10);
    expect(few.append).toEqual({ statements: 1, rows: 0 });
    // The segment, the place of the chunk in it, the chunk.
    expect(few.read).toEqual({ statements: 3, rows: 3 });
    expect(few.wakeUp.statements).toBeGreaterThan(0);
    expect(costAt(2_000)).toEqual(few);
  });

  test("[LOG-9] no query sorts, so that rows read are rows returned", () => {
    const storage = nodeSql();
    const sql = countSql(storage);
    const place = sqlPlace(sql.storage);
    const { log } = filled(place, [1, 1, 1], { segmentBytes: 1 });
    log.deleteRecordsBefore(1);
    const next = new PartitionLog(place.open(), { segmentBytes: 1 });
    next.read(1, 100_000);
    next.findBatchByTimestamp(0, 0);
    const queries = sql.queries.filter((query) => query.startsWith("SELECT"));
    expect(queries.length).toBeGreaterThan(4);
    for (const query of queries) {
      const places = query.split("?").length - 1;
      const bindings = new Array<SqlValue>(places).fill(0);
      const plan = Array.from(
        storage.sql.exec<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`, ...bindings),
        ({ detail }) => detail,
      );
      expect(plan.join("; "), query).toMatch(/^(SEARCH|SCAN) [^;]+$/);
      // A scan stops at its first row; the table looked for at a wake-up is the first created.
      if (plan[0]?.startsWith("SCAN")) expect(query).toMatch(/sqlite_master|LIMIT 1$/);
    }
  });
});

describe("packing appends into chunks", () => {
  test("[LOG-1] chunks hold every batch once, at dense offsets, filled to their bound", () => {
    fc.assert(
      fc.property(anyAppends, fc.nat(2 ** 31), (shapes, low) => {
        const firstOffset = 2 ** 40 + low;
        const expected: Uint8Array[] = [];
        const baseOffsets: number[] = [];
        let offset = firstOffset;
        const appends = shapes.map((append) => {
          baseOffsets.push(offset);
          const sent = append.map((each) => {
            const seed = offset - firstOffset;
            expected.push(batchOf(each, seed, offset));
            offset += each.length;
            return batchOf(each, seed, 99);
          });
          return appendOf(sent);
        });
        const plan = planChunks(appends, firstOffset);
        expect(plan.baseOffsets).toEqual(baseOffsets);
        expect(plan.nextOffset).toBe(offset);
        const stored = concatBytes(plan.chunks.map(({ bytes }) => bytes));
        expect(Buffer.compare(stored, concatBytes(expected))).toBe(0);
        let next = firstOffset;
        let room = 0;
        for (const { baseOffset, nextOffset, maxTimestamp, bytes } of plan.chunks) {
          const headers = Array.from(batches(bytes), ({ header }) => header);
          expect(baseOffset).toBe(next);
          expect(headers[0]?.baseOffset).toBe(baseOffset);
          expect(maxTimestamp).toBe(Math.max(...headers.map((header) => header.maxTimestamp)));
          expect(bytes.length).toBeLessThanOrEqual(MAX_CHUNK_BYTES);
          expect(headers[0]?.sizeInBytes).toBeGreaterThan(room);
          room = MAX_CHUNK_BYTES - bytes.length;
          next = nextOffset;
        }
        expect(next).toBe(offset);
      }),
      { seed: 4, numRuns: 30 },
    );
  });

  test("[LOG-1] batches fill a chunk to the byte, one byte more begins the next", () => {
    const half = MAX_CHUNK_BYTES / 2;
    const sizesOf = (...sizes: number[]) =>
      planChunks([appendOf(sizes.map(batchOfSize))], 0).chunks.map(({ bytes }) => bytes.length);
    expect(sizesOf(half, half)).toEqual([MAX_CHUNK_BYTES]);
    expect(sizesOf(half, half + 1)).toEqual([half, half + 1]);
    expect(sizesOf(MAX_CHUNK_BYTES, 100)).toEqual([MAX_CHUNK_BYTES, 100]);
  });

  test("[LOG-1] no appends make no chunks", () => {
    expect(planChunks([], 5)).toEqual({ chunks: [], baseOffsets: [], nextOffset: 5 });
  });
});

describe("validating appends", () => {
  const good = () => batchOf([shape(1), shape(2)], 0, 0);

  test("[LOG-2] good batches are accepted, with their places", () => {
    const first = good();
    const second = batchOf([shape(9)], 5, 0);
    const result = unwrap(validateAppend(concatBytes([first, second]), MAX_MESSAGE_BYTES));
    expect(result).toMatchObject({
      recordCount: 3,
      batches: [
        { start: 0, sizeInBytes: first.length, recordCount: 2, maxTimestamp: 2 },
        { start: first.length, sizeInBytes: second.length, recordCount: 1, maxTimestamp: 9 },
      ],
    });
  });

  const broken: { title: string; bytes: () => Uint8Array; error: ErrorName; detail: RegExp }[] = [
    {
      title: "nothing at all",
      bytes: () => new Uint8Array(0),
      error: "INVALID_RECORD",
      detail: /at least one record batch/,
    },
    {
      title: "a flipped bit in the records",
      bytes: () => edit(good(), (view) => view.setUint8(view.byteLength - 1, 0xff), false),
      error: "CORRUPT_MESSAGE",
      detail: /CRC/,
    },
    {
      title: "a wrong CRC",
      bytes: () => edit(good(), (view) => view.setUint32(17, ~view.getUint32(17)), false),
      error: "CORRUPT_MESSAGE",
      detail: /CRC/,
    },
    {
      title: "magic 1",
      bytes: () => edit(good(), (view) => view.setInt8(16, 1)),
      error: "CORRUPT_MESSAGE",
      detail: /magic 1/,
    },
    {
      title: "a batchLength beyond the bytes",
      bytes: () => edit(good(), (view) => view.setInt32(8, view.getInt32(8) + 1)),
      error: "CORRUPT_MESSAGE",
      detail: /batchLength/,
    },
    {
      title: "a batchLength short of the bytes",
      bytes: () => edit(good(), (view) => view.setInt32(8, view.getInt32(8) - 1)),
      error: "CORRUPT_MESSAGE",
      detail: /CRC/,
    },
    {
      title: "a batchLength below zero",
      bytes: () => edit(good(), (view) => view.setInt32(8, -1)),
      error: "CORRUPT_MESSAGE",
      detail: /batchLength/,
    },
    {
      title: "less than a header",
      bytes: () => good().subarray(0, BATCH_HEADER_BYTES - 1),
      error: "CORRUPT_MESSAGE",
      detail: /header/,
    },
    {
      title: "bytes behind the last batch",
      bytes: () => concatBytes([good(), Uint8Array.of(0, 0, 0)]),
      error: "CORRUPT_MESSAGE",
      detail: /batch has 3 bytes/,
    },
    {
      title: "no records",
      bytes: () =>
        edit(good(), (view) => {
          view.setInt32(57, 0);
          view.setInt32(23, -1);
        }),
      error: "INVALID_RECORD",
      detail: /recordCount is 0/,
    },
    {
      title: "a lastOffsetDelta above the record count",
      bytes: () => edit(good(), (view) => view.setInt32(23, 2)),
      error: "INVALID_RECORD",
      detail: /lastOffsetDelta is 2, recordCount 2 wants 1/,
    },
    {
      title: "a lastOffsetDelta below the record count",
      bytes: () => edit(good(), (view) => view.setInt32(23, 0)),
      error: "INVALID_RECORD",
      detail: /lastOffsetDelta is 0/,
    },
    {
      title: "the transactional bit",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x10)),
      error: "INVALID_RECORD",
      detail: /transactional/,
    },
    {
      title: "the control bit",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x20)),
      error: "INVALID_RECORD",
      detail: /control/,
    },
  ];

  test.each(broken)("[LOG-2] an append with $title is refused", ({ bytes, error, detail }) => {
    const refused = validateAppend(bytes(), MAX_MESSAGE_BYTES);
    expect(refused).toMatchObject({ ok: false, error, detail: expect.stringMatching(detail) });
  });

  test.each(broken.slice(1))(
    "[LOG-2] good batches around one with $title do not save the append",
    ({ bytes }) => {
      expect(validateAppend(concatBytes([good(), bytes()]), MAX_MESSAGE_BYTES).ok).toBe(false);
      expect(validateAppend(concatBytes([bytes(), good()]), MAX_MESSAGE_BYTES).ok).toBe(false);
    },
  );

  test("[LOG-2] a refused append leaves its bytes as they were", () => {
    for (const { bytes } of broken) {
      const input = concatBytes([good(), bytes()]).slice();
      const before = input.slice();
      validateAppend(input, MAX_MESSAGE_BYTES);
      expect(input).toEqual(before);
    }
  });

  test("[LOG-2] a batch of max.message.bytes is accepted, one byte more is too large", () => {
    expect(validateAppend(batchOfSize(500), 500).ok).toBe(true);
    const refused = { ok: false, error: "MESSAGE_TOO_LARGE" };
    expect(validateAppend(batchOfSize(501), 500)).toMatchObject(refused);
    expect(validateAppend(concatBytes([batchOfSize(500), batchOfSize(501)]), 500)).toMatchObject(
      refused,
    );
  });

  test("[LOG-2] an append of the bound is accepted, one byte more is too large", () => {
    const sized = (last: number) =>
      concatBytes([...new Array(15).fill(batchOfSize(1_000_000)), batchOfSize(last)]);
    const rest = MAX_APPEND_BYTES - 15_000_000;
    const accept = (last: number) => validateAppend(sized(last), 2 * MAX_MESSAGE_BYTES);
    expect(accept(rest).ok).toBe(true);
    expect(accept(rest + 1)).toMatchObject({ ok: false, error: "MESSAGE_TOO_LARGE" });
  });

  test("[LOG-2] a batch read out of a larger buffer is judged by its own bytes", () => {
    const around = concatBytes([Uint8Array.of(1, 2, 3), good(), Uint8Array.of(4)]);
    const view = around.subarray(3, around.length - 1);
    const append = unwrap(validateAppend(view, MAX_MESSAGE_BYTES));
    const [chunk] = planChunks([append], 70).chunks;
    expect(chunk?.bytes).toEqual(batchOf([shape(1), shape(2)], 0, 70));
    expect([around[2], around.at(-1)]).toEqual([3, 4]);
  });
});

// Helpers.

function shape(timestamp: number, valueBytes = 5): RecordShape {
  return { timestamp, valueBytes };
}

function bytesOf({ pieces }: { readonly pieces: readonly Uint8Array[] }): Uint8Array {
  return concatBytes(pieces);
}

/** A log with one commit, so one chunk, of one batch for each count of records. */
function filled(
  place: Place,
  recordCounts: readonly number[],
  options: { segmentBytes?: number } = {},
) {
  const model = new LogModel();
  const log = new PartitionLog(place.open(), options);
  for (const count of recordCounts) {
    const batch = Array.from({ length: count }, (_, i) => shape(i));
    log.commit([model.append([batch]).append]);
  }
  return { place, log, model };
}

/** Changes fields of a batch; unless told otherwise its CRC is made good again. */
function edit(bytes: Uint8Array, change: (view: DataView) => void, fixCrc = true): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  change(view);
  if (fixCrc) view.setUint32(17, crc32c(bytes, 21));
  return bytes;
}

/** The store, but the `nth` call of `method` throws after it has done its work. */
function failing(store: LogStore, method: keyof LogStore, nth: number): LogStore {
  let calls = 0;
  return wrap(store, (name, call) => {
    const result = call();
    if (name === method && ++calls === nth) throw new Error("the disk is full");
    return result;
  });
}

function wrap(store: LogStore, around: (name: string, call: () => unknown) => unknown): LogStore {
  return new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...parameters: unknown[]) => unknown;
      return (...parameters: unknown[]) =>
        around(String(name), () => method.apply(target, parameters));
    },
  });
}

/** Counts the calls by name, the chunks and segments handed out, and everything together. */
function countCalls(store: LogStore) {
  let counts: Record<string, number> & { total: number } = { total: 0 };
  const count = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1;
    counts.total++;
  };
  const counted = wrap(store, (name, call) => {
    count(name);
    const result = call();
    if (name === "chunksFrom") return countEach(result as Iterable<unknown>, () => count("chunks"));
    if (name === "segments") for (const _ of result as number[]) count("segment");
    return result;
  });
  const take = () => {
    const taken = counts;
    counts = { total: 0 };
    return taken;
  };
  return { store: counted, take };
}

function* countEach<T>(items: Iterable<T>, count: () => void): Generator<T> {
  for (const item of items) {
    count();
    yield item;
  }
}

/** What a wake-up, reads in the middle and an append ask of the store. */
function costs(place: Place, options: { segmentBytes?: number }) {
  const { store, take } = countCalls(place.open());
  const log = new PartitionLog(store, options);
  const wakeUp = take();
  const [first] = log.read(5, 1).pieces;
  const size = first?.length ?? 0;
  take();
  log.read(5, 1);
  const readOne = take();
  log.read(5, 4 * size);
  const readFour = take();
  log.commit([singleAppend([1])]);
  return { wakeUp, readOne, readFour, append: take() };
}

/** Counts statements and the rows read out of them, and remembers the texts. */
function countSql(storage: Transactional) {
  let counts = { statements: 0, rows: 0 };
  const queries = new Set<string>();
  const counted: Transactional = {
    transactionSync: (body) => storage.transactionSync(body),
    sql: {
      exec<Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]) {
        counts.statements++;
        queries.add(query);
        const rows = storage.sql.exec<Row>(query, ...bindings);
        return countEach(rows, () => counts.rows++);
      },
    },
  };
  const take = () => {
    const taken = counts;
    counts = { statements: 0, rows: 0 };
    return taken;
  };
  return {
    storage: counted,
    take,
    get queries() {
      return Array.from(queries);
    },
  };
}
