// The socket to the group. It is opened, kept alive with heartbeats, and reopened with backoff. It knows nothing about
// membership.
import { MAX_HEARTBEAT_INTERVAL_MS } from "../core/limits.ts";
import { backoffMs } from "./backoff.ts";
import { NEVER_MS, type Outbox } from "./effects.ts";

/** With a short session timeout, heartbeats are frequent. A connection still gets at least this long to answer. */
const MIN_PATIENCE_MS = 3_000;
/**
 * The longest time that the coordinator may take to answer a request while pings are answered. The runtime answers
 * pings on its behalf.
 */
const ANSWER_TIMEOUT_MS = 30_000;

export class GroupConnection {
  readonly #outbox: Outbox;
  readonly #random: () => number;
  /** The socket in use, or null while there is none. */
  connection: number | null = null;
  heartbeatMs: number;
  /** The number of sockets opened so far. Messages sent over an earlier one may still arrive. */
  attempts = 0;
  /** The times at which the unanswered pings were sent over this socket. */
  #pingsSentMs: number[] = [];
  /** True once the socket is open. */
  isOpen = false;
  #failures = 0;
  #heardMs = 0;
  #heartbeatAtMs = NEVER_MS;
  #reconnectAtMs = NEVER_MS;
  /** The request that was unanswered at the last check, and the time at which that was first seen. */
  #unanswered: string | null = null;
  #unansweredSinceMs = 0;

  constructor(outbox: Outbox, random: () => number, heartbeatMs: number) {
    this.#outbox = outbox;
    this.#random = random;
    this.heartbeatMs = heartbeatMs;
  }

  get nextTimerMs(): number {
    return Math.min(this.#heartbeatAtMs, this.#reconnectAtMs);
  }

  connect(nowMs: number): void {
    this.#reconnectAtMs = NEVER_MS;
    this.isOpen = false;
    this.#pingsSentMs = [];
    this.attempts++;
    this.connection = this.#outbox.newConnection();
    this.#heardMs = nowMs;
    this.#heartbeatAtMs = nowMs + this.heartbeatMs;
    this.#outbox.emit({ type: "open-group", connection: this.connection });
  }

  opened(nowMs: number): void {
    this.isOpen = true;
    this.#heardMs = nowMs;
  }

  heard(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  /** Notes that a ping was answered. Returns the time at which it was sent: the coordinator saw it no earlier. */
  pong(nowMs: number): number | null {
    this.#heardMs = nowMs;
    return this.#pingsSentMs.shift() ?? null;
  }

  /** Notes that the coordinator accepted the member. The next failure starts a new backoff. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Closes the socket, if there is one. */
  drop(code: number, reason: string): void {
    if (this.connection !== null) {
      this.#outbox.emit({ type: "close", connection: this.connection, code, reason });
    }
    this.lost();
  }

  /** Notes that the socket was closed. */
  lost(): void {
    this.connection = null;
    this.isOpen = false;
    this.#heartbeatAtMs = this.#reconnectAtMs = NEVER_MS;
  }

  /** True if there was no failure since the coordinator accepted the member. */
  get isFirstFailure(): boolean {
    return this.#failures === 0;
  }

  reconnectLater(nowMs: number): void {
    this.#reconnectAtMs = nowMs + backoffMs(this.#failures++, this.#random);
  }

  /** True after three heartbeats without an answer. The connection is then dead, even without a close. */
  isSilent(nowMs: number): boolean {
    if (this.#heartbeatAtMs > nowMs) return false;
    const patienceMs = Math.min(3 * this.heartbeatMs, 3 * MAX_HEARTBEAT_INTERVAL_MS);
    return nowMs - this.#heardMs >= Math.max(patienceMs, MIN_PATIENCE_MS);
  }

  /** True if the coordinator has not answered for too long. `request` names the request that it must answer, if any. */
  isUnanswered(request: string | null, nowMs: number): boolean {
    if (request !== this.#unanswered) {
      this.#unanswered = request;
      this.#unansweredSinceMs = nowMs;
    }
    return request !== null && nowMs - this.#unansweredSinceMs >= ANSWER_TIMEOUT_MS;
  }

  tick(nowMs: number): void {
    if (this.#reconnectAtMs <= nowMs) this.connect(nowMs);
    if (this.#heartbeatAtMs > nowMs) return;
    if (this.isOpen && this.connection !== null) {
      this.#outbox.emit({ type: "ping", connection: this.connection });
      this.#pingsSentMs.push(nowMs);
    }
    this.#heartbeatAtMs = nowMs + this.heartbeatMs;
  }
}
