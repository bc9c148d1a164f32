// Credentials that an intruder may show, from a seed: nearly valid ones, valid ones in the wrong place, and noise. None is
// valid, so none may be accepted.
import { API_KEY_BYTES, apiKeyOf, apiKeyText, parseApiKey } from "../../src/core/access/api-key.ts";
import { SASL_MECHANISMS, type SaslMechanism } from "../../src/core/access/sasl.ts";
import { MAX_TOKEN_CHARS } from "../../src/core/limits.ts";
import { Random } from "./random.ts";

/** Valid credentials. Every generated one differs from each of them. */
export interface Good {
  readonly rootKey: string;
  readonly key: string;
  readonly token: string;
}

/** A SASL login. The reply to a challenge may depend on it. */
export interface SaslAttempt {
  readonly mechanism: string;
  readonly first: Uint8Array;
  readonly next: (challenge: string) => Uint8Array;
}

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ALPHABETS = [
  BASE64URL,
  `${BASE64URL}.`,
  "0123456789abcdef",
  " !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~",
  "\u0000\u0001\t\n\r\u001f\u007f",
  "äéß€\u00a0\ufeff\ud83d\ude00\ud800",
  "=,nyarpsvmc",
];
/** The longest of the usual noise, and of deliberately overlong data. */
const NOISE = 120;
const FLOOD = 3 * MAX_TOKEN_CHARS;
const UTF8 = new TextEncoder();

export class CredentialFuzz {
  readonly #random: Random;
  readonly #good: Good;
  readonly #id: string;
  readonly #secret: string;

  constructor(seed: number, good: Good) {
    this.#random = new Random(seed);
    this.#good = good;
    const { id, secret } = parseApiKey(good.key) ?? { id: "", secret: "" };
    this.#id = id;
    this.#secret = secret;
  }

  /** Something in place of a bearer. */
  bearer(): string {
    for (;;) {
      const made = this.#oneOf(
        () => this.#key(),
        () => this.#token(),
        () => this.#token(),
        () => this.#changed(this.#good.rootKey),
        () => this.noise(),
      );
      if (!this.#isGood(made)) return made;
    }
  }

  /** A value of the header Authorization. */
  authorization(): string {
    const scheme = this.#random.pick(["Bearer", "bearer", "BEARER", "Basic", "basic"]);
    const gap = this.#random.pick([" ", " ", " ", "  ", "", "\t", ", "]);
    return this.#oneOf(
      () => `Bearer ${this.bearer()}`,
      () => `Bearer ${this.bearer()}`,
      () => `Basic ${base64(this.#password().join(":"))}`,
      () => `Basic ${this.#changed(base64(this.#password().join(":")))}`,
      () => `${scheme}${gap}${this.bearer()}`,
      () => `${this.noise()} ${this.bearer()}`,
      () => `Bearer ${this.bearer()}, Bearer ${this.bearer()}`,
      () => `Digest username="${this.#id}", response="${this.#secret}"`,
      () => this.noise(),
    );
  }

  /** A value of the header Sec-WebSocket-Protocol that offers a token. */
  subprotocols(): string {
    const version = this.#random.pick(["rivulet.v1, ", "rivulet.v1,", "", "rivulet.v999, ", ", ,"]);
    return `${version}rivulet.token.${this.bearer()}`;
  }

  /** A user name and a password, at least one of them wrong. */
  #password(): [user: string, password: string] {
    const user = this.#random.pick([this.#id, "root", this.#changed(this.#id), this.noise(), ""]);
    const password = this.#oneOf(
      () => this.#changed(this.#secret),
      () => this.bearer(),
      () => (user === "root" ? this.#secret : this.#good.rootKey),
      () => "",
    );
    const isRight =
      (user === "root" && password === this.#good.rootKey) ||
      (user === this.#id && (password === this.#secret || password === this.#good.key));
    return isRight ? [user, ""] : [user, password];
  }

  sasl(): SaslAttempt {
    const mechanism = this.#random.pick(SASL_MECHANISMS);
    const isNamedRight = this.#random.chance(0.95);
    // Now and then the message of another mechanism.
    const of = this.#random.chance(0.9) ? mechanism : this.#random.pick(SASL_MECHANISMS);
    return {
      mechanism: isNamedRight
        ? mechanism
        : this.#oneOf(
            () => this.noise(),
            () => mechanism.toLowerCase(),
          ),
      first: this.#first(of),
      next: (challenge) => this.#final(challenge),
    };
  }

  #first(mechanism: SaslMechanism): Uint8Array {
    if (this.#random.chance(0.1)) return this.bytes();
    const text = this.#firstText(mechanism);
    return this.#random.chance(0.7) ? UTF8.encode(text) : this.#flipped(UTF8.encode(text), text);
  }

  #firstText(mechanism: SaslMechanism): string {
    const [user, password] = this.#password();
    switch (mechanism) {
      case "PLAIN":
        return this.#oneOf(
          () => `\0${user}\0${password}`,
          () => `${user}\0${user}\0${password}`,
          () => `root\0${this.#id}\0${password}`,
          () => [user, password, ...this.#some(() => this.noise())].join("\0"),
        );
      case "OAUTHBEARER": {
        const name = this.#random.pick(["", `a=${user}`, `a=${this.noise()}`]);
        const more = this.#some(
          () => `\x01${this.#random.pick(["host", "auth", ""])}=${this.noise()}`,
        );
        return `n,${name},${more.join("")}\x01auth=Bearer ${this.bearer()}\x01\x01`;
      }
      default: {
        const header = this.#random.pick([
          "n,,",
          "n,,",
          "n,,",
          "y,,",
          "p=tls-unique,,",
          `n,a=${user},`,
          "",
        ]);
        const name = this.#random.pick([this.#id, "root", user, user.replace(/[=,]/g, "")]);
        const more = this.#some(
          () => `,${this.#random.pick(["m", "x", "tokenauth", ""])}=${this.noise()}`,
        );
        return `${header}n=${name},r=${this.#letters(BASE64URL, 24)}${more.join("")}`;
      }
    }
  }

  /** The last message of SCRAM, as it follows from the challenge except for the proof. */
  #final(challenge: string): Uint8Array {
    const nonce = /^r=([^,]*)/.exec(challenge)?.[1] ?? "";
    const proof = base64(String.fromCharCode(...this.bytes(this.#random.pick([0, 31, 32, 64]))));
    const text = this.#oneOf(
      () => `c=biws,r=${nonce},p=${proof}`,
      () => `c=biws,r=${nonce},p=${proof}`,
      () => `c=eSws,r=${nonce},p=${proof}`,
      () => `c=biws,r=${this.#changed(nonce)},p=${proof}`,
      () => `c=biws,r=${nonce},x=${this.noise()},p=${proof}`,
      () => `c=biws,r=${nonce},p=${this.noise()}`,
      () => this.noise(),
    );
    return UTF8.encode(text);
  }

  noise(): string {
    const length = this.#random.chance(0.03)
      ? this.#random.integer(NOISE, FLOOD)
      : this.#random.integer(0, NOISE);
    return this.#letters(
      this.#random.chance(0.2) ? ALPHABETS.join("") : this.#random.pick(ALPHABETS),
      length,
    );
  }

  bytes(length = this.#random.integer(0, NOISE)): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random.integer(0, 255));
  }

  /** Any JSON, or what JSON cannot express. */
  value(depth = 0): unknown {
    return this.#oneOf<unknown>(
      () => this.noise(),
      () => this.#random.integer(-10, 2 ** 40),
      () =>
        this.#random.pick([null, true, false, 0, -1, 1e308, "", "READ", "ALL", "admin", undefined]),
      () => (depth > 3 ? [] : this.#some(() => this.value(depth + 1))),
      () =>
        depth > 3
          ? {}
          : Object.fromEntries(this.#some(() => [this.#name(), this.value(depth + 1)])),
      () => this.grant(),
    );
  }

  /** A grant, or nearly. */
  grant(): unknown {
    const pattern = this.#random.pick<unknown>([
      { prefix: "" },
      { exact: "a" },
      { exact: "" },
      { prefix: 1 },
      {},
      "a",
      { prefix: "", exact: "a" },
    ]);
    const operations = this.#random.pick<unknown>([
      ["READ"],
      ["ALL"],
      ["read", "READ"],
      [],
      ["CLUSTER_ACTION"],
      "READ",
      [null],
      [["READ"]],
      Array.from({ length: 99 }, () => "READ"),
    ]);
    const kind = this.#random.pick(["topics", "groups", "cluster", "__proto__", "topic"]);
    const grant = { [kind]: kind === "cluster" ? operations : pattern, operations };
    return this.#random.chance(0.2) ? { ...grant, [this.#name()]: this.noise() } : grant;
  }

  #name(): string {
    return this.#random.pick([
      "topics",
      "groups",
      "cluster",
      "operations",
      "exact",
      "prefix",
      "__proto__",
      "constructor",
      "toString",
      "grants",
      "role",
      this.noise(),
    ]);
  }

  #key(): string {
    const random = apiKeyText(apiKeyOf(this.bytes(API_KEY_BYTES)));
    const swapped = apiKeyText({ id: this.#id, secret: random.slice(-49, -6) });
    return this.#oneOf(
      () => this.#changed(this.#good.key),
      () => random,
      () => swapped,
      () => this.#good.key.toUpperCase(),
      () => this.#good.key.slice(0, this.#random.integer(0, this.#good.key.length - 1)),
      () => `rvk_${this.noise()}`,
    );
  }

  #token(): string {
    const [head = "", claims = "", signature = ""] = this.#good.token.split(".");
    const parts = { head: this.#part(head), claims: this.#part(claims) };
    const noise = base64url(String.fromCharCode(...this.bytes(64)));
    return this.#oneOf(
      () => this.#changed(this.#good.token),
      () => [parts.head, claims, signature].join("."),
      () => [head, parts.claims, signature].join("."),
      () => [parts.head, parts.claims, noise].join("."),
      () => [head, claims, noise].join("."),
      () => [head, claims, ""].join("."),
      () => [head, claims].join("."),
      () => `${[head, claims, signature, ...this.#some(() => this.noise())].join(".")}.`,
      () => `${base64url(JSON.stringify({ alg: "none" }))}.${claims}.`,
    );
  }

  /** A part of a token with some other fields. */
  #part(part: string): string {
    const fields = JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
    const changes: [string, unknown][] = this.#some(() => [
      this.#random.pick([
        "alg",
        "kid",
        "typ",
        "crit",
        "jwk",
        "jku",
        "x5u",
        "b64",
        "enc",
        "iss",
        "aud",
        "sub",
        "iat",
        "exp",
        "nbf",
        "rivulet",
        "__proto__",
      ]),
      this.#oneOf(
        () =>
          this.#random.pick<unknown>([
            "none",
            "HS256",
            "RS256",
            "ES256",
            "dir",
            "rivulet",
            0,
            1,
            2 ** 52,
            -1,
            null,
            ["ES256"],
          ]),
        () => this.value(),
      ),
    ]);
    const text = this.#oneOf(
      () =>
        JSON.stringify({
          ...fields,
          ...Object.fromEntries(changes),
          [this.#letters(BASE64URL, 3)]: 1,
        }),
      () => JSON.stringify(this.value()) ?? "",
      () => `{"a":${"[".repeat(this.#random.integer(1, 1_000))}`,
    );
    return base64url(text.slice(0, MAX_TOKEN_CHARS));
  }

  /** The text with one to three changes. It may happen to mean the same: see `#isGood`. */
  #changed(text: string): string {
    let changed = text;
    for (let i = this.#random.integer(1, 3); i > 0; i--) {
      const at = this.#random.integer(0, Math.max(changed.length - 1, 0));
      const to = this.#letters(this.#random.pick(ALPHABETS), this.#random.integer(0, 2));
      changed = changed.slice(0, at) + to + changed.slice(at + this.#random.integer(0, 2));
    }
    return changed === text ? `${text}x` : changed;
  }

  #flipped(bytes: Uint8Array, text: string): Uint8Array {
    for (let i = this.#random.integer(1, 4); i > 0 && bytes.length > 0; i--) {
      const at = this.#random.integer(0, bytes.length - 1);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#random.integer(0, 7));
    }
    // Two flips of one bit cancel out.
    return new TextDecoder().decode(bytes) === text ? UTF8.encode("") : bytes;
  }

  /** True if the text is a valid credential, or has every part that decides whether a token is valid. */
  #isGood(text: string): boolean {
    const { rootKey, key, token } = this.#good;
    const trimmed = sendable(text).trim();
    if ([rootKey, key].includes(trimmed)) return true;
    // The last character of a signature has unused bits.
    const saying = (each: string) =>
      each
        .split(".")
        .map((part) => Buffer.from(part, "base64url").toString("hex"))
        .join(".");
    return saying(trimmed) === saying(token);
  }

  #letters(alphabet: string, length: number): string {
    const letters = [...alphabet];
    let text = "";
    while (text.length < length) text += this.#random.pick(letters);
    return text;
  }

  #some<T>(make: () => T): T[] {
    return Array.from({ length: this.#random.integer(0, 3) }, make);
  }

  #oneOf<T>(...makers: (() => T)[]): T {
    return this.#random.pick(makers)();
  }
}

/** Returns the part of the text that a header can carry. Libraries send no more, and platforms accept no more. */
export function sendable(text: string): string {
  return text.replace(/[^\t\x20-\x7e\x80-\xff]/g, "");
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}
