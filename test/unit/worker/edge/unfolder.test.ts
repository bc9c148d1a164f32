import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { MAX_DECODED_FETCH_BYTES } from "../../../../src/core/limits.ts";
import { COMPRESSIONS } from "../../../../src/core/log/compression.ts";
import { encodeBatch } from "../../../../src/core/log/record-batch.ts";
import { Unfolder } from "../../../../src/worker/edge/unfolder.ts";

const GZIP = { type: COMPRESSIONS.gzip, compress: (bytes: Uint8Array) => gzipSync(bytes) };

/** A batch of records of so many bytes each, which folds to next to nothing. */
function batch(baseOffset: number, count: number, valueBytes: number): Uint8Array {
  const record = { key: null, value: new Uint8Array(valueBytes), headers: [], timestamp: 0 };
  return encodeBatch(Array(count).fill(record), { baseOffset, compression: GZIP });
}

const offsets = ({ records }: ReturnType<Unfolder["records"]>) =>
  records.map(({ offset }) => offset);

describe("records of one answer", () => {
  test("[POL-7] no more is unfolded once the bound is passed, in however many partitions", () => {
    const unfolder = new Unfolder();
    let unfoldedBytes = 0;
    let partitions = 0;
    for (; !unfolder.isSpent; partitions++) {
      const read = unfolder.records(batch(0, 1, 1_000_000), 0, 1, 500);
      for (const { value } of read.records) unfoldedBytes += value?.length ?? 0;
    }
    expect(unfoldedBytes).toBeLessThan(MAX_DECODED_FETCH_BYTES + 1_000_000);
    expect(partitions).toBeGreaterThan(1);
    expect(offsets(unfolder.records(batch(0, 1, 10), 0, 1, 500))).toEqual([]);
  });

  test("[POL-7] many tiny records count for the objects that are made of them", () => {
    const unfolder = new Unfolder();
    const read = unfolder.records(batch(0, 100_000, 0), 0, 100_000, 100_000);
    expect(read.records).toHaveLength(100_000);
    expect(unfolder.isSpent).toBe(true);
    // No more of them are made than were asked for.
    const few = new Unfolder();
    expect(few.records(batch(0, 100_000, 0), 0, 100_000, 500).records).toHaveLength(500);
    expect(few.isSpent).toBe(false);
  });

  test("[POL-7] records stand between the offset and the limit, and are no more than asked for", () => {
    const bytes = concatBytes([batch(10, 5, 1), batch(15, 5, 1)]);
    expect(offsets(new Unfolder().records(bytes, 12, 17, 500))).toEqual([12, 13, 14, 15, 16]);
    expect(offsets(new Unfolder().records(bytes, 12, 99, 2))).toEqual([12, 13]);
    expect(offsets(new Unfolder().records(bytes, 12, 12, 500))).toEqual([]);
  });

  test("[POL-6] what stands before an unreadable batch is good, and it is told where that is", () => {
    const bad = batch(5, 3, 100);
    bad.fill(7, 65);
    const read = new Unfolder().records(concatBytes([batch(0, 5, 1), bad]), 1, 8, 500);
    expect(offsets(read)).toEqual([1, 2, 3, 4]);
    expect(read.unreadable).toMatchObject({ offset: 5, code: "CORRUPT_MESSAGE" });
  });
});
