// Lines that become records, and records that become lines.
import { describe, expect, test } from "vitest";
import {
  assertLineOptions,
  collectHeader,
  type LineOptions,
  recordOf,
} from "../../../src/cli/line-records.ts";
import { plain, plainLines } from "../../../src/cli/plain.ts";
import { lineOf, parseFields, parseSeparator, VALUE_ONLY } from "../../../src/cli/record-text.ts";
import { Unread } from "../../../src/cli/unread.ts";
import type { ConsumerRecord } from "../../../src/sdk/index.ts";

const PLACE = { topic: "orders", partition: 2 };
const bytes = (text: string) => new TextEncoder().encode(text);
const RECORD: ConsumerRecord = {
  offset: 7,
  timestamp: Date.parse("2026-11-30T12:00:00.5Z"),
  key: bytes("c-7"),
  value: bytes('{"n":1}'),
  headers: [
    { key: "trace", value: bytes("a-1") },
    { key: "empty", value: null },
    { key: "raw", value: Uint8Array.of(0xff) },
  ],
};

function printed(fields: string, record: Partial<ConsumerRecord> = {}, keySeparator = "\t") {
  const line = lineOf({ ...RECORD, ...record }, PLACE, {
    fields: parseFields(fields),
    keySeparator,
  });
  return Buffer.from(line).toString("latin1");
}

describe("printing", () => {
  test.each([
    ["value", '{"n":1}\n'],
    ["key,value", 'c-7\t{"n":1}\n'],
    ["offset,key", "7\tc-7\n"],
    ["topic, partition, offset", "orders\t2\t7\n"],
    ["timestamp,value", '2026-11-30T12:00:00.500Z\t{"n":1}\n'],
    ["headers,key", "trace=a-1,empty=null,raw=base64:/w==\tc-7\n"],
  ])("[CLI-16] --print %s prints %j", (fields, line) => {
    expect(printed(fields)).toBe(line);
  });

  test("[CLI-16] the separator stands between a key and its value only", () => {
    expect(printed("offset,key,value", {}, ": ")).toBe('7\tc-7: {"n":1}\n');
    expect(printed("value,key", {}, ":")).toBe('{"n":1}\tc-7\n');
    expect(parseSeparator("\\t")).toBe("\t");
    expect(() => parseSeparator("")).toThrow("It must not be empty");
  });

  test("[CLI-16] keys and values are the bytes that they are, and null is written so", () => {
    expect(printed("key,value", { key: Uint8Array.of(0xff, 0), value: null })).toBe(
      "\xff\0\tnull\n",
    );
    expect(lineOf({ ...RECORD, value: null }, PLACE, VALUE_ONLY)).toEqual(Buffer.from("null\n"));
  });

  test.each(["", "keys", "key,", "key,key", "value;key"])(
    "[CLI-16] --print %j is rejected with the fields that there are",
    (fields) => {
      expect(() => parseFields(fields)).toThrow(
        "It must be some of key, value, headers, timestamp, topic, partition, offset, each once",
      );
    },
  );
});

describe("lines", () => {
  const read = (line: string, options: LineOptions) => {
    const { key, value, ...rest } = recordOf(Buffer.from(line), 3, options);
    const text = (part: unknown) => (Buffer.isBuffer(part) ? part.toString() : part);
    return {
      ...("key" in { key } && key !== undefined ? { key: text(key) } : {}),
      value: text(value),
      ...rest,
    };
  };

  test.each([
    ["a", {}, { value: "a" }],
    ["a", { key: "k" }, { key: "k", value: "a" }],
    ["k:a:b", { keySeparator: ":" }, { key: "k", value: "a:b" }],
    ["k => a", { keySeparator: " => " }, { key: "k", value: "a" }],
    [":a", { keySeparator: ":" }, { key: "", value: "a" }],
    ["k:", { keySeparator: ":" }, { key: "k", value: "" }],
    ["NULL", { nullValue: "NULL" }, { value: null }],
    ["NULL", {}, { value: "NULL" }],
    ["k:NULL", { keySeparator: ":", nullValue: "NULL" }, { key: "k", value: null }],
    ["k:", { keySeparator: ":", nullValue: "" }, { key: "k", value: null }],
    ['{"id":"k"}', { keyField: "id" }, { key: "k", value: '{"id":"k"}' }],
    ["a", { timestamp: 5, partition: 1 }, { value: "a", timestamp: 5, partition: 1 }],
  ] as const)("[CLI-17] the line %j with %j is %j", (line, options, record) => {
    expect(read(line, options)).toEqual(record);
  });

  test("[CLI-17] headers are collected by name, and a name may repeat", () => {
    const headers = ["a=1", "b=x=y", "a=2", "__proto__=p", "a="].reduce(
      (all: ReturnType<typeof collectHeader> | undefined, text) => collectHeader(text, all),
      undefined,
    );
    expect(Object.entries(headers ?? {})).toEqual([
      ["a", ["1", "2", ""]],
      ["b", "x=y"],
      ["__proto__", "p"],
    ]);
    expect(read("v", { header: headers ?? {} })).toEqual({ value: "v", headers });
    for (const text of ["", "a", "=1"])
      expect(() => collectHeader(text)).toThrow("It must be NAME=VALUE.");
  });

  test("[CLI-17] a line without the separator is named", () => {
    expect(() => read("key only", { keySeparator: ":" })).toThrow(
      'line 3 has no ":" between a key and a value',
    );
  });

  test.each([
    [{ key: "k", keyField: "f" }, "--key and --key-field exclude each other"],
    [{ key: "k", keySeparator: ":" }, "--key and --key-separator exclude each other"],
    [{ records: true, keySeparator: ":" }, "--records: the key is in the record"],
    [{ records: true, timestamp: 0 }, "--records: the value, the headers and the timestamp"],
    [{ records: true, nullValue: "" }, "--records: the value, the headers and the timestamp"],
    [{ keyField: "f", nullValue: "x" }, "--null-value goes without --key-field"],
  ] as const)("[CLI-17] %j is rejected: %s", (options, error) => {
    expect(() => assertLineOptions(options)).toThrow(error);
  });
});

describe("whole records", () => {
  const record = (timestamp: unknown) =>
    recordOf(Buffer.from(JSON.stringify({ value: "a", timestamp })), 3, { records: true });

  test.each([
    [5, 5],
    ["2026-11-01T01:00:00Z", Date.parse("2026-11-01T01:00:00Z")],
    ["1700000000000", 1_700_000_000_000],
  ])("[CLI-17] --records takes the timestamp %j", (timestamp, ms) => {
    expect(record(timestamp)).toMatchObject({ value: "a", timestamp: ms });
  });

  test("[CLI-17] another timestamp is rejected with its line", () => {
    expect(() => record("2026-02-30")).toThrow(
      'line 3: timestamp is "2026-02-30", it must be a time such as',
    );
  });
});

describe("text of others", () => {
  test("[CLI-22] C0, C1 and DEL are shown, and other characters stay", () => {
    const text = "\x1b[31ma\r\n\tb\x07\x7f\x9b\0 \u00e9\u{1f600}";
    expect(plain(text)).toBe("\\x1b[31ma\\x0d\\x0a\\x09b\\x07\\x7f\\x9b\\x00 \u00e9\u{1f600}");
    expect(plainLines("a\tb\r\nc\x1b")).toBe("a\tb\\x0d\nc\\x1b");
  });
});

describe("unread offsets", () => {
  test("[CLI-14] [CLI-15] a partition is read at its end, and what follows is not part of it", () => {
    const unread = new Unread();
    expect(unread.add(PLACE, 5, 8)).toBe(true);
    expect(unread.add({ topic: "orders", partition: 3 }, 4, 4)).toBe(false);
    expect(unread.offsets).toBe(3);
    expect([4, 7, 8].map((offset) => unread.includes(PLACE, offset))).toEqual([true, true, false]);
    expect(unread.readUpTo(PLACE, 6)).toBe(false);
    expect(unread.readUpTo(PLACE, 3), "it does not go back").toBe(false);
    expect(unread.ranges).toEqual([{ place: PLACE, next: 6, end: 8 }]);
    expect(unread.readUpTo(PLACE, 9), "compaction may have removed the last records").toBe(true);
    expect(unread.isEmpty).toBe(true);
    expect(unread.includes(PLACE, 5)).toBe(false);
  });

  test("[CLI-15] a partition that was taken away is not waited for, and may come back", () => {
    const unread = new Unread();
    unread.add(PLACE, 0, 9);
    unread.remove(PLACE);
    expect(unread.isEmpty).toBe(true);
    unread.add(PLACE, 6, 12);
    expect(unread.offsets).toBe(6);
  });
});
