// What workerd writes to standard error, as an operator reads it [ERR-3]. It hides why a database failed from the Worker
// behind a reference, and writes the reason and a stack of addresses beside it; here the reason takes the place of the
// reference in the Worker's own line, which names the object and its file, and the addresses go.

const REASON = /^workerd\/.*error: .*sqlite\.c\+\+:\d+: failed: (?:.* = )?(.*)$/;
const STACK = /^stack: .*\bwdErrId = (\w+)/;
const REFERENCE = /internal error; reference = (\w+)/;
/** References that are remembered until the line that names them comes. */
const MAX_REASONS = 1_000;

export class LogFilter {
  readonly #reasons = new Map<string, string>();
  #reason: string | null = null;

  /** The line to be printed, or null where there is none. */
  line(text: string): string | null {
    const reason = REASON.exec(text)?.[1];
    if (reason !== undefined) {
      this.#reason = reason;
      return null;
    }
    const reference = STACK.exec(text)?.[1];
    if (reference !== undefined && this.#reason !== null) {
      this.#reasons.set(reference, this.#reason);
      this.#reason = null;
      const oldest = this.#reasons.keys().next().value;
      if (this.#reasons.size > MAX_REASONS && oldest !== undefined) this.#reasons.delete(oldest);
      return null;
    }
    return text.replace(REFERENCE, (whole, named: string) => this.#reasons.get(named) ?? whole);
  }
}
