// Input of produce that is not lines of text.
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { problemOfLines } from "../../../src/cli/input-check.ts";
import { jsonAcrossLines } from "../../../src/cli/json-lines.ts";

const check = (start: Buffer, isArray = false) => problemOfLines(start, { file: "data", isArray });

describe("bytes", () => {
  test.each([
    [gzipSync("a\nb\n"), "compressed with gzip", "`gunzip -c data | rivulet produce …`"],
    [Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 4), "compressed with zstd", "`zstd -dc data |"],
    [Buffer.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), "compressed with xz", "`xz -dc data |"],
    [Buffer.from("BZh91AY"), "compressed with bzip2", "`bunzip2 -c data |"],
    [Buffer.from("PK\x03\x04"), "a zip archive", "`unzip -p data |"],
    [Buffer.from("\ufeffa\n", "utf16le"), "UTF-16", "`iconv -f UTF-16 -t UTF-8 data |"],
    [Buffer.of(0xfe, 0xff, 0, 0x61), "UTF-16", "`iconv -f UTF-16 -t UTF-8 data |"],
    [Buffer.of(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0), "UTF-32", "`iconv -f UTF-32 -t UTF-8 data |"],
    [Buffer.of(0, 0, 0xfe, 0xff), "UTF-32", "`iconv -f UTF-32 -t UTF-8 data |"],
    [Buffer.from("a\n", "utf16le"), "has NUL bytes", "`iconv -f UTF-16LE -t UTF-8 data |"],
  ])("[CLI-18] %o is rejected: %s, with %s", (start, name, command) => {
    expect(check(start)).toContain(name);
    expect(check(start)).toContain(command);
    expect(check(start)).toContain("--raw");
    expect(check(start, true), "as an array too, which has no --raw").not.toContain("--raw");
    expect(check(start, true)).toContain(name);
  });

  test.each(["", "a", "\ufeffa\n", "c\u00e9\n", "BZ", "PK", "[1,2]\n"])(
    "[CLI-18] %j is lines",
    (text) => {
      expect(check(Buffer.from(text))).toBeNull();
    },
  );

  test("[CLI-18] bytes that are not UTF-8 are lines too", () => {
    expect(check(Buffer.of(0x63, 0xe9, 0x0a, 0xff, 0xfe, 0x0a))).toBeNull();
  });
});

describe("JSON", () => {
  test.each([
    ['[\n  {"a": 1},\n  {"a": 2}\n]\n', "array"],
    ['[{"a":1},\n{"a":2}]', "array"],
    ["[\n1,\n2", "array"],
    ['[\n  "cut off he', "array"],
    ['{\n  "a": 1\n}\n{\n  "a": 2\n}\n', "object"],
    ['{\n  "a": [1,\n 2], "b": {}, "c": "\\"x\\\\"\n', "object"],
    ['\ufeff\n {\n"a": tr', "object"],
    ['{"a":\n-1.5e3}', "object"],
  ] as const)("[CLI-18] %j is the beginning of one JSON %s", (text, kind) => {
    expect(jsonAcrossLines(text)).toBe(kind);
  });

  test.each([
    '{"a":1}\n{"a":2}\n',
    "[1]\n[2]\n",
    "[]\n",
    "plain\ntext\n",
    "[INFO] started\n[WARN] slow\n",
    "{\n",
    "[\n\n",
    "{ not json\n}\n",
    '{"a" 1,\n"b":2}',
    "[1,\n2}\n",
    "[1 2\n3]",
    '{"a":1,\n}',
    '{"a":"x\ny"}',
    "{1:\n2}",
    "1\n2\n",
    '"a\n',
    "[1\n:2]",
    "",
  ])("[CLI-18] %j is lines", (text) => {
    expect(jsonAcrossLines(text)).toBeNull();
  });

  test("[CLI-18] the error names the option or the command", () => {
    expect(check(Buffer.from("[\n1\n]"))).toMatch(
      /^the input is one JSON array over several lines: give --array, or `jq -c '\.\[\]' data \|/,
    );
    expect(check(Buffer.from('{\n"a":1\n}'))).toMatch(
      /JSON objects over several lines: `jq -c \. data \|/,
    );
    expect(check(Buffer.from("[\n1\n]"), true)).toBeNull();
  });
});
