import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { murmur2, partitionForKey } from "../../../src/core/partitioner.ts";

const utf8 = new TextEncoder();

describe("partitioner", () => {
  // From UtilsTest.testMurmur2 of Kafka's clients; the value for the empty key is the same function's.
  test.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
    ["", 275646681],
    // One for each rest of a length by four, from kafkajs.
    ["a", -1563381124],
    ["ab", 316155434],
    ["abcd", -1323649548],
    ["abcde", 461995741],
  ])("[PAR-1] murmur2 of %j is Kafka's", (key, expected) => {
    expect(murmur2(utf8.encode(key))).toBe(expected);
  });

  // Kafka's toPositive clears the sign bit (it does not negate) before it takes the remainder.
  test.each([
    ["21", 10, 0],
    ["foobar", 10, 6],
    ["a-little-bit-long-string", 1_000, 112],
    ["abc", 10, 7],
    ["", 7, 2],
  ])("[PAR-1] key %j of %i partitions is in partition %i", (key, partitions, expected) => {
    expect(partitionForKey(utf8.encode(key), partitions)).toBe(expected);
  });

  test("[PAR-1] the partition of any key is within the count of partitions", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: 1, max: 1_000 }),
        (key, partitions) => {
          const partition = partitionForKey(key, partitions);
          expect(Number.isInteger(partition)).toBe(true);
          expect(partition).toBeGreaterThanOrEqual(0);
          expect(partition).toBeLessThan(partitions);
          expect(partitionForKey(key, 1)).toBe(0);
        },
      ),
      { seed: 1 },
    );
  });

  test("[PAR-1] a key that is a view into a larger buffer goes where its bytes go", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat(7), (key, before) => {
        const larger = new Uint8Array(before + key.length + 3).fill(0xff);
        larger.set(key, before);
        const view = larger.subarray(before, before + key.length);
        expect(murmur2(view)).toBe(murmur2(key));
      }),
      { seed: 2 },
    );
  });

  test("[PAR-1] keys spread over all partitions", () => {
    const counts = new Array<number>(12).fill(0);
    for (let i = 0; i < 12_000; i++) {
      const partition = partitionForKey(utf8.encode(`key-${i}`), 12);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    // 1,000 each on average; six standard deviations are 182.
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(182);
  });
});
