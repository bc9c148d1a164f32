// The files that the console makes from what it shows.
import { expect, test } from "vitest";
import { csvOf, fileName } from "../../../src/console/csv.ts";
import { ndjsonOf, RECORD_HEAD, recordCells } from "../../../src/console/record-export.ts";

const VALUE = '{"id":9007199254740993,"total":12.50}';
const RECORD = {
  partition: 3,
  offset: 9_007_199_254_740_991,
  timestamp: 0,
  key: null,
  value: VALUE,
  headers: { h: [{ base64: "AP8=" }, null] },
};

test("[CON-17] records are lines of JSON, with the stored content unchanged", () => {
  const text = ndjsonOf([RECORD, { ...RECORD, offset: 1, value: "a\nb" }]);
  const lines = text.split("\n");
  expect(lines).toHaveLength(3);
  expect(JSON.parse(lines[0] ?? "")).toEqual(RECORD);
  expect(JSON.parse(lines[1] ?? "").value).toBe("a\nb");
  expect(lines[0]).toContain(JSON.stringify(VALUE));
});

test("[CON-17] records are rows, in which null differs from the empty text", () => {
  expect(
    csvOf(RECORD_HEAD, [recordCells(RECORD), recordCells({ ...RECORD, key: "", value: 'a"b\nc' })]),
  ).toBe(
    [
      '"partition","offset","timestamp","key","keyBase64","value","valueBase64","headers"',
      '3,9007199254740991,"1970-01-01T00:00:00.000Z",,,"{""id"":9007199254740993,""total"":12.50}",,"{""h"":[{""base64"":""AP8=""},null]}"',
      '3,9007199254740991,"1970-01-01T00:00:00.000Z","",,"a""b\nc",,"{""h"":[{""base64"":""AP8=""},null]}"',
      "",
    ].join("\r\n"),
  );
});

test.each(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", '=HYPERLINK("x")'])(
  "[CON-17] %j does not become a formula",
  (text) => {
    expect(csvOf(["h"], [[text]])).toBe(`"h"\r\n"'${text.replaceAll('"', '""')}"\r\n`);
  },
);

test("[CON-17] numbers are numbers, those below 0 too", () => {
  expect(csvOf(["=h"], [[-5, 9_007_199_254_740_991, null]])).toBe(
    `"'=h"\r\n-5,9007199254740991,\r\n`,
  );
});

test("[CON-17] a file name is valid, whatever the topic is called", () => {
  expect(fileName(["../a b\u202e", "records"], "csv")).toBe(".._a_b_-records.csv");
  expect(fileName(["x".repeat(300)], "csv")).toHaveLength(104);
});
