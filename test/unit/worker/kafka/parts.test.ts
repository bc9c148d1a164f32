// The parts in which a response is written.
import fc from "fast-check";
import { expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import {
  KAFKA_FAST_WRITE_MS,
  MAX_KAFKA_WRITE_BYTES,
  MIN_KAFKA_WRITE_BYTES,
} from "../../../../src/core/limits.ts";
import { inParts, nextPartBytes } from "../../../../src/worker/kafka/parts.ts";
import { runs } from "../../../support/effort.ts";

test("[BND-16] every byte goes out once and in order, in parts of the requested size, whatever the pieces are", () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 8 });
  const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 });
  fc.assert(
    fc.property(pieces, sizes, (pieces, sizes) => {
      let asked = 0;
      const parts = [...inParts(pieces, () => sizes[asked++ % sizes.length] as number)];
      expect(concatBytes(parts)).toEqual(concatBytes(pieces));
      // Only the last part may be short.
      parts.forEach(({ length }, i) => {
        const size = sizes[i % sizes.length] as number;
        if (i < parts.length - 1) expect(length).toBe(size);
        else expect(length).toBeLessThanOrEqual(size);
        expect(length).toBeGreaterThan(0);
      });
    }),
    runs(300),
  );
});

test("[BND-16] a part within one piece is not copied", () => {
  const piece = new Uint8Array(100);
  const [a, b] = inParts([piece], () => 60);
  expect([a?.buffer, b?.buffer]).toEqual([piece.buffer, piece.buffer]);
});

test("[BND-16] parts grow for a client that takes them at once, up to a bound, and are small again for a slow one", () => {
  let bytes = MIN_KAFKA_WRITE_BYTES;
  const sizes: number[] = [];
  for (let i = 0; i < 5; i++) {
    bytes = nextPartBytes(bytes, KAFKA_FAST_WRITE_MS);
    sizes.push(bytes / MIN_KAFKA_WRITE_BYTES);
  }
  expect(sizes).toEqual([2, 2, 2, 2, 2]);
  expect(bytes).toBe(MAX_KAFKA_WRITE_BYTES);
  expect(nextPartBytes(bytes, KAFKA_FAST_WRITE_MS + 1)).toBe(MIN_KAFKA_WRITE_BYTES);
  // The clock was set back: nobody knows how long it took.
  expect(nextPartBytes(bytes, -1)).toBe(MIN_KAFKA_WRITE_BYTES);
});
