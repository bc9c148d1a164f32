// The socket to the group. It is opened, kept alive with heartbeats, and opened
// again with back-off. It knows nothing of membership.
import { MAX_HEARTBEAT_INTERVAL_MS } from "../core/limits.ts";
import { backoffMs } from "./backoff.ts";
import { NEVER_MS, type Outbox } from "./effects.ts";

/** A short session beats fast, but a connection gets at least this long to answer. */
const MIN_PATIENCE_MS = 3_000;
/** How long the coordinator may take to answer a request while pings are answered. The runtime answers pings for it. */
const ANSWER_TIMEOUT_MS = 30_000;

export class GroupConnection {
  readonly #outbox: Outbox;
  readonly #random: () => number;
  /** The socket in use, or null while there is none. */
  connection: number | null = null;
  heartbeatMs: number;
  /** How many sockets were opened. Messages under way over an earlier one may still arrive. */
  attempts = 0;
  /** When the unanswered pings were sent over this socket. */
  #pingsSentMs: number[] = [];
  /** True once the socket is open. */
  isOpen = false;
  #failures = 0;
  #heardMs = 0;
  #heartbeatAtMs = NEVER_MS;
  #reconnectAtMs = NEVER_MS;
  /** The request that was unanswered at the last look, and when that was first seen. */
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

  /** Notes that a ping was answered. Returns when it was sent: the coordinator saw it no earlier than that. */
  pong(nowMs: number): number | null {
    this.#heardMs = nowMs;
    return this.#pingsSentMs.shift() ?? null;
  }

  /** Notes that the coordinator took the member in. The next failure begins a new back-off. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Ends the socket, if there is one. */
  drop(code: number, reason: string): void {
    if (this.connection !== null) {
      this.#outbox.emit({ type: "close", connection: this.connection, code, reason });
    }
    this.lost();
  }

  /** Notes that the socket has closed. */
  lost(): void {
    this.connection = null;
    this.isOpen = false;
    this.#heartbeatAtMs = this.#reconnectAtMs = NEVER_MS;
  }

  /** True while nothing has gone wrong since the coordinator took the member in. */
  get isFirstFailure(): boolean {
    return this.#failures === 0;
  }

  reconnectLater(nowMs: number): void {
    this.#reconnectAtMs = nowMs + backoffMs(this.#failures++, this.#random);
  }

  /** True after three beats without an answer. The connection is then dead even if nobody said so. */
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
