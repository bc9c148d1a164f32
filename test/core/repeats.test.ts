// What counts as a repeat, and what a row has to hold of the appends that could be repeated.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SqlLogStore } from "../../durable-objects/partition/sql-log-store.ts";
import { compressor } from "../../src/compression/compress.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import { unwrap } from "../../src/core/errors.ts";
import {
  MAX_APPEND_ENTRY_BYTES,
  MAX_APPENDS_PER_CHUNK,
  MAX_CHUNK_BYTES,
  MAX_PRODUCERS_PER_PARTITION,
  MAX_ROW_BYTES,
  PRODUCER_WINDOW,
} from "../../src/core/limits.ts";
import { type AppendRules, planChunks, validateAppend } from "../../src/core/log/append.ts";
import { COMPRESSIONS } from "../../src/core/log/compression.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import { crcWithoutTimes } from "../../src/core/log/fingerprint.ts";
import { PartitionLog } from "../../src/core/log/partition-log.ts";
import type { AppendEntry } from "../../src/core/log/producers.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import type { ProducerRecord } from "../../src/core/record.ts";
import {
  answers,
  configOf,
  edit,
  PLACES,
  type Place,
  RULES,
  sqlPlace,
} from "../support/log-fixtures.ts";
import { nodeSql } from "../support/node-sql.ts";

const UTF8 = new TextEncoder();
const GAP = "OUT_OF_ORDER_SEQUENCE_NUMBER";

interface Sent {
  readonly values?: readonly string[];
  readonly key?: string;
  readonly timestamps?: readonly number[];
  readonly header?: string;
  readonly compression?: 0 | 1;
  readonly sequence?: number;
}

function batchOf(sent: Sent = {}, producerId = 1): Uint8Array {
  const { values = ["a", "b"], key = "k", timestamps = [], header, compression = 0 } = sent;
  const records = values.map((value, i): ProducerRecord => {
    const headers = header === undefined ? [] : [{ key: header, value: null }];
    return {
      key: UTF8.encode(key),
      value: UTF8.encode(value),
      headers,
      timestamp: timestamps[i] ?? 1_000,
    };
  });
  const made = compressor(compression);
  return encodeBatch(records, {
    producerId,
    producerEpoch: 0,
    baseSequence: sent.sequence ?? 0,
    ...(made === undefined ? {} : { compression: made }),
  });
}

function appendOf(batches: readonly Uint8Array[], rules: Partial<AppendRules> = {}) {
  return unwrap(validateAppend(concatBytes(batches), { ...RULES, ...rules }));
}

/** Appends one after another, each as after an eviction. */
function appendEach(place: Place, appends: readonly ReturnType<typeof appendOf>[]) {
  return appends.flatMap((append) =>
    answers(new PartitionLog(place.open(), configOf()).commit([append], 0)),
  );
}

function logEnd(place: Place): number {
  return new PartitionLog(place.open(), configOf()).logEndOffset;
}

describe("the fingerprint of an append", () => {
  test("[IDM-8] is the CRC that its batch would have without times", () => {
    const time = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    const size = fc.oneof(fc.nat(200), fc.nat(100_000));
    fc.assert(
      fc.property(size, fc.nat(9), time, time, (valueBytes, before, base, max) => {
        const value = new Uint8Array(valueBytes).map((_, i) => i * 7 + valueBytes);
        const batch = encodeBatch([{ key: null, value, headers: [], timestamp: 0 }]);
        edit(batch, (view) => {
          view.setBigInt64(27, base);
          view.setBigInt64(35, max);
        });
        const bytes = concatBytes([new Uint8Array(before).fill(9), batch, Uint8Array.of(1, 2)]);
        const without = batch.slice();
        without.fill(0, 27, 43);
        expect(crcWithoutTimes(bytes, before, batch.length)).toBe(crc32c(without, 21));
      }),
      { seed: 8, numRuns: 200 },
    );
  });
});

describe.each(PLACES)("a known sequence that comes again, on $name", ({ newPlace }) => {
  const original: Sent = { timestamps: [1_000, 1_003] };

  test.each<{ title: string; again: Sent }>([
    { title: "as it was", again: original },
    { title: "encoded anew at a later time", again: { timestamps: [1_700, 1_703] } },
    { title: "encoded anew at an earlier time", again: { timestamps: [0, 3] } },
  ])("[IDM-8] is a repeat $title", ({ again }) => {
    const place = newPlace();
    const [first, repeat] = [appendOf([batchOf(original)]), appendOf([batchOf(again)])];
    expect(appendEach(place, [first, repeat])).toEqual([0, 0]);
    expect(logEnd(place)).toBe(2);
  });

  const forged: { title: string; again: Sent }[] = [
    { title: "a value", again: { ...original, values: ["a", "x"] } },
    { title: "a value's length", again: { ...original, values: ["a", "bb"] } },
    { title: "a key", again: { ...original, key: "x" } },
    { title: "a header", again: { ...original, header: "x" } },
    { title: "the order", again: { ...original, values: ["b", "a"] } },
    { title: "the compression", again: { ...original, compression: COMPRESSIONS.gzip as 1 } },
    { title: "the time between records", again: { timestamps: [1_000, 1_004] } },
  ];

  test.each(forged)("[IDM-8] is refused with another $title", ({ again }) => {
    const place = newPlace();
    const first = appendOf([batchOf(original)]);
    const other = appendOf([batchOf(again)]);
    expect(appendEach(place, [first, other])).toEqual([0, GAP]);
    // Within one commit too, and the first is still what it was.
    const log = new PartitionLog(place.open(), configOf());
    expect(answers(log.commit([other, first, other], 0))).toEqual([GAP, 0, GAP]);
    expect(log.logEndOffset).toBe(2);
    const [outcome] = log.commit([other], 0);
    expect(outcome).toMatchObject({
      detail:
        "producer 1 sent sequence 0 to 1, where another append is stored at offset 0; the next one is 2",
    });
  });

  test("[IDM-8] counts the batches of an append in their order", () => {
    const place = newPlace();
    const two = (...values: string[]) =>
      appendOf(values.map((value, sequence) => batchOf({ values: [value], sequence })));
    expect(appendEach(place, [two("a", "b"), two("b", "a"), two("a", "a"), two("a", "b")])).toEqual(
      [0, GAP, GAP, 0],
    );
  });

  test("[IDM-8] is a repeat also where LogAppendTime has rewritten the batch", () => {
    const place = newPlace();
    const config = configOf({ messageTimestampType: "LogAppendTime" });
    const commit = (sent: Sent, nowMs: number) =>
      answers(new PartitionLog(place.open(), config).commit([appendOf([batchOf(sent)])], nowMs));
    expect(commit(original, 5_000)).toEqual([0]);
    expect(commit(original, 6_000)).toEqual([0]);
    expect(commit({ ...original, values: ["a", "x"] }, 7_000)).toEqual([GAP]);
  });

  test("[IDM-8] of any of the last five is told from a forged one", () => {
    const place = newPlace();
    const at = (sequence: number, value = "v") =>
      appendOf([batchOf({ sequence, values: [value] })]);
    const sequences = [...Array(PRODUCER_WINDOW).keys()];
    expect(
      appendEach(
        place,
        sequences.map((each) => at(each)),
      ),
    ).toEqual(sequences);
    for (const each of sequences) {
      expect(appendEach(place, [at(each, "x")])).toEqual([GAP]);
      expect(appendEach(place, [at(each)])).toEqual([each]);
    }
    expect(appendEach(place, [at(PRODUCER_WINDOW)])).toEqual([PRODUCER_WINDOW]);
  });
});

describe.each(PLACES)(
  "the Worker's producers and those that clients name, on $name",
  ({ newPlace }) => {
    const by = (isOwn: boolean, sent: Sent, producerId = 1) =>
      appendOf([batchOf(sent, producerId)], { isOwn });

    test.each([true, false])(
      "[IDM-9] have nothing to do with each other: own first is %s",
      (isOwn) => {
        for (const producerId of [0, 1, 2 ** 53 - 1]) {
          const place = newPlace();
          const first = (sent: Sent) => by(isOwn, sent, producerId);
          const other = (sent: Sent) => by(!isOwn, sent, producerId);
          const appends = [
            first({ values: ["a"] }),
            other({ values: ["a"] }), // A copy, sequence and all.
            other({ values: ["x"], sequence: 1 }),
            first({ values: ["b"], sequence: 1 }),
            other({ values: ["a"] }),
            first({ values: ["a"] }),
            other({ values: ["b"], sequence: 1 }),
          ];
          expect(appendEach(place, appends)).toEqual([0, 1, 2, 3, 1, 0, GAP]);
          expect(logEnd(place)).toBe(4);
        }
      },
    );

    test("[IDM-9] of three hundred forged appends none takes a place from the Worker's", () => {
      const place = newPlace();
      const log = new PartitionLog(place.open(), configOf());
      const forged = Array.from({ length: 300 }, (_, i) =>
        by(false, { values: [`x${i}`], sequence: i % 6 }, 1 + (i % 50)),
      );
      for (const each of forged) log.commit([each], 0);
      const before = log.logEndOffset;
      const own = Array.from({ length: 80 }, (_, i) =>
        by(true, { values: [`own ${i}`], sequence: Math.floor(i / 50) }, 1 + (i % 50)),
      );
      const expected = own.map((_, i) => before + i);
      expect(own.flatMap((append) => answers(log.commit([append], 0)))).toEqual(expected);
      expect(log.logEndOffset).toBe(before + own.length);
    });
  },
);

describe("what was stored before there were fingerprints", () => {
  /** As releases before them stored it. */
  function olderPlace(): Place {
    const storage = nodeSql();
    const place = sqlPlace(storage);
    new PartitionLog(place.open(), configOf()).commit([appendOf([batchOf()])], 5);
    storage.sql.exec("UPDATE segment_0 SET appends = '[[1,0,0,1,0,5]]'");
    storage.sql.exec("UPDATE producers SET entries = '[[1,0,0,1,0,5]]'");
    return place;
  }

  test.each([true, false])("[IDM-8] [IDM-9] is recognised as it was then: own is %s", (isOwn) => {
    const place = olderPlace();
    const commit = (sent: Sent) => appendEach(place, [appendOf([batchOf(sent)], { isOwn })]);
    expect(commit({})).toEqual([0]);
    expect(commit({ sequence: 4 })).toEqual([GAP]);
    expect(commit({ sequence: 2 })).toEqual([2]);
    // What comes from now on is told apart.
    expect(commit({ sequence: 2, values: ["x", "y"] })).toEqual([GAP]);
    expect(commit({ sequence: 2 })).toEqual([2]);
    expect(commit({})).toEqual([0]);
    expect(logEnd(place)).toBe(4);
  });
});

describe("the rows that remember appends", () => {
  const WORST: AppendEntry = {
    producerId: Number.MAX_SAFE_INTEGER,
    producerEpoch: 32_767,
    firstSequence: 2 ** 31 - 1,
    lastSequence: 2 ** 31 - 1,
    baseOffset: Number.MAX_SAFE_INTEGER,
    atMs: 9_999_999_999_999,
    fingerprint: 2 ** 32 - 1,
    isOwn: true,
  };

  test("[IDM-10] a snapshot of as many producers as there may be fits a row", () => {
    const storage = nodeSql();
    const store = sqlPlace(storage).open() as SqlLogStore;
    const jsonBytes = (count: number) => {
      const entries = new Array<AppendEntry>(count).fill(WORST);
      store.setProducerSnapshot({ nextOffset: Number.MAX_SAFE_INTEGER, entries });
      const rows = storage.sql.exec<{ size: number }>(
        "SELECT length(entries) AS size FROM producers",
      );
      return Array.from(rows)[0]?.size ?? Number.NaN;
    };
    expect(jsonBytes(2) - jsonBytes(1)).toBeLessThanOrEqual(MAX_APPEND_ENTRY_BYTES);
    expect(jsonBytes(MAX_PRODUCERS_PER_PARTITION * PRODUCER_WINDOW)).toBeLessThan(MAX_ROW_BYTES);
  });

  test("[IDM-10] a chunk of the smallest appends there are fits a row with all it says of them", () => {
    const smallest = encodeBatch([{ key: null, value: null, headers: [], timestamp: 0 }], {
      producerId: 1,
      producerEpoch: 0,
      baseSequence: 0,
    });
    const count = Math.ceil(MAX_CHUNK_BYTES / smallest.length) + 2;
    const append = appendOf([smallest]);
    const appends = Array.from({ length: count }, () => ({
      ...append,
      bytes: append.bytes.slice(),
    }));
    const { chunks, baseOffsets } = planChunks(appends, 0);
    expect(baseOffsets).toEqual([...appends.keys()]);
    for (const { baseOffset, nextOffset, bytes } of chunks) {
      const begun = nextOffset - baseOffset;
      expect(begun).toBeLessThanOrEqual(MAX_APPENDS_PER_CHUNK);
      expect(bytes.length + begun * MAX_APPEND_ENTRY_BYTES).toBeLessThan(MAX_ROW_BYTES - 1_000);
    }
    expect(chunks.length).toBe(Math.ceil(count / MAX_APPENDS_PER_CHUNK));
    expect(MAX_CHUNK_BYTES + MAX_APPENDS_PER_CHUNK * MAX_APPEND_ENTRY_BYTES).toBeLessThan(
      MAX_ROW_BYTES - 1_000,
    );
  });

  test("[IDM-10] a commit of more appends than a chunk may hold begins another", () => {
    const place = sqlPlace();
    const log = new PartitionLog(place.open(), configOf());
    const at = (sequence: number) => appendOf([batchOf({ sequence, values: ["a"] })]);
    const appends = Array.from({ length: MAX_APPENDS_PER_CHUNK + 1 }, (_, i) => at(i));
    expect(answers(log.commit(appends, 0))).toEqual([...appends.keys()]);
    const ends = Array.from(place.open().placesFrom(0, 0), ({ nextOffset }) => nextOffset);
    expect(ends).toEqual([MAX_APPENDS_PER_CHUNK, MAX_APPENDS_PER_CHUNK + 1]);
    expect(appendEach(place, [at(MAX_APPENDS_PER_CHUNK)])).toEqual([MAX_APPENDS_PER_CHUNK]);
  });
});
