// The sign-in of one connection of Kafka's protocol. SaslHandshake names a mechanism, and each SaslAuthenticate
// carries one message of it. A client signs in again on the same connection before its session ends (KIP-368).
//
//
// Unlike Kafka:
// - A bad bearer token is refused at once. Kafka first answers without an error and with a reason in JSON, and some
//   clients take that for success.
//
//
// A refusal closes the connection. So does an error that prevents a decision: clients give up for good when
// they are refused, but reconnect when the connection breaks. Errors of the credentials therefore go to the
// caller.
import { type Caller, hasExpired, namespaceOf } from "../../core/access/caller.ts";
import { readOauthBearer, readPlain, type SaslMechanism } from "../../core/access/sasl.ts";
import { errorCodeOf, KAFKA_ERRORS } from "../../core/errors.ts";
import {
  absentVerifier,
  type ClientFirst,
  finalAnswer,
  newServerNonce,
  readClientFinal,
  readClientFirst,
  type ScramHash,
  type ScramVerifier,
  type ServerFirst,
  serverFirst,
} from "./scram.ts";

/** Looks users up. */
export interface Credentials {
  /**
   * Returns the caller with this user name and password. Null if they are wrong. Throws if they cannot be
   * checked now.
   */
  byPassword(user: string, password: string): Promise<Caller | null>;
  /** Returns the caller with this bearer token. Null if it is not valid. Throws if it cannot be checked now. */
  byToken(token: string): Promise<Caller | null>;
  /**
   * Returns the verifiers of a user's passwords, and the caller. Null if there is no such user. Throws if this
   * cannot be looked up now. Salts are as scramVerifier requires.
   */
  scram(user: string, hash: ScramHash): Promise<ScramUser | null>;
  /** The secret from which the salts of unknown users are derived. It is not empty. */
  readonly saltSecret: string;
}

export interface ScramUser {
  readonly verifiers: ScramVerifiers;
  readonly caller: Caller;
}

/**
 * One verifier for each valid password. All have the same salt and number of iterations, because these are sent
 * before the client shows which password it has.
 */
export type ScramVerifiers = readonly [ScramVerifier, ...ScramVerifier[]];

export interface HandshakeAnswer {
  /** If not 0, the connection is closed after the answer. */
  readonly errorCode: number;
  /** The mechanisms to choose from. */
  readonly mechanisms: readonly SaslMechanism[];
}

export type SaslAnswer =
  /** The mechanism continues: the client has to send another message. */
  | { readonly type: "challenge"; readonly bytes: Uint8Array }
  | {
      readonly type: "done";
      readonly bytes: Uint8Array;
      readonly caller: Caller;
      /** The time by which the client has to sign in again. 0 if never. */
      readonly sessionLifetimeMs: number;
    }
  /** The connection is closed after the answer. */
  | {
      readonly type: "refused";
      readonly error: "SASL_AUTHENTICATION_FAILED" | "ILLEGAL_SASL_STATE";
      readonly detail: string;
    };

/** A mechanism that has not received its last message. */
interface Begun {
  readonly mechanism: SaslMechanism;
  /** The messages of SCRAM so far. */
  readonly scram: ScramBegun | null;
}

interface ScramBegun {
  readonly clientFirst: ClientFirst;
  readonly serverFirst: ServerFirst;
  readonly verifiers: ScramVerifiers;
  /** Null for a user who does not exist. */
  readonly caller: Caller | null;
}

type Refused = Extract<SaslAnswer, { type: "refused" }>;

const NO_BYTES = new Uint8Array();
const UTF8 = new TextEncoder();
/** The same text for a wrong password and for an unknown user. */
const WRONG_PASSWORD = "the user name or the password is wrong";

export class SaslLogin {
  readonly #credentials: Credentials;
  readonly #maxSessionMs: number;
  #begun: Begun | null = null;
  /** The newest successful sign-in. */
  #done: { readonly mechanism: SaslMechanism; readonly principal: string } | null = null;

  /** After `maxSessionMs` a client has to sign in again, even if its credential lasts longer. 0 means no bound. */
  constructor(credentials: Credentials, maxSessionMs: number) {
    this.#credentials = credentials;
    this.#maxSessionMs = maxSessionMs;
  }

  /** [SASL-1] Begins a sign-in. Forgets one that was begun before. */
  handshake(mechanism: string, allowed: readonly SaslMechanism[]): HandshakeAnswer {
    const known = allowed.find((each) => each === mechanism);
    this.#begun = known === undefined ? null : { mechanism: known, scram: null };
    const errorCode =
      known === undefined ? errorCodeOf("UNSUPPORTED_SASL_MECHANISM") : KAFKA_ERRORS.NONE;
    return { errorCode, mechanisms: allowed };
  }

  /** Takes a message of the mechanism. The next one may come once this one is answered. */
  async authenticate(bytes: Uint8Array, nowMs: number): Promise<SaslAnswer> {
    const begun = this.#begun;
    // It continues only if this ends with a challenge, so a second guess needs a connection of its own.
    this.#begun = null;
    if (begun === null)
      return {
        type: "refused",
        error: "ILLEGAL_SASL_STATE",
        detail: "SaslAuthenticate has to follow a SaslHandshake that succeeded",
      };
    const { mechanism, scram } = begun;
    // [SASL-5] As in Kafka, this is refused here and not at the handshake.
    if (this.#done !== null && this.#done.mechanism !== mechanism)
      return refused(
        `this connection signed in by ${this.#done.mechanism} and may not use ${mechanism} now`,
      );
    switch (mechanism) {
      case "PLAIN":
        return this.#plain(bytes, nowMs);
      case "OAUTHBEARER":
        return this.#oauthBearer(bytes, nowMs);
      default:
        return scram === null
          ? this.#scramFirst(mechanism, bytes)
          : this.#scramFinal(mechanism, scram, bytes, nowMs);
    }
  }

  /** [SASL-2] */
  async #plain(bytes: Uint8Array, nowMs: number): Promise<SaslAnswer> {
    const login = readPlain(bytes);
    if (login === null)
      return refused(
        "a message of PLAIN is NUL, user name, NUL, password, without another name to act by",
      );
    const caller = await this.#credentials.byPassword(login.user, login.password);
    if (caller === null) return refused(WRONG_PASSWORD);
    return this.#settled("PLAIN", caller, NO_BYTES, nowMs);
  }

  /** [SASL-4] */
  async #oauthBearer(bytes: Uint8Array, nowMs: number): Promise<SaslAnswer> {
    const login = readOauthBearer(bytes);
    if (login === null) return refused("the message is not OAUTHBEARER with a bearer token");
    const caller = await this.#credentials.byToken(login.token);
    if (caller === null) return refused("the token is not valid");
    if (login.authzid !== null && !isNameOf(login.authzid, caller))
      return refused("the token belongs to somebody other than the name to act by");
    return this.#settled("OAUTHBEARER", caller, NO_BYTES, nowMs);
  }

  /** [SASL-3] Unknown users get the same answers as users with another password. */
  async #scramFirst(mechanism: ScramMechanism, bytes: Uint8Array): Promise<SaslAnswer> {
    const hash = HASHES[mechanism];
    const clientFirst = readClientFirst(bytes);
    if (clientFirst === null)
      return refused(
        "the message is not a first message of SCRAM, or asks for channel binding, another name to act by, a mandatory extension or a delegation token, which are not supported",
      );
    const found = await this.#credentials.scram(clientFirst.user, hash);
    // It is computed for everybody, so that the time reveals nothing.
    const absent = await absentVerifier(clientFirst.user, hash, this.#credentials.saltSecret);
    const verifiers = found?.verifiers ?? ([absent] as const);
    const answer = serverFirst(clientFirst, verifiers[0], newServerNonce());
    const caller = found?.caller ?? null;
    this.#begun = { mechanism, scram: { clientFirst, serverFirst: answer, verifiers, caller } };
    return { type: "challenge", bytes: UTF8.encode(answer.text) };
  }

  /** [SASL-3] */
  async #scramFinal(
    mechanism: ScramMechanism,
    { clientFirst, serverFirst, verifiers, caller }: ScramBegun,
    bytes: Uint8Array,
    nowMs: number,
  ): Promise<SaslAnswer> {
    const clientFinal = readClientFinal(bytes, clientFirst, serverFirst);
    if (clientFinal === null)
      return refused("the message is not a last message of SCRAM that follows from the first one");
    const hash = HASHES[mechanism];
    const answers = await Promise.all(
      verifiers.map((each) => finalAnswer(hash, each, clientFirst, serverFirst, clientFinal)),
    );
    // The client waits for the signature by its own password.
    const answer = answers.find((each) => each !== null);
    if (answer === undefined || caller === null) return refused(WRONG_PASSWORD);
    return this.#settled(mechanism, caller, UTF8.encode(answer), nowMs);
  }

  /** Ends a sign-in whose credential is right. Only its owner gets to know more about it. */
  #settled(mechanism: SaslMechanism, caller: Caller, bytes: Uint8Array, nowMs: number): SaslAnswer {
    if (hasExpired(caller, nowMs)) return refused("the credential has expired");
    // [SASL-5] Work in progress on the connection belongs to its principal.
    const principal = `${namespaceOf(caller)} ${caller.principal}`;
    if (this.#done !== null && this.#done.principal !== principal)
      return refused(
        "this connection signed in as another principal; open a new connection for this one",
      );
    this.#done = { mechanism, principal };
    const sessionLifetimeMs = this.#sessionLifetimeMs(caller, nowMs);
    return { type: "done", bytes, caller, sessionLifetimeMs };
  }

  /** [SASL-5] */
  #sessionLifetimeMs({ expiresAtMs }: Caller, nowMs: number): number {
    const bounds = [];
    if (expiresAtMs !== null) bounds.push(expiresAtMs - nowMs);
    if (this.#maxSessionMs > 0) bounds.push(this.#maxSessionMs);
    return bounds.length === 0 ? 0 : Math.min(...bounds);
  }
}

type ScramMechanism = Exclude<SaslMechanism, "PLAIN" | "OAUTHBEARER">;

const HASHES: Readonly<Record<ScramMechanism, ScramHash>> = {
  "SCRAM-SHA-256": "SHA-256",
  "SCRAM-SHA-512": "SHA-512",
};

/** True if the name is the principal, with or without its type. */
function isNameOf(name: string, { principal }: Caller): boolean {
  return name === principal || `User:${name}` === principal;
}

function refused(detail: string): Refused {
  return { type: "refused", error: "SASL_AUTHENTICATION_FAILED", detail };
}
