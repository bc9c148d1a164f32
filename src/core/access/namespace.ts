// A namespace: the part of a deployment that a tenant sees as the whole. Its topics and groups begin with a prefix
// that the tenant neither writes nor sees. Names get the prefix on their way in and lose it on their way out.
//
// Two mechanisms keep tenants apart, and only the first one matters for security. A caller's grants are confined to the
// namespace once, when its credential is read, so no name that it sends can reach anything else. Translating names is
// a convenience.
import { MAX_GRANT_NAME_CHARS } from "../limits.ts";
import type { Grant, NamePattern } from "./grants.ts";
import { OPERATIONS_OF, type Operation } from "./operations.ts";

/** The empty prefix. Callers without a namespace see all names unchanged. */
export const WHOLE = "";

/** A prefix ends with a separator. So no namespace is a prefix of another one of the same length. */
export const NAMESPACE = /^[A-Za-z0-9][A-Za-z0-9._-]*[._-]$/;
export const NAMESPACE_RULE =
  "must be 2 to 64 letters, digits, dots, underscores and dashes, with one of the last three at its end";

/** Invalid names. They are not translated, so they are rejected under the name that the caller sent. */
const NO_NAMES: ReadonlySet<string> = new Set(["", ".", ".."]);

/** Returns the full name in the deployment. */
export function nameInside(namespace: string, name: string): string {
  return NO_NAMES.has(name) ? name : namespace + name;
}

/** Returns the name as callers in this namespace see it. */
export function nameOutside(namespace: string, name: string): string {
  // A caller without a namespace may have given a topic exactly this prefix as its name.
  if (namespace === WHOLE || name === namespace || !name.startsWith(namespace)) return name;
  return name.slice(namespace.length);
}

/** Removes the prefix from names within a text, such as an error message. */
export function textOutside(namespace: string, text: string): string {
  if (namespace === WHOLE || !text.includes(namespace)) return text;
  const quoted = namespace.replace(/[.]/g, "\\.");
  return text.replace(new RegExp(`(?<![A-Za-z0-9._-])${quoted}`, "g"), "");
}

/** An RE2 pattern that matches a quoted prefix followed by `inner`. No character of a prefix needs escaping there. */
const INSIDE = /^\\Q([A-Za-z0-9._-]+)\\E\(\?:(.*)\)$/s;

/** Returns the pattern for full names in the deployment. */
export function patternInside(namespace: string, pattern: string): string {
  return namespace === WHOLE ? pattern : `\\Q${namespace}\\E(?:${pattern})`;
}

/**
 * Returns a pattern's prefix and the pattern for the rest of the name. The prefix is empty if the pattern is in no name
 * space.
 */
export function partsOfPattern(pattern: string): {
  readonly prefix: string;
  readonly inner: string;
} {
  const [, prefix, inner] = INSIDE.exec(pattern) ?? [];
  return prefix === undefined || inner === undefined
    ? { prefix: WHOLE, inner: pattern }
    : { prefix, inner };
}

/** Returns the pattern as callers in this namespace wrote it. */
export function patternOutside(namespace: string, pattern: string): string {
  const { prefix, inner } = partsOfPattern(pattern);
  return prefix === namespace ? inner : pattern;
}

/**
 * [TEN-1] Returns the grants with all names inside the namespace. A right on the cluster becomes the same right on all
 * topics or groups there. Rights that concern the whole deployment are dropped: its keys, its configs, its audit log.
 */
export function confined(grants: readonly Grant[], namespace: string): readonly Grant[] {
  if (namespace === WHOLE) return grants;
  const all: NamePattern = { prefix: namespace };
  return grants.flatMap((grant): Grant[] => {
    // A pattern longer than any name matches nothing.
    if ("topics" in grant) {
      const topics = patternWithin(namespace, grant.topics);
      return lengthOf(topics) > MAX_GRANT_NAME_CHARS ? [] : [{ ...grant, topics }];
    }
    if ("groups" in grant) {
      const groups = patternWithin(namespace, grant.groups);
      return lengthOf(groups) > MAX_GRANT_NAME_CHARS ? [] : [{ ...grant, groups }];
    }
    const granted = grant.cluster.includes("ALL") ? OPERATIONS_OF.cluster : grant.cluster;
    const confinedTo: Partial<Record<Operation, Grant>> = {
      CREATE: { topics: all, operations: ["CREATE"] },
      DESCRIBE: { groups: all, operations: ["DESCRIBE"] },
      IDEMPOTENT_WRITE: { cluster: ["IDEMPOTENT_WRITE"] },
    };
    return granted.flatMap((operation) => confinedTo[operation] ?? []);
  });
}

/** Returns confined grants as callers in this namespace wrote them. */
export function grantsOutside(grants: readonly Grant[], namespace: string): readonly Grant[] {
  return grants.map((grant): Grant => {
    if ("topics" in grant) return { ...grant, topics: patternWithout(namespace, grant.topics) };
    if ("groups" in grant) return { ...grant, groups: patternWithout(namespace, grant.groups) };
    return grant;
  });
}

function patternWithin(namespace: string, pattern: NamePattern): NamePattern {
  return "exact" in pattern
    ? { exact: namespace + pattern.exact }
    : { prefix: namespace + pattern.prefix };
}

function lengthOf(pattern: NamePattern): number {
  return "exact" in pattern ? pattern.exact.length : pattern.prefix.length;
}

function patternWithout(namespace: string, pattern: NamePattern): NamePattern {
  const without = (text: string) =>
    text.startsWith(namespace) ? text.slice(namespace.length) : text;
  return "exact" in pattern
    ? { exact: without(pattern.exact) }
    : { prefix: without(pattern.prefix) };
}
