// Batches between us and real Kafka clients, both ways: the codecs of KafkaJS and of @platformatic/kafka, without a broker.
import { createRequire } from "node:module";
import {
  compressionsAlgorithms,
  createRecordsBatch,
  Reader,
  readRecordsBatches,
} from "@platformatic/kafka";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compressor } from "../../../../src/compression/compress.ts";
import { decodeAnyBatch } from "../../../../src/compression/decode.ts";
import { resolveConfig } from "../../../../src/core/cluster/config.ts";
import { validateAppend } from "../../../../src/core/log/append.ts";
import { COMPRESSIONS, type CompressionName } from "../../../../src/core/log/compression.ts";
import {
  batches,
  type EncodeOptions,
  encodeBatch,
  patchBaseOffset,
  setLogAppendTime,
} from "../../../../src/core/log/record-batch.ts";
import type { ProducerRecord } from "../../../../src/core/record.ts";
import { runs } from "../../../support/effort.ts";
import { type PlainRecord, plainRecord } from "../../../support/plain-records.ts";

const NAMES = Object.keys(COMPRESSIONS) as CompressionName[];
/** The header that both clients write for a producer that is not idempotent. */
const THEIR_HEADER = { producerEpoch: 0, baseSequence: 0 };
const MAX_OFFSET = 2 ** 52;

const utf8 = (text: string) => new TextEncoder().encode(text);
const hex = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString("hex");
const buffer = (bytes: Uint8Array) => Buffer.from(bytes);

/** One record of each possible kind. */
const KINDS: ProducerRecord[] = [
  { key: utf8("key"), value: utf8("value"), headers: [], timestamp: 1_700_000_000_000 },
  { key: null, value: utf8("no key"), headers: [], timestamp: 1_700_000_000_001 },
  { key: utf8("tombstone"), value: null, headers: [], timestamp: 1_700_000_000_002 },
  { key: null, value: null, headers: [], timestamp: 1_699_999_999_000 },
  { key: utf8(""), value: utf8(""), headers: [], timestamp: 1_700_000_000_003 },
  { key: utf8("ключ 🔑"), value: Uint8Array.of(0, 255, 128), headers: [], timestamp: 0 },
  {
    key: utf8("headers"),
    value: utf8("v"),
    headers: [
      { key: "a", value: utf8("1") },
      { key: "b", value: utf8("") },
      { key: "a", value: utf8("2") },
      { key: "", value: Uint8Array.of(0, 200) },
      { key: "größe", value: utf8("3") },
    ],
    timestamp: 1_900_000_000_000,
  },
  {
    key: utf8("large"),
    value: new Uint8Array(100_000).fill(7),
    headers: [],
    timestamp: 1_700_000_000_004,
  },
];
const NULL_HEADER: ProducerRecord = {
  key: null,
  value: null,
  headers: [
    { key: "null", value: null },
    { key: "null", value: utf8("") },
  ],
  timestamp: 5,
};

const bytes = fc.uint8Array({ maxLength: 80 });
const record: fc.Arbitrary<ProducerRecord> = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.record({ key: fc.string({ maxLength: 8 }), value: fc.option(bytes) }), {
    maxLength: 4,
  }),
  timestamp: fc.integer({ min: 0, max: 253_402_300_799_999 }),
});
/** @platformatic/kafka 2.12 writes timestamps wrong that lie 2^31 ms or more behind the batch's first. */
const near = (records: readonly ProducerRecord[]) =>
  records.map((each) => ({ ...each, timestamp: 1_700_000_000_000 + (each.timestamp % 2 ** 31) }));
const someRecords = fc.array(record, { minLength: 1, maxLength: 12 });

function expected(records: readonly ProducerRecord[], baseOffset = 0): PlainRecord[] {
  return records.map((each, i) => plainRecord({ ...each, offset: baseOffset + i }));
}

/** A client's batch as we read it, after it has passed the check of an append. */
function readByUs(batch: Uint8Array, baseOffset: number): PlainRecord[] {
  const rules = { config: resolveConfig(), nowMs: 1_700_000_000_000, decode: decodeAnyBatch };
  expect(validateAppend(batch, rules)).toMatchObject({ ok: true, origin: null });
  patchBaseOffset(batch, 0, baseOffset);
  return [...batches(batch)].flatMap(({ start }) => decodeAnyBatch(batch, start).map(plainRecord));
}

/** Ours make gzip and zstd; snappy and lz4 are compressed by the client's codec. */
function ourCompressor(name: CompressionName): EncodeOptions {
  const type = COMPRESSIONS[name];
  if (name === "none") return {};
  const compress = (plain: Uint8Array) => compressionsAlgorithms[name].compressSync(buffer(plain));
  return { compression: compressor(type) ?? { type, compress } };
}

// ── @platformatic/kafka ──────────────────────────────────────────────────────────────────────────────

function writtenByPlatformatic(records: readonly ProducerRecord[], compression: CompressionName) {
  const messages = records.map(({ key, value, headers, timestamp }) => ({
    topic: "t",
    partition: 0,
    ...(key === null ? {} : { key: buffer(key) }),
    // The types want a value; the codec writes null as Kafka does.
    value: (value === null ? null : buffer(value)) as Buffer,
    // The keys are buffers, each one distinct, so a header may be repeated.
    headers: new Map(
      headers.map((each) => [buffer(utf8(each.key)), (each.value && buffer(each.value)) as Buffer]),
    ),
    timestamp: BigInt(timestamp),
  }));
  return Uint8Array.from(createRecordsBatch(messages, { compression }).buffer);
}

function readByPlatformatic(bytes: Uint8Array): PlainRecord[] {
  return readRecordsBatches(Reader.from(buffer(bytes))).flatMap((batch) =>
    batch.records.map(({ offsetDelta, timestampDelta, key, value, headers }) => ({
      offset: Number(batch.firstOffset) + offsetDelta,
      timestamp:
        (batch.attributes & 8) === 0
          ? Number(batch.firstTimestamp + timestampDelta)
          : Number(batch.maxTimestamp),
      key: hex(key),
      value: hex(value),
      headers: headers.map(([name, content]) => [name?.toString() ?? "", hex(content)]),
    })),
  );
}

describe("@platformatic/kafka", () => {
  test.each(NAMES)("[BAT-5] [ZIP-1] we read what it writes, compression %s", (name) => {
    const kinds = near([...KINDS, NULL_HEADER]);
    const batch = writtenByPlatformatic(kinds, name);
    expect(readByUs(batch, MAX_OFFSET)).toEqual(expected(kinds, MAX_OFFSET));
    const property = fc.property(someRecords.map(near), (records) => {
      expect(readByUs(writtenByPlatformatic(records, name), 9)).toEqual(expected(records, 9));
    });
    fc.assert(property, runs(20));
  });

  test.each(NAMES)("[BAT-5] [ZIP-1] it reads what we write, compression %s", (name) => {
    const options = { ...ourCompressor(name), baseOffset: MAX_OFFSET };
    const batch = encodeBatch([...KINDS, NULL_HEADER], options);
    expect(readByPlatformatic(batch)).toEqual(expected([...KINDS, NULL_HEADER], MAX_OFFSET));
    const property = fc.property(someRecords, (records) => {
      const written = encodeBatch(records, { ...ourCompressor(name), baseOffset: 9 });
      expect(readByPlatformatic(written)).toEqual(expected(records, 9));
    });
    fc.assert(property, runs(20));
  });

  test("[BAT-5] it and we write the same bytes, the checksum included", () => {
    const property = fc.property(someRecords.map(near), (records) => {
      const theirs = hex(writtenByPlatformatic(records, "none"));
      expect(hex(encodeBatch(records, THEIR_HEADER))).toBe(theirs);
    });
    fc.assert(property, runs(100));
  });

  test("[BAT-5] it reads batches that lie one behind another, as a fetch returns them", () => {
    const pieces = NAMES.map((name, i) =>
      encodeBatch(KINDS, { ...ourCompressor(name), baseOffset: i * KINDS.length }),
    );
    expect(readByPlatformatic(Buffer.concat(pieces))).toEqual(expected(NAMES.flatMap(() => KINDS)));
  });

  test("[BAT-5] it sees the time of the append if we have set it", () => {
    const batch = encodeBatch(KINDS);
    setLogAppendTime(batch, 0, 1_800_000_000_000);
    const stamped = KINDS.map((each) => ({ ...each, timestamp: 1_800_000_000_000 }));
    expect(readByPlatformatic(batch)).toEqual(expected(stamped));
    expect(decodeAnyBatch(batch).map(plainRecord)).toEqual(expected(stamped));
  });
});

// ── KafkaJS ──────────────────────────────────────────────────────────────────────────────────────────

interface KafkaJsEncoder {
  readonly buffer: Buffer;
}
type KafkaJsHeaders = Record<string, Buffer | Buffer[]>;
interface KafkaJsRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: KafkaJsHeaders;
}

// Its codec is not exported by its name, and has no types.
const load = createRequire(import.meta.url);
const { RecordBatch } = load("kafkajs/src/protocol/recordBatch/v0/index.js") as {
  RecordBatch(options: object): Promise<KafkaJsEncoder>;
};
const KafkaJsRecordWriter = load("kafkajs/src/protocol/recordBatch/record/v0/index.js") as (
  options: object,
) => KafkaJsEncoder;
const KafkaJsDecoder = load("kafkajs/src/protocol/decoder.js") as new (bytes: Buffer) => object;
const decodeKafkaJs = load("kafkajs/src/protocol/recordBatch/v0/decoder.js") as (
  decoder: object,
) => Promise<{ readonly records: readonly KafkaJsRecord[] }>;

/** Headers as KafkaJS has them: an object, in which a repeated one is an array. */
function headersByKey(headers: ProducerRecord["headers"]): KafkaJsHeaders {
  const byKey: Record<string, Buffer[]> = {};
  for (const { key, value } of headers)
    byKey[key] = [...(byKey[key] ?? []), buffer(value ?? utf8(""))];
  return Object.fromEntries(
    Object.entries(byKey).map(([key, values]) => [
      key,
      values.length === 1 ? (values[0] as Buffer) : values,
    ]),
  );
}

/** Its headers as a list. Repeated ones stand together: the order between keys is lost in KafkaJS. */
function listed(headers: KafkaJsHeaders): PlainRecord["headers"] {
  return Object.entries(headers).flatMap(([key, values]) =>
    (Array.isArray(values) ? values : [values]).map((value) => [key, hex(value)]),
  );
}

async function writtenByKafkaJs(records: readonly ProducerRecord[], compression: number) {
  const timestamps = records.map(({ timestamp }) => timestamp);
  const firstTimestamp = timestamps[0] ?? 0;
  const encoder = await RecordBatch({
    compression,
    firstTimestamp,
    maxTimestamp: Math.max(...timestamps),
    lastOffsetDelta: records.length - 1,
    records: records.map(({ key, value, headers, timestamp }, offsetDelta) =>
      KafkaJsRecordWriter({
        offsetDelta,
        timestampDelta: timestamp - firstTimestamp,
        key: key && buffer(key),
        value: value && buffer(value),
        headers: headersByKey(headers),
      }),
    ),
  });
  return Uint8Array.from(encoder.buffer);
}

async function readByKafkaJs(batch: Uint8Array): Promise<PlainRecord[]> {
  const { records } = await decodeKafkaJs(new KafkaJsDecoder(buffer(batch)));
  return records.map(({ offset, timestamp, key, value, headers }) => ({
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: hex(key),
    value: hex(value),
    headers: listed(headers),
  }));
}

function expectedOfKafkaJs(records: readonly ProducerRecord[], baseOffset: number): PlainRecord[] {
  return expected(records, baseOffset).map((each, i) => ({
    ...each,
    headers: listed(headersByKey(records[i]?.headers ?? [])),
  }));
}

/** KafkaJS has no null headers, and none whose key is the name of a property of every object. */
const withoutNullHeaders = someRecords.map((records) =>
  records.map((each) => ({
    ...each,
    headers: each.headers
      .filter(({ key }) => !(key in {}))
      .map(({ key, value }) => ({ key, value: value ?? utf8("") })),
  })),
);

describe("KafkaJS", () => {
  test.each(["none", "gzip"] as const)(
    "[BAT-5] [ZIP-1] we read what it writes, compression %s",
    async (name) => {
      const type = COMPRESSIONS[name];
      const batch = await writtenByKafkaJs(KINDS, type);
      expect(readByUs(batch, MAX_OFFSET)).toEqual(expectedOfKafkaJs(KINDS, MAX_OFFSET));
      const property = fc.asyncProperty(withoutNullHeaders, async (records) => {
        const written = await writtenByKafkaJs(records, type);
        expect(readByUs(written, 9)).toEqual(expectedOfKafkaJs(records, 9));
      });
      await fc.assert(property, runs(20));
    },
  );

  test.each(["none", "gzip"] as const)(
    "[BAT-5] [ZIP-1] it reads what we write, compression %s",
    async (name) => {
      const options = { ...ourCompressor(name), baseOffset: MAX_OFFSET };
      expect(await readByKafkaJs(encodeBatch(KINDS, options))).toEqual(
        expectedOfKafkaJs(KINDS, MAX_OFFSET),
      );
      const property = fc.asyncProperty(withoutNullHeaders, async (records) => {
        const written = encodeBatch(records, { ...ourCompressor(name), baseOffset: 9 });
        expect(await readByKafkaJs(written)).toEqual(expectedOfKafkaJs(records, 9));
      });
      await fc.assert(property, runs(20));
    },
  );

  test("[BAT-5] it and we write the same bytes, the checksum included", async () => {
    const property = fc.asyncProperty(withoutNullHeaders, async (drawn) => {
      // One header per record: KafkaJS sorts those of an object.
      const records = drawn.map((each) => ({ ...each, headers: each.headers.slice(0, 1) }));
      const theirs = hex(await writtenByKafkaJs(records, COMPRESSIONS.none));
      expect(hex(encodeBatch(records, THEIR_HEADER))).toBe(theirs);
    });
    await fc.assert(property, runs(100));
  });
});
