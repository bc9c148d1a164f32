import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { MAX_CHUNK_BYTES } from "../../../../src/core/limits.ts";
import { planChunks } from "../../../../src/core/log/append.ts";
import { batches } from "../../../../src/core/log/record-batch.ts";
import { anyAppends, appendOf, batchOf, batchOfSize } from "../../../support/log-fixtures.ts";

describe("packing appends into chunks", () => {
  test("[LOG-1] chunks hold every batch once, at dense offsets, filled to their bound", () => {
    fc.assert(
      fc.property(anyAppends, fc.nat(2 ** 31), (shapes, low) => {
        const firstOffset = 2 ** 40 + low;
        const expected: Uint8Array[] = [];
        const baseOffsets: number[] = [];
        let offset = firstOffset;
        const appends = shapes.map((append) => {
          baseOffsets.push(offset);
          const sent = append.map((each) => {
            const seed = offset - firstOffset;
            expected.push(batchOf(each, seed, offset));
            offset += each.length;
            return batchOf(each, seed, 99);
          });
          return appendOf(sent);
        });
        const plan = planChunks(appends, firstOffset);
        expect(plan.baseOffsets).toEqual(baseOffsets);
        expect(plan.nextOffset).toBe(offset);
        const stored = concatBytes(plan.chunks.map(({ bytes }) => bytes));
        expect(Buffer.compare(stored, concatBytes(expected))).toBe(0);
        let next = firstOffset;
        let room = 0;
        for (const { baseOffset, nextOffset, maxTimestamp, bytes } of plan.chunks) {
          const headers = Array.from(batches(bytes), ({ header }) => header);
          expect(baseOffset).toBe(next);
          expect(headers[0]?.baseOffset).toBe(baseOffset);
          expect(maxTimestamp).toBe(Math.max(...headers.map((header) => header.maxTimestamp)));
          expect(bytes.length).toBeLessThanOrEqual(MAX_CHUNK_BYTES);
          expect(headers[0]?.sizeInBytes).toBeGreaterThan(room);
          room = MAX_CHUNK_BYTES - bytes.length;
          next = nextOffset;
        }
        expect(next).toBe(offset);
      }),
      { seed: 4, numRuns: 30 },
    );
  });

  test("[LOG-1] batches fill a chunk to the byte, one byte more begins the next", () => {
    const half = MAX_CHUNK_BYTES / 2;
    const sizesOf = (...sizes: number[]) =>
      planChunks([appendOf(sizes.map(batchOfSize))], 0).chunks.map(({ bytes }) => bytes.length);
    expect(sizesOf(half, half)).toEqual([MAX_CHUNK_BYTES]);
    expect(sizesOf(half, half + 1)).toEqual([half, half + 1]);
    expect(sizesOf(MAX_CHUNK_BYTES, 100)).toEqual([MAX_CHUNK_BYTES, 100]);
  });

  test("[LOG-1] no appends make no chunks", () => {
    expect(planChunks([], 5)).toEqual({ chunks: [], baseOffsets: [], nextOffset: 5 });
  });
});
