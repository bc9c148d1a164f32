// Makes workerd's standard error readable for an operator [ERR-3]. workerd hides from the Worker why a database failed,
// behind a reference. It writes the reason and a stack of addresses separately. The filter puts the reason in the place
// of the reference in the Worker's own line, which names the object and its file, and removes the addresses. A TLS
// handshake that failed is told as the Worker tells of other connections that it closes. Lines of the log, which are JSON,
// become text.

const REASON = /^workerd\/.*error: .*sqlite\.c\+\+:\d+: failed: (?:.* = )?(.*)$/;
const STACK = /^stack: .*\bwdErrId = (\w+)/;
/** A client that speaks no TLS where TLS is spoken, or trusts no certificate. The Worker never hears of it. */
const HANDSHAKE = /^workerd\/.*error: .*connect\(\) handler threw: (TLS handshake failed: .*)$/;
const REFERENCE = /internal error; reference = (\w+)/;
/** The references that are remembered until the line that names them comes. */
const MAX_REASONS = 1_000;

export class LogFilter {
  readonly #asJson: boolean;
  readonly #reasons = new Map<string, string>();
  #reason: string | null = null;

  /** `asJson` leaves the lines of the log as they are, for programs that read them. */
  constructor(asJson = false) {
    this.#asJson = asJson;
  }

  /** Returns the line to print, or null if there is none. */
  line(text: string): string | null {
    const reason = REASON.exec(text)?.[1];
    if (reason !== undefined) {
      this.#reason = reason;
      return null;
    }
    const handshake = HANDSHAKE.exec(text)?.[1];
    if (handshake !== undefined) return `kafka: connection closed: ${handshake}`;
    const reference = STACK.exec(text)?.[1];
    if (reference !== undefined && this.#reason !== null) {
      this.#reasons.set(reference, this.#reason);
      this.#reason = null;
      const oldest = this.#reasons.keys().next().value;
      if (this.#reasons.size > MAX_REASONS && oldest !== undefined) this.#reasons.delete(oldest);
      return null;
    }
    const whole = text.replace(REFERENCE, (all, named: string) => this.#reasons.get(named) ?? all);
    return this.#asJson ? whole : (messageIn(whole) ?? whole);
  }
}

/** Returns what a line of the log says, as text. Null if it is none: see src/log.ts. */
function messageIn(line: string): string | null {
  if (!line.startsWith('{"level":')) return null;
  try {
    const { message, requestId } = JSON.parse(line) as { message: string; requestId?: string };
    return requestId === undefined ? message : `${message} (request ${requestId})`;
  } catch {
    return null; // It was cut.
  }
}
