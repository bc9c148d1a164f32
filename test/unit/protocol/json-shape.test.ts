// Text from outside is checked before it is parsed: some JSON readers call themselves for each level, and each value is an
// object.
import { describe, expect, test } from "vitest";
import * as z from "zod";
import {
  MAX_HEADERS_PER_RECORD,
  MAX_JSON_DEPTH,
  MAX_JSON_VALUES,
  MAX_RECORD_JSON_VALUES,
  MAX_RECORDS_PER_REQUEST,
} from "../../../src/core/limits.ts";
import { memberMessage } from "../../../src/protocol/group-socket.ts";
import { toJsonRecord } from "../../../src/protocol/json-record.ts";
import {
  parseRecordJson,
  parseRecordsJson,
  recordList,
} from "../../../src/protocol/json-record-schema.ts";
import { parse, parseFrame, parseJson } from "../../../src/protocol/parse.ts";

const MIB = 1024 * 1024;
const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const nestedObjects = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

/** Every parser of text from outside. */
const PARSERS: [string, (text: string) => unknown][] = [
  ["a body", (text) => parseJson(text, "the body")],
  ["records", (text) => parseRecordsJson(text, "the body")],
  ["a record", (text) => parseRecordJson(text, "the line")],
  ["a frame", (text) => parseFrame(memberMessage, text)],
];

describe.each(PARSERS)("%s", (_, parser) => {
  test.each([
    ["lists", nested(MAX_JSON_DEPTH + 1)],
    ["objects", nestedObjects(MAX_JSON_DEPTH + 1)],
    ["lists that never end", "[".repeat(MIB)],
    ["objects that never end", '{"a":'.repeat(200_000)],
    ["behind strings that hold quotes", `["\\"[", "\\\\", ${nested(MAX_JSON_DEPTH)}]`],
  ])("[BND-4] too deep nesting is rejected with the bound: %s", (_what, text) => {
    expect(() => parser(text)).toThrow(`more than ${MAX_JSON_DEPTH} levels deep`);
  });

  test.each(["", "]", "]]]]", '"', '"\\', '{"a', "[1,", "nul", `"${"\\".repeat(1_001)}`])(
    "[BND-4] invalid JSON is reported as such: %j",
    (text) => {
      expect(() => parser(text)).toThrow("is not JSON");
    },
  );
});

/** A frame must be a message, so it cannot be any JSON. */
describe.each(PARSERS.filter(([name]) => name !== "a frame"))("%s", (_, parser) => {
  test.each([
    ["lists", nested(MAX_JSON_DEPTH)],
    ["objects", nestedObjects(MAX_JSON_DEPTH)],
    ["brackets in a string", JSON.stringify("[".repeat(1_000))],
    ["brackets behind an escaped quote", JSON.stringify(`"${"[".repeat(1_000)}`)],
    ["brackets behind backslashes", JSON.stringify(`\\\\\\"${"{".repeat(1_000)}`)],
    ["a list of lists", `[${Array(1_000).fill("[]").join(",")}]`],
  ])("[BND-4] allowed nesting is read as it is: %s", (_what, text) => {
    expect(JSON.stringify(parser(text))).toBe(text);
  });
});

describe("values", () => {
  const list = (count: number, value: string) => `[${Array(count).fill(value).join(",")}]`;

  test.each([
    ["numbers", list(MAX_JSON_VALUES, "1")],
    ["objects", list(MAX_JSON_VALUES, "{}")],
    ["keys", `{${Array.from({ length: MAX_JSON_VALUES }, (_, i) => `"${i}":1`).join(",")}}`],
    ["the same key", `{${Array(MAX_JSON_VALUES).fill('"a":1').join(",")}}`],
  ])("[BND-4] too many are rejected with the bound: %s", (_, text) => {
    expect(() => parseJson(text, "the body")).toThrow(`the bound is ${MAX_JSON_VALUES}`);
  });

  test("[BND-4] records may hold more of them, and their number is checked before they are made", () => {
    const text = list(MAX_JSON_VALUES, "1");
    let told = 0;
    parseRecordJson(text, "the body", (values) => {
      told = values;
    });
    expect(told).toBeGreaterThanOrEqual(MAX_JSON_VALUES);
    expect(() => parseRecordJson(list(MAX_RECORD_JSON_VALUES, "1"), "the body")).toThrow(
      `the bound is ${MAX_RECORD_JSON_VALUES}`,
    );
    const refuse = () => {
      throw new Error("no room");
    };
    expect(() => parseRecordJson("no JSON", "the body", refuse)).toThrow("no room");
  });

  test("[BND-4] too many records, or headers, are not looked at", () => {
    let looks = 0;
    const record = {
      get value() {
        looks++;
        return 1;
      },
    };
    const records = Array(MAX_RECORDS_PER_REQUEST + 1).fill(record);
    expect(() => parse(recordList, records)).toThrow(`at most ${MAX_RECORDS_PER_REQUEST} records`);
    expect(looks).toBe(0);
    const headers = { h: Array(MAX_HEADERS_PER_RECORD + 1).fill(7) };
    expect(() => parse(recordList, [{ value: "", headers }])).toThrow(
      `has ${MAX_HEADERS_PER_RECORD + 1} headers`,
    );
  });

  test("[BND-4] a broker's own error is not taken for too many faults", () => {
    const broken = z.custom((item) => {
      if (item === "last") throw new TypeError("a slip");
      return true;
    });
    const items = [...Array(1_000).fill("first"), "last"];
    expect(() => parse(z.object({ items: z.array(broken) }), { items })).toThrow(TypeError);
  });

  test("[BND-4] an error names ten of the unknown fields", () => {
    const fields = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, i]));
    expect(() => parse(z.strictObject({}), fields)).toThrow(/"f9" and 990 more$/);
  });
});

test("[BND-5] a header that repeats is read in the time its values take", () => {
  const headers = Array.from({ length: 200_000 }, () => ({ key: "h", value: null }));
  const record = { offset: 0, timestamp: 0, key: null, value: null, headers };
  expect(toJsonRecord(record).headers.h).toHaveLength(headers.length);
});
