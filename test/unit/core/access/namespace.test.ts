import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  allowedOperations,
  CLUSTER,
  type Grant,
  groupResource,
  isAllowed,
  isReadable,
  ROLES,
  readableTopics,
  topicResource,
} from "../../../../src/core/access/grants.ts";
import {
  confined,
  grantsOutside,
  NAMESPACE,
  nameInside,
  nameOutside,
  patternInside,
  patternOutside,
  textOutside,
} from "../../../../src/core/access/namespace.ts";
import { OPERATIONS_OF } from "../../../../src/core/access/operations.ts";
import { renameAssigned, renameSubscribed } from "../../../../src/core/group/classic-assignment.ts";
import { subscribes } from "../../../../src/core/group/topic-pattern.ts";
import { MAX_GRANT_NAME_CHARS } from "../../../../src/core/limits.ts";
import { runs } from "../../../support/effort.ts";

const name = fc.stringMatching(/^[a-z.]{0,6}$/);
const pattern = fc.oneof(
  name.filter((text) => text !== "").map((exact) => ({ exact })),
  name.map((prefix) => ({ prefix })),
);
const operationsOn = (type: "topic" | "group" | "cluster") =>
  fc.subarray(["ALL" as const, ...OPERATIONS_OF[type]], { minLength: 1 });
const grant: fc.Arbitrary<Grant> = fc.oneof(
  fc.record({ topics: pattern, operations: operationsOn("topic") }),
  fc.record({ groups: pattern, operations: operationsOn("group") }),
  operationsOn("cluster").map((cluster) => ({ cluster })),
);
const grants = fc.array(grant, { maxLength: 5 });
const NAMESPACES = ["a.", "a.b.", "ab-"];
const namespace = fc.constantFrom(...NAMESPACES);

test("[TEN-1] confined grants allow nothing outside, and inside what they allowed before", () => {
  fc.assert(
    fc.property(grants, namespace, name, (own, prefix, named) => {
      const within = { grants: confined(own, prefix) };
      for (const resource of [topicResource, groupResource]) {
        const { type } = resource("");
        if (!named.startsWith(prefix))
          expect(allowedOperations(within, resource(named))).toEqual([]);
        for (const operation of OPERATIONS_OF[type]) {
          const before = isAllowed({ grants: own }, operation, resource(named));
          if (before) expect(isAllowed(within, operation, resource(prefix + named))).toBe(true);
        }
      }
      const left = allowedOperations(within, CLUSTER);
      expect(left.filter((operation) => operation !== "IDEMPOTENT_WRITE")).toEqual([]);
      if (!named.startsWith(prefix)) expect(isReadable(readableTopics(within), named)).toBe(false);
      expect(confined(grantsOutside(confined(own, prefix), prefix), prefix)).toEqual(
        confined(own, prefix),
      );
    }),
    runs(500),
  );
});

test("[TEN-1] a right on the cluster becomes one on all names inside", () => {
  const tenant = { grants: confined(ROLES.admin, "a.") };
  expect(isAllowed(tenant, "CREATE", topicResource("a.x"))).toBe(true);
  expect(isAllowed(tenant, "DESCRIBE", groupResource("a.x"))).toBe(true);
  for (const operation of ["ALTER", "DESCRIBE", "ALTER_CONFIGS", "CREATE"] as const)
    expect(isAllowed(tenant, operation, CLUSTER)).toBe(false);
  const lists = { grants: confined([{ cluster: ["DESCRIBE"] }], "a.") };
  expect(isAllowed(lists, "DESCRIBE", groupResource("a.x"))).toBe(true);
  expect(isAllowed(lists, "READ", groupResource("a.x"))).toBe(false);
});

test("[TEN-1] a grant whose names would be too long fits no name, and goes", () => {
  const long = "x".repeat(MAX_GRANT_NAME_CHARS);
  const own: Grant[] = [{ topics: { prefix: long }, operations: ["READ"] }];
  expect(confined(own, "a.")).toEqual([]);
});

test.each([
  ["acme.", true],
  ["a-", true],
  ["acme_", true],
  ["acme", false],
  [".", false],
  ["a b.", false],
  ["ä.", false],
])("[TEN-1] %j is a name space: %j", (text, is) => {
  expect(NAMESPACE.test(text)).toBe(is);
});

test("[TEN-2] names come out as they went in", () => {
  fc.assert(
    fc.property(name, namespace, (own, prefix) => {
      expect(nameOutside(prefix, nameInside(prefix, own))).toBe(own);
      expect(patternOutside(prefix, patternInside(prefix, own))).toBe(own);
    }),
    runs(200),
  );
});

test.each([
  ["topic acme.orders exists", "topic orders exists"],
  ["acme.a/0 and acme.b/1", "a/0 and b/1"],
  ["topic acme.acme.x", "topic acme.x"],
  ["topic other.acme.x", "topic other.acme.x"],
  ["no names", "no names"],
])("[TEN-2] the text %j is told as %j", (text, told) => {
  expect(textOutside("acme.", text)).toBe(told);
});

describe("patterns", () => {
  test.each([
    [".*", "acme.orders", true],
    [".*", "other.orders", false],
    [".*", "acmeXorders", false],
    ["^ord.*$", "acme.orders", true],
    ["^ord.*|^pay.*", "acme.payments", true],
    ["ord", "acme.orders", false],
    ["acme\\.orders", "acme.orders", false],
  ])("[TEN-2] %j fits %j: %j", (own, topic, fits) => {
    const subscription = { topics: [], topicPattern: patternInside("acme.", own) };
    expect(subscribes(subscription, topic)).toBe(fits);
  });
});

describe("the bytes of classic members", () => {
  const text = (of: string) => {
    const bytes = new TextEncoder().encode(of);
    return [0, bytes.length, ...bytes];
  };
  const subscription = Uint8Array.of(0, 3, 0, 0, 0, 2, ...text("a"), ...text("bc"), 9, 9, 9);
  const assignment = Uint8Array.of(
    0,
    0,
    ...[0, 0, 0, 1],
    ...text("a"),
    ...[0, 0, 0, 1, 0, 0, 0, 7],
    5,
  );
  /** Bytes that look like a list of texts, with texts of any bytes. */
  const likely = fc
    .tuple(fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 3 }), fc.uint8Array())
    .map(([texts, rest]) =>
      Uint8Array.of(
        ...[0, 1, 0, 0, 0, texts.length],
        ...texts.flatMap((each) => [0, each.length, ...each]),
        ...rest,
      ),
    );
  const into = (each: string) => nameInside("acme.", each);
  const outOf = (each: string) => nameOutside("acme.", each);

  test("[TEN-2] have other names in the first list, and the rest as it was", () => {
    expect(renameSubscribed(subscription, into)).toEqual(
      Uint8Array.of(0, 3, 0, 0, 0, 2, ...text("acme.a"), ...text("acme.bc"), 9, 9, 9),
    );
    expect(renameSubscribed(renameSubscribed(subscription, into), outOf)).toEqual(subscription);
    expect(renameAssigned(renameAssigned(assignment, into), outOf)).toEqual(assignment);
    expect(renameAssigned(assignment, into)).toEqual(
      Uint8Array.of(0, 0, ...[0, 0, 0, 1], ...text("acme.a"), ...[0, 0, 0, 1, 0, 0, 0, 7], 5),
    );
  });

  test("[TEN-2] come back as they were, whatever they are", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), likely), (bytes) => {
        for (const rename of [renameSubscribed, renameAssigned])
          expect(rename(rename(bytes, into), outOf)).toEqual(bytes);
      }),
      runs(1_000),
    );
  });
});
