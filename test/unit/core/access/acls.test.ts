// Grants as Kafka's ACLs, and the filters that find them.
import { describe, expect, test } from "vitest";
import {
  type Acl,
  type AclFilter,
  aclsOf,
  isAclMatch,
  whyNotAclFilter,
} from "../../../../src/core/access/acls.ts";
import { type Grant, ROLES } from "../../../../src/core/access/grants.ts";

const [TOPIC, GROUP, CLUSTER] = [2, 3, 4];
const [ANY, MATCH, LITERAL, PREFIXED] = [1, 2, 3, 4];
const [READ, WRITE] = [3, 4];

const shown = (...grants: Grant[]) =>
  aclsOf({ principal: "User:shop", grants }).map(
    ({ resourceType, resourceName, patternType, operation }) => [
      resourceType,
      patternType,
      resourceName,
      operation,
    ],
  );

describe("a grant", () => {
  test.each<[string, Grant, unknown[]]>([
    [
      "on one name is literal",
      { topics: { exact: "orders" }, operations: ["READ", "ALTER_CONFIGS"] },
      [
        [TOPIC, LITERAL, "orders", READ],
        [TOPIC, LITERAL, "orders", 11],
      ],
    ],
    [
      "on the beginning of names is prefixed",
      { groups: { prefix: "billing." }, operations: ["READ"] },
      [[GROUP, PREFIXED, "billing.", READ]],
    ],
    [
      "on all names is the wildcard",
      { groups: { prefix: "" }, operations: ["DELETE"] },
      [[GROUP, LITERAL, "*", 6]],
    ],
    [
      "on the group that is called * is not the wildcard",
      { groups: { exact: "*" }, operations: ["READ"] },
      [[GROUP, PREFIXED, "*", READ]],
    ],
    [
      "on the cluster names it as Kafka does",
      { cluster: ["ALL", "IDEMPOTENT_WRITE"] },
      [
        [CLUSTER, LITERAL, "kafka-cluster", 2],
        [CLUSTER, LITERAL, "kafka-cluster", 12],
      ],
    ],
  ])("[KFK-32] %s", (_what, grant, acls) => {
    expect(shown(grant)).toEqual(acls);
  });

  test("[KFK-32] allows from every host, to its principal", () => {
    const acls = aclsOf({ principal: "User:shop", grants: ROLES.admin });
    expect(acls).toHaveLength(3);
    for (const acl of acls)
      expect(acl).toMatchObject({ principal: "User:shop", host: "*", permissionType: 3 });
  });
});

const all: AclFilter = {
  resourceType: ANY,
  resourceName: null,
  patternType: ANY,
  principal: null,
  host: null,
  operation: ANY,
  permissionType: ANY,
};

const STORED: Readonly<Record<string, Acl>> = Object.fromEntries(
  Object.entries({
    exact: { resourceName: "orders.eu" },
    beginning: { resourceName: "orders.", patternType: PREFIXED },
    sameNamed: { resourceName: "orders.eu", patternType: PREFIXED },
    wildcard: { resourceName: "*" },
    group: { resourceType: GROUP, resourceName: "orders.eu" },
    other: { resourceName: "clicks", principal: "User:other", operation: WRITE },
  }).map(([name, own]) => [
    name,
    {
      resourceType: TOPIC,
      patternType: LITERAL,
      principal: "User:shop",
      host: "*",
      operation: READ,
      permissionType: 3,
      ...own,
    },
  ]),
);

/** The matches of Kafka's ResourcePatternFilter and AccessControlEntryFilter. */
test.each<[Partial<AclFilter>, string[]]>([
  [{}, ["exact", "beginning", "sameNamed", "wildcard", "group", "other"]],
  [{ resourceType: TOPIC }, ["exact", "beginning", "sameNamed", "wildcard", "other"]],
  [{ resourceType: CLUSTER }, []],
  [{ resourceType: 7 }, []],
  [{ patternType: LITERAL }, ["exact", "wildcard", "group", "other"]],
  [{ patternType: PREFIXED }, ["beginning", "sameNamed"]],
  [{ patternType: MATCH }, ["exact", "beginning", "sameNamed", "wildcard", "group", "other"]],
  [{ resourceName: "orders.eu" }, ["exact", "sameNamed", "group"]],
  [{ resourceName: "orders.eu", patternType: LITERAL }, ["exact", "group"]],
  [{ resourceName: "orders.eu", patternType: PREFIXED }, ["sameNamed"]],
  [
    { resourceName: "orders.eu", patternType: MATCH },
    ["exact", "beginning", "sameNamed", "wildcard", "group"],
  ],
  [{ resourceName: "orders.eu.x", patternType: MATCH }, ["beginning", "sameNamed", "wildcard"]],
  [{ resourceName: "orders", patternType: MATCH }, ["wildcard"]],
  [{ resourceName: "*", patternType: LITERAL }, ["wildcard"]],
  [{ resourceName: "*", patternType: MATCH }, ["wildcard"]],
  [{ resourceName: "", patternType: ANY }, []],
  [{ principal: "User:other" }, ["other"]],
  [{ principal: "User:*" }, []],
  [{ host: "*" }, ["exact", "beginning", "sameNamed", "wildcard", "group", "other"]],
  [{ host: "127.0.0.1" }, []],
  [{ operation: WRITE }, ["other"]],
  [{ operation: 2 }, []],
  [{ permissionType: 3, operation: WRITE }, ["other"]],
  [{ permissionType: 2 }, []],
])("[KFK-32] the filter %j finds what Kafka's finds", (own, found) => {
  const filter = { ...all, ...own };
  expect(whyNotAclFilter(filter)).toBeNull();
  const matches = Object.entries(STORED).filter(([, acl]) => isAclMatch(filter, acl));
  expect(matches.map(([name]) => name)).toEqual(found);
});

test.each<[Partial<AclFilter>, string]>([
  [{ resourceType: 0 }, "resourceType is 0, it must be from 1 to 7"],
  [{ resourceType: 8 }, "resourceType is 8, it must be from 1 to 7"],
  [{ patternType: 0 }, "patternType is 0, it must be from 1 to 4"],
  [{ patternType: 5 }, "patternType is 5, it must be from 1 to 4"],
  [{ operation: 0 }, "operation is 0, it must be from 1 to 15"],
  [{ operation: 16 }, "operation is 16, it must be from 1 to 15"],
  [{ permissionType: 0 }, "permissionType is 0, it must be from 1 to 3"],
  [{ permissionType: -1 }, "permissionType is -1, it must be from 1 to 3"],
])("[KFK-32] the filter %j is rejected", (own, detail) => {
  expect(whyNotAclFilter({ ...all, ...own })).toMatchObject({ error: "INVALID_REQUEST", detail });
});
