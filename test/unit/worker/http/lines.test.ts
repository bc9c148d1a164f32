import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linesOf } from "../../../../src/worker/http/lines.ts";
import { runs } from "../../../support/effort.ts";

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(body: AsyncIterable<Uint8Array>) {
  const lines = [];
  for await (const line of linesOf(body)) lines.push(line);
  return lines;
}

describe("lines of a body", () => {
  test("[BND-19] are those that are not blank, with their numbers, however the body comes", async () => {
    const parts = fc.array(
      fc.constantFrom("\n", "\n\n\n", " ", "\t", "\r\n", "a", "{}", "é", "…", "𝄞"),
    );
    const size = fc.integer({ min: 1, max: 6 });
    await fc.assert(
      fc.asyncProperty(parts, size, async (texts, pieceSize) => {
        const text = texts.join("");
        const expected = text
          .split("\n")
          .map((line, index) => ({
            number: index + 1,
            text: line,
            sizeInBytes: Buffer.byteLength(line),
          }))
          .filter((line) => line.text.trim() !== "");
        expect(await read(inPieces(text, pieceSize))).toEqual(expected);
      }),
      runs(500),
    );
  });

  test.each(["\n", " \n", "\r\n", "\t\t\n"])(
    "[BND-19] a body of nothing but %j lets others have their turn",
    async (blank) => {
      let turns = 0;
      const timer = setInterval(() => turns++, 0);
      const pieces = 50;
      const piece = blank.repeat(10_000);
      async function* body() {
        for (let i = 0; i < pieces; i++) yield new TextEncoder().encode(piece);
        yield new TextEncoder().encode("last");
      }
      const number = 10_000 * pieces + 1;
      expect(await read(body())).toEqual([{ number, text: "last", sizeInBytes: 4 }]);
      clearInterval(timer);
      expect(turns).toBeGreaterThan(pieces / 2);
    },
  );
});
