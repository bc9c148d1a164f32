// A Durable Object around the program's class: one name, one storage, one instance at a time, which comes and goes. It keeps
// exactly the platform's promises. Messages that leave the object wait until its earlier writes are durable. Hibernating
// sockets and their attachments outlive the instance. Heartbeats are answered without it. An alarm rings at least once. A
// crash takes back what was not durable, and breaks every socket and every call.
import { AsyncLocalStorage } from "node:async_hooks";
import { Actor, type Scheduler } from "./scheduler.ts";
import type { Acceptor, Endpoint, Frame, Network } from "./sockets.ts";
import { SimulatedStorage } from "./storage.ts";

/** The program's class, seen from outside. */
export interface Instance {
  fetch(request: unknown): Promise<unknown> | unknown;
  alarm?(info: { scheduledTime: number }): Promise<void>;
  webSocketMessage(socket: Endpoint, data: string | ArrayBuffer): Promise<void> | void;
  webSocketClose(socket: Endpoint, code: number, reason: string): Promise<void> | void;
  webSocketError(socket: Endpoint): Promise<void> | void;
}

export type InstanceClass = new (context: unknown, env: unknown) => Instance;

/** The events of an object that a checker needs. */
export interface ObjectObserver {
  received(object: SimulatedObject, endpoint: Endpoint, frame: Frame): void;
  sent(object: SimulatedObject, endpoint: Endpoint, data: string | Uint8Array): void;
  /** Something was written in the step that has just ended. */
  written(object: SimulatedObject): void;
  threw(object: SimulatedObject, error: unknown): void;
  crashed(object: SimulatedObject): void;
}

export interface ObjectWorld {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly observer: ObjectObserver;
  readonly env: unknown;
  /** True if the disk refuses a write now. */
  refusesWrites(): boolean;
  /** The time that each write takes to be durable, if known. */
  readonly flushMs: number | null;
}

/** The time that a write takes to be durable, on average. */
const FLUSH_MS = 4;
const ALARM_RETRY_MS = 2_000;
/** The request of a handler, even if it continues after others have run. */
const CAUSES = new AsyncLocalStorage<string>();

interface Call {
  readonly reject: (error: Error) => void;
}

export class SimulatedObject implements Acceptor {
  readonly kind: string;
  readonly name: string;
  readonly actor: Actor;
  readonly storage: SimulatedStorage;
  readonly #world: ObjectWorld;
  readonly #class: InstanceClass;
  #instance: Instance | null = null;
  readonly #sockets = new Set<Endpoint>();
  #autoResponse: { request: string; response: string } | null = null;
  /** The messages that wait at the output gate. */
  #held: (() => void)[] = [];
  #syncs: (() => void)[] = [];
  /** The unfinished handlers. */
  #atWork = 0;
  readonly #calls = new Set<Call>();
  #isRinging = false;
  /** Counts when it was set. */
  #alarm = 0;
  /** The request that the object was handling at its last write. */
  #cause = "";
  starts = 0;
  /** The number of calls of each method. */
  readonly calls = new Map<string, number>();
  alarms = 0;
  /** Messages of all sockets, without the heartbeats, which the platform answers. */
  messages = 0;

  constructor(world: ObjectWorld, kind: string, name: string, instanceClass: InstanceClass) {
    this.#world = world;
    this.kind = kind;
    this.name = name;
    this.#class = instanceClass;
    this.actor = new Actor(`${kind} ${name}`, true);
    this.storage = new SimulatedStorage({
      writing: () => {
        this.#cause = CAUSES.getStore() ?? this.#cause;
      },
      written: () => {
        const isTimed = world.network.conditions.wayMs !== undefined;
        const delayMs = world.flushMs ?? (isTimed ? 0 : world.scheduler.random.delay(FLUSH_MS));
        world.scheduler.after(this.actor, delayMs, () => this.#flush());
      },
      alarmChanged: () => this.scheduleAlarm(),
      durable: () => this.#durable(),
      refuses: () => world.refusesWrites(),
      wallMs: () => world.scheduler.wallMs(this.actor),
      shownMs: () => this.actor.show(world.scheduler.wallMs(this.actor)),
    });
  }

  #wake(): Instance {
    if (this.#instance !== null) return this.#instance;
    const context = {
      id: { name: this.name },
      storage: this.storage,
      acceptWebSocket: (endpoint: Endpoint) => this.#accept(endpoint),
      getWebSockets: () => [...this.#sockets],
      setWebSocketAutoResponse: (pair: { request: string; response: string }) => {
        this.#autoResponse = pair;
      },
      getWebSocketAutoResponseTimestamp: ({ autoResponseMs }: Endpoint) =>
        autoResponseMs === null ? null : new Date(autoResponseMs),
      waitUntil: (promise: Promise<unknown>) => this.#waitUntil(promise),
      blockConcurrencyWhile: (work: () => Promise<void>) => work(),
      abort: () => this.#world.scheduler.after(this.actor, 0, () => this.crash()),
    };
    this.starts++;
    this.#instance = new this.#class(context, this.#world.env);
    return this.#instance;
  }

  // Calls.

  /** A call by `caller`, over a network that takes its time and may fail. */
  call(caller: Actor, method: string, args: readonly unknown[]): Promise<unknown> {
    const { scheduler, network } = this.#world;
    this.calls.set(method, (this.calls.get(method) ?? 0) + 1);
    const copies = method === "fetch" ? args : structuredClone(args);
    const back = scheduler.within(caller);
    return new Promise((resolve, reject) => {
      const answer = (settle: () => void) => back(network.delay(this.actor, caller), settle);
      const call: Call = {
        reject: (error) => {
          if (this.#calls.delete(call)) answer(() => reject(error));
        },
      };
      this.#calls.add(call);
      const fate = this.#world.scheduler.random.next();
      const { loss } = network.conditions;
      if (fate < loss) {
        call.reject(connectionLost());
        // A third of those is not lost, but late.
        if (fate > loss / 3) return;
      }
      const isAnswered = fate > 2 * loss;
      scheduler.always(this.actor, network.delay(caller, this.actor), () =>
        this.#handle(causeOf(method, copies), async (instance) => {
          try {
            const methods = instance as unknown as Record<
              string,
              (...args: readonly unknown[]) => unknown
            >;
            const result = await methods[method]?.(...copies);
            const copy = method === "fetch" ? result : structuredClone(result);
            // The other end of a socket is the caller's from now on.
            const { webSocket } = result as { webSocket?: Endpoint | null };
            if (method === "fetch" && webSocket) webSocket.actor = caller;
            this.emit(() => {
              if (!isAnswered) call.reject(connectionLost());
              else if (this.#calls.delete(call)) answer(() => resolve(copy));
            });
          } catch (error) {
            this.emit(() => call.reject(error as Error));
          }
        }),
      );
    });
  }

  /** The object is not evicted meanwhile. */
  #waitUntil(promise: Promise<unknown>): void {
    const { life } = this.actor;
    this.#atWork++;
    const done = () => {
      if (this.actor.life === life) this.#atWork--;
    };
    promise.then(done, done);
  }

  #handle(
    cause: string,
    handler: (instance: Instance) => Promise<void> | void,
    ended: (isDone: boolean) => void = () => {},
  ): void {
    const { life } = this.actor;
    this.#atWork++;
    const done = (isDone: boolean) => {
      if (this.actor.life === life) this.#atWork--;
      ended(isDone);
    };
    const work = async () => handler(this.#wake());
    CAUSES.run(cause, work).then(
      () => done(true),
      (error: unknown) => {
        done(false);
        this.#world.observer.threw(this, error);
      },
    );
  }

  // Sockets.

  #accept(endpoint: Endpoint): void {
    endpoint.acceptor = this;
    endpoint.actor = this.actor;
    this.#sockets.add(endpoint);
    endpoint.accept();
  }

  get sockets(): ReadonlySet<Endpoint> {
    return this.#sockets;
  }

  received(endpoint: Endpoint, frame: Frame): void {
    this.#world.observer.received(this, endpoint, frame);
    if (frame.type === "data") {
      if (frame.data === this.#autoResponse?.request) {
        endpoint.autoResponseMs = this.#world.scheduler.wallMs(this.actor);
        const data = this.#autoResponse.response;
        if (endpoint.readyState === 1)
          this.#world.network.transmit(endpoint, { type: "data", data });
        return;
      }
      this.messages++;
      const data = typeof frame.data === "string" ? frame.data : frame.data.slice().buffer;
      this.#handle(
        `message of ${endpoint.id}: ${typeof data === "string" ? data : `${data.byteLength} bytes`}`,
        (instance) => instance.webSocketMessage(endpoint, data),
      );
      return;
    }
    this.#sockets.delete(endpoint);
    if (frame.type === "broken" || endpoint.readyState === 2) endpoint.readyState = 3;
    const { code, reason } = frame.type === "close" ? frame : { code: 1006, reason: "" };
    this.#handle(`close of ${endpoint.id} with ${code}`, (instance) =>
      instance.webSocketClose(endpoint, code, reason),
    );
  }

  sent(endpoint: Endpoint, data: string | Uint8Array<ArrayBuffer>): void {
    this.#world.observer.sent(this, endpoint, data);
  }

  // The output gate.

  emit(action: () => void): void {
    if (this.storage.isDirty) this.#held.push(action);
    else action();
  }

  #durable(): Promise<void> {
    if (!this.storage.isDirty) return Promise.resolve();
    return new Promise((resolve) => this.#syncs.push(resolve));
  }

  #flush(): void {
    this.storage.flush();
    const held = this.#held;
    const syncs = this.#syncs;
    this.#held = [];
    this.#syncs = [];
    for (const action of held) action();
    for (const resolve of syncs) resolve();
  }

  /** Its last news. */
  get cause(): string {
    return this.#cause;
  }

  // Alarms.

  /** Rings after the remaining time by the object's current wall clock. If that was set back since, it waits on. */
  scheduleAlarm(): void {
    const { alarmAtMs } = this.storage;
    const mine = ++this.#alarm;
    if (alarmAtMs === null) return;
    const { scheduler } = this.#world;
    const delayMs = alarmAtMs - scheduler.wallMs(this.actor);
    scheduler.always(this.actor, Math.max(0, delayMs) + scheduler.random.integer(0, 3), () => {
      if (mine === this.#alarm) this.#ring();
    });
  }

  #ring(): void {
    const { alarmAtMs } = this.storage;
    if (this.#isRinging || alarmAtMs === null) return;
    if (alarmAtMs > this.#world.scheduler.wallMs(this.actor)) {
      this.scheduleAlarm();
      return;
    }
    this.storage.alarmAtMs = null;
    this.alarms++;
    this.#isRinging = true;
    const { life } = this.actor;
    const ended = (isDone: boolean) => {
      if (this.actor.life !== life) return;
      this.#isRinging = false;
      // It rings again until it was handled, even if the object could not start.
      if (!isDone)
        this.storage.alarmAtMs ??= this.#world.scheduler.wallMs(this.actor) + ALARM_RETRY_MS;
      this.scheduleAlarm();
    };
    const info = { scheduledTime: alarmAtMs, retryCount: 0, isRetry: false };
    this.#handle("alarm", (instance) => instance.alarm?.(info), ended);
  }

  // Its end.

  get isIdle(): boolean {
    return this.#atWork === 0 && this.#held.length === 0 && !this.storage.isDirty;
  }

  /** Hibernation: its memory goes, its sockets stay. */
  evict(): boolean {
    if (this.#instance === null || !this.isIdle) return false;
    this.#instance = null;
    this.actor.life++;
    return true;
  }

  /** The machine, or the object's process, is gone, and comes back with its durable data. */
  crash(): void {
    const { scheduler, network } = this.#world;
    this.#instance = null;
    this.actor.life++;
    this.#atWork = 0;
    this.#held = [];
    this.#syncs = [];
    this.storage.crash();
    if (this.#isRinging) this.storage.alarmAtMs ??= scheduler.nowMs;
    this.#isRinging = false;
    for (const call of [...this.#calls]) call.reject(connectionLost());
    for (const endpoint of this.#sockets) {
      network.cut(endpoint, 0, scheduler.random.integer(0, 20));
      endpoint.vanish();
    }
    this.#sockets.clear();
    this.scheduleAlarm();
    this.#world.observer.crashed(this);
  }
}

function connectionLost(): Error {
  return Object.assign(new Error("Network connection lost."), { remote: true, retryable: true });
}

/** A commit is reported with its offsets: the checkers check it. */
function causeOf(method: string, args: readonly unknown[]): string {
  return `call ${method}${method === "commitOffsets" ? ` ${JSON.stringify(args)}` : ""}`;
}
