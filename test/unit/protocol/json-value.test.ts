// Values that an application gives as JSON and that JSON cannot express.
import { describe, expect, test } from "vitest";
import { fromJsonRecord, toJsonRecord } from "../../../src/protocol/json-record.ts";
import { jsonText } from "../../../src/protocol/json-value.ts";
import { convert, jsonSerde } from "../../../src/sdk/serde.ts";

const own: Record<string, unknown> = {};
own.list = [{ own }];

/** Each value, and its name in the error. */
const UNSAYABLE: [unknown, string][] = [
  [Number.NaN, "NaN"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
  [new Date(Number.NaN), "NaN"],
  [Promise.resolve(1), "[object Promise]"],
  [() => 1, "function"],
  [Symbol("s"), "symbol"],
  [12n, "bigint"],
  [new Map([["a", 1]]), "[object Map]"],
  [new Set([1]), "[object Set]"],
  [Uint8Array.of(1), "[object Uint8Array]"],
  [new ArrayBuffer(1), "[object ArrayBuffer]"],
  [new Error("e"), "[object Error]"],
  [/e/, "[object RegExp]"],
  [{ toJSON: () => [Number.NaN] }, "NaN"],
];

describe.each(UNSAYABLE)("%#: %s", (value, name) => {
  test("[PRD-7] values that JSON cannot express are rejected with their place, at any depth", () => {
    expect(() => jsonText([1, { a: { b: ["c", value] } }])).toThrow(`has no JSON form: $.1.a.b.1`);
    expect(() => jsonText({ a: value })).toThrow(name);
    expect(() => jsonSerde().serialize(value)).toThrow(name);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return; // Bytes are values themselves.
    for (const field of ["key", "value"]) {
      expect(() => fromJsonRecord({ value: 1, [field]: value }, 7)).toThrow(
        `records[7].${field}: has no JSON form: `,
      );
    }
  });
});

test("[PRD-7] an object that contains itself, a hole and undefined in a list are rejected", () => {
  expect(() => jsonText(own)).toThrow("has no JSON form: $.list.0.own is a cycle");
  expect(() => jsonText([1, undefined])).toThrow("has no JSON form: $.1 is undefined");
  expect(() => jsonText({ a: new Array(2) })).toThrow("has no JSON form: $.a.0 is undefined");
  expect(() => jsonText(undefined)).toThrow("has no JSON form: $ is undefined");
});

test("[PRD-7] values that JSON can express are its text", () => {
  class Order {
    readonly total = 12;
    readonly note = undefined;
    cost() {
      return this.total;
    }
  }
  const shared = { a: 1 };
  const values = [
    null,
    "ä",
    -0.5,
    true,
    [],
    {},
    [shared, shared],
    { a: undefined, b: [null, { c: "d" }] },
    new Order(),
    new Date(0),
    new URL("http://rivulet/"),
    Object.create(null, { a: { value: 1, enumerable: true } }),
    JSON.parse('{"__proto__":{"a":1},"toString":"t","constructor":null}'),
  ];
  for (const value of values) expect(jsonText(value)).toBe(JSON.stringify(value));
});

const BYTES = new TextEncoder();

test.each([
  ["text", BYTES.encode("ä€😀"), "ä€😀"],
  ["text that begins with a byte-order mark", BYTES.encode("\uFEFFa"), "\uFEFFa"],
  ["empty text", new Uint8Array(), ""],
  ["null", null, null],
  ["bytes that are no text", Uint8Array.of(0xff, 0xfe), { base64: "//4=" }],
  ["half a character", Uint8Array.of(0x61, 0xc3), { base64: "YcM=" }],
  ["half a surrogate pair", Uint8Array.of(0xed, 0xa0, 0x80), { base64: "7aCA" }],
])("[PRD-5] a key, a value and a header of %s read as they are", (_, bytes, shown) => {
  const headers = [{ key: "h", value: bytes }];
  const record = { offset: 3, timestamp: 4, key: bytes, value: bytes, headers };
  const named = (field: string) =>
    shown !== null && typeof shown === "object"
      ? { [`${field}Base64`]: shown.base64 }
      : { [field]: shown };
  const json = toJsonRecord(record);
  expect(json).toEqual({
    offset: 3,
    timestamp: 4,
    ...named("key"),
    ...named("value"),
    headers: { h: shown },
  });
  const { key, value, headers: back } = fromJsonRecord(json, 0);
  expect({ key, value, headers: back }).toEqual({ key: bytes, value: bytes, headers });
});

test.each([
  ["a promise", Promise.resolve({ a: "1" })],
  ["a map", new Map([["a", "1"]])],
  ["a list", [["a", "1"]]],
  ["null", null],
  ["text", "a"],
])("[PRD-7] headers that are %s are rejected", (_, headers) => {
  expect(() => fromJsonRecord({ value: 1, headers: headers as never }, 0)).toThrow(
    "records[0].headers: must be an object",
  );
});

test.each([undefined, null, Promise.resolve(undefined)])(
  "[SRD-2] a serde that returns %s makes no tombstone",
  async (made) => {
    const valueSerde = { serialize: () => made as never, deserialize: () => 1 };
    await expect(
      convert("serialize", { valueSerde }, { value: {} }, "records[0]"),
    ).rejects.toMatchObject({
      code: "INVALID_RECORD",
      message: expect.stringContaining("value: is nothing"),
    });
  },
);

test("[SRD-3] a value that a consumer's serde rejects has its place in the error's data", async () => {
  const place = { topic: "t", partition: 3, offset: 7 };
  const record = { key: null, value: Uint8Array.of(0x7b) };
  await expect(
    convert("deserialize", { valueSerde: jsonSerde() }, record, "t/3 at offset 7", place),
  ).rejects.toMatchObject({ code: "INVALID_RECORD", data: place });
});
