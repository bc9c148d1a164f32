// The small texts of the console: numbers, times, grants, commands, places in lists, plans of a reset.
import { expect, test } from "vitest";
import {
  bytesText,
  countText,
  durationText,
  relativeText,
  shortened,
  timeText,
} from "../../../src/console/format.ts";
import { grantText } from "../../../src/console/grants-text.ts";
import { hexDump } from "../../../src/console/hex-dump.ts";
import { beforePrefix, withPrefix } from "../../../src/console/list-query.ts";
import { curlOf, produceCurlOf, sdkOf } from "../../../src/console/record-code.ts";
import { changeText, planAsIs, resetTo } from "../../../src/console/reset-plan.ts";

test.each([
  [0, "0 ms"],
  [1_500, "1 s"],
  [62_000, "1 min 2 s"],
  [3_600_000, "1 h"],
  [3_580_000, "59 min"],
  [604_800_000, "7 d"],
])("[CON-14] %d ms are shown as %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test("[CON-14] times, counts and sizes are shown as people read them", () => {
  expect(relativeText(1_000, 61_000)).toBe("1 min ago");
  expect(relativeText(61_000, 1_000)).toBe("in 1 min");
  expect(timeText(0)).toBe("1970-01-01T00:00:00.000Z");
  expect(timeText(9e15)).toBe("9000000000000000");
  expect(countText(1, "record")).toBe("1 record");
  expect(countText(2_000, "record")).toBe("2,000 records");
  expect(bytesText(5_000_000_000)).toBe("4.7 GiB");
  expect(shortened("abcdefgh", 5)).toBe("ab…gh");
  expect(shortened("abc", 5)).toBe("abc");
});

test.each([
  [{ topics: { prefix: "" }, operations: ["READ"] }, "May read all topics."],
  [
    { topics: { prefix: "orders." }, operations: ["READ", "WRITE"] },
    'May read and write all topics that begin with "orders.".',
  ],
  [{ groups: { exact: "g" }, operations: ["ALL"] }, 'May do everything with the group "g".'],
  [
    { topics: { prefix: "a-" }, operations: ["CREATE"], max: 3 },
    'May create all topics that begin with "a-", at most 3 of them.',
  ],
  [{ cluster: ["DESCRIBE", "ALTER", "CREATE"] }, "May describe, alter and create the cluster."],
] as const)("[CON-4] %j is a sentence", (grant, sentence) => {
  expect(grantText(grant)).toBe(sentence);
});

test.each(["a", "orders", "ä", "b\ue000", "\u{1f600}"])(
  "[CON-7] the page of the names with the prefix %s begins before them",
  (prefix) => {
    const before = Buffer.from(beforePrefix(prefix));
    expect(Buffer.compare(before, Buffer.from(prefix))).toBe(-1);
    expect(before.toString()).toBe(beforePrefix(prefix)); // It is whole characters.
  },
);

test("[CON-7] a page ends with the last matching name", () => {
  const names = ["ab", "abc", "b"];
  expect(withPrefix(names, "b", "ab", String)).toEqual({ items: ["ab", "abc"], next: undefined });
  expect(withPrefix(names, "abd", "ab", String).next).toBe("abd");
  expect(withPrefix(names, undefined, "", String)).toEqual({ items: names, next: undefined });
});

test("[CON-13] a record can be read elsewhere by a command or a program", () => {
  const place = { topic: "it's", partition: 0, offset: 42 };
  expect(curlOf("http://localhost:1", place, false)).not.toContain("Authorization");
  expect(curlOf("http://localhost:1", place, true)).toBe(
    `curl -s 'http://localhost:1/v1/topics/it'\\''s/partitions/0/records?offset=42&maxRecords=1' -H "Authorization: Bearer $RIVULET_TOKEN"`,
  );
  expect(sdkOf("http://localhost:1", place)).toContain(`{ topic: "it's", partition: 0 }`);
});

test("[CON-19] a record can be produced elsewhere by a command, whatever it contains", () => {
  const record = { key: null, value: `it's "$HOME" \\ \n`, headers: {} };
  const command = produceCurlOf("http://localhost:1", "t", record, true);
  expect(command).toBe(
    `curl -s 'http://localhost:1/v1/topics/t/records' -H "Authorization: Bearer $RIVULET_TOKEN" -H 'Content-Type: application/json' --data-raw '{"records":[{"key":null,"value":"it'\\''s \\"$HOME\\" \\\\ \\n","headers":{}}]}'`,
  );
});

test("[CON-3] bytes that are not text are shown in hexadecimal", () => {
  expect(hexDump(new Uint8Array([0, 255, 65]))).toBe(`00000000  00 ff 41${" ".repeat(40)} ..A`);
});

test.each([
  ["earliest", "", "earliest"],
  ["offset", "42", { offset: 42 }],
  ["offset", "x", null],
  ["shiftBy", "-5", { shiftBy: -5 }],
  ["timestamp", "2026-01-01T00:00Z", { timestamp: 1_767_225_600_000 }],
  ["timestamp", "", null],
  ["duration", "PT2H", { duration: "PT2H" }],
  ["duration", "2 hours", null],
] as const)("[CON-10] a reset to %s %s", (mode, text, to) => {
  expect(resetTo(mode, text)).toEqual(to);
});

test("[CON-10] a plan says what each step does", () => {
  const offsets = [
    { topic: "t", partition: 0, committedOffset: 5, logEndOffset: 9, lag: 4, oldestUnreadMs: 1 },
    {
      topic: "t",
      partition: 1,
      committedOffset: null,
      logEndOffset: 9,
      lag: null,
      oldestUnreadMs: 1,
    },
  ];
  const plan = planAsIs(offsets, new Set(["t/0", "t/1"]));
  expect(plan.map(changeText)).toEqual(["stays", "set for the first time"]);
  const [first] = plan;
  if (first === undefined) throw new Error("the plan is empty");
  expect(changeText({ ...first, offset: 3 })).toBe("2 back: these are delivered again");
  expect(changeText({ ...first, offset: 9 })).toBe("4 forward: these are skipped");
});
