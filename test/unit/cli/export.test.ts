// The files of export, without a broker: they are read back, and any change in them is noticed.
import { mkdtempSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteSource } from "../../../src/cli/export/byte-source.ts";
import {
  type Content,
  type ExportHeader,
  ExportState,
  type GroupPositions,
} from "../../../src/cli/export/content.ts";
import { look } from "../../../src/cli/export/export-topic.ts";
import { FIRST_SUM, type Format, type WrittenChunk } from "../../../src/cli/export/format.ts";
import { FORMATS } from "../../../src/cli/export/formats.ts";
import { PositionMap } from "../../../src/cli/export/position-map.ts";
import { parseRecord, recordLine } from "../../../src/cli/export/record-lines.ts";
import { appendable, encodeRecords, recordsOf } from "../../../src/cli/export/stored-batches.ts";
import { readWhole } from "../../../src/cli/export/whole-file.ts";
import { compressor } from "../../../src/compression/compress.ts";
import { decodeAnyBatch } from "../../../src/compression/decode.ts";
import { concatBytes } from "../../../src/core/bytes.ts";
import { resolveConfig } from "../../../src/core/cluster/config.ts";
import { validateAppend } from "../../../src/core/log/append.ts";
import { crc32c } from "../../../src/core/log/crc32c.ts";
import {
  type Compressor,
  encodeBatch,
  encodeCompacted,
  hasValidCrc,
  readBatchHeader,
  setLogAppendTime,
} from "../../../src/core/log/record-batch.ts";
import type { ConsumerRecord, ProducerRecord } from "../../../src/core/record.ts";
import { isDeep } from "../../support/effort.ts";

/** A file is cut off or changed at intervals of this many bytes. It is a prime, so no field is always missed. */
const STRIDE = isDeep ? 1 : 11;

const folder = mkdtempSync(join(tmpdir(), "rivulet-export-"));
let files = 0;
const newPath = () => join(folder, String(files++));

const bytes = fc.option(fc.uint8Array({ maxLength: 30 }));
const anyRecord: fc.Arbitrary<ProducerRecord> = fc.record({
  key: bytes,
  value: fc.oneof(
    bytes,
    fc.string().map((text) => Buffer.from(text.toWellFormed())),
  ),
  timestamp: fc.integer({ min: -1, max: 253_402_300_799_999 }),
  headers: fc.array(
    fc.record({
      key: fc.constantFrom("a", "b", "__proto__", "2", "1", "ü", ""),
      value: bytes,
    }),
    { maxLength: 5 },
  ),
});

function plain({ key, value, headers, timestamp, offset }: ConsumerRecord) {
  const list = (each: Uint8Array | null) => (each === null ? null : [...each]);
  const named = headers.map((header) => [header.key, list(header.value)]);
  return { key: list(key), value: list(value), headers: named, timestamp, offset };
}

const gzip = compressor(1) as Compressor;

/** The batches of a log: the records one behind another, from `start` on. */
function logOf(records: readonly ProducerRecord[], start: number, perBatch: number): Uint8Array {
  const all: Uint8Array[] = [];
  for (let i = 0; i < records.length; i += perBatch) {
    const compression = i % 2 === 0 ? undefined : gzip;
    all.push(encodeBatch(records.slice(i, i + perBatch), { baseOffset: start + i, compression }));
  }
  return concatBytes(all);
}

function headerOf(ranges: readonly (readonly [number, number])[]): ExportHeader {
  return {
    topic: "orders",
    topicId: "id",
    partitions: ranges.length,
    config: { "retention.ms": -1 },
    exportedAt: "2026-11-30T00:00:00.000Z",
    ranges: ranges.map(([start, end], partition) => ({ partition, start, end })),
  };
}

interface Source {
  readonly logs: readonly Uint8Array[];
  readonly ranges: readonly (readonly [number, number])[];
  readonly groups?: readonly GroupPositions[];
}

/** An export of partitions as the exporter writes it. */
function written(format: Format, { logs, ranges, groups = [] }: Source): Uint8Array {
  const pieces: Uint8Array[] = [];
  let sum: Buffer = FIRST_SUM;
  let total = 0;
  const counts = ranges.map(() => 0);
  const add = (chunk: WrittenChunk, partition = 0) => {
    pieces.push(chunk.bytes);
    sum = chunk.sum;
    total += chunk.records;
    counts[partition] = (counts[partition] ?? 0) + chunk.records;
  };
  add(format.header(headerOf(ranges), { sum, total }));
  if (groups.length > 0) add(format.groups(groups, { sum, total }));
  for (const [partition, [from, end]] of ranges.entries()) {
    const log = logs[partition] as Uint8Array;
    for (const chunk of format.records(partition, log, { from, end }, { sum, total }))
      add(chunk, partition);
  }
  add(format.end(counts, { sum, total }));
  return concatBytes(pieces);
}

async function readBack(format: Format, content: Uint8Array): Promise<Content[]> {
  const path = newPath();
  writeFileSync(path, content);
  const file = await open(path);
  const state = new ExportState();
  const contents: Content[] = [];
  try {
    for await (const chunk of format.read(new ByteSource(file))) {
      for (const each of chunk.contents) expect(state.add(each)).toBe(null);
      contents.push(...chunk.contents);
    }
  } finally {
    await file.close();
  }
  expect(state.isComplete).toBe(true);
  return contents;
}

function recordsIn(contents: readonly Content[], partition: number): ConsumerRecord[] {
  return contents.flatMap((content) =>
    content.type === "records" && content.partition === partition
      ? (content.records ?? (content.batches ?? []).flatMap(recordsOf))
      : [],
  );
}

async function verified(content: Uint8Array) {
  const path = newPath();
  writeFileSync(path, content);
  return await readWhole(path, () => {});
}

describe.each(Object.values(FORMATS))("the format $name", (format) => {
  test("[BAK-1] gives back every record: keys, values, headers in their order, times and offsets", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyRecord, { maxLength: 20 }), { minLength: 1, maxLength: 3 }),
        fc.nat(1_000),
        fc.integer({ min: 1, max: 7 }),
        async (partitions, start, perBatch) => {
          const logs = partitions.map((records) => logOf(records, start, perBatch));
          const ranges = partitions.map(({ length }) => [start, start + length] as const);
          const contents = await readBack(format, written(format, { logs, ranges }));
          expect(contents[0]).toEqual({ type: "header", header: headerOf(ranges) });
          for (const [partition, records] of partitions.entries())
            expect(recordsIn(contents, partition).map(plain)).toEqual(
              records.map((record, i) => plain({ ...record, offset: start + i })),
            );
        },
      ),
      { numRuns: 40 },
    );
  });

  test("[BAK-6] cuts long data into chunks of a bounded size", async () => {
    const value = new Uint8Array(300_000).fill(120);
    const records = Array.from({ length: 20 }, (_, timestamp) => ({
      ...{ key: null, headers: [], timestamp },
      value,
    }));
    const log = logOf(records, 0, 3);
    const content = written(format, { logs: [log], ranges: [[0, 20]] });
    const path = newPath();
    writeFileSync(path, content);
    const file = await open(path);
    const sizes: number[] = [];
    let last = 0;
    for await (const { end } of format.read(new ByteSource(file))) {
      sizes.push(end - last);
      last = end;
    }
    await file.close();
    expect(last).toBe(content.length);
    expect(Math.max(...sizes)).toBeLessThan(2_100_000);
  });

  const groups = [{ group: "billing", offsets: [{ partition: 0, offset: 12 }] }];
  const some = Array.from({ length: 9 }, (_, i) => ({
    key: null,
    value: Buffer.from(`value ${i}`),
    headers: [],
    timestamp: 1_000 + i,
  }));
  const sound = written(format, { logs: [logOf(some, 10, 4)], ranges: [[10, 19]], groups });

  test("[BAK-5] one changed byte, anywhere, is noticed, and so is a missing one", async () => {
    expect((await verified(sound)).counts).toEqual([9]);
    for (let at = 0; at < sound.length; at += STRIDE) {
      const changed = sound.slice();
      changed[at] = (changed[at] as number) ^ 1;
      await expect(verified(changed), `byte ${at}`).rejects.toThrow(
        /(is damaged|is cut off|is not an export of Rivulet)/,
      );
    }
    for (let at = 1; at < sound.length; at += 7) {
      const missing = concatBytes([sound.subarray(0, at), sound.subarray(at + 1)]);
      await expect(verified(missing), `without byte ${at}`).rejects.toThrow(
        /(is damaged|is cut off|is not an export of Rivulet)/,
      );
    }
  });

  test("[BAK-5] wherever the file is cut off, this is reported, and the intact part is found again", async () => {
    for (let at = 1; at < sound.length; at += STRIDE) {
      const path = newPath();
      writeFileSync(path, sound.subarray(0, at));
      await expect(
        readWhole(path, () => {}),
        `at ${at}`,
      ).rejects.toThrow(/is cut off.*Nothing was changed/);
      const target = await look("orders", path, format);
      expect(target.position).toBeLessThanOrEqual(at);
      expect(target.state.isComplete).toBe(false);
      expect(target.damage).toBe(null);
    }
    const path = newPath();
    writeFileSync(path, sound);
    expect((await look("orders", path, format)).state.isComplete).toBe(true);
    await expect(look("payments", path, format)).rejects.toThrow("an export of topic orders");
  });

  test("[BAK-5] a file of another kind is left alone", async () => {
    const path = newPath();
    writeFileSync(path, "something else\n");
    await expect(look("orders", path, format)).rejects.toThrow("is not an export of Rivulet");
    const other = Object.values(FORMATS).find((each) => each !== format) as Format;
    writeFileSync(path, sound);
    await expect(look("orders", path, other)).rejects.toThrow("in another format");
    writeFileSync(path, concatBytes([sound, sound]));
    await expect(look("orders", path, format)).rejects.toThrow(
      "more bytes after the end of its export",
    );
  });

  test("[BAK-3] a committed offset is that of the same record if the log began later and has gaps", async () => {
    const all = Array.from({ length: 10 }, (_, i) => ({
      ...(some[0] as ProducerRecord),
      offset: 10 + i,
    }));
    const batch = encodeBatch(all, { baseOffset: 10 });
    // Compaction has left 12, 15, 16 and 19. Records before 12 were deleted.
    const left = all.filter(({ offset }) => [11, 12, 15, 16, 19].includes(offset));
    const log = encodeCompacted(readBatchHeader(batch), left, null, undefined);
    const offsets = [5, 12, 13, 15, 17, 20, 25];
    const positions = offsets.map((offset) => ({
      group: `at ${offset}`,
      offsets: [{ partition: 0, offset }],
    }));
    const content = written(format, { logs: [log], ranges: [[12, 20]], groups: positions });
    const { counts, groups: mapped } = await verified(content);
    expect(counts).toEqual([4]);
    expect(mapped.map(({ positions: [first] }) => first?.offset)).toEqual([0, 0, 1, 1, 3, 4, 4]);
  });

  test("[BAK-1] transaction markers are not records, and a transaction is not exported as plain records", () => {
    const marked = (bits: number) => {
      const batch = encodeBatch([some[0] as ProducerRecord], { baseOffset: 10 });
      const view = new DataView(batch.buffer);
      view.setInt16(21, bits);
      view.setUint32(17, crc32c(batch, 21));
      return batch;
    };
    const before = { sum: FIRST_SUM, total: 0 };
    const chunks = (log: Uint8Array) => [...format.records(0, log, { from: 10, end: 11 }, before)];
    expect(chunks(marked(0x30)).reduce((sum, { records }) => sum + records, 0)).toBe(0);
    expect(() => chunks(marked(0x10))).toThrow("offset 10 is of a transaction");
  });
});

describe("records as lines", () => {
  test("[BAK-1] headers are by name where that keeps their order, and pairs where it does not", () => {
    const value = Buffer.from("v");
    const record = (...names: string[]): ConsumerRecord => ({
      ...{ offset: 0, timestamp: 1, key: null, value },
      headers: names.map((key) => ({ key, value })),
    });
    expect(JSON.parse(recordLine(0, record("b", "a", "a"))).headers).toEqual({
      b: "v",
      a: ["v", "v"],
    });
    const mixed = record("a", "b", "a");
    expect(JSON.parse(recordLine(0, mixed)).headers).toEqual([
      ["a", "dg=="],
      ["b", "dg=="],
      ["a", "dg=="],
    ]);
    expect(plain(parseRecord(JSON.parse(recordLine(7, mixed))).record)).toEqual(plain(mixed));
  });
});

describe("batches on their way into another log", () => {
  const producer = { producerId: 77, producerEpoch: 0, baseSequence: 5 };
  const records = [1, 2, 3].map((timestamp) => ({
    ...{ key: Buffer.from("k"), value: null, headers: [] },
    timestamp,
  }));
  const rules = { config: resolveConfig(), nowMs: 0, decode: decodeAnyBatch };
  const stored = (batch: Uint8Array) => ({
    bytes: batch,
    start: 0,
    header: readBatchHeader(batch),
  });

  test("[BAK-3] a plain batch stays as it is, with its compression, from the importing producer", () => {
    const batch = encodeBatch(records, {
      baseOffset: 100,
      producerId: 4,
      producerEpoch: 9,
      baseSequence: 2,
      compression: gzip,
    });
    const copy = appendable(stored(batch), 0, producer) as Uint8Array;
    expect(readBatchHeader(copy)).toMatchObject({ ...producer, compression: 1 });
    expect(hasValidCrc(copy, 0, copy.length)).toBe(true);
    expect(copy.subarray(61)).toEqual(batch.subarray(61));
    expect(validateAppend(copy, rules)).toMatchObject({ ok: true, recordCount: 3 });
  });

  test("[BAK-3] what cannot be appended as it is, is encoded again: gaps, times of the append, deleted records", () => {
    const batch = encodeBatch(records, { baseOffset: 100 });
    const header = readBatchHeader(batch);
    const gaps = encodeCompacted(header, decodeAnyBatch(batch).slice(1), 9_999, undefined);
    expect(appendable(stored(gaps), 0, producer)).toBe(null);
    expect(appendable(stored(batch), 101, producer)).toBe(null);
    const timed = batch.slice();
    setLogAppendTime(timed, 0, 5_000);
    expect(appendable(stored(timed), 0, producer)).toBe(null);
    const anew = encodeRecords(recordsOf(stored(timed)), producer, 2);
    expect(decodeAnyBatch(anew).map(({ timestamp }) => timestamp)).toEqual([5_000, 5_000, 5_000]);
    expect(readBatchHeader(anew)).toMatchObject({ compression: 1, isLogAppendTime: false });
    expect(validateAppend(anew, rules)).toMatchObject({ ok: true, recordCount: 3 });
  });
});

test("[BAK-3] committed offsets of many groups are mapped in one pass", () => {
  const map = new PositionMap();
  map.add({
    group: "a",
    offsets: [
      { partition: 1, offset: 3 },
      { partition: 0, offset: 9 },
    ],
  });
  map.add({ group: "b", offsets: [{ partition: 1, offset: 1 }] });
  expect(map.next(1)).toBe(1);
  map.pass(1, 2, 0);
  expect(map.next(1)).toBe(3);
  map.pass(1, 3, 1);
  map.pass(0, Number.MAX_SAFE_INTEGER, 4);
  expect(map.groups()).toEqual([
    {
      group: "a",
      positions: [
        { partition: 0, from: 9, offset: 4 },
        { partition: 1, from: 3, offset: 1 },
      ],
    },
    { group: "b", positions: [{ partition: 1, from: 1, offset: 0 }] },
  ]);
});
