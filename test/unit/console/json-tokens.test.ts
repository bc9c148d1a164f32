import fc from "fast-check";
import { expect, test } from "vitest";
import { isJsonTree, jsonTokens, laidOut } from "../../../src/console/json-tokens.ts";

const textOf = (tokens: readonly { readonly text: string }[]) =>
  tokens.map(({ text }) => text).join("");

test("[CON-3] numbers are shown as they were written", () => {
  const text = '{"id":9007199254740993,"rate":1.10,"tiny":1E-400,"minus":-0}';
  const numbers = laidOut(text).filter(({ kind }) => kind === "number");
  expect(numbers.map((token) => token.text)).toEqual(["9007199254740993", "1.10", "1E-400", "-0"]);
});

test("[CON-3] a value has a line of its own", () => {
  expect(textOf(laidOut('{"a":[1,{"b":[]}],"c":{}}'))).toBe(
    '{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "c": {}\n}',
  );
});

test("[CON-3] names are distinguished from other strings", () => {
  const kinds = laidOut('{"a" : "b"}').filter(({ text }) => text.startsWith('"'));
  expect(kinds.map(({ kind }) => kind)).toEqual(["name", "string"]);
});

test("[CON-3] tokens are the whole text, whatever it is", () => {
  fc.assert(fc.property(fc.string(), (text) => textOf(jsonTokens(text)) === text));
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(textOf(jsonTokens(text))).toBe(text);
      expect(jsonTokens(text).some(({ kind }) => kind === "other")).toBe(false);
      expect(JSON.parse(textOf(laidOut(text)))).toEqual(JSON.parse(text));
    }),
  );
});

test("[CON-3] long and deep texts take time in proportion to their length", () => {
  const long = `["${'\\"x'.repeat(300_000)}"]`;
  expect(jsonTokens(long)).toHaveLength(3);
  const deep = "[".repeat(20_000) + "]".repeat(20_000);
  expect(textOf(laidOut(deep)).length).toBeLessThan(100 * deep.length);
});

test.each([
  ['{"a":1}', true],
  [" [1]", true],
  ["12", false],
  ["{", false],
  ["text", false],
  ["", false],
])("[CON-3] %j is laid out: %s", (text, expected) => {
  expect(isJsonTree(text)).toBe(expected);
});
