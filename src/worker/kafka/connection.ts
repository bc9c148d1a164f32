// One connection of a Kafka client, over any transport. Requests are answered in the order in which they come,
// as by Kafka's own brokers.

import { type Caller, namespaceOf } from "../../core/access/caller.ts";
import { WHOLE } from "../../core/access/namespace.ts";
import type { Rate } from "../../core/access/quota.ts";
import { sizeOf } from "../../core/bytes.ts";
import { KAFKA_ERRORS } from "../../core/errors.ts";
import {
  MAX_CLIENT_ID_LENGTH,
  MAX_KAFKA_HALF_SENT_MS,
  MAX_KAFKA_IDLE_MS,
  MAX_KAFKA_SILENT_MS,
  MAX_KAFKA_STALLED_MS,
  MAX_THROTTLE_MS,
  MIN_KAFKA_HALF_SENT_BYTES,
} from "../../core/limits.ts";
import { brokerError, failureOf } from "../../core/platform-errors.ts";
import { type Env, withCaller, withFrom } from "../../env.ts";
import { logLine } from "../../log.ts";
import { callerIn } from "../edge/authorize.ts";
import { Invocation } from "../edge/invocation.ts";
import { isolate } from "../edge/isolate.ts";
import {
  budgetWaitMs,
  countUse,
  longestOf,
  Mute,
  openConnection,
  throttleMs,
} from "../edge/quotas.ts";
import { reportRequests } from "../edge/request-metrics.ts";
import type { Api } from "./api.ts";
import { API_VERSIONS } from "./apis/api-versions.ts";
import { FETCH } from "./apis/fetch.ts";
import { PRODUCE } from "./apis/produce.ts";
import { Appends } from "./appends.ts";
import type { RequestContext } from "./context.ts";
import { errorNameOf } from "./errors.ts";
import { Feeds } from "./feeds.ts";
import { InFlight } from "./in-flight.ts";
import { Login, type Way } from "./login.ts";
import type { Nodes } from "./nodes.ts";
import { type Format, nullableString, struct } from "./schema.ts";
import { SERVICES } from "./services.ts";
import { type Expectation, Watchdog } from "./watchdog.ts";
import { Watches } from "./watches.ts";
import { MalformedError, Reader, Writer } from "./wire.ts";
import { assertAnswerSize, GoneError, Work } from "./work.ts";

/** The format of the client's name. It is never flexible, whatever the rest of the header is. */
const NOT_FLEXIBLE = { version: 0, isFlexible: false };
const TAGS = struct({});
/** The interval at which to check if a caller without budget has one again. */
const BUDGET_LOOK_MS = 5_000;

/** The times that the connection waits for its client. */
export interface Patience {
  readonly silentMs: number;
  readonly idleMs: number;
  readonly halfSentMs: number;
  readonly stalledMs: number;
}

const PATIENCE: Patience = {
  silentMs: MAX_KAFKA_SILENT_MS,
  idleMs: MAX_KAFKA_IDLE_MS,
  halfSentMs: MAX_KAFKA_HALF_SENT_MS,
  stalledMs: MAX_KAFKA_STALLED_MS,
};

export interface ConnectionOptions {
  readonly env: Env;
  readonly nodes: Nodes;
  readonly clientHost: string;
  readonly way: Way;
  /** Called when the connection cannot continue: the client does not do its part, or others need the room. */
  readonly end: (error: Error) => void;
  /** Called from time to time during a long request. Only the transport can find out if the client has gone. */
  readonly look?: () => void;
  readonly patience?: Patience;
}

/** A request that is being served. */
export interface Begun {
  /** The answer, in pieces. It is empty if the client waits for no answer, or has gone. */
  readonly answer: Promise<readonly Uint8Array[]>;
  /** True if another Produce request may begin before this one is answered. */
  readonly mayOverlap: boolean;
}

/** An answer that is made but not taken. */
interface Unanswered {
  bytes: number;
}

export class Connection {
  readonly #context: Omit<RequestContext, "clientId" | "version" | "work">;
  readonly #invocation: Invocation;
  readonly #watchdog: Watchdog;
  readonly #expectations: Readonly<Record<"silent" | "idle" | "halfSent" | "stalled", Expectation>>;
  readonly #look: () => void;
  readonly #login: Login;
  readonly #mute = new Mute();
  /** [QUO-4] Frees the place of the connection. Null before the client has signed in. */
  #closeQuota: (() => void) | null = null;
  /** [AUD-1] */
  readonly #from: NonNullable<Env["from"]>;
  #hasGone = false;
  /** The requests that have begun and whose answers are not taken, oldest first. */
  readonly #unanswered: Unanswered[] = [];
  #isTaking = false;
  /** The caller of the newest Produce request, with the bindings. */
  #producer: Env | null = null;
  readonly inFlight = new InFlight();

  /** @throws BrokerError if there are too many connections */
  constructor({
    env,
    nodes,
    clientHost,
    way,
    end,
    look = () => {},
    patience = PATIENCE,
  }: ConnectionOptions) {
    this.#look = look;
    this.#invocation = new Invocation(env);
    const { env: counted } = this.#invocation;
    const feeds = new Feeds(counted);
    this.#from = { ...env.from, way: "kafka", ip: clientHost.slice(1) || undefined };
    this.#login = new Login(withFrom(counted, this.#from), way, () => feeds.closeAll());
    this.#context = {
      login: this.#login,
      env: counted,
      nodes,
      clientHost,
      feeds,
      appends: new Appends(counted),
      watches: new Watches(counted),
    };
    this.inFlight.isKnown = this.#login.isKnown;
    this.#expectations = expectationsOf(patience);
    this.#watchdog = new Watchdog(end);
    this.#watchdog.expect(this.#expectations.silent);
    void this.inFlight.evicted.then(end);
  }

  /** True if the connection must close after this answer. The client reconnects and loses nothing. */
  get isSpent(): boolean {
    return this.#invocation.isSpent || this.#login.isRefused;
  }

  /** The bound for the next request. A client that has not signed in may only send a few short ones [BND-12]. */
  get maxRequestBytes(): number {
    return this.#login.maxRequestBytes;
  }

  /**
   * True if a request may be served beside others of its kind. A principal that has to wait for its quota also
   * waits for its earlier requests.
   */
  mayOverlap(frame: Uint8Array): boolean {
    if (this.#login.isBare || this.#producer === null) return false;
    if (frame.length < 2 || new Reader(frame).int16() !== PRODUCE.key) return false;
    return longestOf(this.#producer, ratesOf(PRODUCE)) === 0;
  }

  /** Returns the answer to one request. See `begin`. */
  async answer(frame: Uint8Array): Promise<readonly Uint8Array[]> {
    const { answer } = await this.begin(frame);
    return await answer;
  }

  /**
   * Begins to serve a request. Resolves once the next one may begin; by then the request's appends have their
   * places. The answer is in flight until `answered` is called.
   * @throws MalformedError if the frame is not a request that is served. The connection cannot continue.
   */
  async begin(frame: Uint8Array): Promise<Begun> {
    const unanswered = { bytes: 0 };
    this.#unanswered.push(unanswered);
    this.inFlight.begin();
    this.#invocation.did("request");
    if (!this.#isTaking) this.#watchdog.expect(null);
    try {
      const { answer, mayOverlap } = await this.#begin(frame, unanswered);
      return { answer: answer.finally(() => this.#noteKnown()), mayOverlap };
    } catch (error) {
      this.#noteKnown();
      throw error;
    }
  }

  /** Notes if the principal is known, before the next request, which may be long. */
  #noteKnown(): void {
    this.inFlight.isKnown = this.#login.isKnown;
  }

  async #begin(frame: Uint8Array, unanswered: Unanswered): Promise<Begun> {
    if (this.#login.isBare)
      return { answer: this.#answerBare(frame, unanswered), mayOverlap: false };
    const from = new Reader(frame);
    const [apiKey, apiVersion, correlationId] = [from.int16(), from.int16(), from.int32()];
    const found = SERVICES.get(apiKey);
    if (found === undefined) throw new MalformedError(`API key ${apiKey} is not served`);
    const { api } = found;
    const version = versionServed(api, apiVersion);
    const isFlexible = version >= api.flexibleFrom;
    const clientId = shortened(nullableString.read(from, NOT_FLEXIBLE));
    const caller = await this.#login.callerFor(apiKey);
    if (caller !== null) this.#closeQuota ??= openConnection(caller);
    const namespace = caller === null ? WHOLE : namespaceOf(caller);
    const format = { version, isFlexible, namespace };
    if (isFlexible) TAGS.read(from, format);
    // The rest of a request of an unknown version cannot be read, and the answer does not depend on it.
    const isKnown = version === apiVersion;
    const request = isKnown ? read(api, from, format) : api.request.absent;
    // Left-over bytes are skipped, as in Kafka: librdkafka leaves some when it asks for the metadata of all
    // topics.
    const sender = { ...this.#from, userAgent: clientId ?? undefined };
    const sent = withFrom(this.#context.env, sender);
    const rates = ratesOf(api);
    const env =
      caller === null ? sent : await this.#turn(withCaller(sent, caller), api, rates, frame.length);
    const setAnswer = (bytes: number) => this.#setAnswer(unanswered, bytes);
    const work = new Work({
      name: api.name,
      inFlight: { setAnswer },
      isReadOnly: found.isReadOnly,
      hasGone: () => this.#hasGone,
      look: this.#look,
    });
    const context = { ...this.#context, env, work, clientId, version: apiVersion };
    if (api.key === PRODUCE.key) this.#producer = env;
    const startMs = Date.now();
    const served = found.serve(request, context).catch((error: unknown) => {
      if (error instanceof GoneError) return null;
      // The platform reports an object's failure in the same words as a client's. Only this code knows which it
      // is.
      throw failureOf(error) === "unexpected" ? error : brokerError(error);
    });
    const finish = async () => {
      const response = await served;
      let pieces = response === null ? [] : encode(api, correlationId, response, format);
      if (api.key === FETCH.key) countUse(env, "consumerByteRate", sizeOf(pieces));
      const throttleTimeMs = Math.min(MAX_THROTTLE_MS, longestOf(env, rates));
      if (throttleTimeMs > 0) {
        // [QUO-3] The answer is sent at once, with the wait. A client that does not wait by itself is not
        // served earlier.
        const told = { ...(response as object), throttleTimeMs };
        if (response !== null) pieces = encode(api, correlationId, told, format);
      }
      setAnswer(sizeOf(pieces));
      isolate.requests.add("kafka", api.name, outcomeIn(response), Date.now() - startMs);
      reportRequests(env);
      // [SES-14] Records pass through unchanged.
      this.#invocation.did(api.key === PRODUCE.key ? "byte" : "field", frame.length);
      this.#invocation.did(api.key === FETCH.key ? "byte" : "field", sizeOf(pieces));
      return pieces;
    };
    return { answer: finish(), mayOverlap: found.mayOverlap(request) };
  }

  /**
   * [QUO-3] Counts a request and waits until it may be served. Returns the bindings and variables with the
   * caller as its credential is by then.
   * @throws MalformedError if the credential is no longer valid, or BrokerError NETWORK_EXCEPTION if the client
   * has gone
   */
  async #turn(env: Env, api: Api, rates: readonly Rate[], bytes: number): Promise<Env> {
    const waitMs = longestOf(env, rates);
    const count = (sign: 1 | -1) => {
      countUse(env, "requestRate", sign);
      if (api.key === PRODUCE.key) countUse(env, "producerByteRate", sign * bytes);
    };
    count(1);
    if (waitMs === 0) return env;
    let caller: Caller | null = null;
    const look = async () => {
      this.#look();
      caller = await this.#login.callerFor(api.key);
    };
    this.inFlight.isMuted = true;
    try {
      if (budgetWaitMs(env) === 0) await this.#mute.wait(waitMs, look);
      else await this.#untilBudget(env, () => caller, look);
      // The size of a fetch is not known in advance, so others may have read in the meantime.
      while (api.key === FETCH.key) {
        const leftMs = throttleMs(env, "consumerByteRate");
        if (leftMs === 0) break;
        await this.#mute.wait(leftMs, look);
      }
    } catch (error) {
      count(-1); // It will not be served, so others need not wait for it.
      throw error;
    } finally {
      this.inFlight.isMuted = false;
    }
    return caller === null ? env : withCaller(env, caller);
  }

  /**
   * [BGT-3] Waits until the caller has a budget again: until midnight, or until the budget is raised. Its
   * clients give up earlier and get no error, because the answers of most APIs have no field for it. The
   * operator's log reports it.
   */
  async #untilBudget(
    env: Env,
    callerNow: () => Caller | null,
    look: () => Promise<void>,
  ): Promise<void> {
    const { principal } = callerIn(env);
    logLine("warn", `kafka: a connection of ${principal} waits: its budget for the day is used up`);
    for (;;) {
      const caller = callerNow();
      const waitMs = budgetWaitMs(caller === null ? env : withCaller(env, caller));
      if (waitMs === 0) return;
      await this.#mute.wait(Math.min(waitMs, BUDGET_LOOK_MS), look);
    }
  }

  /**
   * [SASL-6] Answers a message of a sign-in that has no header. It cannot express a refusal: the connection
   * closes.
   */
  async #answerBare(message: Uint8Array, unanswered: Unanswered): Promise<readonly Uint8Array[]> {
    const answer = await this.#login.authenticate(message);
    if (answer.type === "refused") throw new MalformedError(`${answer.error}: ${answer.detail}`);
    const body = new Writer();
    body.int32(answer.bytes.length);
    body.bytes(answer.bytes);
    const pieces = body.finish();
    this.#setAnswer(unanswered, sizeOf(pieces));
    return pieces;
  }

  /**
   * Sets the bytes of one answer that are made but not taken. @throws BrokerError beyond the bound of all
   * connections
   */
  #setAnswer(one: Unanswered, bytes: number): void {
    one.bytes = bytes;
    this.inFlight.setAnswer(this.#unanswered.reduce((sum, each) => sum + each.bytes, 0));
  }

  /** Notes that the client has taken the oldest answer. */
  answered(): void {
    this.#isTaking = false;
    const oldest = this.#unanswered.shift();
    if (oldest !== undefined) this.#setAnswer(oldest, 0);
    if (this.#unanswered.length > 0) this.#watchdog.expect(null);
    this.#context.feeds.giveBack();
  }

  /** Notes bytes that arrived. They do not count as progress while the client has an answer to take. */
  came(bytes: number): void {
    if (!this.#isTaking) this.#watchdog.moved(bytes);
  }

  /** Notes progress in bytes: of a request that arrived, or of an answer that the client took. */
  moved(bytes: number): void {
    this.#watchdog.moved(bytes);
  }

  /** Notes that an answer is ready. From now on the client has to take it. */
  expectTaken(): void {
    this.#isTaking = true;
    this.#watchdog.expect(this.#expectations.stalled);
  }

  /**
   * Waits for the next request, of which this many bytes have arrived. Nothing is expected of the client while
   * it waits for answers.
   */
  expectRequest(bufferedBytes: number): void {
    const { inFlight } = this;
    if (this.#unanswered.length > 0) return;
    if (inFlight.quietSince === null) inFlight.end();
    const { halfSent, idle, silent } = this.#expectations;
    const mayIdle = inFlight.hasSpoken && this.#login.isKnown; // [BND-11]
    this.#watchdog.expect(bufferedBytes > 0 ? halfSent : mayIdle ? idle : silent);
  }

  /** Called when the client has gone. Nothing is waited for on its behalf any more. */
  stopWaiting(): void {
    this.#hasGone = true;
    this.#mute.stop();
    this.#context.feeds.close();
  }

  close(): void {
    this.#hasGone = true;
    this.#mute.stop();
    this.#closeQuota?.();
    this.#watchdog.close();
    this.inFlight.close();
    this.#login.close();
    this.#context.feeds.close();
    this.#context.appends.close();
    this.#context.watches.close();
  }
}

/** Returns the error name of a whole answer. Errors of its parts are only in the answer. */
function outcomeIn(response: unknown): string {
  const { errorCode = KAFKA_ERRORS.NONE } = (response ?? {}) as { errorCode?: number };
  return errorNameOf(errorCode);
}

function expectationsOf({ silentMs, idleMs, halfSentMs, stalledMs }: Patience) {
  const expectation = (withinMs: number, otherwise: string, minBytes = 0): Expectation => {
    return { withinMs, otherwise, minBytes };
  };
  return {
    silent: expectation(
      silentMs,
      `no request came, or nobody signed in; the bound is ${silentMs} ms`,
    ),
    idle: expectation(idleMs, `no request came for ${idleMs} ms`),
    halfSent: expectation(
      halfSentMs,
      `a request does not arrive: in ${halfSentMs} ms came neither its end nor ${MIN_KAFKA_HALF_SENT_BYTES} bytes of it`,
      MIN_KAFKA_HALF_SENT_BYTES,
    ),
    stalled: expectation(stalledMs, `the answers were not taken for ${stalledMs} ms`, 1),
  };
}

/**
 * Returns the version of the answer. Only ApiVersions accepts every version, and falls back to version 0,
 * because clients learn the versions from it.
 */
function versionServed(api: Api, version: number): number {
  const [minimum, maximum] = api.versions;
  if (version >= minimum && version <= maximum) return version;
  if (api.key === API_VERSIONS.key) return 0;
  throw new MalformedError(
    `${api.name} version ${version} is not served, versions ${minimum} to ${maximum} are`,
  );
}

/** Reads a request. An error names the API and its version, the only clue to the client that sent it. */
function read(api: Api, from: Reader, format: Format): unknown {
  try {
    return api.request.read(from, format);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new MalformedError(`${api.name} version ${format.version}: ${error.message}`);
  }
}

function encode(api: Api, correlationId: number, response: unknown, format: Format): Uint8Array[] {
  const body = new Writer((bytes) => assertAnswerSize(api.name, bytes)); // [BND-16]
  body.int32(correlationId);
  // The header of ApiVersions has no tags, because a client that does not know the version yet must be able to
  // read it (KIP-511).
  if (format.isFlexible && api.key !== API_VERSIONS.key) body.unsignedVarint(0);
  api.response.write(body, response as never, format);
  const length = new Writer();
  length.int32(body.length);
  return [...length.finish(), ...body.finish()];
}

/** [QUO-2] Returns the rates that a request of this API counts toward. */
function ratesOf({ key }: Api): readonly Rate[] {
  if (key === PRODUCE.key) return ["requestRate", "producerByteRate"];
  return key === FETCH.key ? ["requestRate", "consumerByteRate"] : ["requestRate"];
}

/** A client id only identifies the client to people, so a long one is cut and not refused. */
function shortened(clientId: string | null): string | null {
  return clientId === null ? null : clientId.slice(0, MAX_CLIENT_ID_LENGTH).toWellFormed();
}
