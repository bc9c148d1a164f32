import { expect, test } from "vitest";
import * as z from "zod";
import { BrokerError } from "../../../src/core/errors.ts";
import { grantsSchema, principalSchema } from "../../../src/protocol/grants.ts";
import { parse } from "../../../src/protocol/parse.ts";

const body = z.strictObject({ grants: grantsSchema });

test("[ACL-2] grants are read in any spelling of the operations", () => {
  const grants = [
    { topics: { prefix: "orders." }, operations: ["read", "Write", "READ"] },
    { groups: { exact: "billing" }, operations: ["All"] },
    { cluster: ["DescribeConfigs", "create"] },
  ];
  expect(parse(body, { grants })).toEqual({
    grants: [
      { topics: { prefix: "orders." }, operations: ["READ", "WRITE"] },
      { groups: { exact: "billing" }, operations: ["ALL"] },
      { cluster: ["DESCRIBE_CONFIGS", "CREATE"] },
    ],
  });
});

test.each([
  ["a string", "all", "grants"],
  ["no kind", [{}], "grants[0]"],
  ["null", [null], "grants[0]"],
  [
    "two kinds",
    [{ topics: { prefix: "" }, groups: { prefix: "" }, operations: ["READ"] }],
    "grants",
  ],
  ["no operations", [{ topics: { prefix: "" }, operations: [] }], "grants[0].operations"],
  [
    "an operation of another resource",
    [{ groups: { prefix: "" }, operations: ["WRITE"] }],
    "grants[0].operations[0]",
  ],
  ["an unknown operation", [{ cluster: ["FLY"] }], "grants[0].cluster[0]"],
  [
    "exact and prefix",
    [{ topics: { prefix: "", exact: "" }, operations: ["READ"] }],
    "grants[0].topics",
  ],
  ["an empty name", [{ topics: { exact: "" }, operations: ["READ"] }], "grants[0].topics"],
  [
    "too long a name",
    [{ topics: { prefix: "x".repeat(257) }, operations: ["READ"] }],
    "grants[0].topics",
  ],
  ["too many", Array(101).fill({ cluster: ["CREATE"] }), "grants"],
])("[ACL-3] grants with %s are rejected with their place", (_, grants, place) => {
  let refused: unknown;
  try {
    parse(body, { grants });
  } catch (error) {
    refused = error;
  }
  expect(refused).toBeInstanceOf(BrokerError);
  expect((refused as BrokerError).message).toContain(place);
});

test.each([
  ["alice", "User:alice"],
  ["User:alice", "User:alice"],
  ["User:alice@example.com/mobile app", "User:alice@example.com/mobile app"],
  ["Zoë 🙂 漢字", "User:Zoë 🙂 漢字"],
  ["rooty", "User:rooty"],
  ["User:User:alice", "User:User:alice"],
])("[APK-2] the principal %j is %j", (text, principal) => {
  expect(principalSchema.parse(text)).toBe(principal);
});

test.each(["", "User:", "Group:a", ":a", "User::a", "a\nb", "x".repeat(257)])(
  "[APK-2] %j is not a principal",
  (text) => {
    expect(principalSchema.safeParse(text).success).toBe(false);
  },
);

test.each([
  ...[" a", "a ", "User: a", "a\t", " ", "a\u00a0b", "a\u3000b", "a\u2028b", "a\u2029b"],
  ...["a\u202eb", "a\u2066b", "a\u200bb", "a\ufeffb", "a\u00adb", "a\u0085b", "a\u0000b"],
  ...["a\u3164b", "a\u115fb", "a\ufe0fb", "a\u{e0101}b", "a\u2800b", "a\ud800b"],
])("[APK-2] invisible characters are not allowed in a principal: %j", (principal) => {
  expect(() => parse(z.strictObject({ principal: principalSchema }), { principal })).toThrow(
    /^principal: must be 1 to 256 visible characters, .*; got "/,
  );
});

test.each(["root", "ROOT", "User:Root", "User:User:root", "User:user:ROOT", "anonymous"])(
  "[APK-2] %j is the broker's own, or reads like it",
  (principal) => {
    expect(() => parse(z.strictObject({ principal: principalSchema }), { principal })).toThrow(
      `principal: must not look like root or ANONYMOUS, which are reserved; got "${principal}"`,
    );
  },
);
