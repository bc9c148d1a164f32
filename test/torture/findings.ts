// A check's findings: a few examples of each kind, and their number.

export type Kind =
  | "lost write"
  | "stored though refused"
  | "stored from nowhere"
  | "duplicate"
  | "reordered"
  | "offsets not dense"
  | "delivered something else"
  | "gap in delivery"
  | "delivered without being assigned"
  | "never handled"
  | "two owners"
  | "commit went back"
  | "committed before handled"
  | "assigned before handled"
  | "starts before the commit"
  | "consumer gave up"
  | "liveness";

const EXAMPLES = 5;

export class Findings {
  readonly #byKind = new Map<Kind, { count: number; readonly examples: string[] }>();

  add(kind: Kind, detail: string): void {
    const found = this.#byKind.get(kind) ?? { count: 0, examples: [] };
    this.#byKind.set(kind, found);
    found.count++;
    if (found.examples.length < EXAMPLES) found.examples.push(detail);
  }

  get kinds(): Kind[] {
    return [...this.#byKind.keys()];
  }

  get lines(): string[] {
    return [...this.#byKind].flatMap(([kind, { count, examples }]) => [
      `${kind}: ${count}`,
      ...examples.map((example) => `    ${example}`),
    ]);
  }
}
