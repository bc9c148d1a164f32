// PROTOCOL.md and the code agree about the HTTP API, its errors and the configs.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  changeOverrides,
  configByKey,
  DEFAULT_TOPIC_CONFIG,
} from "../../src/core/cluster/config.ts";
import {
  changeGroupConfig,
  groupConfigByKey,
  resolveGroupConfig,
} from "../../src/core/group/config.ts";
import { OPERATIONS } from "../support/http-operations.ts";

const PROTOCOL = readFileSync("PROTOCOL.md", "utf8");

/** The cells of the rows below a table's head. Tables may have the same head. */
function rowsBelow(head: string, which = 0): string[][] {
  const below = PROTOCOL.split(`${head}\n`)[which + 1] ?? "";
  const [, ...rows] = (below.split("\n\n")[0] ?? "").split("\n");
  return rows.map((row) =>
    row
      .replaceAll("\\|", " or ")
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** The operations that a cell names: "GET /v1/topics/{topic}". */
function operationsIn(cell: string): string[] {
  return [...cell.matchAll(/`(GET|POST|PUT|PATCH|DELETE) ([^\s`?]+)/g)].map(
    ([, method, path = ""]) => {
      const whole = path
        .replace("…/", "/v1/topics/:topic/")
        .replace(":topic", "{topic}")
        .replace(":id", "{id}")
        .replace(":alert", "{alert}")
        .replace(":p", "{partition}")
        .replace(":g", "{group}");
      return `${method} ${whole}`;
    },
  );
}

const errorsIn = (cell: string) => cell.match(/[A-Z]+(?:_[A-Z]+)+/g) ?? [];

const ownErrors = ({ errors, readsRecords }: (typeof OPERATIONS)[number]) =>
  readsRecords ? [...errors, "CORRUPT_MESSAGE"] : errors;

const REQUESTS = "| request | result | errors |";

test("[DOC-1] PROTOCOL.md lists every operation with its errors, and no other", () => {
  const tables = PROTOCOL.split(REQUESTS).slice(1);
  const rows = tables.flatMap((_, i) => rowsBelow(REQUESTS, i));
  const listed = rows.flatMap(([request = "", , errors = ""]) =>
    operationsIn(request).map((name) => ({
      name,
      errors: [...new Set(errorsIn(errors))].sort(),
    })),
  );
  // WebSockets have sections of their own.
  const described = OPERATIONS.filter(({ status }) => status !== 101).map((operation) => ({
    name: `${operation.method.toUpperCase()} ${operation.path}`,
    errors: [...ownErrors(operation)].sort(),
  }));
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  expect(listed.sort(byName)).toEqual(described.sort(byName));
});

const HEAD = "| key | default | bounds |";
/** The first table of configs is that of groups, the second that of topics. */
const [GROUP_ROWS, TOPIC_ROWS] = PROTOCOL.split(HEAD)
  .slice(1)
  .map((_, i) => rowsBelow(HEAD, i));

const CONFIGS = [
  {
    what: "topics",
    rows: TOPIC_ROWS ?? [],
    defaults: configByKey(DEFAULT_TOPIC_CONFIG),
    change: changeOverrides,
  },
  {
    what: "groups",
    rows: GROUP_ROWS ?? [],
    defaults: groupConfigByKey(resolveGroupConfig({})),
    change: changeGroupConfig,
  },
];

describe.each(CONFIGS)("the configs of $what", ({ rows, defaults, change }) => {
  const listed = rows.flatMap(([keys = "", values = "", bounds = ""]) => {
    const byDefault = values.split(", ");
    return keys
      .split(", ")
      .map((key, i) => ({ key: key.replaceAll("`", ""), byDefault: byDefault[i] ?? "", bounds }));
  });

  test("[DOC-1] PROTOCOL.md lists every key, and no other", () => {
    expect(listed.map(({ key }) => key).sort()).toEqual(Object.keys(defaults).sort());
  });

  test.each(listed)("[DOC-1] $key has the default that PROTOCOL.md gives", ({ key, byDefault }) => {
    if (byDefault === "(none)") return expect(defaults[key]).toBe("");
    if (key === "rivulet.region") return expect(defaults[key]).toBe(""); // It depends on the creator.
    const [shown = ""] = byDefault.replaceAll("`", "").split(" ");
    const none = String(Number.MAX_SAFE_INTEGER);
    expect(String(defaults[key])).toBe(shown === "none" ? none : shown);
  });

  test.each(listed.filter(({ bounds }) => /^-?\d/.test(bounds)))(
    "[DOC-1] $key has the bounds that PROTOCOL.md gives it",
    ({ key, bounds }) => {
      const [, least = "", most] =
        /^(-?[\d.]+)(?: \([^)]*\))?(?: to (\d+)| or more)/.exec(bounds) ?? [];
      const takes = (value: number) => change({}, { [key]: value }).ok;
      expect(takes(Number(least))).toBe(true);
      expect(takes(Number(least) - 1)).toBe(false);
      if (most === undefined) return;
      expect(takes(Number(most))).toBe(true);
      expect(takes(Number(most) + 1)).toBe(false);
    },
  );
});
