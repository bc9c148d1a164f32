// [CLU-7] The prefix of the names that a pattern matches. Patterns are found by it, so it must never be too long.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { patternInside } from "../../../../src/core/access/namespace.ts";
import {
  beginningOfNames,
  subscribes,
  whyNotTopicPattern,
} from "../../../../src/core/group/topic-pattern.ts";
import { runs } from "../../../support/effort.ts";

/** The characters of the names here. All that a name may have is a letter, a digit, or one of `._-`. */
const LETTERS = ["a", "b", "A", ".", "-", "_", "1"];

/** Every name of up to three characters. */
const NAMES = ["", "", ""].reduce<string[]>(
  (shorter) => ["", ...LETTERS.flatMap((letter) => shorter.map((rest) => letter + rest))],
  [""],
);

const isMatch = (pattern: string, name: string) =>
  subscribes({ topics: [], topicPattern: pattern }, name);

const letter = fc.constantFrom(...LETTERS);
const literal = fc.oneof(
  { weight: 6, arbitrary: letter },
  // Escapes of characters that stand for themselves, of others, and of classes and numbers.
  { weight: 3, arbitrary: letter.map((each) => `\\${each}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "\\x61",
      "\\141",
      "\\d",
      "\\w",
      "\\W",
      "\\b",
      "\\B",
      "\\z",
      "\\pL",
      "\\Q",
      "\\E",
    ),
  },
  { weight: 1, arbitrary: letter.map((each) => `\\Q${each}*\\E`) },
  { weight: 1, arbitrary: letter.map((each) => `\\Q${each}\\E`) },
);
const quantifier = fc.constantFrom(
  "",
  "",
  "",
  "",
  "?",
  "*",
  "+",
  "??",
  "*?",
  "+?",
  "{0}",
  "{1}",
  "{0,1}",
  "{2}",
  "{1,}",
  "{,2}",
  "{",
  "}",
);
const set = fc.array(letter, { minLength: 1, maxLength: 3 }).map((all) => `[${all.join("")}]`);
const anchor = fc.constantFrom("^", "$", "\\A", ".", "^*", "^?", "[^a]", "[[:alpha:]]");
const flags = fc.constantFrom("(?i)", "(?s)", "(?-i)", "(?U)", "(?m)");
const { pattern } = fc.letrec<{ pattern: string; part: string; group: string }>((tie) => ({
  pattern: fc
    .tuple(
      fc.constantFrom("", "", "^"),
      fc.array(tie("part"), { minLength: 1, maxLength: 5 }),
      fc.constantFrom("", "", ".*", "$"),
    )
    .map(([start, parts, end]) => start + parts.join("") + end),
  part: fc.oneof(
    { weight: 10, arbitrary: fc.tuple(literal, quantifier).map((both) => both.join("")) },
    { weight: 2, arbitrary: fc.tuple(set, quantifier).map((both) => both.join("")) },
    { weight: 1, arbitrary: anchor },
    { weight: 1, arbitrary: flags },
    { weight: 1, arbitrary: fc.constant("|") },
    { weight: 2, arbitrary: tie("group") },
  ),
  group: fc
    .tuple(fc.constantFrom("(", "(?:", "(?i:", "(?P<n>"), tie("pattern"), quantifier)
    .map(([open, inner, many]) => `${open}${inner})${many}`),
}));

const legal = pattern.filter((each) => whyNotTopicPattern(each) === null);

describe("the beginning of the names that a pattern matches", () => {
  test("[CLU-7] is that of every name that RE2 matches", () => {
    let matched = 0;
    let told = 0;
    fc.assert(
      fc.property(legal, (each) => {
        const beginning = beginningOfNames(each);
        const matching = NAMES.filter((name) => isMatch(each, name));
        matched += matching.length;
        if (beginning !== "" && matching.length > 0) told++;
        expect(matching.filter((name) => !name.startsWith(beginning))).toEqual([]);
      }),
      runs(3_000),
    );
    // It is a test of something.
    expect(matched).toBeGreaterThan(1_000);
    expect(told).toBeGreaterThan(60);
  });

  test("[CLU-7] [TEN-2] is in its namespace, with its prefix", () => {
    fc.assert(
      fc.property(legal, fc.constantFrom("team.", "a.", "a-b."), (each, prefix) => {
        const inside = patternInside(prefix, each);
        const beginning = beginningOfNames(inside);
        expect(beginning.startsWith(prefix)).toBe(true);
        expect(beginning.slice(prefix.length)).toBe(beginningOfNames(each));
        const wrong = (name: string) => isMatch(inside, name) && !name.startsWith(beginning);
        expect(NAMES.filter((name) => wrong(prefix + name))).toEqual([]);
        expect(NAMES.filter(wrong)).toEqual([]);
      }),
      runs(200),
    );
  });

  test.each([
    ["orders", "orders"],
    ["orders\\.eu", "orders.eu"],
    ["^orders-.*", "orders-"],
    ["orders.eu", "orders"],
    ["orders_v[12]", "orders_v"],
    ["orders+", "orders"],
    ["orders*", "order"],
    ["orders?x", "order"],
    ["orders{0}", "order"],
    ["orders(x)?", "orders"],
    ["a|b", ""],
    ["ab(c|d)", ""],
    ["(ab)", ""],
    ["(?i)ab", ""],
    ["\\Qab\\E", ""],
    ["[a]b", ""],
    ["^^a", ""],
    [".*", ""],
    ["\\d", ""],
  ])("[CLU-7] of %s is %j", (each, beginning) => {
    expect(whyNotTopicPattern(each)).toBe(null);
    expect(beginningOfNames(each)).toBe(beginning);
  });
});
