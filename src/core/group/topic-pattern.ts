// Subscriptions by pattern (KIP-848's SubscribedTopicRegex). The syntax is RE2, matched in linear time and bounded in
// size, so no pattern can block an object. A pattern matches a topic's whole name.
import { RE2JS } from "re2js";
import { isReadable, type NamePattern } from "../access/grants.ts";
import { partsOfPattern } from "../access/namespace.ts";
import { type Failure, fail } from "../errors.ts";
import { MAX_TOPIC_PATTERN_INSTRUCTIONS, MAX_TOPIC_PATTERN_LENGTH } from "../limits.ts";

/** Returns INVALID_REGULAR_EXPRESSION, or null if the pattern is valid. The error text calls it `field`. */
export function whyNotTopicPattern(pattern: string | null, field = "topicPattern"): Failure | null {
  if (pattern === null) return null;
  const { inner } = partsOfPattern(pattern);
  if (inner.length === 0 || inner.length > MAX_TOPIC_PATTERN_LENGTH) {
    return fail(
      "INVALID_REGULAR_EXPRESSION",
      `${field} has ${inner.length} characters, it needs 1 to ${MAX_TOPIC_PATTERN_LENGTH}`,
    );
  }
  try {
    const size = compiled(inner).programSize();
    if (size <= MAX_TOPIC_PATTERN_INSTRUCTIONS) return null;
    patterns.delete(inner);
    return fail(
      "INVALID_REGULAR_EXPRESSION",
      `${field} compiles to ${size} instructions, the bound is ${MAX_TOPIC_PATTERN_INSTRUCTIONS}; repeat less`,
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail(
      "INVALID_REGULAR_EXPRESSION",
      `${field} is ${JSON.stringify(inner)}, it must be an RE2 regular expression: ${reason}`,
    );
  }
}

/** Topics by name, and topics whose names match the pattern. The pattern must be valid. */
export interface Subscription {
  readonly topics: readonly string[];
  readonly topicPattern: string | null;
  /** [ACL-7] The topics that the member may read. Absent if it may read all. It is assigned no others. */
  readonly readable?: readonly NamePattern[] | undefined;
}

export function subscribes(
  { topics, topicPattern, readable }: Subscription,
  name: string,
): boolean {
  const isSubscribed =
    topics.includes(name) || (topicPattern !== null && isMatch(topicPattern, name));
  return isSubscribed && isReadable(readable, name);
}

/** [TEN-2] In a namespace, the pattern applies to the name after the prefix, so it may begin with ^ too. */
function isMatch(pattern: string, name: string): boolean {
  const { prefix, inner } = partsOfPattern(pattern);
  return name.startsWith(prefix) && compiled(inner).matches(name.slice(prefix.length));
}

/** A character that matches itself in RE2. `.` does not. */
const LITERAL = /[A-Za-z0-9_-]/;
/** The quantifiers that allow zero occurrences of the preceding character. */
const MAY_BE_ABSENT = /[*?{]/;

/**
 * Returns the common prefix of all names that the pattern matches. It is empty if the pattern does not reveal one, so
 * no name is missed. Patterns are looked up by it for a name, and names for a pattern.
 */
export function beginningOfNames(pattern: string): string {
  const { prefix, inner } = partsOfPattern(pattern);
  // An alternative may begin differently. Testing for the character alone also catches harmless uses.
  if (inner.includes("|")) return prefix;
  let beginning = "";
  for (let i = inner.startsWith("^") ? 1 : 0; i < inner.length; ) {
    const isEscaped = inner[i] === "\\" && /[._-]/.test(inner[i + 1] ?? "");
    const character = inner[isEscaped ? i + 1 : i] as string;
    if (!isEscaped && !LITERAL.test(character)) break;
    const next = isEscaped ? i + 2 : i + 1;
    if (MAY_BE_ABSENT.test(inner[next] ?? "")) break;
    beginning += character;
    i = next;
  }
  return prefix + beginning;
}

export function isSameSubscription(a: Subscription, b: Subscription): boolean {
  const differing = new Set(a.topics).symmetricDifference(new Set(b.topics));
  return differing.size === 0 && a.topicPattern === b.topicPattern && hasSameRights(a, b);
}

export function hasSameRights(
  a: Pick<Subscription, "readable">,
  b: Pick<Subscription, "readable">,
): boolean {
  return JSON.stringify(a.readable) === JSON.stringify(b.readable);
}

/** Compiling takes much longer than matching, and the members of a group usually share one pattern. */
const MAX_COMPILED = 100;
const patterns = new Map<string, RE2JS>();

function compiled(pattern: string): RE2JS {
  let found = patterns.get(pattern);
  if (found === undefined) {
    found = RE2JS.compile(pattern);
    if (patterns.size === MAX_COMPILED) patterns.clear();
    patterns.set(pattern, found);
  }
  return found;
}
