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
import { unwrap } from "../../../../src/core/errors.ts";
import {
  assignmentOutside,
  assignmentsInside,
  readAssignment,
  readSubscription,
  subscriptionOutside,
  subscriptionsInside,
} from "../../../../src/core/group/classic-assignment.ts";
import { subscribes } from "../../../../src/core/group/topic-pattern.ts";
import {
  MAX_CLASSIC_GROUP_BYTES,
  MAX_CLASSIC_MEMBER_BYTES,
  MAX_GRANT_NAME_CHARS,
} from "../../../../src/core/limits.ts";
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

test("[TEN-1] a grant whose names would be too long matches no name, and is dropped", () => {
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
])("[TEN-1] %j is a namespace: %j", (text, is) => {
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
])("[TEN-2] the text %j is shown as %j", (text, told) => {
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
  ])("[TEN-2] %j matches %j: %j", (own, topic, fits) => {
    const subscription = { topics: [], topicPattern: patternInside("acme.", own) };
    expect(subscribes(subscription, topic)).toBe(fits);
  });
});

describe("the bytes of classic members", () => {
  const text = (of: string | Uint8Array) => {
    const bytes = typeof of === "string" ? new TextEncoder().encode(of) : of;
    return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
  };
  const int32 = (value: number) => [value >> 24, value >> 16, value >> 8, value];
  const listOf = (...entries: (readonly number[])[]) => [
    ...int32(entries.length),
    ...entries.flat(),
  ];
  const subscribed = (...names: string[]) => Uint8Array.from([0, 0, ...listOf(...names.map(text))]);
  const assigned = (...names: string[]) =>
    Uint8Array.from([
      0,
      0,
      ...listOf(...names.map((each) => [...text(each), ...listOf(int32(7))])),
    ]);
  const subscription = Uint8Array.of(0, 3, ...listOf(text("a"), text("bc")), 9, 9, 9);
  const assignment = Uint8Array.of(0, 0, ...listOf([...text("a"), ...listOf(int32(7))]), 5);
  const FORMATS = [
    {
      kind: "a subscription",
      of: subscribed,
      inside: subscriptionsInside,
      outside: subscriptionOutside,
      names: readSubscription,
      maxBytes: MAX_CLASSIC_MEMBER_BYTES,
    },
    {
      kind: "an assignment",
      of: assigned,
      inside: assignmentsInside,
      outside: assignmentOutside,
      names: (bytes: Uint8Array) => readAssignment(bytes).map(({ topic }) => topic),
      maxBytes: MAX_CLASSIC_GROUP_BYTES,
    },
  ] as const;
  type Inside = (typeof FORMATS)[number]["inside"];
  const into = (inside: Inside, bytes: Uint8Array, prefix = "acme.") =>
    unwrap(inside(prefix, [bytes])).pieces[0] as Uint8Array;

  /** Bytes that look like a list: texts of any bytes, perhaps with partitions behind them, and a count that may be wrong. */
  const likely = fc
    .record({
      names: fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 5 }),
          fc
            .constantFrom("", ".", "..", "...", "a", "acme.", "acme.x", "globex.x", "ä")
            .map((each) => new TextEncoder().encode(each)),
        ),
        { maxLength: 4 },
      ),
      partitions: fc.option(fc.nat({ max: 2 })),
      countIsOff: fc.constantFrom(0, 0, 0, 1, -1),
      rest: fc.uint8Array({ maxLength: 12 }),
    })
    .map(({ names, partitions, countIsOff, rest }) => {
      const behind = partitions === null ? [] : listOf(...Array(partitions).fill(int32(1)));
      const entries = names.flatMap((each) => [...text(each), ...behind]);
      return Uint8Array.of(0, 1, ...int32(names.length + countIsOff), ...entries, ...rest);
    });
  const any = fc.oneof(fc.uint8Array({ maxLength: 40 }), likely);
  const NO_NAMES = ["", ".", ".."];

  test("[TEN-2] have other names in the first list, and the rest unchanged", () => {
    expect(into(subscriptionsInside, subscription)).toEqual(
      Uint8Array.of(0, 3, ...listOf(text("acme.a"), text("acme.bc")), 9, 9, 9),
    );
    expect(into(assignmentsInside, assignment)).toEqual(
      Uint8Array.of(0, 0, ...listOf([...text("acme.a"), ...listOf(int32(7))]), 5),
    );
    const inside = into(assignmentsInside, assignment);
    expect(assignmentOutside("acme.", inside)).toEqual(assignment);
  });

  test.each(FORMATS)("[TEN-2] $kind comes back as it was, whatever it is", (format) => {
    fc.assert(
      fc.property(any, namespace, (bytes, prefix) => {
        const inside = into(format.inside, bytes, prefix);
        expect(format.outside(prefix, inside)).toEqual(bytes);
        expect(inside.buffer).not.toBe(bytes.buffer);
      }),
      runs(2_000),
    );
  });

  test.each(FORMATS)("[TEN-2] $kind names nothing in a group except what is inside", (format) => {
    fc.assert(
      fc.property(any, namespace, (bytes, prefix) => {
        const own = format.names(bytes);
        const names = format.names(into(format.inside, bytes, prefix));
        expect(names).toEqual(own.map((each) => nameInside(prefix, each)));
      }),
      runs(2_000),
    );
  });

  test.each(FORMATS)("[TEN-2] $kind leaves a group without the names of others", (format) => {
    fc.assert(
      fc.property(any, namespace, (bytes, prefix) => {
        const here = format.names(bytes);
        if (here.length === 0) return; // The group found no names either.
        const left = format.names(format.outside(prefix, bytes));
        const own = here.filter(
          (each) => NO_NAMES.includes(each) || (each.startsWith(prefix) && each !== prefix),
        );
        expect(left).toEqual(own.map((each) => nameOutside(prefix, each)));
      }),
      runs(2_000),
    );
    const mixed = format.of("globex.secret", "acme.a", "acme.", "other.acme.b", "acme.b", "acmeXc");
    expect(format.outside("acme.", mixed)).toEqual(format.of("a", "b"));
  });

  test.each(FORMATS)(
    "[TEN-2] $kind of many thousand names is translated like any other",
    (format) => {
      const many = Array.from({ length: 20_000 }, (_, i) => `topic-${i}`);
      const inside = into(format.inside, format.of(...many));
      expect(inside).toEqual(format.of(...many.map((each) => `acme.${each}`)));
      expect(format.outside("acme.", inside)).toEqual(format.of(...many));
    },
  );

  test.each(FORMATS)(
    "[TEN-2] $kind that cannot be translated is rejected",
    ({ inside, of, maxBytes }) => {
      const refused = { ok: false, error: "INVALID_REQUEST" };
      const longest = "x".repeat(32_767 - "acme.".length);
      expect(inside("acme.", [of("globex.secret", longest)])).toMatchObject({ ok: true });
      expect(inside("acme.", [of("globex.secret", `${longest}x`)])).toMatchObject(refused);
      expect(inside("acme.", [of("a"), of(`${longest}x`)])).toMatchObject(refused);
      // With the prefix all pieces together have the maximum size, or a byte more.
      const own = of("a").length + "acme.".length;
      const rest = new Uint8Array(maxBytes - own);
      expect(inside("acme.", [of("a"), rest])).toMatchObject({ ok: true });
      expect(inside("acme.x.", [of("a"), rest])).toMatchObject(refused);
      expect(inside("acme.", [of("a"), new Uint8Array(maxBytes)])).toMatchObject(refused);
      const padded = new Uint8Array(maxBytes + 1);
      padded.set(of("globex.secret"));
      expect(inside("acme.", [padded])).toMatchObject(refused);
    },
  );
});
