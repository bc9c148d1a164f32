// The connections of this isolate and the bytes of each: unanswered requests, and answers that are not taken
// yet. They share the isolate's memory. If a bound is passed, the connection whose turn it is must close, and
// never simply the newest one [BND-1] [BND-10]. A connection whose invocation was killed shows no sign of life,
// and stops counting [BND-24].
import { isWithin } from "../../core/elapsed.ts";
import { BrokerError } from "../../core/errors.ts";
import { type Holding, RANKS } from "../../core/ledger.ts";
import {
  HOLDER_SILENT_MS,
  MAX_KAFKA_AHEAD_BYTES,
  MAX_KAFKA_CONNECTIONS,
  MAX_KAFKA_QUEUED_BYTES,
} from "../../core/limits.ts";
import { memory } from "../../memory.ts";
import { keepRenewing } from "../edge/holders.ts";
import { isolate, type KafkaConnection } from "../edge/isolate.ts";

export class InFlight implements KafkaConnection {
  readonly #holding: Holding;
  readonly #evicted = Promise.withResolvers<BrokerError>();
  #isClosed = false;
  #askedBytes = 0;
  #answerBytes = 0;
  #hasSpoken = false;
  /** True if the principal is known. */
  isKnown = false;
  /** True if its next request waits until its principal may do more [QUO-3]. */
  isMuted = false;
  #quietSince: number | null = nextTurn();
  #seenMs = Date.now();
  readonly #stopRenewing: () => void;

  /** @throws BrokerError if there are too many connections and all of them are at work */
  constructor() {
    const { connections } = isolate.kafka;
    if (connections.size >= MAX_KAFKA_CONNECTIONS) forgetKilled();
    if (connections.size >= MAX_KAFKA_CONNECTIONS) letQuietestGo();
    connections.add(this);
    this.#holding = memory.kafka.hold(
      (error) => this.#evicted.resolve(error),
      () => true,
      () => rankOf(this),
    );
    this.#stopRenewing = keepRenewing(HOLDER_SILENT_MS / 3, () => this.#renew());
  }

  get seenMs(): number {
    return this.#seenMs;
  }

  /** Shows that the connection is alive, even if it is quiet. */
  #renew(): void {
    this.#seenMs = Date.now();
    isolate.kafka.connections.add(this);
    this.#holding.note(this.#holding.bytes);
  }

  /**
   * Resolves if this connection has to close for others. It must then close itself: the platform lets no
   * invocation touch what belongs to another, but a promise may be resolved from there.
   */
  get evicted(): Promise<BrokerError> {
    return this.#evicted.promise;
  }

  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  get quietSince(): number | null {
    return this.#quietSince;
  }

  /** Notes that a complete request has come. */
  begin(): void {
    this.#hasSpoken = true;
    this.#quietSince = null;
  }

  /** Notes that the request is answered. */
  end(): void {
    this.#quietSince = nextTurn();
  }

  /** Sets the bytes of unanswered requests. @throws BrokerError beyond a bound. The connection cannot continue. */
  setAsked(bytes: number): void {
    if (bytes > MAX_KAFKA_QUEUED_BYTES)
      throw new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `${bytes} bytes of this connection wait for an answer, the bound is ${MAX_KAFKA_QUEUED_BYTES}`,
      );
    this.#askedBytes = bytes;
    this.#count();
  }

  /**
   * Sets the bytes of answers that are made but not taken. @throws BrokerError beyond the bound of all
   * connections
   */
  setAnswer(bytes: number): void {
    this.#answerBytes = bytes;
    this.#count();
  }

  /** True if more may be read from a connection before it is answered. */
  get hasRoomAhead(): boolean {
    return memory.kafka.bytes <= MAX_KAFKA_AHEAD_BYTES;
  }

  #count(): void {
    // Without this check, a late answer would count forever.
    if (this.#isClosed) throw new BrokerError("NETWORK_EXCEPTION", "the connection is closed");
    this.#holding.set(this.#askedBytes + this.#answerBytes);
  }

  letGo(error: BrokerError): void {
    this.close();
    this.#evicted.resolve(error);
  }

  /** Stops counting this connection. May be called more than once. */
  close(): void {
    this.#isClosed = true;
    this.#stopRenewing();
    this.#holding.release();
    isolate.kafka.connections.delete(this);
  }
}

/** Counts turns, because a clock could be set back. */
function nextTurn(): number {
  return ++isolate.kafka.turns;
}

/** Returns the rank of a connection: not signed in, over its quota, or neither. */
function rankOf({ isKnown, isMuted }: KafkaConnection): number {
  if (!isKnown) return RANKS.stranger;
  return isMuted ? RANKS.muted : RANKS.known;
}

/**
 * Forgets the connections without a sign of life for long. Their invocations were killed. [CLK-3] If the clock was set back,
 * all are forgotten. A live one is back within a third of the time.
 */
function forgetKilled(): void {
  const nowMs = Date.now();
  for (const each of isolate.kafka.connections)
    if (!isWithin(each.seenMs, HOLDER_SILENT_MS, nowMs)) isolate.kafka.connections.delete(each);
}

/**
 * Closes the quietest connection. The order is: one that never asked anything, one that is not signed in, a
 * muted one, the one that was answered longest ago.
 */
function letQuietestGo(): void {
  let quietest: KafkaConnection | null = null;
  for (const each of isolate.kafka.connections)
    if (isQuiet(each) && (quietest === null || isQuieter(each, quietest))) quietest = each;
  const bound = `there are ${MAX_KAFKA_CONNECTIONS} Kafka connections, the bound`;
  if (quietest === null)
    throw new BrokerError("THROTTLING_QUOTA_EXCEEDED", `${bound}, and all of them are at work`);
  quietest.letGo(new BrokerError("THROTTLING_QUOTA_EXCEEDED", `${bound}, and ${why(quietest)}`));
}

function why({ hasSpoken, isMuted }: KafkaConnection): string {
  if (!hasSpoken) return "this one never sent a complete request";
  return isMuted ? "this one has used up its quota" : "this one has been quiet for longest";
}

/** True if the connection is quiet. A muted connection has asked for something, but nothing is done for it. */
function isQuiet({ quietSince, isMuted }: KafkaConnection): boolean {
  return quietSince !== null || isMuted;
}

function isQuieter(a: KafkaConnection, b: KafkaConnection): boolean {
  if (a.hasSpoken !== b.hasSpoken) return b.hasSpoken;
  const [rankOfA, rankOfB] = [rankOf(a), rankOf(b)];
  if (rankOfA !== rankOfB) return rankOfA < rankOfB;
  return (a.quietSince ?? 0) < (b.quietSince ?? 0);
}
