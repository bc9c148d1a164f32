// A record as entered in the console's form.
import { describe, expect, test } from "vitest";
import {
  type Draft,
  draftOf,
  keyPartition,
  NEW_HEADER,
  partOfRefusal,
  problemsOf,
  recordOf,
} from "../../../src/console/produce-draft.ts";
import type { PlacedRecord } from "../../../src/console/record-bytes.ts";
import { fromJsonRecord, toJsonRecord } from "../../../src/protocol/json-record.ts";

const BYTES = new Uint8Array([0, 255, 254, 13, 10]);
const utf8 = (text: string) => new TextEncoder().encode(text);

/** Returns a record as the broker returns it. */
function record(
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: readonly { key: string; value: Uint8Array | null }[] = [],
): PlacedRecord {
  return { ...toJsonRecord({ key, value, headers, offset: 7, timestamp: 0 }), partition: 2 };
}

describe("a record that is sent again", () => {
  test.each([
    ["text", record(utf8("k"), utf8("v"))],
    ["nothing", record(null, null)],
    ["empty texts", record(utf8(""), utf8(""))],
    ["bytes that are no text", record(BYTES, BYTES)],
    ["line ends", record(utf8("a\nb"), utf8("a\r\nb\nc"))],
    ["JSON with numbers that no double holds", record(null, utf8('{"id": 9007199254740993 }'))],
    [
      "headers of all kinds",
      record(null, utf8("v"), [
        { key: "a", value: utf8("1") },
        { key: "a", value: BYTES },
        { key: "", value: null },
        { key: "__proto__", value: utf8("x\r\ny") },
      ]),
    ],
  ])("[CON-15] has the same bytes, in the same partition: %s", (_, sent) => {
    const draft = draftOf(sent);
    expect(problemsOf(draft, 3)).toEqual({});
    const stored = fromJsonRecord(JSON.parse(JSON.stringify(recordOf(draft))), 0);
    const { key, value, headers } = fromJsonRecord(sent, 0);
    expect(stored).toEqual({ key, value, headers, partition: 2, timestamp: null });
  });

  test("[CON-15] is shown as JSON if it is JSON, and as base64 if a field would change it", () => {
    expect(draftOf(record(null, utf8('{"a":1}'))).value.format).toBe("json");
    expect(draftOf(record(null, utf8("plain"))).value.format).toBe("text");
    expect(draftOf(record(utf8("a\nb"), utf8("a\nb")))).toMatchObject({
      key: { format: "base64" },
      value: { format: "text", text: "a\nb" },
    });
    expect(draftOf(record(null, utf8("a\rb"))).value.format).toBe("base64");
  });
});

const draft = (change: Partial<Draft>): Draft => ({ ...draftOf(null), ...change });

test("[CON-15] a new record has no key, and goes where the broker chooses", () => {
  expect(recordOf(draftOf(null))).toEqual({ key: null, value: "", headers: {} });
  expect(keyPartition(draftOf(null), 6)).toBe(null);
});

test("[CON-15] a key goes where Kafka clients put it, however it is written", () => {
  // The test vector of Kafka's own murmur2.
  const expected = (-790332482 & 0x7fffffff) % 1_000;
  expect(keyPartition(draft({ key: { format: "text", text: "foobar" } }), 1_000)).toBe(expected);
  expect(keyPartition(draft({ key: { format: "base64", text: "Zm9vYmFy" } }), 1_000)).toBe(
    expected,
  );
});

test.each([
  [{ value: { format: "json", text: "{" } }, "value", /^This is not JSON: ./],
  [{ value: { format: "base64", text: "*" } }, "value", /base64/],
  [{ key: { format: "base64", text: "=" } }, "key", /base64/],
  [
    { headers: [NEW_HEADER, { name: "h", value: { format: "base64", text: "?" } }] },
    "header 1",
    /base64/,
  ],
  [{ partition: "3" }, "partition", /0 to 2/],
  [{ partition: "" }, "partition", /0 to 2/],
  [{ partition: "1e0" }, "partition", /0 to 2/],
] as const)("[CON-15] %j is wrong at the %s", (change, part, problem) => {
  const problems = problemsOf(draft(change), 3);
  expect(Object.keys(problems)).toEqual([part]);
  expect(problems[part]).toMatch(problem);
});

test("[CON-15] base64 may contain white space, and is sent without it", () => {
  const written = draft({ value: { format: "base64", text: " AP/+\nDQo= " } });
  expect(problemsOf(written, 1)).toEqual({});
  expect(recordOf(written)).toMatchObject({ valueBase64: "AP/+DQo=" });
});

test.each([
  ["INVALID_RECORD", "records[0].key is null, compacted topic t needs one", "key"],
  ["INVALID_REQUEST", "records[0].headers.a: has a lone surrogate", "headers"],
  ["UNKNOWN_TOPIC_OR_PARTITION", "records[0].partition is 9, topic t has 3 (0 to 2)", "partition"],
  ["MESSAGE_TOO_LARGE", "records[0] has 2000000 bytes as a batch", "value"],
  ["UNKNOWN_TOPIC_OR_PARTITION", "there is no topic t", null],
])("[CON-15] the refusal %s: %s is shown at the %s", (code, detail, part) => {
  expect(partOfRefusal(code, detail)).toBe(part);
});
