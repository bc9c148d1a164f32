// Watches that no secret is revealed, neither in a broker's output nor in its responses. Code that starts a broker registers
// its secrets and its output here, and a file's end asks for leaks (test/e2e/secrets-told.ts).

/** Text that looks like a secret, whoever's it is: an API key, or a token. */
export const SECRET_SHAPE =
  /rvk_[a-z2-7]{16}_[A-Za-z0-9_-]{49}|eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/;

/** The line with which a broker prints its new root key. It prints it once. */
const ANNOUNCED = /The root key of this broker is (\S+) /;
/** A shorter text occurs in other words by chance. */
const MIN_CHARS = 8;
/** A key's secret is its text without the id before it and the checksum behind it. */
const KEY = /^rvk_[a-z2-7]{16}_([A-Za-z0-9_-]{43})[A-Za-z0-9_-]{6}$/;

/** The request that makes a secret, whose response has it. */
const MAKERS = new Set(["/v1/keys", "/v1/tokens"]);

export class SecretWatch {
  readonly #secrets = new Set<string>();
  #outputs: (readonly string[])[] = [];
  #told: string[] = [];

  /** Registers a secret. Any text that contains it, before or after, is a leak. */
  keep(secret: string): void {
    if (secret.length < MIN_CHARS) throw new Error(`"${secret}" is too short to be looked for`);
    this.#secrets.add(secret);
    const [, inKey] = KEY.exec(secret) ?? [];
    if (inKey !== undefined) this.#secrets.add(inKey);
  }

  /** Takes the lines that a broker prints, including later ones. */
  watchOutput(lines: readonly string[]): void {
    this.#outputs.push(lines);
  }

  /** Takes a response. The secret in one that makes a secret is registered. Others must not contain a known one. */
  watchAnswer(method: string, path: string, text: string): void {
    if (method === "POST" && MAKERS.has(path)) {
      const made = SECRET_SHAPE.exec(text)?.[0];
      if (made !== undefined) this.keep(made);
    } else if (this.#tells(text)) this.#told.push(`${method} ${path} answered ${text}`);
  }

  /** Returns the leaks, and forgets what it has checked. */
  takeLeaks(): string[] {
    const lines = this.#outputs.flatMap((output) => this.#withoutAnnounced(output));
    const told = [...lines.filter((line) => this.#tells(line)), ...this.#told];
    this.#outputs = [];
    this.#told = [];
    return told;
  }

  /** Leaves out the line that prints a root key for the first time, and registers that key. */
  #withoutAnnounced(lines: readonly string[]): string[] {
    const at = lines.findIndex((line) => ANNOUNCED.test(line));
    const [, key] = ANNOUNCED.exec(lines[at] ?? "") ?? [];
    if (key === undefined) return [...lines];
    const isNew = !this.#secrets.has(key);
    this.keep(key);
    return isNew ? lines.toSpliced(at, 1) : [...lines];
  }

  #tells(text: string): boolean {
    return SECRET_SHAPE.test(text) || [...this.#secrets].some((secret) => text.includes(secret));
  }
}

/** The watch of this process. */
export const secretWatch = new SecretWatch();
