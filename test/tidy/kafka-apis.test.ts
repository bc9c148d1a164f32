// The documents, the heads of the files and the code agree about Kafka's APIs.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { SERVED } from "../support/kafka-served.ts";
import { filesBelow } from "./files.ts";

const FOLDER = "src/worker/kafka/apis";

function fileOf(name: string): string {
  return `${FOLDER}/${name.replace(/(?<!^)[A-Z]/g, "-$&").toLowerCase()}.ts`;
}

test("[KFK-3] docs/kafka.md lists every API that is served with its versions, and no other", () => {
  const [, table = ""] = readFileSync("docs/kafka.md", "utf8").split(
    "| API | versions | |\n|---|---|---|\n",
  );
  const [rows = ""] = table.split("\n\n");
  const listed = rows.split("\n").flatMap((row) => {
    const [, names = "", versions = ""] = row.split("|").map((cell) => cell.trim());
    const ranges = versions.split(", ");
    const all = names.split(", ");
    expect(ranges, row).toHaveLength(all.length);
    return all.map((name, i) => `${name} ${ranges[i]}`);
  });
  const served = SERVED.map(({ name, versions: [first, last] }) =>
    first === last ? `${name} ${first}` : `${name} ${first}–${last}`,
  );
  expect(listed.sort()).toEqual(served.sort());
});

test("[KFK-1] each API has a file of its own name, and there are no others", () => {
  expect(filesBelow(FOLDER)).toEqual(SERVED.map(({ name }) => fileOf(name)).sort());
});

test.each(SERVED)(
  "[KFK-1] the file of $name begins with its key and its versions, and says what each adds",
  ({ name, key, versions: [first, last], flexibleFrom }) => {
    const text = readFileSync(fileOf(name), "utf8");
    const head = text.slice(0, text.indexOf("\nimport "));
    const range = first === last ? `version ${first}` : `versions ${first} to ${last}`;
    expect(head.startsWith(`// ${name} (API key ${key}), ${range}: `)).toBe(true);
    const notes = [...head.matchAll(/^\/\/ v(\d+) (.*)$/gm)];
    const above = Array.from({ length: last - first }, (_, i) => first + 1 + i);
    expect(notes.map(([, version]) => Number(version))).toEqual(above);
    const flexible = notes.filter(([, , note]) => note?.startsWith("makes fields flexible"));
    expect(flexible.map(([, version]) => Number(version))).toEqual(
      flexibleFrom > first && flexibleFrom <= last ? [flexibleFrom] : [],
    );
    expect(/never flexible/.test(head)).toBe(flexibleFrom > last);
    expect(/flexible from the\s+(\/\/ )?start/.test(head)).toBe(flexibleFrom <= first);
  },
);
