import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_RECORDS_PER_REQUEST } from "../../../../src/core/limits.ts";
import { recordPieces } from "../../../../src/worker/http/record-pieces.ts";

const UTF8 = new TextEncoder();

/**
 * The combined content of the pieces of a text, as a parser would have it. Null if there is no list. Throws if it is not
 * JSON.
 */
function joined(text: string): unknown {
  const bytes = UTF8.encode(text);
  const found = recordPieces(bytes);
  if (found === null) return null;
  const textOf = (from: number, to: number) => new TextDecoder().decode(bytes.subarray(from, to));
  const rest = JSON.parse(textOf(0, found.from) + textOf(found.to, bytes.length));
  expect(rest.records).toEqual([]);
  const records = found.pieces.flatMap(({ from, to, count }) => {
    const some: unknown[] = JSON.parse(`[${textOf(from, to)}]`);
    if (some.length !== count) throw new SyntaxError("the list is broken");
    return some;
  });
  expect(records).toHaveLength(found.count);
  return { ...rest, records };
}

describe("the list of records", () => {
  test("[PRD-9] is found and cut, whatever is in it and beside it", () => {
    const value = fc.jsonValue();
    const body = fc.record({
      before: value,
      records: fc.array(value, { minLength: 1 }),
      behind: value,
    });
    const spaced = fc.constantFrom(0, 1, "\t", "\n ");
    fc.assert(
      fc.property(body, spaced, (given, space) => {
        const text = JSON.stringify(given, null, space);
        expect(joined(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test("[PRD-9] is cut into pieces of a bounded size", () => {
    const records = Array.from({ length: 5_000 }, (_, i) => ({
      value: `"],{${"x".repeat(i % 300)}`,
    }));
    const bytes = UTF8.encode(JSON.stringify({ records }));
    const pieces = recordPieces(bytes)?.pieces ?? [];
    expect(pieces.length).toBeGreaterThanOrEqual(5);
    for (const { from, to, count } of pieces) {
      expect(to - from).toBeLessThan(300_000);
      expect(count).toBeLessThanOrEqual(1_000);
    }
    expect(joined(JSON.stringify({ records }))).toEqual({ records });
  });

  test.each([
    ['{"records":[1],"records":[2,3]}', { records: [2, 3] }, "the last of that name"],
    ['{"\\u0072ecords":[1]}', { records: [1] }, "a name that is escaped"],
    ['{"x":{"records":[1]},"y":["records",[2]]}', null, "one inside another"],
    ['{"records":{"records":[1]}}', null, "no list"],
    ['{"x":"records","y":[1]}', null, "a value of that name"],
    ["[]", null, "no object"],
    ["", null, "nothing"],
    ['{"records', null, "cut off in a name"],
  ])("[PRD-9] of %s is %j: %s", (text, found, _) => {
    expect(joined(text)).toEqual(found);
  });

  test.each([
    '{"records":[1,]}',
    '{"records":[,1]}',
    '{"records":[1,2',
    '{"records":[{"a":1]}',
    '{"records":[1}}',
    '{"records":[1]]}',
    '{"records":["a',
    '{"records":[1] 2}',
    '{"records":[1][2]}',
    '{"records" [1]}',
    '{"records":[]}',
  ])("[PRD-9] that is broken, or empty, is detected: %s", (text) => {
    expect(() => joined(text)).toThrow(SyntaxError);
  });

  test("[PRD-9] whatever is done to the bytes, pieces are JSON only if the whole is", () => {
    const tokens = fc.constantFrom(..."{}[],:", '"', '"records"', '"a"', "1", "null", "\\", " ");
    const texts = fc.array(tokens, { maxLength: 14 }).map((some) => `{"records":[${some.join("")}`);
    const whole = (text: string) => {
      try {
        return JSON.parse(text);
      } catch {
        return null;
      }
    };
    fc.assert(
      fc.property(texts, (text) => {
        let pieces: unknown = null;
        try {
          pieces = joined(text);
        } catch {}
        if (pieces !== null) expect(pieces).toEqual(whole(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test("[BND-3] is rejected if it has too many", () => {
    const text = (count: number) => `{"records":[${"1,".repeat(count - 1)}1]}`;
    expect(recordPieces(UTF8.encode(text(MAX_RECORDS_PER_REQUEST)))?.count).toBe(
      MAX_RECORDS_PER_REQUEST,
    );
    expect(() => recordPieces(UTF8.encode(text(MAX_RECORDS_PER_REQUEST + 1)))).toThrow(
      `must have at most ${MAX_RECORDS_PER_REQUEST} records`,
    );
  });
});
