// Compaction over both stores, slice by slice, with evictions, retention and refused writes in between.
import { describe, expect, test } from "vitest";
import { compressor } from "../../../../src/compression/compress.ts";
import { decodeAnyBatch } from "../../../../src/compression/decode.ts";
import { MAX_COMPACTION_KEY_BYTES, MAX_COMPACTION_KEYS } from "../../../../src/core/limits.ts";
import { Compactor } from "../../../../src/core/log/compaction.ts";
import { COMPRESSIONS } from "../../../../src/core/log/compression.ts";
import type { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { type Compressor, encodeBatch } from "../../../../src/core/log/record-batch.ts";
import {
  CODEC,
  expectAscending,
  fillLarge,
  fillSmall,
  HOUR,
  newest,
  PLACES,
  Rig,
  record,
  recordsOf,
  refusing,
  START,
  show,
} from "../../../support/compaction-rig.ts";
import { isDeep } from "../../../support/effort.ts";
import { MemoryLogStore } from "../../../support/memory-log-store.ts";

/** Finds the first record that is at least as new as `timestamp`, as a client does. */
function lookUp(log: PartitionLog, timestamp: number): number | null {
  for (let from = 0; ; ) {
    const candidate = log.findBatchByTimestamp(timestamp, from);
    if (candidate === null) return null;
    const found = decodeAnyBatch(candidate.batch).find(
      (each) => each.offset >= log.logStartOffset && each.timestamp >= timestamp,
    );
    if (found !== undefined) return found.offset;
    expect(candidate.nextOffset).toBeGreaterThan(from);
    from = candidate.nextOffset;
  }
}

function expectLookUps(rig: Rig): void {
  const records = rig.stored();
  for (let timestamp = START - 2; timestamp < START + 105; timestamp++) {
    const first = records.find((each) => each.timestamp >= timestamp)?.offset ?? null;
    expect(lookUp(rig.log, timestamp), `look-up of ${timestamp - START}`).toBe(first);
  }
  const largest = Math.max(...records.map(({ timestamp }) => timestamp));
  expect(rig.log.maxTimestamp(decodeAnyBatch)).toBe(largest);
}

/** Snappy of one literal, and an LZ4 frame of one block that is not compressed. */
const SNAPPY: Compressor = {
  type: COMPRESSIONS.snappy,
  compress: (bytes) => {
    const low = bytes.length - 1;
    const length = [(bytes.length & 0x7f) | 0x80, bytes.length >>> 7];
    return Uint8Array.from([...length, 61 << 2, low & 0xff, low >>> 8, ...bytes]);
  },
};
const LZ4: Compressor = {
  type: COMPRESSIONS.lz4,
  compress: (bytes) => {
    const size = [bytes.length & 0xff, bytes.length >>> 8, 0, 0x80];
    return Uint8Array.from([4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0, ...size, ...bytes, 0, 0, 0, 0]);
  },
};
const ZSTD: Compressor = { type: COMPRESSIONS.zstd, compress: made(COMPRESSIONS.zstd) };
const GZIP: Compressor = { type: COMPRESSIONS.gzip, compress: made(COMPRESSIONS.gzip) };

function made(type: 1 | 4): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => compressor(type)?.compress(bytes) ?? bytes;
}

/** The share of the places for interruptions that are left out. */
const STRIDE = isDeep ? 1 : 19;

describe.each(PLACES)("$name", ({ newPlace }) => {
  test("[CMP-1] the newest record of each key survives at its offset", () => {
    const rig = new Rig(newPlace());
    rig.segment(record("a", "1"), record("b", "1"), record("a", "2"));
    rig.segment(record("c", "1"), record("", "1"));
    rig.segment(record("b", "2"), record("", "2"), record("d", "1"));
    expect(rig.drain()).toBeGreaterThan(0);
    expect(rig.shown()).toEqual(["2 a=2", "3 c=1", "5 b=2", "6 =2", "7 d=1"]);
    rig.segment(record("d", "2"), record("a", "3"));
    rig.drain();
    expect(rig.shown()).toEqual(["3 c=1", "5 b=2", "6 =2", "8 d=2", "9 a=3"]);
    expect(rig.drain()).toBe(0);
  });

  test("[CMP-1] records without a key from before the policy go", () => {
    const rig = new Rig(newPlace(), { cleanupPolicy: ["delete"] });
    rig.segment(record(null, "1"), record("a", "1"), record(null, null));
    rig.segment(record(null, "2"));
    rig.append([record(null, "active")]);
    expect(rig.step()).toBe(false);
    expect(rig.shown()).toHaveLength(5);
    rig.set({ cleanupPolicy: ["compact"] });
    rig.drain();
    expect(rig.shown()).toEqual(["1 a=1", "4 -=active"]);
  });

  test("[LOG-7] after compaction the tail is what is stored", () => {
    const rig = new Rig(newPlace());
    fillSmall(rig);
    rig.drain();
    expect(recordsOf(rig.log).map(show)).toEqual(rig.shown());
  });

  test("[CMP-2] a tombstone goes delete.retention.ms after it was first seen, even if nothing is appended", () => {
    const rig = new Rig(newPlace(), { deleteRetentionMs: HOUR });
    rig.segment(record("a", "1"), record("b", "1"));
    rig.segment(record("a", null), record("c", "1"));
    rig.nowMs += 5 * HOUR;
    rig.drain();
    expect(rig.shown()).toEqual(["1 b=1", "2 a=-", "3 c=1"]);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(rig.nowMs + HOUR);
    rig.nowMs += HOUR - 1;
    rig.reopen();
    expect(rig.drain()).toBe(0);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(rig.nowMs + 1);
    expect(rig.shown()).toContain("2 a=-");
    rig.nowMs += 1;
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(rig.nowMs);
    rig.drain();
    expect(rig.shown()).toEqual(["1 b=1", "3 c=1"]);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBeNull();
  });

  test("[CMP-2] later passes do not delay the end of a tombstone", () => {
    const rig = new Rig(newPlace(), { deleteRetentionMs: HOUR });
    rig.segment(record("a", "1"), record("a", null), record("z", "0"));
    rig.drain();
    for (let quarter = 1; quarter < 4; quarter++) {
      rig.nowMs = START + (quarter * HOUR) / 4;
      rig.segment(record("z", String(quarter)), record(`t${quarter}`, null));
      rig.drain();
      expect(rig.shown()).toContain("1 a=-");
    }
    rig.nowMs = START + HOUR;
    rig.drain();
    expect(rig.shown()).toEqual(["4 t1=-", "6 t2=-", "7 z=3", "8 t3=-"]);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(START + (5 * HOUR) / 4);
  });

  test("[CMP-1] the last record of the log stays, whatever it is, until others come behind it", () => {
    const rig = new Rig(newPlace(), { deleteRetentionMs: HOUR });
    rig.segment(record("a", "1"), record("a", null));
    rig.drain();
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBeNull();
    rig.nowMs += 2 * HOUR;
    rig.drain();
    expect(rig.shown()).toEqual(["1 a=-"]);
    rig.segment(record("b", "1"));
    rig.drain();
    expect(rig.shown()).toEqual(["2 b=1"]);
  });

  test("[CMP-2] a superseded tombstone goes at once, and with no retention at all each goes after one more pass", () => {
    const rig = new Rig(newPlace(), { deleteRetentionMs: 0 });
    rig.segment(record("a", null), record("a", "1"), record("b", null), record("c", "1"));
    expect([rig.step(), rig.step()]).toEqual([true, true]);
    expect(rig.shown()).toEqual(["1 a=1", "2 b=-", "3 c=1"]);
    rig.drain();
    expect(rig.shown()).toEqual(["1 a=1", "3 c=1"]);
  });

  test("[CMP-2] a value does not come back when the tombstone after it has gone, however full its batch is", () => {
    const rig = new Rig(newPlace(), { deleteRetentionMs: 24 * HOUR, segmentBytes: 8_000_000 });
    const tiny = Array.from({ length: 68_000 }, (_, i) => record(`k${i}`, i === 5 ? null : ""));
    rig.append(tiny);
    rig.segment(record("k0", null), record("end", "1"));
    rig.drain();
    rig.nowMs += 48 * HOUR;
    rig.drain();
    const ends = rig.shown();
    expect([...ends.slice(0, 3), ...ends.slice(-2)]).toEqual([
      "1 k1=",
      "2 k2=",
      "3 k3=",
      "67999 k67999=",
      "68001 end=1",
    ]);
  });

  test("[CMP-3] the active segment is left as it is", () => {
    const rig = new Rig(newPlace());
    rig.append([record("a", "1"), record("a", "2")]);
    expect(rig.drain()).toBe(0);
    rig.close();
    rig.append([record("a", "3"), record("b", "1"), record("b", "2")]);
    rig.drain();
    expect(rig.shown()).toEqual(["1 a=2", "2 a=3", "3 b=1", "4 b=2"]);
  });

  test("[CMP-3] records younger than min.compaction.lag.ms are left as they are until they are older", () => {
    const rig = new Rig(newPlace(), { minCompactionLagMs: HOUR });
    rig.segment(record("a", "1", START - HOUR), record("a", "2", START - HOUR));
    rig.segment(record("a", "3", START - 2 * HOUR), record("a", "4", START - HOUR + 500));
    rig.segment(record("a", "5", START - 3 * HOUR));
    rig.drain();
    expect(rig.shown()).toEqual(["1 a=2", "2 a=3", "3 a=4", "4 a=5"]);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(rig.nowMs + 500);
    rig.nowMs += 499;
    expect(rig.drain()).toBe(0);
    rig.nowMs += 1;
    expect(rig.drain()).toBeGreaterThan(0);
    expect(rig.shown()).toEqual(["4 a=5"]);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBeNull();
  });

  test("[CMP-3] a pass waits for min.cleanable.dirty.ratio", () => {
    const rig = new Rig(newPlace(), { minCleanableDirtyRatio: 0.5 });
    const many = Array.from({ length: 6 }, (_, i) => record(`k${i}`, "0"));
    rig.segment(...many);
    rig.drain();
    rig.segment(record("k0", "1"), record("k1", "1"));
    expect(rig.drain()).toBe(0);
    expect(rig.shown()).toHaveLength(8);
    rig.append(many.slice(0, 5));
    expect(rig.drain()).toBe(0);
    rig.close();
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(rig.nowMs);
    expect(rig.drain()).toBeGreaterThan(0);
    expect(rig.shown()).toHaveLength(6);
  });

  test.each([
    ["of the past", -5 * HOUR],
    ["of the future", 30 * HOUR],
  ])("[CMP-3] a pass waits for max.compaction.lag.ms at most, with timestamps %s", (_, shiftMs) => {
    const rig = new Rig(newPlace(), { minCleanableDirtyRatio: 1, maxCompactionLagMs: HOUR });
    rig.segment(record("z", "1"));
    rig.drain();
    rig.append([record("a", "1", START + shiftMs), record("a", "2", START + shiftMs)]);
    expect(rig.log.nextHousekeepingMs(START)).toBe(START + HOUR);
    rig.log.rollForCompaction(START + HOUR - 1);
    expect(rig.log.activeBaseOffset).toBe(1);
    rig.nowMs = START + 1_000;
    rig.close();
    expect(rig.drain()).toBe(0);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(START + HOUR);
    rig.nowMs = START + HOUR;
    rig.drain();
    expect(rig.shown()).toEqual(["0 z=1", "2 a=2"]);
  });

  test("[CLK-1] after the clock was set back, segments are closed and compacted, once", () => {
    const rig = new Rig(newPlace(), { minCleanableDirtyRatio: 1, maxCompactionLagMs: HOUR });
    rig.segment(record("z", "1"));
    rig.drain();
    rig.append([record("a", "1"), record("a", "2")]);
    rig.nowMs = START - 100 * HOUR;
    rig.log.rollForCompaction(rig.nowMs);
    expect(rig.log.activeBaseOffset).toBe(3);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBe(rig.nowMs);
    rig.drain();
    expect(rig.shown()).toEqual(["0 z=1", "2 a=2"]);
    rig.append([record("a", "3"), record("a", "4")]);
    for (let i = 0; i < 3; i++) rig.log.rollForCompaction(rig.nowMs);
    expect(rig.log.activeBaseOffset).toBe(3);
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBeNull();
    rig.nowMs += HOUR;
    rig.log.rollForCompaction(rig.nowMs);
    expect(rig.log.activeBaseOffset).toBe(5);
    rig.drain();
    expect(rig.shown()).toEqual(["0 z=1", "4 a=4"]);
  });

  test("[CMP-3] an idle active segment is closed when it is due, and never an empty one", () => {
    const rig = new Rig(newPlace(), { maxCompactionLagMs: HOUR });
    rig.append([record("a", "1"), record("a", "2")]);
    rig.nowMs += HOUR - 1;
    rig.log.rollForCompaction(rig.nowMs);
    expect(rig.log.segmentCount).toBe(1);
    rig.nowMs += 1;
    for (let i = 0; i < 3; i++) {
      rig.log.rollForCompaction(rig.nowMs);
      rig.nowMs += HOUR;
    }
    expect(rig.log.segmentCount).toBe(2);
    rig.reopen();
    rig.drain();
    expect(rig.shown()).toEqual(["1 a=2"]);
    expect(rig.log.logEndOffset).toBe(2);
    expect(rig.append([record("b", "1")])).toBe(2);
  });

  test("[CMP-1] the rest of a batch keeps its offsets, its producer, its timestamps and its headers", () => {
    const rig = new Rig(newPlace());
    const headers = [{ key: "h", value: Uint8Array.of(1) }];
    const origin = { producerId: 7, producerEpoch: 3, baseSequence: 40 };
    const times = [START + 9, START - 5, START + 50, START + 2];
    const keys = ["x", "a", "x", "b"];
    const all = keys.map((key, i) => ({ ...record(key, "1", times[i]), headers }));
    rig.append([record("p", "1")]);
    rig.append(all, origin);
    rig.segment(record("x", "2"), record("b", null));
    rig.drain();
    const kept = rig.stored().filter(({ key }) => key?.[0] === 97);
    expect(kept).toEqual([{ ...all[1], offset: 2 }]);
    expect(rig.headers()[1]).toMatchObject({
      ...origin,
      baseOffset: 1,
      lastOffsetDelta: 3,
      recordCount: 1,
      maxTimestamp: START - 5,
      hasDeleteHorizon: false,
    });
  });

  test("[CMP-2] records beside a tombstone keep their timestamps while it waits and when it has gone", () => {
    const rig = new Rig(newPlace(), { deleteRetentionMs: HOUR });
    rig.segment(record("a", "1", START + 3), record("b", null, START - 9), record("c", "1", START));
    const timestamps = () => rig.stored().map(({ timestamp }) => timestamp - START);
    rig.drain();
    expect(timestamps()).toEqual([3, -9, 0]);
    expect(rig.headers()[0]).toMatchObject({ hasDeleteHorizon: true, maxTimestamp: START + 3 });
    rig.nowMs += HOUR;
    rig.drain();
    expect(timestamps()).toEqual([3, 0]);
    expect(rig.headers()[0]).toMatchObject({ hasDeleteHorizon: false, baseOffset: 0 });
  });

  test("[CMP-1] [LOG-10] times from LogAppendTime stay", () => {
    const rig = new Rig(newPlace(), { messageTimestampType: "LogAppendTime" });
    rig.segment(record("a", "1", 5), record("b", null, 6), record("a", "2", 7));
    rig.drain();
    expect(rig.stored().map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [1, START],
      [2, START],
    ]);
    expect(rig.headers()[0]?.isLogAppendTime).toBe(true);
  });

  test.each([
    ["none", undefined, COMPRESSIONS.none],
    ["gzip", GZIP, COMPRESSIONS.gzip],
    ["snappy", SNAPPY, COMPRESSIONS.gzip],
    ["lz4", LZ4, COMPRESSIONS.gzip],
    ["zstd", ZSTD, COMPRESSIONS.zstd],
  ])(
    "[CMP-1] [ZIP-1] a batch with compression %s that is rewritten has one that all can read",
    (_, compression, expected) => {
      const rig = new Rig(newPlace());
      const options = compression === undefined ? {} : { compression };
      rig.append([record("whole", "1")], options);
      rig.append([record("a", "1"), record("b", "1")], options);
      rig.segment(record("a", "2"));
      rig.drain();
      expect(rig.shown()).toEqual(["0 whole=1", "2 b=1", "3 a=2"]);
      const types = rig.headers().map((header) => header.compression);
      expect(types).toEqual([compression?.type ?? 0, expected, 0]);
    },
  );

  test("[CMP-1] a batch that cannot be decoded stays as it is", () => {
    const rig = new Rig(newPlace(), { cleanupPolicy: [] });
    const nonsense: Compressor = { type: COMPRESSIONS.zstd, compress: (bytes) => bytes.reverse() };
    const broken = encodeBatch([record("a", "1"), record("a", null)], { compression: nonsense });
    rig.append([record("a", "0")]);
    rig.appendBytes(broken.slice());
    rig.segment(record("a", "2"));
    rig.set({ cleanupPolicy: ["compact"] });
    rig.drain();
    expect(rig.shown()).toEqual(["3 a=2"]);
    const { pieces } = rig.log.read(1, 1);
    expect(Buffer.compare((pieces[0] ?? broken).subarray(12), broken.subarray(12))).toBe(0);
    expect(rig.drain()).toBe(0);
  });

  test("[CMP-1] [LOG-4] every offset can be read from, in gaps too", () => {
    const rig = new Rig(newPlace(), { segmentBytes: 3_000 });
    fillSmall(rig);
    for (let i = 0; i < 3; i++) rig.segment(record("gap", String(i)));
    rig.drain();
    rig.reopen();
    const records = rig.stored();
    const { logEndOffset } = rig.log;
    expect(records.length).toBeLessThan(logEndOffset - 100);
    for (let offset = 0; offset < logEndOffset; offset++) {
      expect(rig.log.validateOffset(offset).ok).toBe(true);
      const { pieces, nextOffset } = rig.log.read(offset, 1);
      const found = pieces.flatMap((piece) => decodeAnyBatch(piece));
      const expected = records.find((each) => each.offset >= offset);
      expect(nextOffset).toBeGreaterThan(offset);
      if (expected === undefined) expect(nextOffset).toBe(logEndOffset);
      else if (found.every((each) => each.offset < offset))
        // The batch covers the offset, but its record has gone: a reader continues behind it.
        expect(nextOffset).toBeLessThanOrEqual(expected.offset);
      else expect(found.map(show)).toContain(show(expected));
    }
    expect(rig.log.read(logEndOffset, 100).pieces).toEqual([]);
  });

  test("[CMP-1] [LOG-6] [LOG-11] timestamps are looked up among what is left", () => {
    const rig = new Rig(newPlace(), { segmentBytes: 3_000 });
    fillSmall(rig);
    rig.segment(record("top", "1", START + 104));
    rig.segment(record("top", "2", START));
    rig.drain();
    expectLookUps(rig);
    rig.log.deleteRecordsBefore(100, 0);
    expectLookUps(rig);
  });

  test("[CMP-1] [IDM-4] producers are remembered as if nothing had been compacted", () => {
    const rig = new Rig(newPlace());
    const send = (producerId: number, baseSequence: number) =>
      rig.append([record("a", "1")], { producerId, producerEpoch: 0, baseSequence });
    for (let sequence = 0; sequence < 8; sequence++) send(1, sequence);
    rig.close();
    send(2, 0);
    rig.close();
    rig.drain();
    expect(rig.shown()).toEqual(["8 a=1"]);
    for (let round = 0; round < 2; round++) {
      expect([3, 4, 5, 6, 7].map((sequence) => send(1, sequence))).toEqual([3, 4, 5, 6, 7]);
      expect(() => send(1, 2)).toThrow("the next one is 8");
      expect(send(2, 0)).toBe(8);
      rig.reopen();
    }
    expect(send(1, 8)).toBe(9);
  });

  test("[CMP-4] evictions lead to the same log", () => {
    const run = (segmentBytes: number, isEvicted: (step: number) => boolean) => {
      const rig = new Rig(newPlace(), { segmentBytes });
      fillSmall(rig);
      let step = 0;
      rig.drain(() => {
        if (isEvicted(++step)) rig.reopen();
      });
      rig.reopen();
      const bytes = Buffer.concat(rig.log.read(0, 1_000_000).pieces).toString("latin1");
      return { bytes, state: rig.store.state(), shown: rig.shown(), step };
    };
    // Each segment for itself, evicted after every step.
    expect(run(0, () => true)).toEqual(run(0, () => false));
    // Several become one: evicted after one step or another, and after every other.
    const undisturbed = run(4_000, () => false);
    expect(undisturbed.step).toBeGreaterThan(5);
    for (let at = 1; at <= undisturbed.step; at += STRIDE) {
      const { step: _, ...evicted } = run(4_000, (step) => step === at || step === 2 * at);
      expect(undisturbed).toMatchObject(evicted);
    }
  });

  test("[CMP-4] a pass over many slices continues where it was after evictions", () => {
    const rig = new Rig(newPlace(), { segmentBytes: 1_500_000 });
    fillLarge(rig);
    const expected = newest(rig.stored());
    const steps = new Set<string>();
    let before = "";
    rig.drain(() => {
      // The keys are read in one go: an eviction before the first note would start from nothing.
      const noted = JSON.stringify(rig.log.compaction);
      if (noted !== before) rig.reopen();
      before = noted;
      steps.add(noted);
      const records = rig.stored();
      expectAscending(records);
      expect(newest(records)).toEqual(expected);
    });
    expect(steps.size).toBeGreaterThan(3);
    expect(rig.shown().sort()).toEqual(expected);
  });

  test("[CMP-4] one slice reads about a MiB", () => {
    const rig = new Rig(newPlace(), { segmentBytes: 4_000_000 });
    fillLarge(rig);
    const { store } = rig;
    const lines: number[] = [];
    const chunksFrom = store.chunksFrom.bind(store);
    store.chunksFrom = function* (segment, from) {
      for (const chunk of chunksFrom(segment, from)) {
        lines[lines.length - 1] = (lines.at(-1) ?? 0) + chunk.bytes.length;
        yield chunk;
      }
    };
    for (lines.push(0); rig.step() && lines.length < 100; lines.push(0));
    expect(lines.length).toBeGreaterThan(8);
    expect(lines.length).toBeLessThan(100);
    expect(Math.max(...lines)).toBeLessThan(3_000_000);
  });

  test("[CMP-4] readers never see a log half compacted", () => {
    const rig = new Rig(newPlace(), { segmentBytes: 4_000 });
    fillSmall(rig);
    const expected = newest(rig.stored());
    let previous = rig.stored().length;
    rig.drain(() => {
      for (const records of [rig.stored(), recordsOf(rig.log)]) {
        expectAscending(records);
        expect(newest(records)).toEqual(expected);
      }
      expect(rig.stored().length).toBeLessThanOrEqual(previous);
      previous = rig.stored().length;
      rig.expectBooks();
    });
  });

  test("[CMP-4] records appended during a pass are left for the next one", () => {
    const rig = new Rig(newPlace(), { segmentBytes: 4_000 });
    fillSmall(rig);
    const before = newest(rig.stored());
    let count = 0;
    rig.drain(() => {
      if (count < 10) rig.append([record("k1", `during${count++}`)]);
      if (count % 3 === 0) rig.close();
    });
    rig.close();
    rig.drain();
    const after = newest(rig.stored());
    expect(after.filter((each) => !before.includes(each))).toHaveLength(1);
    expect(rig.shown().at(-1)).toMatch(/ k1=during9$/);
    expect(rig.shown().sort()).toEqual(after);
  });

  test.each([
    ["deletes records", false],
    ["deletes records and is evicted", true],
  ])("[CMP-4] [LOG-8] a log that %s during a pass keeps what is behind", (_, isEvicted) => {
    for (let stopAt = 1, isOver = false; !isOver; stopAt += STRIDE) {
      const rig = new Rig(newPlace(), { segmentBytes: 4_000 });
      fillSmall(rig);
      for (let i = 0; i < stopAt; i++) isOver = !rig.step();
      const before = 30 * (stopAt % 8) + 31;
      const expected = newest(rig.stored().filter(({ offset }) => offset >= before));
      rig.log.deleteRecordsBefore(before, 0);
      if (isEvicted) rig.reopen();
      rig.drain(() => expect(newest(rig.stored())).toEqual(expected));
      expect(newest(rig.stored())).toEqual(expected);
      expect(rig.log.logStartOffset).toBe(before);
      rig.close();
      rig.drain();
      expect(rig.shown().sort()).toEqual(expected);
    }
  });

  test("[CMP-4] [RET-1] [RET-2] retention drops segments during a pass", () => {
    for (let stopAt = 1, isOver = false; !isOver; stopAt += STRIDE) {
      const isBySize = stopAt % 2 === 0;
      const rig = new Rig(newPlace(), { segmentBytes: 4_000 });
      fillSmall(rig);
      for (let i = 0; i < stopAt; i++) isOver = !rig.step();
      rig.set({ cleanupPolicy: ["compact", "delete"] });
      if (isBySize) rig.set({ retentionBytes: 1_500 * (1 + (stopAt % 3)) });
      else rig.set({ retentionMs: HOUR });
      rig.nowMs += isBySize ? 0 : HOUR + 98;
      const records = rig.stored();
      rig.log.enforceRetention(rig.nowMs);
      const { logStartOffset } = rig.log;
      expect(logStartOffset).toBeGreaterThan(0);
      const expected = newest(records.filter(({ offset }) => offset >= logStartOffset));
      if (stopAt % 3 === 0) rig.reopen();
      rig.set({ retentionMs: -1, retentionBytes: -1 });
      rig.drain();
      expect(newest(rig.stored())).toEqual(expected);
    }
  });

  test("[CMP-4] [RET-1] a pass of which retention leaves nothing ends", () => {
    for (let stopAt = 0; stopAt < 12; stopAt++) {
      const rig = new Rig(newPlace(), { segmentBytes: 4_000 });
      fillSmall(rig);
      for (let i = 0; i < stopAt; i++) rig.step();
      rig.set({ cleanupPolicy: ["compact", "delete"], retentionMs: HOUR });
      rig.nowMs += 2 * HOUR;
      rig.log.enforceRetention(rig.nowMs);
      rig.drain();
      expect(rig.log).toMatchObject({ logStartOffset: 270, logEndOffset: 270, sizeInBytes: 0 });
      rig.segment(record("a", "1", rig.nowMs), record("a", "2", rig.nowMs));
      rig.drain();
      expect(rig.shown()).toEqual(["271 a=2"]);
    }
  });

  test("[CMP-4] a pass is abandoned when the policy goes, and another done when it returns", () => {
    for (let stopAt = 1, isOver = false; !isOver; stopAt += STRIDE) {
      const rig = new Rig(newPlace(), { segmentBytes: 4_000 });
      fillSmall(rig);
      for (let i = 0; i < stopAt; i++) isOver = !rig.step();
      const expected = newest(rig.stored());
      rig.set({ cleanupPolicy: ["delete"] });
      expect(rig.drain()).toBe(0);
      expect(rig.compactor.nextDueMs(rig.nowMs)).toBeNull();
      expect(rig.log.compaction.pass).toBeNull();
      expect(newest(rig.stored())).toEqual(expected);
      rig.set({ cleanupPolicy: ["compact"] });
      rig.close();
      rig.drain();
      expect(rig.shown().sort()).toEqual(expected);
    }
  });

  test("[CMP-2] a tombstone goes even if the pass that saw it first was abandoned", () => {
    for (let stopAt = 1, isOver = false; !isOver; stopAt += STRIDE) {
      const rig = new Rig(newPlace(), { deleteRetentionMs: HOUR, segmentBytes: 0 });
      rig.set({ minCleanableDirtyRatio: 0.5 });
      rig.segment(record("clean", "".padEnd(1_000, ".")));
      rig.drain();
      rig.segment(record("a", "".padEnd(900, ".")), record("a", null));
      rig.segment(record("b", "".padEnd(500, ".")));
      for (let i = 0; i < stopAt; i++) isOver = !rig.step();
      const hasBeenSeen = rig.headers().some(({ hasDeleteHorizon }) => hasDeleteHorizon);
      rig.set({ cleanupPolicy: ["delete"] });
      rig.drain();
      rig.set({ cleanupPolicy: ["compact"] });
      rig.drain();
      rig.nowMs += HOUR;
      rig.drain();
      if (hasBeenSeen) expect(rig.shown()).toEqual(["0 clean=", "3 b="]);
    }
  });

  test.each([
    ["goes on", false],
    ["is evicted", true],
  ])(
    "[CMP-4] [LOG-12] a pass whose write the storage refuses leaves the log as it was, when it %s",
    (_, isEvicted) => {
      const expected = new Rig(newPlace(), { segmentBytes: 2_500_000 });
      fillLarge(expected, 22);
      expected.drain();
      for (let left = 1, isRefused = true; isRefused; left += STRIDE) {
        const fuse = { left: 0 };
        const rig = new Rig(refusing(newPlace(), fuse), { segmentBytes: 2_500_000 });
        fillLarge(rig, 22);
        const before = newest(rig.stored());
        fuse.left = left;
        isRefused = false;
        try {
          for (let steps = 0; rig.step(); steps++) expect(steps).toBeLessThan(500);
        } catch (error) {
          expect(error).toEqual(new Error("refused"));
          isRefused = true;
        }
        rig.expectBooks();
        expect(newest(rig.stored())).toEqual(before);
        if (isEvicted) rig.reopen();
        rig.drain();
        expect(rig.shown()).toEqual(expected.shown());
      }
    },
  );

  test("[CMP-4] a pass ends at the bound on keys and the next one continues", () => {
    const rig = new Rig(newPlace(), { segmentBytes: 50_000_000 });
    const size = 20_000;
    for (let from = 0; from < MAX_COMPACTION_KEYS; from += size)
      rig.append(Array.from({ length: size }, (_, i) => record((from + i).toString(36), "")));
    rig.append([record("one more", null), record("0", "again"), record("1", "again")]);
    rig.close();
    while (rig.log.compaction.cleanedOffset === 0) expect(rig.step()).toBe(true);
    expect(rig.log.compaction.cleanedOffset).toBe(MAX_COMPACTION_KEYS);
    expect(rig.shown()).toHaveLength(MAX_COMPACTION_KEYS + 3);
    rig.reopen();
    rig.drain();
    const shown = rig.shown();
    expect(shown).toHaveLength(MAX_COMPACTION_KEYS + 1);
    expect(shown[0]).toBe("2 2=");
    expect(shown.slice(-3)).toEqual(["100000 one more=-", "100001 0=again", "100002 1=again"]);
  });
});

test("[CMP-4] a pass ends at the bound on bytes of keys, and continues within the same chunk", () => {
  const store = new MemoryLogStore();
  const rig = new Rig({ open: () => store });
  const keys = Array.from({ length: 18 }, (_, i) => record(String.fromCharCode(i), ""));
  rig.segment(...keys);
  // Each key claims to be as long as a sixteenth of the bound. Real ones would take seconds.
  const length = { value: MAX_COMPACTION_KEY_BYTES / 16 };
  const decode: typeof CODEC.decode = (bytes, start) =>
    decodeAnyBatch(bytes, start).map((each) => ({
      ...each,
      key: Object.defineProperty(each.key as Uint8Array, "length", length),
    }));
  const compactor = new Compactor(rig.log, store, { ...CODEC, decode });
  const cleaned = new Set<number>();
  for (let steps = 0; compactor.step(rig.nowMs); steps++) {
    expect(steps).toBeLessThan(50);
    cleaned.add(rig.log.compaction.cleanedOffset);
  }
  expect([...cleaned]).toEqual([0, 16, 18]);
});

test("[CMP-3] an empty log is never due", () => {
  for (const { newPlace } of PLACES) {
    const rig = new Rig(newPlace());
    expect(rig.compactor.nextDueMs(rig.nowMs)).toBeNull();
    expect(rig.step()).toBe(false);
  }
});
