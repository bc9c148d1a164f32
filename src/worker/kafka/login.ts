// Who is at the other end of a connection of a Kafka client: nobody until it logs in, unless the broker is open or the
// connection came with a credential of its own.
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

/** The keys of ApiVersions, SaslHandshake and SaslAuthenticate, which are served before anybody has logged in. */
const BEFORE_LOGIN: ReadonlySet<number> = new Set([18, 17, 36]);

/** The mechanisms that send no secret. */
const SECRETLESS: readonly SaslMechanism[] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/** Kafka's `connection.failed.authentication.delay.ms`: a guess takes at least so long. */
const REFUSAL_DELAY_MS = 100;
/** The longest request of whoever has not logged in: Kafka's `sasl.server.max.receive.size`. */
const MAX_SASL_BYTES = 524_288;

/** A log-in takes four requests, or six by SCRAM after a question for the versions. */
const MAX_REQUESTS_BEFORE_LOGIN = 20;

/** How a connection reaches the broker. Over plain TCP, a secret is sent to whoever listens. */
export type Way = "tcp" | "websocket";

export class Login {
  readonly #env: Env;
  readonly #mechanisms: readonly SaslMechanism[];
  readonly #ended: () => void;
  #caller: Caller | null;
  #sasl: SaslLogin | null = null;
  /** The mechanism of a handshake that no message has followed yet. */
  #wanted: SaslMechanism | null = null;
  /** True if the client sends its messages without a header until it has logged in. */
  #isBare = false;
  /** When the client has to have logged in again. Null if never. */
  #endsAtMs: number | null = null;
  /** The requests that came before anybody has logged in. */
  #requestsBefore = 0;
  #stopTimer: () => void = () => {};
  /** True if a mechanism or a log-in was refused. The connection closes. */
  isRefused = false;

  /** Calls `ended` when the time of a session is over. Until the client logs in again, nothing is done on its behalf. */
  constructor(env: Env, way: Way, ended: () => void) {
    this.#env = env;
    this.#ended = ended;
    this.#caller = env.caller ?? (isOpen(env) ? ANYBODY : null);
    this.#mechanisms = mechanismsOver(env, way);
    this.#endAt(this.#caller?.expiresAtMs ?? null);
  }

  /** False if nobody has said yet who is at the other end, where that is needed. */
  get isKnown(): boolean {
    return this.#caller !== null;
  }

  /** The longest request that is taken now. */
  get maxRequestBytes(): number {
    return this.#caller === null ? MAX_SASL_BYTES : MAX_KAFKA_REQUEST_BYTES;
  }

  get #hasEnded(): boolean {
    return this.#endsAtMs !== null && Date.now() >= this.#endsAtMs;
  }

  /**
   * [SASL-5] True if the session is over and its client has not logged in again, or if the credential was revoked. Asked
   * before an answer that has taken its time.
   */
  async isOver(): Promise<boolean> {
    if (this.#hasEnded) return true;
    return this.#caller !== null && (await renewed(this.#env, this.#caller)) === null;
  }

  close(): void {
    this.#stopTimer();
  }

  /**
   * [KFK-22] Returns who makes a request, as its credential is now. Null before anybody has logged in, where that is not
   * needed.
   * @throws MalformedError if it is needed, or if the credential is good no more. The connection cannot go on.
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
      throw new MalformedError("ILLEGAL_SASL_STATE: log in by SASL before any other request");
    // [SASL-5] As in Kafka, the first request after the end closes the connection.
    if (this.#hasEnded)
      throw new MalformedError("SASL_AUTHENTICATION_FAILED: the session has ended; log in again");
    this.#caller = await renewed(this.#env, this.#caller);
    if (this.#caller !== null) return this.#caller;
    throw new MalformedError(
      "SASL_AUTHENTICATION_FAILED: the credential has expired or was revoked",
    );
  }

  /** [SASL-6] True if the next frame is a message of the mechanism, and no request. */
  get isBare(): boolean {
    return this.#isBare;
  }

  /** [SASL-1] [SASL-6] */
  handshake(
    mechanism: string,
    version: number,
  ): { errorCode: number; mechanisms: readonly SaslMechanism[] } {
    // The first message of the log-in brings the credentials along: see `authenticate`.
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

  /** [SASL-1] Takes a message. Throws if nobody can tell now, and never says then that the password is wrong. */
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

/** [SASL-1] Returns the mechanisms. Those that send a secret need a line that nobody listens to. */
function mechanismsOver(env: Env, way: Way): readonly SaslMechanism[] {
  const isSafe =
    way === "websocket" ||
    isOpen(env) ||
    env.RIVULET_KAFKA_LOOPBACK === "1" ||
    env.RIVULET_KAFKA_TLS === "1" ||
    env.RIVULET_KAFKA_TLS_IN_FRONT === "1";
  return isSafe ? SASL_MECHANISMS : SECRETLESS;
}
