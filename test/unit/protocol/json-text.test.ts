// Keys and values are stored as they were sent: which part of a text belongs to them.
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromJsonRecord, type JsonRecordInput } from "../../../src/protocol/json-record.ts";
import {
  parseRecordJson,
  parseRecordsJson,
  recordList,
} from "../../../src/protocol/json-record-schema.ts";
import { parse } from "../../../src/protocol/parse.ts";

const stored = (record: unknown) => {
  const [checked] = parse(recordList, [record]);
  const { key, value } = fromJsonRecord(checked as JsonRecordInput, 0);
  const text = (bytes: Uint8Array | null) => bytes && new TextDecoder().decode(bytes);
  return { key: text(key), value: text(value) };
};

/** Every way to send a record as JSON. */
const WAYS: [string, (record: string) => unknown][] = [
  ["a line", (record) => parseRecordJson(record, "line 1")],
  [
    "a body",
    (record) =>
      (parseRecordsJson(`{"records":[${record}]}`, "the body") as { records: unknown[] })
        .records[0],
  ],
  [
    "a body of several, with other members around",
    (record) =>
      (
        parseRecordsJson(
          ` { "expectedOffset" : 1, "records" : [ {"value":{"records":[]}} ,\n ${record} , {"value":"[{\\""} ] , "a":[{}] } `,
          "the body",
        ) as { records: unknown[] }
      ).records[1],
  ],
  [
    "the last of two lists",
    (record) =>
      (
        parseRecordsJson(
          `{"records":[{"value":7,"key":[]},{"key":1}],"records":[${record}]}`,
          "it",
        ) as {
          records: unknown[];
        }
      ).records[0],
  ],
];

const TEXTS = [
  "7.0",
  "1.50",
  "-0",
  "1e3",
  "1E+03",
  "12345678901234567890",
  "1e999",
  "0.1000000000000000055",
  '{"b":1.0,"a":2,"b":3}',
  '{ "2":1, "1":2 }',
  '[ 1.0 ,\t{"x": [] } ]',
  '{"\\u0061":"\\ud800", "q":"\\"}]"}',
  '{"__proto__":1.0}',
  "true",
];

test.each(WAYS)("[PRD-6] bytes are the text as it was sent: %s", (_, read) => {
  for (const text of TEXTS) {
    for (const other of ["1", "12345678901234567890", '"1234567890123456"', "null"]) {
      expect(stored(read(`{"key":${text},"value":${other}}`)).key).toBe(text);
      expect(stored(read(` { "value" : ${text} , "key":${other} }`)).value).toBe(text);
    }
  }
  expect(stored(read('{"key":7,"key":"k","value":"v","valu\\u0065":1.0}'))).toEqual({
    key: "k",
    value: "1.0",
  });
  expect(stored(read('{"value":[1],"value":null}'))).toEqual({ key: null, value: null });
  expect(stored(read('{"value":"\\u00e4 1.0","headers":{"value":"1"}}')).value).toBe("ä 1.0");
});

test.each(WAYS)("[PRD-6] so it is whatever the value, however it is laid out: %s", (_, read) => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.jsonValue(),
      fc.constantFrom(0, 1, "\t"),
      (key, value, space) => {
        const texts = {
          key: JSON.stringify(key, null, space),
          value: JSON.stringify(value, null, space),
        };
        const record = `{"key":${texts.key},"value":${texts.value}}`;
        const bytes = (given: unknown, text: string) =>
          given === null || typeof given === "string" ? given : text;
        expect(stored(read(record))).toEqual({
          key: bytes(key, texts.key),
          value: bytes(value, texts.value),
        });
      },
    ),
  );
});

test.each(WAYS)("[PRD-6] a number counts by its value, wherever it is: %s", (_, read) => {
  const fieldOf = (field: string, text: string, beside: string) => {
    const [record] = parse(recordList, [read(`{"value":${beside},"${field}":${text}}`)]);
    return (record as unknown as Record<string, unknown>)[field];
  };
  for (const beside of ['"v"', "1", "12345678901234567890", "1e400"]) {
    expect(fieldOf("timestamp", "1795906156850.0", beside)).toBe(1_795_906_156_850);
    expect(fieldOf("timestamp", "1.79590615685e12", beside)).toBe(1_795_906_156_850);
    expect(fieldOf("timestamp", "-1.0", beside)).toBe(-1);
    expect(fieldOf("partition", "1e2", beside)).toBe(100);
    expect(() => fieldOf("timestamp", "1.5", beside)).toThrow("must be a whole number");
    expect(() => fieldOf("partition", "1e16", beside)).toThrow("must be a whole number");
    expect(() => fieldOf("partition", "-1.0", beside)).toThrow("must be a whole number");
  }
});

test.each(["5", '"x"', "null", "[]", "[[1.0]]"])(
  "[PRD-6] a record that is %s, and not an object, changes nothing in the others",
  (other) => {
    const records = [other, '{"value":1.0}', other, '{"key":2.50}', other];
    const text = `{"records":[${records.join(" , ")}],"more":{"value":3.0}}`;
    const body = parseRecordsJson(text, "the body") as {
      records: { key?: Uint8Array; value?: Uint8Array }[];
    };
    expect(new TextDecoder().decode(body.records[1]?.value)).toBe("1.0");
    expect(new TextDecoder().decode(body.records[3]?.key)).toBe("2.50");
  },
);
