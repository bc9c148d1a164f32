// One verb, one contract: the verb at the start of a function's name says what it returns.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { filesBelow } from "./files.ts";

/** The verbs with a promise, and the return types that keep it. */
const VERBS: Record<string, RegExp> = {
  // Returns only if all is well. Throws an error that names what is wrong.
  assert: /^(Promise<)?(void|asserts .+)>?$/,
  // Returns the result, or the failure.
  validate: /^(Promise<)?(Kafka)?Result<.+>$/,
  // Returns the obstacle, or null.
  whyNot: /^(Promise<)?(Kafka)?Failure \| null>?$|^RefusalOf<Request> \| null$/,
  is: /^((Promise<)?boolean>?|.+ is .+)$/,
  has: /^((Promise<)?boolean>?|.+ is .+)$/,
};
/** Verbs that could promise any of these. */
const VAGUE = ["check", "verify", "ensure", "told", "tell"];

const DECLARATION = new RegExp(
  `^(?:export )?(?:  )?(?:static |async |get |function )*#?((${[...Object.keys(VERBS), ...VAGUE].join("|")})(?:[A-Z]\\w*)?)(?:<[^(]*>)?(?=\\()`,
  "gm",
);

interface Declared {
  readonly name: string;
  readonly verb: string;
  /** The return type, or null if it is not written down. */
  readonly returns: string | null;
}

/** The functions and methods of a module whose names begin with one of the verbs. */
function declaredIn(text: string): Declared[] {
  return [...text.matchAll(DECLARATION)].flatMap((match) => {
    const [head, name = "", verb = ""] = match;
    const end = closing(text, match.index + head.length);
    const [, returns, opened] = /^(?:: ([^\n]+?))?( \{|;)\n/.exec(text.slice(end)) ?? [];
    if (opened !== " {" && returns === undefined) return []; // A call.
    return [{ name, verb, returns: returns ?? null }];
  });
}

/** Returns the place behind the parenthesis that closes the one at `start`. */
function closing(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === "(") depth++;
    if (text[at] === ")" && --depth === 0) return at + 1;
  }
  return text.length;
}

function problemsIn(text: string): string[] {
  return declaredIn(text).flatMap(({ name, verb, returns }) => {
    const promised = VERBS[verb];
    if (promised === undefined) return [`${name} has a verb that promises nothing`];
    return returns !== null && promised.test(returns) ? [] : [`${name} returns ${returns}`];
  });
}

test("[SYS-7] every verb keeps its promise", () => {
  const files = [...filesBelow("src"), ...filesBelow("durable-objects")];
  const found = files.flatMap((file) =>
    problemsIn(readFileSync(file, "utf8")).map((problem) => `${file}: ${problem}`),
  );
  expect(found).toEqual([]);
  const all = files.flatMap((file) => declaredIn(readFileSync(file, "utf8")));
  for (const verb of Object.keys(VERBS))
    expect(all.filter((each) => each.verb === verb).length, verb).toBeGreaterThan(4);
});

test.each([
  ["function checkName(name: string): void {\n", ["checkName has a verb that promises nothing"]],
  ["  #tell(): void {\n", ["tell has a verb that promises nothing"]],
  ["export function validateName(name: string): void {\n", ["validateName returns void"]],
  ["  isReady(): number {\n", ["isReady returns number"]],
  ["  async #whyNotJoin(a: () => void): Promise<Failure | null> {\n", []],
  ["function assertName(\n  name: string,\n) {\n", ["assertName returns null"]],
  ["    assertName(name);\n", []],
])("[SYS-7] the rule sees %j", (text, problems) => {
  expect(problemsIn(text)).toEqual(problems);
});
