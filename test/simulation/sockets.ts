// WebSockets as the program sees them: in a process, in the Worker, and hibernatable in an object. Frames of one direction
// arrive in order after a delay, or the link breaks and they are lost. Either end notices a broken link in its own time, or
// never.
import type { Actor, Scheduler } from "./scheduler.ts";

export type Frame =
  | { readonly type: "data"; readonly data: string | Uint8Array<ArrayBuffer> }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  /** The link broke. */
  | { readonly type: "broken" };

/** An object's handlers for its sockets. */
export interface Acceptor {
  received(endpoint: Endpoint, frame: Frame): void;
  /** Sends when earlier writes are durable. */
  emit(action: () => void): void;
  sent(endpoint: Endpoint, data: string | Uint8Array<ArrayBuffer>): void;
}

type Listener = (event: never) => void;

export class Endpoint {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;

  readonly id: number;
  actor: Actor;
  readonly #net: Network;
  peer: Endpoint | null = null;
  readyState = Endpoint.OPEN;
  binaryType = "arraybuffer";
  /** The object that accepted it, if one did. */
  acceptor: Acceptor | null = null;
  /** Messages that arrived before anybody listened. */
  #waiting: Frame[] | null = [];
  /** An upgrade was passed on: messages for this end go there. */
  #forward: Endpoint | null = null;
  #attachment: unknown = null;
  readonly #listeners = new Map<string, Listener[]>();
  /** Set when its link is cut: nothing is carried any more. */
  isCut = false;
  stalledUntilMs = 0;
  lastArrivalMs = 0;
  /** In the actor's time: when a heartbeat was last answered for it. */
  autoResponseMs: number | null = null;

  constructor(net: Network, actor: Actor) {
    this.#net = net;
    this.actor = actor;
    this.id = net.register(this);
  }

  // The API of a WebSocket, as far as the program uses it.

  /** From now on this end receives frames, through the given function. */
  accept(): void {
    this.actor = this.#net.current;
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const frame of waiting) this.receive(frame);
  }

  send(data: string | Uint8Array): void {
    if (this.readyState !== Endpoint.OPEN) throw new Error("the WebSocket is not open");
    const copy = typeof data === "string" ? data : new Uint8Array(data);
    const frame: Frame = { type: "data", data: copy };
    const { acceptor } = this;
    if (acceptor === null) {
      this.#net.transmit(this, frame);
      return;
    }
    acceptor.emit(() => {
      acceptor.sent(this, copy);
      this.#net.transmit(this, frame);
    });
  }

  close(code = 1000, reason = ""): void {
    if (this.readyState >= Endpoint.CLOSING) return;
    this.readyState = Endpoint.CLOSING;
    const transmit = () => this.#net.transmit(this, { type: "close", code, reason });
    if (this.acceptor === null) transmit();
    else this.acceptor.emit(transmit);
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  serializeAttachment(value: unknown): void {
    this.#attachment = structuredClone(value);
  }

  deserializeAttachment(): unknown {
    return structuredClone(this.#attachment);
  }

  // The network's part.

  /** The peer is now the end of the process that requested the upgrade. */
  passOn(to: Endpoint): void {
    const { peer } = this;
    this.#forward = to;
    to.peer = peer;
    this.peer = null;
    for (const frame of this.#waiting ?? []) this.#net.forward(to, frame);
    this.#waiting = null;
    if (peer === null) return;
    peer.peer = to;
    // Messages in flight come here, and are sent on; later ones must not overtake them.
    peer.lastArrivalMs++;
  }

  opened(): void {
    this.readyState = Endpoint.OPEN;
    this.#dispatch("open", {});
    this.accept();
  }

  /** Its process or its object is gone, or it was never connected. */
  vanish(): void {
    this.readyState = Endpoint.CLOSED;
    this.acceptor = null;
    this.#listeners.clear();
  }

  refused(): void {
    if (this.readyState === Endpoint.CLOSED) return;
    this.readyState = Endpoint.CLOSED;
    this.#dispatch("error", {});
    this.#dispatch("close", { code: 1006, reason: "" });
  }

  receive(frame: Frame): void {
    if (this.#forward !== null) {
      this.#net.forward(this.#forward, frame);
      return;
    }
    if (this.readyState === Endpoint.CLOSED) return;
    if (this.acceptor !== null) {
      this.acceptor.received(this, frame);
      return;
    }
    if (this.#waiting !== null) {
      this.#waiting.push(frame);
      return;
    }
    this.#receive(frame);
  }

  #receive(frame: Frame): void {
    if (frame.type === "data") {
      const { data } = frame;
      if (this.readyState === Endpoint.OPEN)
        this.#dispatch("message", { data: typeof data === "string" ? data : data.buffer });
      return;
    }
    if (frame.type === "broken") {
      this.refused();
      return;
    }
    if (this.readyState === Endpoint.OPEN) this.close(frame.code, frame.reason);
    this.readyState = Endpoint.CLOSED;
    this.#dispatch("close", { code: frame.code, reason: frame.reason });
  }

  #dispatch(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }
}

export interface NetworkConditions {
  /** The mean travel time of a frame. */
  delayMs: number;
  /** For a call or a request: how often it is lost, and as often its response. */
  loss: number;
  /** The travel time between two actors, always the same, if it is set. */
  wayMs?: (one: Actor, other: Actor) => number;
}

export class Network {
  readonly #scheduler: Scheduler;
  readonly conditions: NetworkConditions = { delayMs: 2, loss: 0 };
  readonly #open = new Set<Endpoint>();
  #nextId = 1;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  get current(): Actor {
    return this.#scheduler.current;
  }

  register(endpoint: Endpoint): number {
    this.#open.add(endpoint);
    return this.#nextId++;
  }

  pair(actor: Actor): { 0: Endpoint; 1: Endpoint } {
    const client = new Endpoint(this, actor);
    const server = new Endpoint(this, actor);
    client.peer = server;
    server.peer = client;
    return { 0: client, 1: server };
  }

  /** The travel time from one actor to another. */
  delay(one: Actor, other: Actor): number {
    const { wayMs, delayMs } = this.conditions;
    return wayMs?.(one, other) ?? this.#scheduler.random.delay(delayMs);
  }

  transmit(from: Endpoint, frame: Frame): void {
    const { nowMs } = this.#scheduler;
    const to = from.peer;
    if (to === null || from.isCut) return;
    const leavesMs = Math.max(nowMs, from.stalledUntilMs);
    const arrivesMs = Math.max(leavesMs + this.delay(from.actor, to.actor), from.lastArrivalMs);
    from.lastArrivalMs = arrivesMs;
    this.#scheduler.always(to.actor, arrivesMs - nowMs, () => {
      if (!from.isCut) to.receive(frame);
    });
  }

  forward(to: Endpoint, frame: Frame): void {
    this.#scheduler.always(to.actor, 0, () => to.receive(frame));
  }

  /** Connected sockets, oldest first. */
  get links(): Endpoint[] {
    this.#forgetClosed();
    return [...this.#open].filter(
      ({ isCut, peer }) => !isCut && peer !== null && this.#open.has(peer),
    );
  }

  endpointsOf(actor: Actor): Endpoint[] {
    this.#forgetClosed();
    return [...this.#open].filter((endpoint) => endpoint.actor === actor);
  }

  #forgetClosed(): void {
    for (const endpoint of this.#open)
      if (endpoint.readyState === Endpoint.CLOSED) this.#open.delete(endpoint);
  }

  /** Nothing leaves this end until then; incoming messages still arrive. */
  stall(endpoint: Endpoint, untilMs: number): void {
    endpoint.stalledUntilMs = Math.max(endpoint.stalledUntilMs, untilMs);
  }

  /** Everything in flight is lost. Each end notices after its delay. */
  cut(endpoint: Endpoint, noticeMs: number, peerNoticeMs: number): void {
    const { peer } = endpoint;
    this.#break(endpoint, noticeMs);
    if (peer !== null) this.#break(peer, peerNoticeMs);
  }

  #break(endpoint: Endpoint, noticeMs: number): void {
    if (endpoint.isCut) return;
    endpoint.isCut = true;
    this.#scheduler.always(endpoint.actor, noticeMs, () => endpoint.receive({ type: "broken" }));
  }
}
