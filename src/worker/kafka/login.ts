// The principal of a Kafka client's connection. It is unknown until the client signs in, unless the broker is
// open or the connection came with a credential of its own.
import { ANYBODY, type Caller } from "../../core/access/caller.ts";
import { SASL_MECHANISMS, type SaslMechanism } from "../../core/access/sasl.ts";
import { KAFKA_ERRORS } from "../../core/errors.ts";
import { MAX_KAFKA_REQUEST_BYTES, MAX_KAFKA_SESSION_MS } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { renewed } from "../access/authenticate.ts";
import { isOpen } from "../access/mode.ts";
import { saslCredentials } from "../access/sasl-credentials.ts";
import { type SaslAnswer, SaslLogin } from "../access/sasl-login.ts";
import { noteWrongCredential } from "../edge/audit.ts";
import { after, pause } from "../edge/timer.ts";
import { MalformedError } from "./wire.ts";

/** The keys of ApiVersions, SaslHandshake and SaslAuthenticate, which are served before a sign-in. */
const BEFORE_LOGIN: ReadonlySet<number> = new Set([18, 17, 36]);

/** The mechanisms that send no secret. */
const SECRETLESS: readonly SaslMechanism[] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/** Kafka's `connection.failed.authentication.delay.ms`: a guess takes at least this long. */
const REFUSAL_DELAY_MS = 100;
/** The longest request before a sign-in: Kafka's `sasl.server.max.receive.size`. */
const MAX_SASL_BYTES = 524_288;

/** A sign-in takes four requests, or six by SCRAM after a question for the versions. */
const MAX_REQUESTS_BEFORE_LOGIN = 20;

/** The transport of a connection. Over plain TCP, anyone who listens can read a secret. */
export type Way = "tcp" | "websocket";

export class Login {
  readonly #env: Env;
  readonly #mechanisms: readonly SaslMechanism[];
  readonly #ended: () => void;
  #caller: Caller | null;
  #sasl: SaslLogin | null = null;
  /** The mechanism of a handshake whose first message has not come yet. */
  #wanted: SaslMechanism | null = null;
  /** True if the client sends its messages without a header until it has signed in. */
  #isBare = false;
  /** The time by which the client has to sign in again. Null if never. */
  #endsAtMs: number | null = null;
  /** The number of requests before the sign-in. */
  #requestsBefore = 0;
  #stopTimer: () => void = () => {};
  /** True if a mechanism or a sign-in was refused. The connection closes. */
  isRefused = false;

  /**
   * Calls `ended` when the time of a session is over. Until the client signs in again, nothing is done on its
   * behalf.
   */
  constructor(env: Env, way: Way, ended: () => void) {
    this.#env = env;
    this.#ended = ended;
    this.#caller = env.caller ?? (isOpen(env) ? ANYBODY : null);
    this.#mechanisms = mechanismsOver(env, way);
    this.#endAt(this.#caller?.expiresAtMs ?? null);
  }

  /** False if a sign-in is required and has not happened. */
  get isKnown(): boolean {
    return this.#caller !== null;
  }

  /** The longest request that is accepted now. */
  get maxRequestBytes(): number {
    return this.#caller === null ? MAX_SASL_BYTES : MAX_KAFKA_REQUEST_BYTES;
  }

  get #hasEnded(): boolean {
    return this.#endsAtMs !== null && Date.now() >= this.#endsAtMs;
  }

  /**
   * [SASL-5] True if the session is over and its client has not signed in again, or if the credential was
   * revoked. Checked before an answer that took some time.
   */
  async isOver(): Promise<boolean> {
    if (this.#hasEnded) return true;
    return this.#caller !== null && (await renewed(this.#env, this.#caller)) === null;
  }

  close(): void {
    this.#stopTimer();
  }

  /**
   * [KFK-22] Returns the caller of a request, as its credential is now. Null before a sign-in, if none is
   * required.
   * @throws MalformedError if it is required, or if the credential is no longer valid. The connection cannot
   * continue.
   */
  async callerFor(apiKey: number): Promise<Caller | null> {
    if (BEFORE_LOGIN.has(apiKey)) {
      if (this.#caller === null && ++this.#requestsBefore > MAX_REQUESTS_BEFORE_LOGIN)
        throw new MalformedError(
          `ILLEGAL_SASL_STATE: more than ${MAX_REQUESTS_BEFORE_LOGIN} requests came, and nobody has signed in`,
        );
      return this.#caller;
    }
    if (this.#caller === null)
      throw new MalformedError("ILLEGAL_SASL_STATE: sign in by SASL before any other request");
    // [SASL-5] As in Kafka, the first request after the end closes the connection.
    if (this.#hasEnded)
      throw new MalformedError("SASL_AUTHENTICATION_FAILED: the session has ended; sign in again");
    this.#caller = await renewed(this.#env, this.#caller);
    if (this.#caller !== null) return this.#caller;
    throw new MalformedError(
      "SASL_AUTHENTICATION_FAILED: the credential has expired or was revoked",
    );
  }

  /** [SASL-6] True if the next frame is a message of the mechanism, and not a request. */
  get isBare(): boolean {
    return this.#isBare;
  }

  /** [SASL-1] [SASL-6] */
  handshake(
    mechanism: string,
    version: number,
  ): { errorCode: number; mechanisms: readonly SaslMechanism[] } {
    // The first message of the sign-in loads the credentials: see `authenticate`.
    const known = this.#mechanisms.find((each) => each === mechanism);
    this.#wanted = known ?? null;
    this.#isBare = known !== undefined && version === 0;
    if (known !== undefined) return { errorCode: KAFKA_ERRORS.NONE, mechanisms: this.#mechanisms };
    this.isRefused = true;
    return {
      errorCode: KAFKA_ERRORS.UNSUPPORTED_SASL_MECHANISM,
      mechanisms: this.#mechanisms,
    };
  }

  /**
   * [SASL-1] Takes a message. Throws if it cannot be checked now, and never claims then that the password is
   * wrong.
   */
  async authenticate(bytes: Uint8Array): Promise<SaslAnswer> {
    if (bytes.length > MAX_SASL_BYTES)
      throw new MalformedError(
        `authBytes has ${bytes.length} bytes, the bound is ${MAX_SASL_BYTES}`,
      );
    this.#sasl ??= new SaslLogin(await saslCredentials(this.#env), MAX_KAFKA_SESSION_MS);
    if (this.#wanted !== null) this.#sasl.handshake(this.#wanted, this.#mechanisms);
    this.#wanted = null;
    const answer = await this.#sasl.authenticate(bytes, Date.now());
    if (answer.type !== "challenge") this.#isBare = false;
    if (answer.type === "done") {
      this.#caller = answer.caller;
      this.#endAt(Date.now() + answer.sessionLifetimeMs);
    }
    if (answer.type !== "refused") return answer;
    this.isRefused = true;
    noteWrongCredential(this.#env, answer.detail);
    await pause(REFUSAL_DELAY_MS);
    return answer;
  }

  #endAt(endsAtMs: number | null): void {
    this.#stopTimer();
    this.#endsAtMs = endsAtMs;
    if (endsAtMs === null) return;
    // A timer takes about three weeks, and no connection lasts a day.
    const leftMs = Math.min(endsAtMs - Date.now(), MAX_KAFKA_SESSION_MS);
    this.#stopTimer = after(leftMs, this.#ended);
  }
}

/** [SASL-1] Returns the mechanisms. Those that send a secret need a line that nobody can listen to. */
function mechanismsOver(env: Env, way: Way): readonly SaslMechanism[] {
  const isSafe =
    way === "websocket" ||
    isOpen(env) ||
    env.RIVULET_KAFKA_LOOPBACK === "1" ||
    env.RIVULET_KAFKA_TLS === "1" ||
    env.RIVULET_KAFKA_TLS_IN_FRONT === "1";
  return isSafe ? SASL_MECHANISMS : SECRETLESS;
}
