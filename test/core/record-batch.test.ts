import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BrokerError } from "../../src/core/errors.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  batches,
  checkCrc,
  decodeBatch,
  encodeBatch,
  patchBaseOffset,
  readBatchHeader,
  recordSize,
} from "../../src/core/log/record-batch.ts";
import { MAX_VARINT, VarintReader, varintSize, writeVarint } from "../../src/core/log/varint.ts";
import type { ProducerRecord } from "../../src/core/record.ts";

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
          expect(checkCrc(batch, 0, batch.length)).toBe(true);
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
      expect(checkCrc(broken, 0, broken.length), `bit ${bit}`).toBe(false);
    }
  });

  test("[BAT-3] garbage, truncated and bit-flipped batches give CORRUPT_MESSAGE and nothing else", () => {
    const attempt = (input: Uint8Array) => {
      try {
        for (const { start } of batches(input)) decodeBatch(input, start);
      } catch (error) {
        expect(error).toBeInstanceOf(BrokerError);
        expect((error as BrokerError).code).toBe("CORRUPT_MESSAGE");
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), attempt), { numRuns: 2_000 });
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
      { numRuns: 5_000 },
    );
  });

  test("[BAT-3] a header that promises more records than there are bytes is refused at once", () => {
    const batch = encodeBatch([{ key: null, value: null, headers: [], timestamp: 0 }]);
    new DataView(batch.buffer).setInt32(57, 0x7fffffff);
    expect(() => readBatchHeader(batch)).toThrow(/recordCount is 2147483647, at most 1 fit/);
  });

  test("[BAT-4] the base offset is patched outside the CRC", () => {
    const batch = encodeBatch([{ key: null, value: utf8.encode("v"), headers: [], timestamp: 5 }]);
    patchBaseOffset(batch, 0, 2 ** 45 + 3);
    expect(checkCrc(batch, 0, batch.length)).toBe(true);
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

  test("[BAT-1] varints of every size come back, in the size foretold", () => {
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
