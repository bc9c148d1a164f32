// The replacements for the runtime's globals: the clock, chance, timers and sockets of the current simulated world.

import type { Random } from "../support/random.ts";
import type { Globals } from "./bundle.ts";
import { SimulatedRequest, SimulatedResponse } from "./http.ts";
import { ObjectTimers } from "./object-timers.ts";
import type { Actor, Scheduler } from "./scheduler.ts";
import { Endpoint, type Network } from "./sockets.ts";

interface Simulated {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly startMs: number;
}

let world: Simulated | null = null;
/** The pending timers. */
const timers = new Set<number>();
let nextTimer = 1;
let objectTimers = new WeakMap<Actor, ObjectTimers>();

/** From now on the program runs in this world: one at a time. */
export function simulate(simulated: Simulated): void {
  world = simulated;
  timers.clear();
  objectTimers = new WeakMap();
  nextTimer = 1;
}

function now(): Simulated {
  if (world === null) throw new Error("nothing is simulated");
  return world;
}

function objectTimersOf(scheduler: Scheduler, actor: Actor): ObjectTimers {
  let found = objectTimers.get(actor);
  if (found === undefined) {
    found = new ObjectTimers(scheduler, actor);
    objectTimers.set(actor, found);
  }
  return found;
}

class SimulatedDate extends Date {
  constructor(...args: readonly unknown[]) {
    super(...((args.length === 0 ? [SimulatedDate.now()] : args) as [number]));
  }

  static override now(): number {
    // While the program is evaluated there is no world yet.
    return world?.scheduler.actorNowMs ?? 0;
  }
}

function setSimulatedTimeout(callback: () => void, ms: number): number {
  const { scheduler } = now();
  const timer = nextTimer++;
  if (scheduler.current.standsStill) {
    objectTimersOf(scheduler, scheduler.current).set(timer, ms, callback);
    return timer;
  }
  timers.add(timer);
  scheduler.after(scheduler.current, ms, () => {
    if (timers.delete(timer)) callback();
  });
  return timer;
}

/** Like MessageChannel: a posted message arrives in a turn of its own, before anything comes over the network. */
class SimulatedMessageChannel {
  readonly port1: { onmessage: (() => void) | null; close(): void } = {
    onmessage: null,
    close() {},
  };
  readonly port2 = {
    postMessage: () => {
      const { scheduler } = now();
      scheduler.after(scheduler.current, 0, () => this.port1.onmessage?.());
    },
  };
}

function hexadecimal(digits: number): string {
  const { random } = now();
  return Array.from({ length: digits }, () => random.integer(0, 15).toString(16)).join("");
}

export const GLOBALS: Globals = {
  Date: SimulatedDate,
  Math: Object.create(Math, { random: { value: () => now().random.next() } }),
  performance: { now: () => now().scheduler.nowMs - now().startMs },
  crypto: {
    randomUUID: () => `${hexadecimal(8)}-${hexadecimal(4)}-4${hexadecimal(3)}`,
    getRandomValues: (values: Uint32Array) =>
      values.map(() => now().random.integer(0, 2 ** 32 - 1)),
  },
  setTimeout: setSimulatedTimeout,
  clearTimeout: (timer: number) => timers.delete(timer),
  MessageChannel: SimulatedMessageChannel,
  console: { log() {}, warn() {}, error() {} },
  fetch: () => Promise.reject(new Error("a process has its own fetch")),
  Request: SimulatedRequest,
  Response: SimulatedResponse,
  WebSocket: Endpoint,
  WebSocketPair: class {
    constructor() {
      const { network, scheduler } = now();
      // biome-ignore lint/correctness/noConstructorReturn: a pair is what the platform's constructor gives
      return network.pair(scheduler.current);
    }
  },
  WebSocketRequestResponsePair: class {
    readonly request: string;
    readonly response: string;
    constructor(request: string, response: string) {
      this.request = request;
      this.response = response;
    }
  },
  Function: class {
    constructor() {
      throw new Error("code from strings is not allowed");
    }
  },
};
