import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { MAX_DECODED_FETCH_BYTES } from "../../../../src/core/limits.ts";
import { COMPRESSIONS } from "../../../../src/core/log/compression.ts";
import { encodeBatch } from "../../../../src/core/log/record-batch.ts";
import { AnswerDecoder } from "../../../../src/worker/edge/answer-decoder.ts";

const GZIP = { type: COMPRESSIONS.gzip, compress: (bytes: Uint8Array) => gzipSync(bytes) };

/** A batch of records of so many bytes each, which compresses to next to nothing. */
function batch(baseOffset: number, count: number, valueBytes: number): Uint8Array {
  const record = { key: null, value: new Uint8Array(valueBytes), headers: [], timestamp: 0 };
  return encodeBatch(Array(count).fill(record), { baseOffset, compression: GZIP });
}

const offsets = ({ records }: ReturnType<AnswerDecoder["records"]>) =>
  records.map(({ offset }) => offset);

describe("records of one answer", () => {
  test("[POL-7] nothing more is decompressed beyond the bound, however many partitions there are", () => {
    const decoder = new AnswerDecoder();
    let decompressedBytes = 0;
    let partitions = 0;
    for (; !decoder.isSpent; partitions++) {
      const read = decoder.records(batch(0, 1, 1_000_000), 0, 1, 500);
      for (const { value } of read.records) decompressedBytes += value?.length ?? 0;
    }
    expect(decompressedBytes).toBeLessThan(MAX_DECODED_FETCH_BYTES + 1_000_000);
    expect(partitions).toBeGreaterThan(1);
    expect(offsets(decoder.records(batch(0, 1, 10), 0, 1, 500))).toEqual([]);
  });

  test("[POL-7] many tiny records count by the objects that they become", () => {
    const decoder = new AnswerDecoder();
    const read = decoder.records(batch(0, 100_000, 0), 0, 100_000, 100_000);
    expect(read.records).toHaveLength(100_000);
    expect(decoder.isSpent).toBe(true);
    // No more objects are made than requested.
    const few = new AnswerDecoder();
    expect(few.records(batch(0, 100_000, 0), 0, 100_000, 500).records).toHaveLength(500);
    expect(few.isSpent).toBe(false);
  });

  test("[POL-7] returns records between the offset and the limit, and no more than requested", () => {
    const bytes = concatBytes([batch(10, 5, 1), batch(15, 5, 1)]);
    expect(offsets(new AnswerDecoder().records(bytes, 12, 17, 500))).toEqual([12, 13, 14, 15, 16]);
    expect(offsets(new AnswerDecoder().records(bytes, 12, 99, 2))).toEqual([12, 13]);
    expect(offsets(new AnswerDecoder().records(bytes, 12, 12, 500))).toEqual([]);
  });

  test("[POL-6] records before an unreadable batch are good, and its offset is reported", () => {
    const bad = batch(5, 3, 100);
    bad.fill(7, 65);
    const read = new AnswerDecoder().records(concatBytes([batch(0, 5, 1), bad]), 1, 8, 500);
    expect(offsets(read)).toEqual([1, 2, 3, 4]);
    expect(read.unreadable).toMatchObject({ offset: 5, code: "CORRUPT_MESSAGE" });
  });
});
