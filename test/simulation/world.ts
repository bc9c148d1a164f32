// The simulated world: one deployment (Worker and objects) and the processes that talk to it, all running the
// program on one scheduler.
import { type CallRequest, type ObjectKind, toArguments } from "../../src/calls/calls.ts";
import { Random } from "../support/random.ts";
import type { Exports } from "./bundle.ts";
import { simulate } from "./globals.ts";
import { type RequestOptions, SimulatedRequest, type SimulatedResponse } from "./http.ts";
import { type ObjectObserver, type ObjectWorld, SimulatedObject } from "./object.ts";
import { Actor, Scheduler } from "./scheduler.ts";
import { Endpoint, Network } from "./sockets.ts";

const URL_OF_BROKER = "http://localhost";

/** The objects of the world. It has no metrics, which do not affect the others. */
type SimulatedKind = Exclude<ObjectKind, "metrics">;

/** The classes of the objects, as the program exports them. */
const CLASSES = {
  cluster: "ClusterObject",
  group: "GroupObject",
  partition: "PartitionObject",
  relay: "RelayObject",
} as const satisfies Record<SimulatedKind, keyof Exports>;

/** A process's environment in the world. */
export interface Environment {
  readonly program: Exports;
  readonly actor: Actor;
  readonly fetch: unknown;
  readonly WebSocket: unknown;
  /** The broker's address. */
  readonly url: string;
}

export class World implements ObjectWorld {
  readonly random: Random;
  readonly startMs: number;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly observer: ObjectObserver;
  readonly env: unknown;
  /** The interface for the objects, the processes and the Worker. */
  readonly program: Exports;
  #worker: Actor;
  readonly #objects = new Map<string, SimulatedObject>();
  readonly #byActor = new Map<Actor, SimulatedObject>();
  readonly #seenWrites = new Map<SimulatedObject, number>();
  /** The faults are over. */
  isCalm = false;
  /** The probability that a write is refused. */
  refusal = 0;
  flushMs: number | null = null;
  /** The Worker's requests, upgrades included. */
  workerRequests = 0;

  constructor(program: Exports, seed: number, observer: ObjectObserver) {
    this.random = new Random(seed);
    this.scheduler = new Scheduler(this.random);
    this.startMs = this.scheduler.nowMs;
    this.network = new Network(this.scheduler);
    this.observer = observer;
    this.program = program;
    simulate(this);
    program.forgetEverything();
    this.env = {
      CLUSTER: this.#namespace("cluster"),
      GROUP: this.#namespace("group"),
      PARTITION: this.#namespace("partition"),
      RELAY: this.#namespace("relay"),
      RIVULET_OPEN: "loopback",
    };
    this.#worker = new Actor("worker");
  }

  refusesWrites(): boolean {
    return this.refusal > 0 && this.random.chance(this.refusal);
  }

  // Objects.

  #namespace(kind: SimulatedKind) {
    return { getByName: (name: string) => this.#stub(kind, this.object(kind, name)) };
  }

  /** A call takes one object of named fields, which crosses the wire as the platform's stubs send it. */
  #stub(kind: ObjectKind, object: SimulatedObject): unknown {
    return new Proxy(object, {
      get:
        (_, method: string) =>
        (...requests: readonly unknown[]) => {
          const args =
            method === "fetch"
              ? [new SimulatedRequest(...(requests as [string, RequestOptions]))]
              : toArguments(kind, method, requests[0] as CallRequest | undefined);
          const caller = this.scheduler.current;
          const from = this.#byActor.get(caller);
          if (from === undefined) return object.call(caller, method, args);
          // Everything that leaves an object waits at its gate, calls included.
          return new Promise((resolve, reject) => {
            from.emit(() => object.call(caller, method, args).then(resolve, reject));
          });
        },
    });
  }

  object(kind: SimulatedKind, name: string): SimulatedObject {
    const key = `${kind} ${name}`;
    let object = this.#objects.get(key);
    if (object === undefined) {
      object = new SimulatedObject(this, kind, name, this.program[CLASSES[kind]]);
      this.#objects.set(key, object);
      this.#byActor.set(object.actor, object);
    }
    return object;
  }

  get objects(): SimulatedObject[] {
    return [...this.#objects.values()];
  }

  /** After each step: reports what was written in it. */
  noteWrites(): void {
    const object = this.#byActor.get(this.scheduler.current);
    if (object === undefined) return;
    const { writes } = object.storage;
    if (writes === (this.#seenWrites.get(object) ?? 0)) return;
    this.#seenWrites.set(object, writes);
    this.observer.written(object);
  }

  // The Worker.

  /** The platform ends the Worker's isolate: its sessions and requests are cut off, a new one starts. */
  recycleWorker(): void {
    const old = this.#worker;
    for (const endpoint of this.network.endpointsOf(old)) {
      this.network.cut(endpoint, 0, this.random.integer(0, 30));
      endpoint.vanish();
    }
    old.life++;
    this.#worker = new Actor("worker");
    this.program.forgetEverything();
  }

  async #ask(request: SimulatedRequest): Promise<SimulatedResponse> {
    this.workerRequests++;
    const context = { waitUntil() {}, passThroughOnException() {} };
    return (await this.program.app.fetch(request, this.env, context)) as SimulatedResponse;
  }

  // Processes.

  environment(actor: Actor): Environment {
    const world = this;
    class ProcessSocket extends Endpoint {
      constructor(url: string) {
        super(world.network, actor);
        this.readyState = Endpoint.CONNECTING;
        world.#upgrade(this, url.replace(/^ws/, "http"));
      }
    }
    return {
      program: this.program,
      actor,
      url: URL_OF_BROKER,
      WebSocket: ProcessSocket,
      fetch: (url: string, options: object) =>
        this.#fetch(actor, new SimulatedRequest(url, options)),
    };
  }

  #fetch(actor: Actor, request: SimulatedRequest): Promise<SimulatedResponse> {
    const { scheduler, network, random } = this;
    const { loss, delayMs } = network.conditions;
    const back = scheduler.within(actor);
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const settle = (afterMs: number, action: () => void) =>
        back(afterMs, () => {
          isSettled = true;
          action();
        });
      const failed = (afterMs: number) =>
        settle(afterMs, () => reject(new TypeError("fetch failed")));
      const fate = random.next();
      if (fate < loss) {
        failed(random.delay(10 * delayMs));
        if (fate > loss / 3) return; // The others are late only.
      }
      const isAnswered = fate > 2 * loss;
      this.#atWorker(
        actor,
        () => isSettled,
        () => failed(0),
        () => {
          this.#ask(request).then(
            (response) => {
              const wayMs = network.delay(this.#worker, actor);
              if (isAnswered) settle(wayMs, () => resolve(response));
              else failed(0);
            },
            () => failed(0),
          );
        },
      );
    });
  }

  /** Does something in the Worker. If the Worker goes before it is done, the caller notices: `gone`. */
  #atWorker(actor: Actor, isDone: () => boolean, gone: () => void, action: () => void): void {
    const { scheduler, network } = this;
    const worker = this.#worker;
    const { life } = worker;
    const back = scheduler.within(actor);
    scheduler.after(worker, network.delay(actor, worker), action);
    const watch = () => {
      if (isDone()) return;
      if (worker.life === life) back(1_000, watch);
      else gone();
    };
    back(1_000, watch);
  }

  #upgrade(endpoint: Endpoint, url: string): void {
    const { scheduler, network, random } = this;
    const { loss, delayMs } = network.conditions;
    const back = scheduler.within(endpoint.actor);
    const refuse = (afterMs: number) => back(afterMs, () => endpoint.refused());
    if (random.chance(loss)) {
      refuse(random.delay(20 * delayMs));
      return;
    }
    const request = new SimulatedRequest(url, { headers: { upgrade: "websocket" } });
    let isAnswered = false;
    const answered = ({ status, webSocket }: SimulatedResponse) => {
      isAnswered = true;
      if (status !== 101) {
        refuse(random.delay(delayMs));
        return;
      }
      (webSocket as Endpoint).passOn(endpoint);
      if (endpoint.readyState !== Endpoint.CONNECTING) {
        // Abandoned meanwhile: the connection is reset.
        network.cut(endpoint, 0, random.delay(20));
        return;
      }
      back(network.delay(this.#worker, endpoint.actor), () => {
        if (endpoint.readyState === Endpoint.CONNECTING) endpoint.opened();
      });
    };
    this.#atWorker(
      endpoint.actor,
      () => isAnswered,
      () => endpoint.refused(),
      () => {
        this.#ask(request).then(answered, () => refuse(0));
      },
    );
  }

  /** A process dies: its connections are reset. */
  kill(actor: Actor): void {
    for (const endpoint of this.network.endpointsOf(actor)) {
      this.network.cut(endpoint, 0, this.random.delay(20));
      endpoint.vanish();
    }
    actor.life++;
  }

  close(): void {
    for (const object of this.#objects.values()) object.storage.close();
  }
}
