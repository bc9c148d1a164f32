// The definition of a repeat, and the size of a row that remembers the repeatable appends.
import { gzipSync, zstdCompressSync } from "node:zlib";
import { compressionsAlgorithms } from "@platformatic/kafka";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SqlLogStore } from "../../../../durable-objects/partition/sql-log-store.ts";
import { decompress } from "../../../../src/compression/decompress.ts";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { unwrap } from "../../../../src/core/errors.ts";
import {
  MAX_APPEND_ENTRY_BYTES,
  MAX_APPENDS_PER_CHUNK,
  MAX_CHUNK_BYTES,
  MAX_PRODUCERS_PER_PARTITION,
  MAX_ROW_BYTES,
  PRODUCER_WINDOW,
} from "../../../../src/core/limits.ts";
import {
  type Append,
  type AppendRules,
  planChunks,
  validateAppend,
} from "../../../../src/core/log/append.ts";
import { COMPRESSIONS, type CompressionType } from "../../../../src/core/log/compression.ts";
import { crc32c } from "../../../../src/core/log/crc32c.ts";
import { crcWithoutTimes } from "../../../../src/core/log/fingerprint.ts";
import type { LogStore } from "../../../../src/core/log/log-store.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import type { AppendEntry } from "../../../../src/core/log/producers.ts";
import { type Compressor, encodeBatch } from "../../../../src/core/log/record-batch.ts";
import type { ProducerRecord, RecordHeader } from "../../../../src/core/record.ts";
import { Rig, START } from "../../../support/compaction-rig.ts";
import {
  answers,
  configOf,
  edit,
  PLACES,
  type Place,
  RULES,
  sqlPlace,
} from "../../../support/log-fixtures.ts";
import { nodeSql } from "../../../support/node-sql.ts";

const UTF8 = new TextEncoder();
const GAP = "OUT_OF_ORDER_SEQUENCE_NUMBER";

const { snappy, lz4 } = compressionsAlgorithms;
const CODECS: Record<Exclude<CompressionType, 0>, Compressor> = {
  1: { type: 1, compress: (bytes) => gzipSync(bytes) },
  2: { type: 2, compress: (bytes) => snappy.compressSync(Buffer.from(bytes)) },
  3: { type: 3, compress: (bytes) => lz4.compressSync(Buffer.from(bytes)) },
  4: { type: 4, compress: (bytes) => zstdCompressSync(bytes) },
};

interface Sent {
  readonly values?: readonly (string | null)[];
  readonly key?: string | null;
  readonly timestamps?: readonly number[];
  readonly headers?: readonly RecordHeader[];
  readonly compression?: CompressionType;
  readonly sequence?: number;
}

function batchOf(sent: Sent = {}, producerId = 1): Uint8Array {
  const { values = ["a", "b"], key = "k", timestamps = [], headers = [], compression = 0 } = sent;
  const bytes = (text: string | null) => (text === null ? null : UTF8.encode(text));
  const records = values.map(
    (value, i): ProducerRecord => ({
      key: bytes(key),
      value: bytes(value),
      headers,
      timestamp: timestamps[i] ?? 1_000,
    }),
  );
  const made = compression === 0 ? undefined : CODECS[compression];
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
function appendEach(place: Place, appends: readonly Append[]) {
  return appends.flatMap((append) =>
    answers(new PartitionLog(place.open(), configOf()).commit([append], 0, decompress)),
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
    { title: "encoded again at a later time", again: { timestamps: [1_700, 1_703] } },
    { title: "encoded again at an earlier time", again: { timestamps: [0, 3] } },
    { title: "with another time between its records", again: { timestamps: [1_000, 1_004] } },
    { title: "with some times of the new try", again: { timestamps: [9_000_000, 1_003] } },
    { title: "with times that go back", again: { timestamps: [1_700, 3] } },
  ])("[IDM-8] is a repeat $title", ({ again }) => {
    const place = newPlace();
    const [first, repeat] = [appendOf([batchOf(original)]), appendOf([batchOf(again)])];
    expect(appendEach(place, [first, repeat])).toEqual([0, 0]);
    expect(logEnd(place)).toBe(2);
    // Within one commit too.
    const log = new PartitionLog(newPlace().open(), configOf());
    expect(answers(log.commit([first, repeat, first], 0, decompress))).toEqual([0, 0, 0]);
    expect(log.logEndOffset).toBe(2);
  });

  test("[IDM-8] is a repeat however it was compressed, and however it is compressed now", () => {
    const types = Object.values(COMPRESSIONS);
    for (const before of types) {
      for (const now of types) {
        const place = newPlace();
        const first = appendOf([batchOf({ ...original, compression: before })]);
        const again = { timestamps: [1_700, 1_003], compression: now };
        const other = { ...again, values: ["a", "x"] };
        const answered = appendEach(place, [
          first,
          appendOf([batchOf(again)]),
          appendOf([batchOf(other)]),
        ]);
        expect(answered, `${before} to ${now}`).toEqual([0, 0, GAP]);
        expect(logEnd(place)).toBe(2);
      }
    }
  });

  const x = UTF8.encode("x");
  const y = UTF8.encode("y");
  const stored: Sent = {
    ...original,
    headers: [
      { key: "a", value: x },
      { key: "b", value: y },
      { key: "n", value: null },
    ],
  };
  const [a, b, n] = stored.headers as [RecordHeader, RecordHeader, RecordHeader];

  const forged: { title: string; again: Sent }[] = [
    { title: "value", again: { ...stored, values: ["a", "x"] } },
    { title: "first value", again: { ...stored, values: ["x", "b"] } },
    { title: "value's length", again: { ...stored, values: ["a", "bb"] } },
    { title: "value that is null", again: { ...stored, values: ["a", null] } },
    { title: "split between values", again: { ...stored, values: ["ab", ""] } },
    { title: "key", again: { ...stored, key: "x" } },
    { title: "key that is null", again: { ...stored, key: null } },
    { title: "order of records", again: { ...stored, values: ["b", "a"] } },
    { title: "order of headers", again: { ...stored, headers: [b, a, n] } },
    { title: "header's name", again: { ...stored, headers: [a, { ...b, key: "c" }, n] } },
    { title: "header's value", again: { ...stored, headers: [a, { ...b, value: x }, n] } },
    {
      title: "header that is not null",
      again: { ...stored, headers: [a, b, { ...n, value: new Uint8Array() }] },
    },
    { title: "header more", again: { ...stored, headers: [a, b, n, n] } },
    { title: "header less", again: { ...stored, headers: [a, b] } },
  ];
  const anew = [
    { how: "as it was", timestamps: [1_000, 1_003] },
    { how: "at another time", timestamps: [1_700, 1_003] },
    { how: "in gzip", timestamps: [1_700, 1_003], compression: COMPRESSIONS.gzip },
  ];

  test.each(forged)("[IDM-8] is rejected with another $title", ({ again }) => {
    for (const { how, ...encoding } of anew) {
      const place = newPlace();
      const first = appendOf([batchOf(stored)]);
      const other = appendOf([batchOf({ ...again, ...encoding })]);
      expect(appendEach(place, [first, other]), how).toEqual([0, GAP]);
      // Within one commit too, and the first is still what it was.
      const log = new PartitionLog(place.open(), configOf());
      const answered = answers(log.commit([other, first, other], 0, decompress));
      expect(answered, how).toEqual([GAP, 0, GAP]);
      expect(log.logEndOffset).toBe(2);
      const fresh = new PartitionLog(newPlace().open(), configOf());
      expect(answers(fresh.commit([first, other], 0, decompress)), how).toEqual([0, GAP]);
      const [outcome] = log.commit([other], 0);
      expect(outcome).toMatchObject({
        detail:
          "producer 1 sent sequence 0 to 1, where another append is stored at offset 0; the next one is 2",
      });
    }
  });

  test("[IDM-8] is rejected with a header name that only looks the same as text", () => {
    const place = newPlace();
    const named = (byte: number): Append => {
      const batch = batchOf({ ...original, headers: [{ key: "?", value: null }] });
      const edited = edit(batch, () => {
        for (let i = 61; i < batch.length; i++) if (batch[i] === 0x3f) batch[i] = byte;
      });
      return appendOf([edited]);
    };
    expect(appendEach(place, [named(0xfe), named(0xff)])).toEqual([0, GAP]);
  });

  test("[IDM-8] is rejected if it cannot be decompressed, and affects no neighbor", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const folded = batchOf({ ...original, compression: COMPRESSIONS.gzip });
    const broken = edit(folded, () => folded.fill(9, 61));
    const next = appendOf([batchOf({ sequence: 2 })]);
    log.commit([appendOf([batchOf(original)])], 0, decompress);
    expect(answers(log.commit([appendOf([broken]), next], 0, decompress))).toEqual([GAP, 2]);
  });

  test("[IDM-8] is rejected if what was stored is gone, unless it has the very same bytes", () => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1 });
    const log = new PartitionLog(place.open(), config);
    const first = appendOf([batchOf(original)]);
    const again = appendOf([batchOf({ timestamps: [1_700, 1_003] })]);
    const second = appendOf([batchOf({ ...original, sequence: 2 })]);
    const secondAgain = appendOf([batchOf({ timestamps: [1_700, 1_003], sequence: 2 })]);
    expect(answers(log.commit([first], 0, decompress))).toEqual([0]);
    expect(answers(log.commit([second], 0, decompress))).toEqual([2]);
    log.deleteRecordsBefore(2, 0);
    for (const each of [log, new PartitionLog(place.open(), config)]) {
      const answered = answers(each.commit([again, secondAgain, first], 0, decompress));
      expect(answered).toEqual([GAP, 2, 0]);
      expect(each.logEndOffset).toBe(4);
    }
  });

  test("[IDM-8] is rejected if the stored batch is damaged, and affects no neighbor", () => {
    const store = newPlace().open();
    new PartitionLog(store, configOf()).commit([appendOf([batchOf(original)])], 0);
    const chunksFrom = store.chunksFrom.bind(store);
    const damaged: LogStore = new Proxy(store, {
      get: (target, name) => {
        if (name === "chunksFrom")
          return (segment: number, from: number) =>
            Array.from(chunksFrom(segment, from), ({ bytes, ...chunk }) => ({
              ...chunk,
              bytes: bytes.map((byte, i) => (i === 65 ? byte ^ 1 : byte)),
            }));
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const log = new PartitionLog(damaged, configOf());
    const again = appendOf([batchOf({ timestamps: [1_700, 1_003] })]);
    const next = appendOf([batchOf({ sequence: 2 })]);
    expect(answers(log.commit([again, next], 0, decompress))).toEqual([GAP, 2]);
  });

  test("[IDM-8] is a repeat only with all its batches as they were", () => {
    const place = newPlace();
    const three = (timestamp: number, ...values: string[]) =>
      appendOf(
        values.map((value, sequence) =>
          batchOf({ values: [value], sequence, timestamps: [timestamp * (sequence + 1)] }),
        ),
      );
    const appends = [
      three(10, "a", "b", "c"),
      three(20, "a", "b", "c"),
      three(20, "a", "b", "x"),
      three(20, "a", "x", "c"),
      appendOf([batchOf({ values: ["a", "b", "c"] })]),
      three(30, "a", "b", "c"),
    ];
    expect(appendEach(place, appends)).toEqual([0, 0, GAP, GAP, GAP, 0]);
    // One that follows in the log is no part of it.
    const next = appendOf([batchOf({ values: ["d"], sequence: 3 })]);
    expect(appendEach(place, [next, three(40, "a", "b", "c")])).toEqual([3, 0]);
  });

  test("[IDM-8] takes a bounded share of a commit to compare; beyond that it must come again", () => {
    const values = ["a".repeat(15 * 2 ** 20)];
    const at = (sequence: number, compression: CompressionType) =>
      appendOf([batchOf({ values, sequence, compression })]);
    const log = new PartitionLog(newPlace().open(), configOf());
    const sequences = [0, 1, 2, 3];
    for (const each of sequences) log.commit([at(each, COMPRESSIONS.snappy)], 0, decompress);
    const repeats = sequences.map((each) => at(each, COMPRESSIONS.lz4));
    expect(answers(log.commit(repeats, 0, decompress))).toEqual([
      0,
      1,
      2,
      "THROTTLING_QUOTA_EXCEEDED",
    ]);
    expect(answers(log.commit(repeats.slice(3), 0, decompress))).toEqual([3]);
    expect(log.logEndOffset).toBe(4);
  });

  test("[IDM-8] counts the batches of an append in their order", () => {
    const place = newPlace();
    const two = (...values: string[]) =>
      appendOf(values.map((value, sequence) => batchOf({ values: [value], sequence })));
    expect(appendEach(place, [two("a", "b"), two("b", "a"), two("a", "a"), two("a", "b")])).toEqual(
      [0, GAP, GAP, 0],
    );
  });

  test("[IDM-8] is a repeat even if LogAppendTime has rewritten the batch", () => {
    const place = newPlace();
    const config = configOf({ messageTimestampType: "LogAppendTime" });
    const commit = (sent: Sent, nowMs: number) => {
      const log = new PartitionLog(place.open(), config);
      return answers(log.commit([appendOf([batchOf(sent)])], nowMs, decompress));
    };
    expect(commit(original, 5_000)).toEqual([0]);
    expect(commit(original, 6_000)).toEqual([0]);
    expect(commit({ timestamps: [1_700, 1_003] }, 6_500)).toEqual([0]);
    expect(commit({ ...original, values: ["a", "x"] }, 7_000)).toEqual([GAP]);
  });

  test("[IDM-8] is told from a forged one for any of the last five", () => {
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

describe("what compaction has left of an append", () => {
  const record = (key: string, timestamp: number): ProducerRecord => ({
    key: UTF8.encode(key),
    value: UTF8.encode(`value of ${key}`),
    headers: [{ key: "h", value: null }],
    timestamp,
  });

  test.each([
    { title: "whole is still what its repeat is compared with", overwritten: "z", becomes: 0 },
    { title: "in part makes no repeat", overwritten: "b", becomes: GAP },
  ])("[IDM-8] $title", ({ overwritten, becomes }) => {
    const rig = new Rig(sqlPlace());
    const origin = { producerId: 1, producerEpoch: 0, baseSequence: 0 };
    const bytes = (laterMs: number) =>
      encodeBatch([record("a", START + laterMs), record("b", START)], origin);
    rig.appendBytes(bytes(0));
    rig.close();
    rig.segment(record("z", START), record(overwritten, START));
    rig.drain();
    const answer = (batch: Uint8Array) => {
      const append = appendOf([batch], { config: rig.config, nowMs: START });
      return answers(rig.log.commit([append], START, decompress))[0];
    };
    for (let life = 0; life < 2; life++) {
      expect(answer(bytes(7))).toBe(becomes);
      expect(answer(bytes(0))).toBe(0);
      rig.reopen();
    }
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

    test("[IDM-9] three hundred forged appends take no place from the Worker's", () => {
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

  test.each([true, false])("[IDM-8] [IDM-9] is recognized as it was then: own is %s", (isOwn) => {
    const place = olderPlace();
    const commit = (sent: Sent) => appendEach(place, [appendOf([batchOf(sent)], { isOwn })]);
    expect(commit({})).toEqual([0]);
    expect(commit({ sequence: 4 })).toEqual([GAP]);
    expect(commit({ sequence: 2 })).toEqual([2]);
    // Later ones are told apart.
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

  test("[IDM-10] a snapshot of the largest number of producers fits a row", () => {
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

  test("[IDM-10] a chunk of the smallest possible appends fits a row with everything it says of them", () => {
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
