// Bits that change on a disk. Every byte of the stored data is flipped in turn, and no reader may get it.
import { describe, expect, test } from "vitest";
import type { Transactional } from "../../../../durable-objects/shared/sql.ts";
import { compressor } from "../../../../src/compression/compress.ts";
import { decodeAnyBatch } from "../../../../src/compression/decode.ts";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { BrokerError, unwrap } from "../../../../src/core/errors.ts";
import { validateAppend } from "../../../../src/core/log/append.ts";
import { Compactor } from "../../../../src/core/log/compaction.ts";
import { crc32c } from "../../../../src/core/log/crc32c.ts";
import { ChunkVerifier, runsOf } from "../../../../src/core/log/damage.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { batches, encodeBatch, hasValidCrc } from "../../../../src/core/log/record-batch.ts";
import { Frames, pump, type TailReader } from "../../../../src/core/log/tail-reader.ts";
import { CODEC, EAGER, record, START, show } from "../../../support/compaction-rig.ts";
import { isDeep } from "../../../support/effort.ts";
import { sqlPlace } from "../../../support/log-fixtures.ts";
import { segmentsOf } from "../../../support/memory-log-store.ts";
import { nodeSql } from "../../../support/node-sql.ts";

const PLACE = { topic: "orders", partition: 3 };

/** A partition on SQLite. Each `open` is a life of it. */
class Disk {
  readonly storage: Transactional = nodeSql();
  readonly #place = sqlPlace(this.storage);
  readonly reports: string[] = [];
  nowMs = START;

  open(config = EAGER): PartitionLog {
    const verifier = new ChunkVerifier(PLACE, ({ message }) => this.reports.push(message));
    return new PartitionLog(this.#place.open(), config, verifier);
  }

  store() {
    return this.#place.open();
  }

  /** One commit, so one chunk. */
  append(batchBytes: readonly Uint8Array[], config = EAGER): void {
    const rules = { config, nowMs: START, decode: decodeAnyBatch };
    const append = unwrap(validateAppend(concatBytes(batchBytes), rules));
    this.open(config).commit([append], this.nowMs);
  }

  chunk(segment = 0, baseOffset = segment): Uint8Array {
    const query = `SELECT batches FROM segment_${segment} WHERE base_offset = ?`;
    const [row] = this.storage.sql.exec<{ batches: ArrayBuffer }>(query, baseOffset);
    return new Uint8Array(row?.batches as ArrayBuffer).slice();
  }

  write(bytes: Uint8Array, segment = 0, baseOffset = segment): void {
    const query = `UPDATE segment_${segment} SET batches = ? WHERE base_offset = ?`;
    this.storage.sql.exec(query, bytes, baseOffset);
  }

  flip(position: number, bit = 0, segment = 0, baseOffset = segment): void {
    const bytes = this.chunk(segment, baseOffset);
    bytes[position] = (bytes[position] as number) ^ (1 << bit);
    this.write(bytes, segment, baseOffset);
  }
}

/** Everything that a reader gets that continues behind every unreadable place, offset by offset. */
function readable(log: PartitionLog, maxBytes = 1_000_000): string[] {
  const shown: string[] = [];
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    try {
      const { pieces, nextOffset } = log.read(offset, maxBytes);
      for (const piece of pieces)
        for (const { start } of batches(piece))
          for (const each of decodeAnyBatch(piece, start))
            if (each.offset >= offset) shown.push(show(each));
      offset = nextOffset;
    } catch (error) {
      expect(error).toMatchObject({ code: "CORRUPT_MESSAGE", data: PLACE });
      const at = (error as BrokerError).data.offset as number;
      offset = Math.max(at, offset) + 1;
    }
  }
  return shown;
}

function errorOf(action: () => unknown): BrokerError | null {
  try {
    action();
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(BrokerError);
    return error as BrokerError;
  }
}

const gzip = compressor(1);

/** Offsets 0 to 7, in four batches. */
const BATCHES = [
  encodeBatch([record("a", "pay 100"), record("b", "pay 1")]),
  encodeBatch([record("a", "pay 200", START + 5)], gzip === undefined ? {} : { compression: gzip }),
  encodeBatch([record("c", "1"), record("d", "2"), record("e", "3")]),
  encodeBatch([record("f", "4"), record("g", null)]),
];
const ENDS = [2, 3, 6, 8];
const ALL = [
  "0 a=pay 100",
  "1 b=pay 1",
  "2 a=pay 200",
  "3 c=1",
  "4 d=2",
  "5 e=3",
  "6 f=4",
  "7 g=-",
];

/** The start of each batch, and the end of the last. */
const STARTS = [0, 1, 2, 3, 4].map((count) => concatBytes(BATCHES.slice(0, count)).length);

function stored(): Disk {
  const disk = new Disk();
  disk.append(BATCHES);
  return disk;
}

describe("a flipped bit", () => {
  test("[CRC-1] of a chunk, wherever it is, is served to nobody; the data around it is", () => {
    const disk = stored();
    const whole = disk.chunk();
    let flips = 0;
    for (let position = 0; position < whole.length; position++) {
      const index = STARTS.findLastIndex((start) => start <= position);
      const within = position - (STARTS[index] as number);
      const [from, to] = [ENDS[index - 1] ?? 0, ENDS[index] as number];
      for (const bit of isDeep ? [0, 1, 2, 3, 4, 5, 6, 7] : [position % 8]) {
        flips++;
        disk.flip(position, bit);
        for (const maxBytes of [1, 1_000_000]) {
          const got = readable(disk.open(), maxBytes);
          const hint = `byte ${within} of batch ${index}, bit ${bit}`;
          // The end of a batch with a wrong length is unknown, and so is what follows.
          const isLost = within >= 8 && within < 12;
          const rest = isLost && got.length === from ? [] : ALL.slice(to);
          expect(got, hint).toEqual([...ALL.slice(0, from), ...rest]);
        }
        disk.write(whole);
      }
    }
    expect(readable(disk.open())).toEqual(ALL);
    expect(disk.reports.length).toBe(flips * 2);
  });

  test("[CRC-1] of a chunk that compaction has thinned out is served to nobody", () => {
    const disk = stored();
    compact(disk);
    const [segment] = segmentsOf(disk.store()) as [number];
    const [chunk] = disk.store().chunksFrom(segment, segment);
    const whole = disk.chunk(segment, chunk?.baseOffset);
    const expected = readable(disk.open());
    expect(expected).toEqual(ALL.slice(1));
    const starts = Array.from(batches(whole), ({ start }) => start);
    for (let position = 0; position < whole.length; position++) {
      const start = starts.findLast((each) => each <= position) as number;
      disk.flip(position, 1, segment, chunk?.baseOffset);
      const got = readable(disk.open());
      expect(expected, `byte ${position - start}`).toEqual(expect.arrayContaining(got));
      expect(got.length).toBeLessThan(expected.length);
      disk.write(whole, segment, chunk?.baseOffset);
    }
  });

  test.each([
    { title: "cut short", change: (bytes: Uint8Array) => bytes.subarray(0, -1) },
    {
      title: "without its last batch",
      change: (bytes: Uint8Array) => bytes.subarray(0, STARTS[3]),
    },
    { title: "without its first batch", change: (bytes: Uint8Array) => bytes.subarray(STARTS[1]) },
    { title: "empty", change: () => new Uint8Array() },
    { title: "all zeros", change: ({ length }: Uint8Array) => new Uint8Array(length) },
    { title: "with more behind it", change: (bytes: Uint8Array) => concatBytes([bytes, bytes]) },
    {
      title: "with two batches in each other's place",
      change: (bytes: Uint8Array) => {
        const [a, b, c, d] = [0, 1, 2, 3].map((i) => bytes.subarray(STARTS[i], STARTS[i + 1]));
        return concatBytes([a, c, b, d] as Uint8Array[]);
      },
    },
  ])("[CRC-1] a chunk $title is not taken for what was stored", ({ change }) => {
    const disk = stored();
    disk.write(change(disk.chunk()));
    const got = readable(disk.open());
    expect(got).toEqual(ALL.filter((each) => got.includes(each)));
    expect(disk.reports).toHaveLength(1);
  });

  test("[CRC-1] good data costs no second check in a life, and a new life checks again", () => {
    const disk = stored();
    const log = disk.open();
    expect(readable(log)).toEqual(ALL);
    const runs = [...log.verifier.runs(disk.store().chunksFrom(0, 0))];
    // Known to be good: it is passed on as it is, without a look at its batches.
    const garbage = { baseOffset: 0, nextOffset: 8, bytes: Uint8Array.of(1) };
    expect([...log.verifier.runs([garbage])]).toEqual([garbage]);
    expect(runs).toHaveLength(1);
    log.verifier.forget();
    expect([...log.verifier.runs([garbage])]).toMatchObject([{ damage: expect.any(String) }]);
    expect(runsOf(garbage)).toMatchObject([{ baseOffset: 0, nextOffset: 8 }]);
  });

  test("[CRC-2] a batch with a later offset and a wrong CRC is reported by its CRC", () => {
    const bytes = stored().chunk();
    const at = STARTS[1] as number;
    bytes[at + 7] = 5;
    bytes[(STARTS[2] as number) - 1] = 0xff;
    const runs = runsOf({ baseOffset: 0, nextOffset: 8, bytes });
    expect(runs.map(({ damage }) => damage)).toEqual([
      undefined,
      "the CRC of the batch does not match its bytes",
      undefined,
    ]);
  });

  test("[CRC-1] the tail that was appended in this life is what was appended", () => {
    const disk = new Disk();
    const log = disk.open();
    const rules = { config: EAGER, nowMs: START, decode: decodeAnyBatch };
    log.commit([unwrap(validateAppend(concatBytes(BATCHES), rules))], START);
    disk.flip(70);
    expect(readable(log)).toEqual(ALL);
    expect(readable(disk.open())).toEqual(ALL.slice(2));
  });
});

/** In the value of the third batch's second record. */
const HIT = (STARTS[3] as number) - 4;
const AT_THREE = { ...PLACE, offset: 3 };

describe("a reader that comes to damage", () => {
  /** Three chunks; the middle one is damaged in its third batch, at offsets 11 to 13. */
  function damaged(): Disk {
    const disk = stored();
    disk.append(BATCHES);
    disk.append(BATCHES);
    disk.flip(HIT, 0, 0, 8);
    return disk;
  }

  test("[CRC-2] gets the good data before it, then the error; data behind it can be read", () => {
    const log = damaged().open();
    expect(log.read(0, 1_000_000).nextOffset).toBe(11);
    expect(log.read(10, 1_000_000)).toMatchObject({ nextOffset: 11 });
    for (const offset of [11, 12, 13]) {
      const error = errorOf(() => log.read(offset, 1_000_000));
      expect(error).toMatchObject({
        code: "CORRUPT_MESSAGE",
        retriable: false,
        data: { topic: "orders", partition: 3, offset: 11 },
        message:
          "the batch stored in orders/3 at offset 11 cannot be read: the CRC of the batch does not match its bytes; the data after it begins at offset 14",
      });
    }
    expect(log.read(14, 1_000_000).nextOffset).toBe(24);
    // In steps, too, each of which continues in the chunk of the previous one.
    const ends: number[] = [];
    for (let offset = 14; offset < 24; ends.push(offset)) offset = log.read(offset, 1).nextOffset;
    expect(ends).toEqual([16, 18, 19, 22, 24]);
  });

  test("[CRC-2] is reported to the operator once per life and chunk", () => {
    const disk = damaged();
    const log = disk.open();
    for (let i = 0; i < 5; i++) readable(log);
    expect(disk.reports).toEqual([expect.stringContaining("orders/3 at offset 11")]);
    readable(disk.open());
    expect(disk.reports).toHaveLength(2);
  });

  test("[CRC-2] is sent the good data before it, and the error; its window counts what it was sent", () => {
    const log = damaged().open();
    const reader: TailReader = {
      nextOffset: 0,
      windowBytes: 1_000_000,
      maxWindowBytes: 1_000_000,
      owner: null,
    };
    let sent = 0;
    const failures: unknown[] = [];
    const after = pump(
      log,
      reader,
      new Frames(log),
      ({ length }) => {
        sent += length;
        return true;
      },
      (failure) => failures.push(failure),
    );
    expect(after).toMatchObject({ nextOffset: 11, windowBytes: 1_000_000 - sent });
    const failure = { ok: false, error: "CORRUPT_MESSAGE", ...PLACE, offset: 11 };
    expect(failures).toMatchObject([failure]);
  });

  test("[CRC-2] by time finds what is before it, and learns where the damage may hold the record", () => {
    const log = damaged().open();
    const at = (timestamp: number) => log.findOffsetByTimestamp(timestamp, decodeAnyBatch);
    expect(at(START + 5)).toBe(2);
    log.deleteRecordsBefore(3, 0);
    expect(at(START + 5)).toBe(10);
    log.deleteRecordsBefore(11, 0);
    expect(errorOf(() => at(START + 5))).toMatchObject({ data: { ...PLACE, offset: 11 } });
    expect(errorOf(() => log.findBatchByTimestamp(START, 11))).toMatchObject({
      code: "CORRUPT_MESSAGE",
    });
    expect(log.findBatchByTimestamp(START + 5, 14)).toMatchObject({ nextOffset: 19 });
    expect(errorOf(() => log.maxTimestamp(decodeAnyBatch))).toMatchObject({
      data: { ...PLACE, offset: 11 },
    });
    log.deleteRecordsBefore(14, 0);
    expect(log.maxTimestamp(decodeAnyBatch)).toBe(START + 5);
    expect(at(START + 5)).toBe(18);
  });

  test("[CRC-2] keeps nobody from appending, and nothing from expiring", () => {
    const disk = damaged();
    const log = disk.open({ ...EAGER, cleanupPolicy: ["delete"], retentionMs: 1_000 });
    const rules = { config: EAGER, nowMs: START, decode: decodeAnyBatch };
    log.commit([unwrap(validateAppend(BATCHES[0] as Uint8Array, rules))], START);
    expect(log.logEndOffset).toBe(26);
    log.enforceRetention(START + 10_000);
    expect([log.logStartOffset, log.logEndOffset]).toEqual([26, 26]);
    expect(readable(log)).toEqual([]);
  });
});

/** Closes what is open and compacts it to the end, with evictions in the middle if `isEvicted`. */
function compact(disk: Disk, isEvicted = false): void {
  disk.nowMs += EAGER.segmentMs;
  disk.open().rollForCompaction(disk.nowMs);
  let log = disk.open();
  let compactor = new Compactor(log, disk.store(), CODEC);
  let steps = 0;
  while (compactor.step(disk.nowMs)) {
    expect(++steps).toBeLessThan(100);
    if (!isEvicted || log.compaction.pass === null || steps % 2 > 0 || steps > 4) continue;
    log = disk.open();
    compactor = new Compactor(log, disk.store(), CODEC);
  }
  expect(log.compaction.pass).toBeNull();
  expect(log.compaction.cleanedOffset).toBe(log.activeBaseOffset);
}

function storedBytes(disk: Disk): Uint8Array {
  const store = disk.store();
  return concatBytes(
    segmentsOf(store).flatMap((segment) =>
      Array.from(store.chunksFrom(segment, segment), ({ bytes }) => bytes),
    ),
  );
}

describe.each([false, true])(
  "compaction of what is damaged (evicted in the middle: %s)",
  (isEvicted) => {
    test("[CRC-3] of any byte keeps its bytes as they are, never seals them, and finishes", () => {
      const length = stored().chunk().length;
      for (let position = 0; position < length; position += 5) {
        const disk = stored();
        const index = STARTS.findLastIndex((start) => start <= position);
        disk.append([encodeBatch([record("b", "new"), record("z", "last")])]);
        disk.flip(position);
        const bad = disk.chunk().subarray(STARTS[index], STARTS[index + 1]);
        const before = readable(disk.open());
        compact(disk, isEvicted);
        const after = readable(disk.open());
        const hint = `byte ${position - (STARTS[index] as number)} of batch ${index}`;
        // Only what could be read before, less superseded records.
        expect(before, hint).toEqual(expect.arrayContaining(after));
        expect(after, hint).toEqual(expect.arrayContaining(["8 b=new", "9 z=last"]));
        expect(after, hint).not.toContain("1 b=pay 1");
        const hex = Buffer.from(storedBytes(disk)).toString("hex");
        expect(hex.includes(Buffer.from(bad).toString("hex")), hint).toBe(true);
      }
    });

    test("[CRC-3] keeps of the rest what there is to keep, in later passes too", () => {
      const disk = stored();
      disk.append([encodeBatch([record("a", "newer"), record("f", "5")])]);
      disk.flip(HIT);
      for (let pass = 0; pass < 3; pass++) {
        compact(disk, isEvicted);
        expect(errorOf(() => disk.open().read(3, 1))).toMatchObject({ data: AT_THREE });
        disk.append([encodeBatch([record("a", `pass ${pass}`)])]);
      }
      compact(disk, isEvicted);
      expect(readable(disk.open())).toEqual(["1 b=pay 1", "9 f=5", "12 a=pass 2"]);
      const runs = segmentsOf(disk.store()).flatMap((segment) =>
        [...disk.store().chunksFrom(segment, segment)].flatMap(runsOf),
      );
      const damaged = runs.filter(({ damage }) => damage !== undefined);
      expect(damaged).toMatchObject([{ baseOffset: 3, nextOffset: 6 }]);
      for (const { bytes } of damaged) expect(hasValidCrc(bytes, 0, bytes.length)).toBe(false);
    });

    test("[CRC-3] of a chunk that has lost its end keeps the loss visible", () => {
      const disk = stored();
      disk.append([encodeBatch([record("z", "last")])]);
      disk.write(disk.chunk().subarray(0, STARTS[2]));
      compact(disk, isEvicted);
      const log = disk.open();
      expect(readable(log)).toEqual(["1 b=pay 1", "2 a=pay 200", "8 z=last"]);
      expect(log.read(0, 1_000_000).nextOffset).toBe(3);
      for (const offset of [3, 5, 7])
        expect(
          errorOf(() => log.read(offset, 1)),
          String(offset),
        ).toMatchObject({ data: AT_THREE });
    });
  },
);

describe("a batch that is as it was stored and that nobody can decode", () => {
  function withGarbage(): Disk {
    const disk = new Disk();
    const [first, , third] = BATCHES as [Uint8Array, Uint8Array, Uint8Array];
    const garbage = encodeBatch([record("x", "y", START + 50)]);
    garbage.fill(0xff, 61);
    // Its CRC fits: no partition looks into batches, unless it is compacted.
    new DataView(garbage.buffer).setUint32(17, crc32c(garbage, 21));
    disk.append([first, garbage, third], { ...EAGER, cleanupPolicy: ["delete"] });
    return disk;
  }

  test("[CRC-4] ends a lookup by time with its place, and is read as what it is", () => {
    const log = withGarbage().open();
    expect(log.read(0, 1_000_000).nextOffset).toBe(6);
    const error = errorOf(() => log.findOffsetByTimestamp(START + 40, decodeAnyBatch));
    expect(error).toMatchObject({ code: "CORRUPT_MESSAGE", data: { ...PLACE, offset: 2 } });
    expect(log.findOffsetByTimestamp(START, decodeAnyBatch)).toBe(0);
  });
});
