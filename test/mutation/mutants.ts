// Mutants: the code with one small fault, as a slip of the hand makes it.
import { Instrumenter } from "@stryker-mutator/instrumenter";

export interface Mutant {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** The kind of the fault, such as `EqualityOperator`. */
  readonly kind: string;
  /** The replaced code, from and to these places in the text. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

/** Texts are for people, and an object without its fields seldom compiles. */
const EXCLUDED = new Set(["StringLiteral", "ObjectLiteral"]);

/** The tool prints much while it works. None of it is useful here. */
const silent = new Proxy({} as never, {
  get: (_, name) => (String(name).startsWith("is") ? () => false : () => undefined),
});

/** Returns every mutant of a file. */
export async function mutantsOf(file: string, text: string): Promise<Mutant[]> {
  const { mutants } = await new Instrumenter(silent).instrument(
    [{ name: file, mutate: true, content: text }],
    { plugins: null, excludedMutations: [], ignorers: [] },
  );
  const lineStarts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  const placeOf = (at: { line: number; column: number }) =>
    (lineStarts[at.line] as number) + at.column;
  return mutants
    .filter(({ mutatorName }) => !EXCLUDED.has(mutatorName))
    .map(({ location, mutatorName, replacement }) => ({
      file,
      line: location.start.line + 1,
      kind: mutatorName,
      start: placeOf(location.start),
      end: placeOf(location.end),
      replacement,
    }));
}

/** Returns the text with the fault in it. */
export function applied(text: string, { start, end, replacement }: Mutant): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

/** Returns one line that shows what the mutant changes. */
export function shown(text: string, mutant: Mutant): string {
  const line = (code: string) => {
    const one = code.replace(/\s+/g, " ");
    return one.length > 70 ? `${one.slice(0, 67)}...` : one;
  };
  const before = line(text.slice(mutant.start, mutant.end));
  return `${mutant.file}:${mutant.line} ${mutant.kind}: ${before}  →  ${line(mutant.replacement)}`;
}
