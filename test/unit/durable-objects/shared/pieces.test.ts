import fc from "fast-check";
import { expect, test } from "vitest";
import { joinPieces, piecesOf } from "../../../../durable-objects/shared/pieces.ts";
import { MAX_ROW_BYTES } from "../../../../src/core/limits.ts";
import { runs } from "../../../support/effort.ts";

const bytesOf = (text: string) => Buffer.byteLength(text);

test("[BND-20] JSON of any length and script comes back from pieces that fit a row", () => {
  const texts = fc
    .tuple(
      fc.constantFrom("a", "\u00e4", "\u4e2d", "\u{1f600}", "a\u{1f600}"),
      fc.integer({ min: 0, max: 3_000_000 }),
    )
    .map(([each, length]) => JSON.stringify([each.repeat(length / each.length)]));
  fc.assert(
    fc.property(texts, (text) => {
      const pieces = piecesOf(text);
      for (const piece of pieces) {
        expect(bytesOf(piece)).toBeLessThan(MAX_ROW_BYTES);
        expect(piece.isWellFormed()).toBe(true);
      }
      expect(pieces.length > 1).toBe(bytesOf(text) > MAX_ROW_BYTES - 100_000);
      expect(joinPieces(pieces) === text).toBe(true);
    }),
    runs(8),
  );
});

test("[VER-6] what the previous release has written into the first row is all that counts", () => {
  const [first = "", ...rest] = piecesOf(JSON.stringify(["a".repeat(5_000_000)]));
  expect(rest.length).toBeGreaterThan(1);
  expect(joinPieces(['["new"]', ...rest])).toBe('["new"]');
  expect(joinPieces([first])).toBe(first);
  expect(joinPieces([])).toBe("");
});
