import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { compressor } from "../../../../src/compression/compress.ts";
import { decodeAnyBatch } from "../../../../src/compression/decode.ts";
import { resolveConfig } from "../../../../src/core/cluster/config.ts";
import { BrokerError } from "../../../../src/core/errors.ts";
import { MAX_RECORDS_PER_BATCH } from "../../../../src/core/limits.ts";
import { validateAppend } from "../../../../src/core/log/append.ts";
import { COMPRESSIONS } from "../../../../src/core/log/compression.ts";
import { crc32c } from "../../../../src/core/log/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  batches,
  decodeBatch,
  encodeBatch,
  encodeCompacted,
  hasValidCrc,
  patchBaseOffset,
  readBatchHeader,
  recordSize,
  setLogAppendTime,
} from "../../../../src/core/log/record-batch.ts";
import {
  MAX_VARINT,
  VarintReader,
  varintSize,
  writeVarint,
} from "../../../../src/core/log/varint.ts";
import type { ProducerRecord } from "../../../../src/core/record.ts";
import { runs } from "../../../support/effort.ts";
import { plainRecord } from "../../../support/plain-records.ts";

const utf8 = new TextEncoder();
const bytes = fc.uint8Array({ maxLength: 200 });
const record: fc.Arbitrary<ProducerRecord> = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.record({ key: fc.string(), value: fc.option(bytes) }), { maxLength: 4 }),
  timestamp: fc.integer({ min: 0, max: 253_402_300_799_999 }),
});

describe("record batch", () => {
  test("[BAT-1] any records come back as they were, at consecutive offsets", () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 20 }),
        fc.nat(2 ** 31),
        (records, low) => {
          const baseOffset = 2 ** 40 + low;
          const batch = encodeBatch(records, { baseOffset });
          expect(hasValidCrc(batch, 0, batch.length)).toBe(true);
          const decoded = decodeBatch(batch);
          expect(decoded.map(({ offset }) => offset)).toEqual(
            records.map((_, i) => baseOffset + i),
          );
          for (const [i, { key, value, headers, timestamp }] of decoded.entries()) {
            expect({ key, value, headers, timestamp }).toEqual(records[i]);
          }
          const baseTimestamp = records[0]?.timestamp ?? 0;
          const size = records.reduce(
            (sum, each, i) => sum + recordSize(each, i, baseTimestamp),
            BATCH_HEADER_BYTES,
          );
          expect(size).toBe(batch.length);
          expect(readBatchHeader(batch).maxTimestamp).toBe(
            Math.max(...records.map((each) => each.timestamp)),
          );
        },
      ),
    );
  });

  test("[BAT-2] a bit flipped anywhere behind the CRC breaks it", () => {
    const batch = encodeBatch([
      { key: utf8.encode("k"), value: utf8.encode("value"), headers: [], timestamp: 1 },
    ]);
    for (let bit = 21 * 8; bit < batch.length * 8; bit++) {
      const broken = batch.slice();
      broken[bit >> 3] = (broken[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(hasValidCrc(broken, 0, broken.length), `bit ${bit}`).toBe(false);
    }
  });

  test("[BAT-3] garbage, truncated and bit-flipped batches give CORRUPT_MESSAGE and nothing else", () => {
    const attempt = (input: Uint8Array) => {
      let compression = 0;
      try {
        for (const { start, header } of batches(input)) {
          compression = header.compression;
          decodeBatch(input, start);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(BrokerError);
        const code = compression === 0 ? "CORRUPT_MESSAGE" : "UNSUPPORTED_COMPRESSION_TYPE";
        expect((error as BrokerError).code).toBe(code);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), attempt), runs(400));
    const real = fc
      .array(record, { minLength: 1, maxLength: 5 })
      .map((records) => encodeBatch(records));
    fc.assert(
      fc.property(real, fc.nat(), fc.nat(), fc.nat(255), (batch, at, cut, xor) => {
        const broken = batch.slice();
        broken[at % broken.length] = (broken[at % broken.length] ?? 0) ^ xor;
        attempt(broken);
        attempt(batch.subarray(0, cut % batch.length));
      }),
      runs(1_000),
    );
  });

  test("[BAT-3] a header that promises more records than there are bytes is rejected at once", () => {
    const batch = encodeBatch([{ key: null, value: null, headers: [], timestamp: 0 }]);
    new DataView(batch.buffer).setInt32(57, 0x7fffffff);
    expect(() => readBatchHeader(batch)).toThrow(/recordCount is 2147483647, at most 1 fit/);
  });

  test("[BAT-4] the base offset is patched outside the CRC", () => {
    const batch = encodeBatch([{ key: null, value: utf8.encode("v"), headers: [], timestamp: 5 }]);
    patchBaseOffset(batch, 0, 2 ** 45 + 3);
    expect(hasValidCrc(batch, 0, batch.length)).toBe(true);
    expect(decodeBatch(batch)[0]?.offset).toBe(2 ** 45 + 3);
  });

  test("[BAT-5] the layout is Kafka's, byte for byte", () => {
    // Written out from the field table of the format: one record, key "k", value null, header a → 1.
    const batch = encodeBatch(
      [
        {
          key: utf8.encode("k"),
          value: null,
          headers: [{ key: "a", value: utf8.encode("1") }],
          timestamp: 1_700_000_000_000,
        },
      ],
      { baseOffset: 5 },
    );
    const hex = Buffer.from(batch).toString("hex");
    expect(hex.slice(0, 34)).toBe("0000000000000005" + "0000003d" + "00000000" + "02");
    expect(hex.slice(42)).toBe(
      "0000" + // attributes
        "00000000" + // lastOffsetDelta
        "0000018bcfe56800" + // baseTimestamp
        "0000018bcfe56800" + // maxTimestamp
        "ffffffffffffffff" + // producerId
        "ffff" + // producerEpoch
        "ffffffff" + // baseSequence
        "00000001" + // recordCount
        "16" + // record length: 11, zig-zag
        "00" + // attributes
        "00" + // timestamp delta
        "00" + // offset delta
        "02" +
        "6b" + // key "k"
        "01" + // null value
        "02" + // one header
        "02" +
        "61" +
        "02" +
        "31",
    );
  });
});

/** Draws the same numbers in every run. */
function dice(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/** A new CRC over the content, if a batch is large enough to have one. */
function fixCrc(batch: Uint8Array): Uint8Array {
  if (batch.length < BATCH_HEADER_BYTES) return batch;
  const view = new DataView(batch.buffer, batch.byteOffset);
  const end = Math.min(batch.length, Math.max(21, view.getInt32(8) + 12));
  view.setUint32(17, crc32c(batch, 21, end));
  return batch;
}

const KINDS: ProducerRecord[] = [
  { key: utf8.encode("k"), value: utf8.encode("v"), headers: [], timestamp: 1_700_000_000_000 },
  { key: null, value: null, headers: [], timestamp: 1_600_000_000_000 },
  {
    key: utf8.encode(""),
    value: utf8.encode("text ".repeat(50)),
    headers: [
      { key: "a", value: null },
      { key: "a", value: utf8.encode("") },
      { key: "a", value: utf8.encode("1") },
      { key: "", value: utf8.encode("2") },
    ],
    timestamp: 1_800_000_000_000,
  },
];

describe("what a batch may hold", () => {
  test.each<[string, ProducerRecord]>([
    ["the same header three times, once null", KINDS[2] as ProducerRecord],
    [
      "a key and a value of a megabyte",
      {
        key: new Uint8Array(2 ** 20).fill(1),
        value: new Uint8Array(2 ** 20).fill(2),
        headers: [],
        timestamp: 0,
      },
    ],
    [
      "ten thousand headers",
      {
        key: null,
        value: null,
        headers: Array.from({ length: 10_000 }, (_, i) => ({ key: `h${i % 7}`, value: null })),
        timestamp: 0,
      },
    ],
    [
      "a header beyond the basic plane",
      { key: null, value: null, headers: [{ key: "\u{1f600}\u0000ß", value: null }], timestamp: 0 },
    ],
    [
      "a header that begins with a byte order mark",
      { key: null, value: null, headers: [{ key: "\ufeffa", value: null }], timestamp: 0 },
    ],
    ["the time before 1970", { key: null, value: null, headers: [], timestamp: -1 }],
    [
      "the end of the year 9999",
      { key: null, value: null, headers: [], timestamp: 253_402_300_799_999 },
    ],
  ])("[BAT-1] %s comes back", (_name, each) => {
    const first: ProducerRecord = { key: null, value: null, headers: [], timestamp: 0 };
    const decoded = decodeBatch(encodeBatch([first, each], { baseOffset: 7 }));
    expect(decoded.map(plainRecord)).toEqual([
      plainRecord({ ...first, offset: 7 }),
      plainRecord({ ...each, offset: 8 }),
    ]);
  });

  test("[BAT-1] header keys of any characters come back", () => {
    // Every code point but surrogates, which UTF-8 does not have.
    const codePoint = fc.oneof(
      fc.integer({ min: 0, max: 0xd7ff }),
      fc.integer({ min: 0xe000, max: 0x10ffff }),
    );
    const key = fc.array(codePoint, { maxLength: 10 }).map((all) => String.fromCodePoint(...all));
    const keys = fc.array(key, { minLength: 1, maxLength: 5 });
    const property = fc.property(keys, (names) => {
      const headers = names.map((key) => ({ key, value: null }));
      const batch = encodeBatch([{ key: null, value: null, headers, timestamp: 0 }]);
      expect(decodeBatch(batch)[0]?.headers).toEqual(headers);
    });
    fc.assert(property, runs(100));
  });

  test("[BAT-1] the time of the append is that of every record, whatever the producer gave", () => {
    for (const compression of [undefined, compressor(COMPRESSIONS.gzip)]) {
      const batch = encodeBatch(KINDS, { baseOffset: 3, ...(compression && { compression }) });
      const joined = Buffer.concat([encodeBatch(KINDS), batch]);
      const start = joined.length - batch.length;
      setLogAppendTime(joined, start, 1_900_000_000_123);
      const header = readBatchHeader(joined, start);
      expect(hasValidCrc(joined, start, header.sizeInBytes)).toBe(true);
      expect(header).toMatchObject({
        isLogAppendTime: true,
        maxTimestamp: 1_900_000_000_123,
        compression: compression?.type ?? 0,
      });
      expect(decodeAnyBatch(joined, start).map(plainRecord)).toEqual(
        KINDS.map((each, i) =>
          plainRecord({ ...each, offset: 3 + i, timestamp: 1_900_000_000_123 }),
        ),
      );
      expect(decodeAnyBatch(joined).map(({ timestamp }) => timestamp)).toEqual(
        KINDS.map(({ timestamp }) => timestamp),
      );
    }
  });

  test.each([
    { horizon: null, isLogAppendTime: false },
    { horizon: null, isLogAppendTime: true },
    { horizon: 1_750_000_000_000, isLogAppendTime: false },
    { horizon: 1_750_000_000_000, isLogAppendTime: true },
    { horizon: 2, isLogAppendTime: false },
  ])(
    "[BAT-1] the records that compaction leaves keep offsets and timestamps: horizon $horizon, of the append $isLogAppendTime",
    ({ horizon, isLogAppendTime }) => {
      const records = Array.from({ length: 9 }, (_, i) => KINDS[i % 3] as ProducerRecord);
      const producer = { producerId: 4, producerEpoch: 1, baseSequence: 30 };
      const batch = encodeBatch(records, { baseOffset: 1_000, ...producer });
      if (isLogAppendTime) setLogAppendTime(batch, 0, 1_900_000_000_000);
      const header = readBatchHeader(batch);
      const decoded = decodeBatch(batch);
      for (const zip of [undefined, compressor(COMPRESSIONS.zstd)]) {
        for (const kept of [
          decoded,
          decoded.slice(0, 1),
          decoded.slice(-1),
          decoded.filter((_, i) => i % 2 === 1),
        ]) {
          const left = encodeCompacted(header, kept, horizon, zip);
          expect(hasValidCrc(left, 0, left.length)).toBe(true);
          expect(readBatchHeader(left)).toMatchObject({
            ...producer,
            baseOffset: 1_000,
            lastOffsetDelta: 8,
            recordCount: kept.length,
            hasDeleteHorizon: horizon !== null,
            isLogAppendTime,
            baseTimestamp: horizon ?? header.baseTimestamp,
          });
          expect(decodeAnyBatch(left).map(plainRecord)).toEqual(kept.map(plainRecord));
        }
      }
    },
  );
});

describe("what a batch may not be", () => {
  test.each<[string, number[], number]>([
    ["the same one twice", [0, 0], 1],
    ["backwards", [1, 0], 1],
    ["below the base", [-1, 0], 1],
    ["beyond the last", [0, 2], 1],
    ["a last one that is negative", [0, 1], -1],
  ])("[BAT-3] offsets out of order are corrupt: %s", (_name, deltas, lastOffsetDelta) => {
    const records = deltas.flatMap((delta) => [12, 0, 0, delta < 0 ? 1 : delta * 2, 1, 1, 0]);
    const batch = new Uint8Array(BATCH_HEADER_BYTES + records.length);
    batch.set(encodeBatch([KINDS[1] as ProducerRecord]).subarray(0, BATCH_HEADER_BYTES));
    batch.set(records, BATCH_HEADER_BYTES);
    const view = new DataView(batch.buffer);
    view.setInt32(8, batch.length - 12);
    view.setInt32(23, lastOffsetDelta);
    view.setInt32(57, deltas.length);
    expect(hasValidCrc(fixCrc(batch), 0, batch.length)).toBe(true);
    expect(() => decodeBatch(batch)).toThrow(expect.objectContaining({ code: "CORRUPT_MESSAGE" }));
  });

  test("[BAT-2] an append with one bit flipped behind the CRC is rejected, even in a compressed batch", () => {
    const rules = { config: resolveConfig(), nowMs: 0, decode: decodeAnyBatch };
    const compression = compressor(COMPRESSIONS.gzip);
    for (const batch of [encodeBatch(KINDS), encodeBatch(KINDS, compression && { compression })]) {
      expect(validateAppend(batch, rules)).toMatchObject({ ok: true });
      for (let bit = 17 * 8; bit < batch.length * 8; bit++) {
        const broken = batch.slice();
        broken[bit >> 3] = (broken[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(validateAppend(broken, rules), `bit ${bit}`).toMatchObject({
          ok: false,
          error: "CORRUPT_MESSAGE",
        });
      }
    }
  });

  test("[BAT-3] many broken buffers give only typed errors or records of their scale", () => {
    const BROKEN = runs(10_000).numRuns;
    const roll = dice(20_260_101);
    const compressions = [COMPRESSIONS.gzip, COMPRESSIONS.zstd].map((type) => compressor(type));
    const sound = (): Uint8Array => pick(roll(20) === 0 ? folded : plain);
    const shapes = [KINDS, KINDS.slice(0, 1), [...KINDS, ...KINDS]];
    const plain = shapes.map((records) => encodeBatch(records));
    const folded = compressions.flatMap((compression) =>
      shapes.map((records) => encodeBatch(records, compression && { compression })),
    );
    const absurd = [0, 1, -1, 6, 0x7f, 0xff, 0x7fffffff, -0x80000000, 0x40000000, 4_793_490];
    const makers: (() => Uint8Array)[] = [
      () => Uint8Array.from({ length: roll(200) }, () => roll(256)),
      () => {
        // Nothing but noise behind what looks like a header.
        const noise = Uint8Array.from({ length: BATCH_HEADER_BYTES + roll(100) }, () => roll(256));
        const view = new DataView(noise.buffer);
        view.setInt32(8, noise.length - 12);
        view.setInt8(16, 2);
        view.setInt32(57, roll(20));
        return fixCrc(noise);
      },
      () => {
        const whole = sound();
        return whole.subarray(0, roll(whole.length + 1));
      },
      () => {
        const changed = sound().slice();
        for (let i = roll(4); i >= 0; i--) changed[roll(changed.length)] = roll(256);
        return roll(4) === 0 ? changed : fixCrc(changed);
      },
      () => {
        const changed = sound().slice();
        new DataView(changed.buffer).setInt32(pick([8, 23, 57, 61, 65]), pick(absurd));
        return fixCrc(changed);
      },
      () => {
        // Lengths of many bytes where records have theirs.
        const changed = sound().slice();
        changed.fill(0xff, BATCH_HEADER_BYTES + roll(30), BATCH_HEADER_BYTES + 30 + roll(12));
        return fixCrc(changed);
      },
      () => Buffer.concat([sound(), sound().subarray(roll(60))]),
    ];
    function pick<T>(from: readonly T[]): T {
      return from[roll(from.length)] as T;
    }
    const policies = ["delete", "compact"].map((policy) => ({
      config: resolveConfig({ "cleanup.policy": policy }),
      nowMs: 1_700_000_000_000,
      decode: decodeAnyBatch,
    }));
    // Most of these are thrown errors, and most of the time would go into their stack traces.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    onTestFinished(() => {
      Error.stackTraceLimit = stackTraceLimit;
    });
    const codes = new Map<string, number>();
    const count = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
    for (let i = 0; i < BROKEN; i++) {
      const input = (makers[i % makers.length] as () => Uint8Array)();
      const before = i % 50 === 0 ? Buffer.from(input).toString("hex") : null;
      try {
        for (const { start, header } of batches(input)) {
          const records = decodeAnyBatch(input, start);
          if (records.length !== header.recordCount) throw new Error(`batch ${i}: its count`);
          const bytes = records.reduce(
            (sum, each) => sum + (each.key?.length ?? 0) + (each.value?.length ?? 0),
            0,
          );
          const bound = header.compression === 0 ? header.sizeInBytes : 3_000;
          if (bytes > bound || records.length > bound / 7)
            throw new Error(`batch ${i}: ${bytes} bytes`);
        }
        count("decoded");
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        count(error.code);
      }
      for (const rules of i % 10 === 0 ? policies : policies.slice(1)) {
        const append = validateAppend(input, rules);
        count(`append ${append.ok ? "accepted" : append.error}`);
      }
      if (before !== null) expect(Buffer.from(input).toString("hex")).toBe(before);
    }
    // The intended case did occur, and nothing else.
    const decoding = [...codes.keys()].filter((code) => !code.startsWith("append"));
    expect(decoding.sort()).toEqual(["CORRUPT_MESSAGE", "UNSUPPORTED_COMPRESSION_TYPE", "decoded"]);
    for (const code of [
      ...decoding,
      "append accepted",
      "append CORRUPT_MESSAGE",
      "append INVALID_RECORD",
    ])
      expect(codes.get(code), code).toBeGreaterThan(100);
  });

  test.each([-1, -(2 ** 31), 2 ** 31 - 1, 2 ** 31 - 13])(
    "[BAT-3] a batch length of %i is corrupt",
    (length) => {
      const batch = encodeBatch(KINDS);
      new DataView(batch.buffer).setInt32(8, length);
      expect(() => readBatchHeader(batch)).toThrow(
        expect.objectContaining({ code: "CORRUPT_MESSAGE" }),
      );
      expect(() => [...batches(batch)]).toThrow(
        expect.objectContaining({ code: "CORRUPT_MESSAGE" }),
      );
    },
  );

  test("[BAT-3] a compressed batch may promise as many records as the bound and no more", () => {
    const compression = compressor(COMPRESSIONS.gzip);
    const batch = encodeBatch(KINDS, compression && { compression });
    const most = MAX_RECORDS_PER_BATCH;
    new DataView(batch.buffer).setInt32(57, most);
    expect(readBatchHeader(batch).recordCount).toBe(most);
    expect(() => decodeAnyBatch(batch)).toThrow(
      expect.objectContaining({ code: "CORRUPT_MESSAGE" }),
    );
    new DataView(batch.buffer).setInt32(57, most + 1);
    expect(() => readBatchHeader(batch)).toThrow(/recordCount is/);
  });

  test("[BAT-4] batches one behind another are patched separately", () => {
    const joined = Buffer.concat([encodeBatch(KINDS), encodeBatch(KINDS), encodeBatch(KINDS)]);
    const places = [...batches(joined)];
    expect(places.map(({ start }) => start * 3)).toEqual([0, joined.length, 2 * joined.length]);
    for (const [i, { start, header }] of places.entries()) {
      patchBaseOffset(joined, start, 2 ** 52 + i * KINDS.length);
      expect(hasValidCrc(joined, start, header.sizeInBytes)).toBe(true);
    }
    const offsets = places
      .flatMap(({ start }) => decodeBatch(joined, start))
      .map((each) => each.offset);
    expect(offsets).toEqual(Array.from({ length: 9 }, (_, i) => 2 ** 52 + i));
  });
});

describe("checksums and integers", () => {
  test.each([
    ["", 0x00000000],
    ["123456789", 0xe3069283],
    ["The quick brown fox jumps over the lazy dog", 0x22620404],
  ])("[BAT-2] CRC-32C of %j is the published one", (text, expected) => {
    expect(crc32c(utf8.encode(text))).toBe(expected);
  });

  test("[BAT-2] the CRC of a part does not depend on what is around it", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 50 }),
        fc.uint8Array({ maxLength: 9 }),
        (middle, around) => {
          const joined = new Uint8Array([...around, ...middle, ...around]);
          expect(crc32c(joined, around.length, around.length + middle.length)).toBe(crc32c(middle));
        },
      ),
    );
  });

  test("[BAT-2] CRC-32C is that of a bit by bit division, at every alignment and length", () => {
    const naive = (input: Uint8Array) => {
      let crc = 0xffffffff;
      for (const byte of input) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
      }
      return ~crc >>> 0;
    };
    const roll = dice(7);
    const memory = Uint8Array.from({ length: 20_000 }, () => roll(256)).buffer;
    for (let offset = 0; offset < 16; offset++) {
      const view = new Uint8Array(memory, offset);
      // Long ones are made of slices of 4,096 bytes.
      const long = [4_095, 4_096, 4_097, 4_112, 8_192, 8_209, 12_345];
      for (const length of [...Array(100).keys(), ...long]) {
        const start = roll(32);
        const expected = naive(view.subarray(start, start + length));
        expect(crc32c(view, start, start + length)).toBe(expected);
        expect(crc32c(view.subarray(start, start + length))).toBe(expected);
      }
      expect(crc32c(view)).toBe(naive(view));
    }
  });

  test("[BAT-1] varints of every size come back, in the predicted size", () => {
    const edges = [
      0,
      1,
      -1,
      63,
      64,
      -64,
      -65,
      8191,
      8192,
      2 ** 30 - 1,
      2 ** 30,
      -(2 ** 30),
      -(2 ** 30) - 1,
      2 ** 31,
      -(2 ** 31),
      MAX_VARINT,
      -MAX_VARINT,
    ];
    const check = (value: number) => {
      const buffer = new Uint8Array(12);
      const end = writeVarint(buffer, 0, value);
      expect(end).toBe(varintSize(value));
      const reader = new VarintReader(buffer, 0, end);
      expect(reader.read()).toBe(value);
      expect(reader.position).toBe(end);
    };
    for (const value of edges) check(value);
    fc.assert(fc.property(fc.integer({ min: -MAX_VARINT, max: MAX_VARINT }), check));
  });
});
