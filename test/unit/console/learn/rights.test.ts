// The rights that a key lacks for the lesson.
import { expect, test } from "vitest";
import { missingRights } from "../../../../src/console/learn/rights.ts";
import { type Grant, isAllowed } from "../../../../src/core/access/grants.ts";

const missingWith = (grants: readonly Grant[]) =>
  missingRights((operation, type, name) => isAllowed({ grants }, operation, { type, name }));

const GROUPS: Grant = { groups: { prefix: "learn-" }, operations: ["READ", "DELETE"] };

test.each<{ name: string; grants: readonly Grant[]; missing: string | null }>([
  {
    name: "nothing",
    grants: [],
    missing: "create, write, read and delete topics and read and delete groups",
  },
  {
    name: "all it needs",
    grants: [{ topics: { prefix: "learn-" }, operations: ["ALL"] }, GROUPS],
    missing: null,
  },
  {
    name: "creation by the cluster",
    grants: [
      { topics: { prefix: "" }, operations: ["READ", "WRITE", "DELETE"] },
      { cluster: ["CREATE"] },
      GROUPS,
    ],
    missing: null,
  },
  {
    name: "no creation",
    grants: [{ topics: { prefix: "" }, operations: ["READ", "WRITE", "DELETE"] }, GROUPS],
    missing: "create topics",
  },
  {
    name: "names of another kind",
    grants: [{ topics: { prefix: "orders" }, operations: ["ALL"] }, GROUPS],
    missing: "create, write, read and delete topics",
  },
])("[LRN-10] with a key with $name", ({ grants, missing }) => {
  expect(missingWith(grants)).toBe(missing);
});
