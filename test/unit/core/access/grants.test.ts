import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  allowedOperations,
  CLUSTER,
  type Grant,
  grantBeyond,
  groupResource,
  isAllowed,
  isAllowedSomewhere,
  isReadable,
  ROLES,
  type Role,
  readableTopics,
  topicResource,
  whatIsMissing,
} from "../../../../src/core/access/grants.ts";
import {
  includes,
  OPERATION_CODES,
  OPERATIONS_OF,
  type Operation,
  operationNamed,
} from "../../../../src/core/access/operations.ts";

const OPERATIONS = Object.keys(OPERATION_CODES) as Operation[];

describe("operations", () => {
  test.each([
    ["READ", ["READ", "DESCRIBE"]],
    ["WRITE", ["WRITE", "DESCRIBE"]],
    ["DELETE", ["DELETE", "DESCRIBE"]],
    ["ALTER", ["ALTER", "DESCRIBE"]],
    ["ALTER_CONFIGS", ["ALTER_CONFIGS", "DESCRIBE_CONFIGS"]],
    ["CREATE", ["CREATE"]],
    ["DESCRIBE", ["DESCRIBE"]],
    ["DESCRIBE_CONFIGS", ["DESCRIBE_CONFIGS"]],
    ["IDEMPOTENT_WRITE", ["IDEMPOTENT_WRITE"]],
    ["ALL", OPERATIONS],
  ] as [Operation, Operation[]][])("[ACL-1] %s includes %j", (granted, included) => {
    expect(OPERATIONS.filter((operation) => includes(granted, operation)).sort()).toEqual(
      [...included].sort(),
    );
  });

  test.each([
    ["READ", "READ"],
    ["read", "READ"],
    ["DescribeConfigs", "DESCRIBE_CONFIGS"],
    ["describe_configs", "DESCRIBE_CONFIGS"],
    ["All", "ALL"],
    ["CLUSTER_ACTION", null],
    ["", null],
    ["__proto__", null],
  ])("[ACL-1] %j is the operation %j", (name, operation) => {
    expect(operationNamed(name)).toBe(operation);
  });
});

const ORDERS: Grant[] = [{ topics: { prefix: "orders." }, operations: ["READ"] }];

describe("a grant", () => {
  const topic = topicResource("orders.x");
  test.each([
    [ORDERS, "READ", topic, true],
    [ORDERS, "DESCRIBE", topic, true],
    [ORDERS, "WRITE", topic, false],
    [ORDERS, "READ", topicResource("orders"), false],
    [ORDERS, "READ", topicResource("billing.orders."), false],
    [ORDERS, "READ", groupResource("orders.x"), false],
    [ORDERS, "DESCRIBE", CLUSTER, false],
    [[{ topics: { exact: "a" }, operations: ["ALL"] }], "DELETE", topicResource("a"), true],
    [[{ topics: { exact: "a" }, operations: ["ALL"] }], "DELETE", topicResource("ab"), false],
    [[{ topics: { prefix: "" }, operations: ["WRITE"] }], "WRITE", topic, true],
    [[{ groups: { exact: "*" }, operations: ["READ"] }], "READ", groupResource("g"), false],
    [[{ cluster: ["ALTER"] }], "DESCRIBE", CLUSTER, true],
    [[{ cluster: ["ALTER"] }], "CREATE", CLUSTER, false],
    [[], "DESCRIBE", topic, false],
  ] as [Grant[], Operation, typeof topic, boolean][])(
    "[ACL-2] %j allows %s on %j: %s",
    (grants, operation, resource, allowed) => {
      expect(isAllowed({ grants }, operation, resource)).toBe(allowed);
    },
  );

  test("[ACL-2] operations of several grants add up, and none takes one away", () => {
    fc.assert(
      fc.property(grantList, grantList, resource, operation, (some, others, where, what) => {
        const alone = isAllowed({ grants: some }, what, where);
        const together = isAllowed({ grants: [...some, ...others] }, what, where);
        expect(together).toBe(alone || isAllowed({ grants: others }, what, where));
      }),
    );
  });

  test.each([
    ["read", "READ", false],
    ["read", "WRITE", false],
    ["write", "WRITE", false],
    ["consume", "READ", true],
    ["admin", "ALTER_CONFIGS", true],
  ] as [Role, Operation, boolean][])(
    "[ACL-2] the role %s: %s on groups is %s",
    (role, what, is) => {
      const grants = ROLES[role];
      expect(isAllowed({ grants }, what, groupResource("g"))).toBe(is);
      const onTopic = role === "write" ? "WRITE" : "READ";
      expect(isAllowed({ grants }, onTopic, topicResource("t"))).toBe(true);
      expect(isAllowed({ grants }, "ALTER", CLUSTER)).toBe(role === "admin");
    },
  );

  test("[ACL-4] writing somewhere is writing to any topic", () => {
    expect(isAllowedSomewhere({ grants: ORDERS }, "WRITE", "topic")).toBe(false);
    expect(isAllowedSomewhere({ grants: ORDERS }, "DESCRIBE", "topic")).toBe(true);
    expect(isAllowedSomewhere({ grants: [...ROLES.write] }, "WRITE", "topic")).toBe(true);
  });

  test("[ACL-1] the allowed operations are listed by the kind of resource", () => {
    expect(allowedOperations({ grants: ORDERS }, topicResource("orders.x"))).toEqual([
      "READ",
      "DESCRIBE",
    ]);
    const all = { grants: [...ROLES.admin] };
    expect(allowedOperations(all, CLUSTER)).toEqual(OPERATIONS_OF.cluster);
  });

  test("[ACL-5] a refusal names caller, operation and resource", () => {
    const text = whatIsMissing({ principal: "User:a" }, "WRITE", topicResource("t"));
    expect(text).toBe("User:a may not WRITE topic t; it needs a grant of WRITE on topics");
  });
});

describe("grants within others", () => {
  test.each([
    [ORDERS, [], null],
    [ORDERS, ORDERS, null],
    [ORDERS, [{ topics: { exact: "orders.x" }, operations: ["READ", "DESCRIBE"] }], null],
    [ORDERS, [{ topics: { prefix: "orders.eu." }, operations: ["READ"] }], null],
    [ORDERS, [{ topics: { prefix: "orders" }, operations: ["READ"] }], 0],
    [ORDERS, [{ topics: { exact: "orders.x" }, operations: ["READ", "WRITE"] }], 0],
    [ORDERS, [{ topics: { exact: "orders.x" }, operations: ["ALL"] }], 0],
    [ORDERS, [{ groups: { exact: "orders.x" }, operations: ["READ"] }], 0],
    [ORDERS, [...ORDERS, { cluster: ["DESCRIBE"] }], 1],
    [ROLES.admin, ROLES.consume, null],
    [
      [{ topics: { exact: "a" }, operations: ["READ"] }],
      [{ topics: { prefix: "a" }, operations: ["READ"] }],
      0,
    ],
  ] as unknown as [Grant[], Grant[], number | null][])(
    "[ACL-3] of %j the grants %j go beyond at %j",
    (grants, wanted, index) => {
      expect(grantBeyond({ grants }, wanted)).toEqual(index === null ? null : wanted[index]);
    },
  );

  test("[ACL-3] grants within others allow nothing more", () => {
    fc.assert(
      fc.property(grantList, grantList, resource, operation, (grants, wanted, where, what) => {
        fc.pre(grantBeyond({ grants }, wanted) === null);
        if (isAllowed({ grants: wanted }, what, where))
          expect(isAllowed({ grants }, what, where)).toBe(true);
      }),
    );
  });
});

test("[ACL-7] the topics that a principal may read follow from its grants", () => {
  fc.assert(
    fc.property(grantList, fc.constantFrom("", "a", "ab", "abc", "b"), (grants, name) => {
      const readable = readableTopics({ grants });
      expect(isReadable(readable, name)).toBe(isAllowed({ grants }, "READ", topicResource(name)));
    }),
  );
  expect(readableTopics({ grants: [...ROLES.read] })).toBeUndefined();
  expect(readableTopics({ grants: [] })).toEqual([]);
});

const name = fc.constantFrom("", "a", "ab", "abc", "b");
const pattern = fc.oneof(
  name.map((exact) => ({ exact })),
  name.map((prefix) => ({ prefix })),
);
const operation = fc.constantFrom(...OPERATIONS);
const operations = fc.array(operation, { minLength: 1, maxLength: 3 });
const grant: fc.Arbitrary<Grant> = fc.oneof(
  fc.record({ topics: pattern, operations }),
  fc.record({ groups: pattern, operations }),
  fc.record({ cluster: operations }),
);
const grantList = fc.array(grant, { maxLength: 4 });
const resource = fc.oneof(name.map(topicResource), name.map(groupResource), fc.constant(CLUSTER));
