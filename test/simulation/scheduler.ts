// Simulated time. Everything that happens is an event of an actor (a process, a Worker, an object) at a time. One event runs
// at a time, as far as it can without another one. Equal times run in the order in which they were scheduled, so a run
// depends only on its seed.
import type { Random } from "../support/random.ts";

/** An actor with its own clock, which can be paused and can die. */
export class Actor {
  readonly name: string;
  /** The lead of its wall clock. */
  clockOffsetMs = 0;
  /** True for objects: within a life their Date.now() never goes back, it stands until the wall clock has caught up. */
  readonly standsStill: boolean;
  /** The latest time that it was shown, in which life. */
  #shown = { life: 0, ms: Number.NEGATIVE_INFINITY };
  /** Grows when it dies: events of an earlier life do not happen. */
  life = 0;
  pausedUntilMs = 0;

  constructor(name: string, standsStill = false) {
    this.name = name;
    this.standsStill = standsStill;
  }

  /** Its Date.now() when its wall clock shows `wallMs`. */
  show(wallMs: number): number {
    if (!this.standsStill) return wallMs;
    const latestMs = this.#shown.life === this.life ? this.#shown.ms : Number.NEGATIVE_INFINITY;
    this.#shown = { life: this.life, ms: Math.max(latestMs, wallMs) };
    return this.#shown.ms;
  }
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly actor: Actor;
  /** Null if the event does not depend on the actor's memory, such as a message from the network. */
  readonly life: number | null;
  readonly run: () => void;
}

/** A turn of the real clock: lets every promise that can settle do so. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

export class Scheduler {
  readonly random: Random;
  nowMs = Date.UTC(2030, 0, 1);
  /** The actor whose event is running. */
  current: Actor = new Actor("nobody");
  steps = 0;
  readonly #queue: Event[] = [];
  #order = 0;

  constructor(random: Random) {
    this.random = random;
  }

  /** Date.now() of the caller. */
  get actorNowMs(): number {
    return this.current.show(this.wallMs(this.current));
  }

  wallMs(actor: Actor): number {
    return this.nowMs + actor.clockOffsetMs;
  }

  /** Dies with the actor's memory. */
  after(actor: Actor, delayMs: number, run: () => void): void {
    this.#add(actor, delayMs, actor.life, run);
  }

  /** Like `after`, bound to the actor's current memory: for requests made now and answered later. */
  within(actor: Actor): (delayMs: number, run: () => void) => void {
    const { life } = actor;
    return (delayMs, run) => this.#add(actor, delayMs, life, run);
  }

  /** Happens whatever becomes of the actor's memory. */
  always(actor: Actor, delayMs: number, run: () => void): void {
    this.#add(actor, delayMs, null, run);
  }

  #add(actor: Actor, delayMs: number, life: number | null, run: () => void): void {
    const atMs = this.nowMs + Math.max(0, Math.round(delayMs));
    this.#push({ atMs, order: this.#order++, actor, life, run });
  }

  /** Runs events until `untilMs`, checking after each. */
  async run(untilMs: number, afterEach: () => void, isOver: () => boolean): Promise<void> {
    for (;;) {
      const event = this.#queue[0];
      if (event === undefined || event.atMs > untilMs || isOver()) break;
      this.#pop();
      this.nowMs = event.atMs;
      const { actor } = event;
      if (event.life !== null && event.life !== actor.life) continue;
      if (actor.pausedUntilMs > this.nowMs) {
        this.#push({ ...event, atMs: actor.pausedUntilMs });
        continue;
      }
      this.current = actor;
      this.steps++;
      event.run();
      await settled();
      afterEach();
    }
    if (!isOver()) this.nowMs = Math.max(this.nowMs, untilMs);
  }

  #push(event: Event): void {
    const queue = this.#queue;
    let at = queue.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, queue[parent] as Event)) break;
      queue[at] = queue[parent] as Event;
      at = parent;
    }
    queue[at] = event;
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop() as Event;
    if (queue.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= queue.length) break;
      const right = child + 1;
      if (right < queue.length && isBefore(queue[right] as Event, queue[child] as Event))
        child = right;
      if (!isBefore(queue[child] as Event, last)) break;
      queue[at] = queue[child] as Event;
      at = child;
    }
    queue[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
