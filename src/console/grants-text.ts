// Describes grants in sentences.
import type { Grant } from "../core/access/grants.ts";
import { partsOf } from "../core/access/grants.ts";
import type { Operation } from "../core/access/operations.ts";

const VERBS: Readonly<Record<Operation, string>> = {
  ALL: "do everything with",
  READ: "read",
  WRITE: "write",
  CREATE: "create",
  DELETE: "delete",
  ALTER: "alter",
  DESCRIBE: "describe",
  DESCRIBE_CONFIGS: "describe the configs of",
  ALTER_CONFIGS: "alter the configs of",
  IDEMPOTENT_WRITE: "write idempotently to",
};

/** `May read and write all topics that begin with "orders."` */
export function grantText(grant: Grant): string {
  const [type, pattern, operations] = partsOf(grant);
  const verbs = listText(operations.map((operation) => VERBS[operation] ?? operation));
  const what =
    pattern === null
      ? "the cluster"
      : "exact" in pattern
        ? `the ${type} "${pattern.exact}"`
        : pattern.prefix === ""
          ? `all ${type}s`
          : `all ${type}s that begin with "${pattern.prefix}"`;
  const max = "max" in grant && grant.max !== undefined ? `, at most ${grant.max} of them` : "";
  return `May ${verbs} ${what}${max}.`;
}

/** "a, b and c". */
export function listText(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
