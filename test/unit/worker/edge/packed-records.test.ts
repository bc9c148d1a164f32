import fc from "fast-check";
import { expect, test } from "vitest";
import type { UnplacedRecord } from "../../../../src/protocol/json-record.ts";
import { PackedRecords } from "../../../../src/worker/edge/packed-records.ts";

const bytes = fc.option(fc.uint8Array({ maxLength: 40 }));
const anyRecord: fc.Arbitrary<UnplacedRecord> = fc.record({
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ key: fc.string({ unit: "grapheme" }), value: bytes }), {
    maxLength: 3,
  }),
  timestamp: fc.option(fc.integer({ min: -8e15, max: 8e15 })),
  partition: fc.option(fc.nat(999)),
});

function plain({ key, value, headers, timestamp, partition }: UnplacedRecord) {
  const list = (some: Uint8Array | null) => some && [...some];
  return {
    key: list(key),
    value: list(value),
    headers: headers.map((header) => [header.key, list(header.value)]),
    timestamp,
    partition,
  };
}

test("[PRD-9] packed data comes out as it was", () => {
  fc.assert(
    fc.property(fc.array(anyRecord), fc.integer(), (records, atMs) => {
      const packed = new PackedRecords();
      for (const record of records) packed.add(record);
      const all = Array.from(packed.entries(), ([place, record]) => {
        expect(plain(packed.at(place) as UnplacedRecord)).toEqual(plain(record));
        return plain(record);
      });
      expect(all).toEqual(records.map(plain));
      expect(packed.length).toBe(records.length);
      const timed = packed.timed(atMs);
      for (const [place, record] of timed.entries())
        expect(plain(record)).toEqual({
          ...all[place],
          timestamp: records[place]?.timestamp ?? atMs,
        });
      expect(packed.at(records.length)).toBeUndefined();
    }),
  );
});

test("[PRD-9] a record of any size is packed, and many small ones take little more than their bytes", () => {
  const record = (size: number): UnplacedRecord => ({
    key: null,
    value: new Uint8Array(size).fill(size % 256),
    headers: [],
    timestamp: null,
    partition: null,
  });
  const packed = new PackedRecords();
  const sizes = [10, 1_000_000, 20, 262_144 - 24, 1];
  for (const size of sizes) packed.add(record(size));
  expect(Array.from(packed.entries(), ([, { value }]) => value?.length)).toEqual(sizes);
  const small = new PackedRecords();
  for (let i = 0; i < 10_000; i++) small.add(record(100));
  expect(small.sizeInBytes).toBeLessThan(10_000 * 150);
});
