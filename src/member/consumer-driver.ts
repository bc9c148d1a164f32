// Runs a ConsumerCore over a transport: it carries out effects, passes events on, and keeps one timer.
import { BrokerError } from "../core/errors.ts";
import type { TopicPartition } from "../core/record.ts";
import type { CoordinatorMessage } from "../protocol/group-socket.ts";
import { PING, PONG } from "../protocol/heartbeat.ts";
import type { PartitionMessage } from "../protocol/partition-socket.ts";
import { Clock, MAX_TIMER_MS } from "./clock.ts";
import { ConsumerCore, type ConsumerCoreConfig } from "./consumer-core.ts";
import { loadDecompress, needsDecompress } from "./decoder.ts";
import type { ConsumerEffect } from "./effects.ts";
import type { ReaderPlace } from "./places.ts";
import type { Socket, SocketEvents, Transport } from "./transport.ts";

/** The effects for the application. */
export type ApplicationEffect = Extract<
  ConsumerEffect,
  { type: "assigned" | "revoked" | "lost" | "records" | "error" | "closed" }
>;

declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;

export class ConsumerDriver {
  readonly #core: ConsumerCore;
  readonly #groupId: string;
  readonly #transport: Transport;
  readonly #listener: (effect: ApplicationEffect) => void;
  readonly #clock = new Clock();
  readonly #sockets = new Map<number, Socket>();
  #timer: unknown = null;
  #timerAtMs: number | null = null;
  #isPumping = false;
  #heldBack: (() => void)[] | null = null;
  /** Calls waiting until processed records are committed. */
  #committing: { readonly isDone: () => boolean; readonly resolve: () => void }[] = [];

  constructor(
    config: ConsumerCoreConfig,
    transport: Transport,
    listener: (effect: ApplicationEffect) => void,
  ) {
    this.#core = new ConsumerCore(config, Math.random);
    this.#groupId = config.groupId ?? "";
    this.#transport = transport;
    this.#listener = listener;
  }

  get assignment(): TopicPartition[] {
    return this.#core.assignment;
  }

  start(): void {
    this.#run((nowMs) => this.#core.start(nowMs));
  }

  add(places: readonly ReaderPlace[]): boolean {
    return this.#run((nowMs) => this.#core.add(places, nowMs));
  }

  processed(place: TopicPartition, nextOffset: number, attachId: number): void {
    this.#run((nowMs) => this.#core.processed(place, nextOffset, attachId, nowMs));
  }

  /** Resolves once all processed records are committed or no longer belong to the member. */
  commit(): Promise<void> {
    return new Promise((resolve) => {
      this.#run(() => this.#committing.push({ isDone: this.#core.uncommitted(), resolve }));
    });
  }

  position(place: TopicPartition): number | null {
    return this.#core.position(place);
  }

  released(place: TopicPartition): void {
    this.#run(() => this.#core.released(place));
  }

  pause(place: TopicPartition): void {
    this.#run(() => this.#core.pause(place));
  }

  resume(place: TopicPartition): void {
    this.#run((nowMs) => this.#core.resume(place, nowMs));
  }

  seek(place: TopicPartition, offset: number): boolean {
    return this.#run(() => this.#core.seek(place, offset));
  }

  /** Ends the session if it has timed out by now. */
  endLateSession(): void {
    if (this.#core.sessionEndMs <= this.#clock.now()) this.#run(() => {});
  }

  close(): void {
    this.#run(() => this.#core.close());
  }

  leave(): void {
    this.#run(() => this.#core.leave());
  }

  abandon(): void {
    this.#run(() => this.#core.abandon());
  }

  #run<T>(step: (nowMs: number) => T): T {
    const nowMs = this.#clock.now();
    // [SES-4] Timers may be late, for example in a process that was suspended and resumed. Events from that time must
    // not be applied to a membership that has ended.
    if (this.#core.sessionEndMs <= nowMs) this.#core.tick(nowMs);
    const result = step(nowMs);
    this.#pump(nowMs);
    return result;
  }

  /** Carries out effects until none is left. Effects that they cause join the same round. */
  #pump(nowMs: number): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    // This also runs after the answer to an earlier commit, and after a reconnect.
    if (this.#committing.length > 0) this.#core.commitNow(nowMs);
    try {
      for (
        let effects = this.#core.takeEffects();
        effects.length > 0;
        effects = this.#core.takeEffects()
      ) {
        for (const effect of effects) this.#carryOut(effect);
      }
    } finally {
      this.#isPumping = false;
    }
    if (this.#committing.length > 0) this.#settleCommits();
    this.#setTimer();
  }

  #settleCommits(): void {
    for (const { isDone, resolve } of this.#committing) if (isDone()) resolve();
    this.#committing = this.#committing.filter(({ isDone }) => !isDone());
  }

  #carryOut(effect: ConsumerEffect): void {
    switch (effect.type) {
      case "open-group":
        this.#sockets.set(
          effect.connection,
          this.#transport.openGroup(this.#groupId, this.#events(effect.connection)),
        );
        return;
      case "open-partition":
        this.#sockets.set(
          effect.connection,
          this.#transport.openPartition(effect, this.#events(effect.connection)),
        );
        return;
      case "send":
        this.#sockets.get(effect.connection)?.send(JSON.stringify(effect.message));
        return;
      case "ping":
        this.#sockets.get(effect.connection)?.send(PING);
        return;
      case "close":
        this.#sockets.get(effect.connection)?.close(effect.code, effect.reason);
        this.#sockets.delete(effect.connection);
        return;
      case "records":
        // The application may have called `seek` while it handled earlier effects.
        if (this.#core.isCurrent(effect, effect.attachId)) this.#listener(effect);
        return;
      default:
        this.#listener(effect);
    }
  }

  #events(connection: number): SocketEvents {
    // If the core has dropped the connection, it ignores all later events of it.
    const take = (step: (nowMs: number) => void) =>
      this.#inTurn(() => {
        if (this.#sockets.has(connection)) this.#run(step);
      });
    return {
      opened: () => take((nowMs) => this.#core.opened(connection, nowMs)),
      text: (data) =>
        take((nowMs) => {
          if (data === PONG) this.#core.pong(connection, nowMs);
          else this.#message(connection, data, nowMs);
        }),
      bytes: (data) => {
        if (needsDecompress(data)) this.#holdBack();
        take((nowMs) => this.#core.data(connection, data, nowMs));
      },
      closed: (code, reason) =>
        take((nowMs) => {
          this.#sockets.delete(connection);
          this.#core.closed(connection, code, reason, nowMs);
        }),
    };
  }

  /** Runs the event now, or after the delayed events. */
  #inTurn(event: () => void): void {
    if (this.#heldBack === null) event();
    else this.#heldBack.push(event);
  }

  /** Delays events, in their order, until compressed batches can be decoded. */
  #holdBack(): void {
    if (this.#heldBack !== null) return;
    const held: (() => void)[] = [];
    this.#heldBack = held;
    const go = () => {
      this.#heldBack = null;
      for (const event of held) event();
    };
    loadDecompress().then(go, go); // If loading failed, decoding reports the error.
  }

  #message(connection: number, data: string, nowMs: number): void {
    let message: CoordinatorMessage | PartitionMessage;
    try {
      message = JSON.parse(data) as CoordinatorMessage | PartitionMessage;
    } catch {
      const error = new BrokerError("INVALID_REQUEST", "the broker sent invalid JSON");
      this.#listener({ type: "error", error, isFatal: false });
      return;
    }
    this.#core.message(connection, message, nowMs);
  }

  #setTimer(): void {
    const atMs = this.#core.nextTimerMs;
    if (atMs === this.#timerAtMs) return; // The common case: this runs after every record.
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    const delayMs = Math.min(Math.max(0, (atMs ?? 0) - this.#clock.now()), MAX_TIMER_MS);
    this.#timer = atMs === null ? null : setTimeout(() => this.#ring(), delayMs);
  }

  #ring(): void {
    this.#timer = null;
    this.#timerAtMs = null;
    this.#run((nowMs) => this.#core.tick(nowMs));
  }
}
