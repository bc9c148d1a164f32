// Makes workerd's standard error readable for an operator [ERR-3]. If a database fails, workerd gives the Worker a reference
// instead of the reason. It writes the reason and a stack of addresses on lines of their own. The Worker's line names the
// object and its file. The filter puts the reason into that line in place of the reference, and removes the addresses. It
// reports a failed TLS handshake as the Worker reports other connections that it closes. It turns lines of the log, which
// are JSON, into text.

const REASON = /^workerd\/.*error: .*sqlite\.c\+\+:\d+: failed: (?:.* = )?(.*)$/;
const STACK = /^stack: .*\bwdErrId = (\w+)/;
/** A client that does not speak TLS on a port with TLS, or does not trust the certificate. The Worker does not see it. */
const HANDSHAKE = /^workerd\/.*error: .*connect\(\) handler threw: (TLS handshake failed: .*)$/;
const REFERENCE = /internal error; reference = (\w+)/;
/** The bound on references that are kept until the line that names them comes. */
const MAX_REASONS = 1_000;

export class LogFilter {
  readonly #asJson: boolean;
  readonly #reasons = new Map<string, string>();
  #reason: string | null = null;

  /** With `asJson` the lines of the log stay JSON, for programs that read them. */
  constructor(asJson = false) {
    this.#asJson = asJson;
  }

  /** Returns the line to print, or null to print none. */
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

/** Returns the text of a line of the log (src/log.ts), or null if it is not one. */
function messageIn(line: string): string | null {
  if (!line.startsWith('{"level":')) return null;
  try {
    const { message, requestId } = JSON.parse(line) as { message: string; requestId?: string };
    return requestId === undefined ? message : `${message} (request ${requestId})`;
  } catch {
    return null; // The line was cut.
  }
}
