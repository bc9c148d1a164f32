// SPEC.md and the tests match: every rule is named by a test, and every test names a rule.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { filesBelow } from "./files.ts";

const rules = [...readFileSync("SPEC.md", "utf8").matchAll(/^- \*\*([A-Z]+-\d+)\*\*/gm)].map(
  (match) => match[1] ?? "",
);

interface NamedTest {
  readonly file: string;
  readonly title: string;
}

/** `test("title"` and `test.each(table)("title"`, as in the sources. */
const PLAIN = /^\s*(?:test|it)\(\s*(["'`])([\s\S]*?)\1/gm;
const TABLE = /^\s*(?:test|it)\.(?:each|for)\b[\s\S]*?\)\(\s*(["'`])([\s\S]*?)\1/gm;

function testTitles(): NamedTest[] {
  return filesBelow("test").flatMap((file) => {
    if (!/(?:\.test|-suite)\.ts$/.test(file)) return [];
    const text = readFileSync(file, "utf8");
    const calls = [...text.matchAll(PLAIN), ...text.matchAll(TABLE)];
    return calls.map((match) => ({ file, title: match[2] ?? "" }));
  });
}

test("[SYS-5] every rule of SPEC.md is named by a test", () => {
  const named = new Set(testTitles().flatMap(({ title }) => title.match(/[A-Z]+-\d+/g) ?? []));
  expect(rules.filter((rule) => !named.has(rule))).toEqual([]);
  expect(rules.length).toBeGreaterThan(50);
  expect(new Set(rules).size).toBe(rules.length);
});

test("[SYS-5] every test begins with a rule of SPEC.md", () => {
  const known = new Set(rules);
  const strays = testTitles().filter(({ title }) => {
    const ids = title.match(/^(?:\[[A-Z]+-\d+\] ?)+/)?.[0].match(/[A-Z]+-\d+/g) ?? [];
    return ids.length === 0 || ids.some((id) => !known.has(id));
  });
  expect(strays).toEqual([]);
});

test("[SYS-5] rules cited in comments and documents exist", () => {
  const known = new Set(rules);
  const families = new Set(rules.map((rule) => rule.split("-")[0]));
  const files = [
    ...filesBelow("src"),
    ...filesBelow("durable-objects"),
    "README.md",
    "PROTOCOL.md",
    "ARCHITECTURE.md",
  ];
  const unknown = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/\[([A-Z]+)-(\d+)\]/g)]
      .filter(([, family]) => families.has(family ?? ""))
      .map(([, family, number]) => `${family}-${number}`)
      .filter((rule) => !known.has(rule))
      .map((rule) => `${file}: ${rule}`),
  );
  expect(unknown).toEqual([]);
});
