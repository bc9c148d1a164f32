// The line of a record in an error.
import { describe, expect, test } from "vitest";
import { BrokerError } from "../../../src/core/errors.ts";
import { atLine, placeIn } from "../../../src/protocol/line-errors.ts";

const LINES = [3, 70];

describe("an error about a record that came as a line", () => {
  test.each([
    ["records[1].partition is 7, topic t has 1 (0 to 0)", "line 70: partition is 7, topic t has 1"],
    ["records[0].headers.a: must be a string", "line 3: headers.a: must be a string"],
    ['records[1]: unknown field "valu"', 'line 70: unknown field "valu"'],
    ["records[1] has 5 bytes as a batch", "line 70 has 5 bytes as a batch"],
    ["expectedOffset: records[1] needs a key", "expectedOffset: line 70 needs a key"],
  ])("[PRD-4] names the line: %s", (message, expected) => {
    const error = new BrokerError("KAFKA_STORAGE_ERROR", message, {
      data: { nextOffset: 4 },
      retriable: false,
    });
    expect(atLine(error, LINES)).toMatchObject({
      message: expect.stringContaining(expected),
      code: "KAFKA_STORAGE_ERROR",
      data: { nextOffset: 4 },
      retriable: false,
      cause: error,
    });
  });

  test.each([
    new BrokerError("INVALID_REQUEST", "records: must have at least 1 record"),
    new BrokerError("INVALID_REQUEST", 'line 3: value: must be text; got "records[1]"'),
    new BrokerError("INVALID_REQUEST", "records[2].partition is 7"),
    new Error("records[1] is none of the broker's"),
    "records[1]",
  ])("[PRD-4] and is left alone if it names none of them: %s", (error) => {
    expect(atLine(error, LINES)).toBe(error);
  });

  test("[BLK-1] gives its place in the request", () => {
    expect(placeIn(new BrokerError("INVALID_REQUEST", "records[12].key is null"))).toBe(12);
    expect(placeIn(new BrokerError("INVALID_REQUEST", "the body"))).toBeNull();
    expect(placeIn(new Error("records[12].key is null"))).toBeNull();
  });
});
