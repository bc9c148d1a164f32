// An object's timers as measured in workerd. Each is set for a time by the object's Date.now(). Only the first of them is
// waited for, for as long as is left by the wall clock when it becomes the first. So if the wall clock was set back, a timer
// that is set then waits until it has caught up. So do those behind the first.
import type { Actor, Scheduler } from "./scheduler.ts";

interface Timer {
  readonly id: number;
  readonly atMs: number;
  readonly callback: () => void;
}

export class ObjectTimers {
  readonly #scheduler: Scheduler;
  readonly #actor: Actor;
  /** In the order in which they are to ring. */
  #timers: Timer[] = [];
  #life = 0;

  constructor(scheduler: Scheduler, actor: Actor) {
    this.#scheduler = scheduler;
    this.#actor = actor;
  }

  set(id: number, ms: number, callback: () => void): void {
    if (this.#life !== this.#actor.life) this.#timers = []; // They went with the actor's memory.
    this.#life = this.#actor.life;
    const atMs = this.#scheduler.actorNowMs + Math.max(0, Math.round(ms));
    const first = this.#timers[0];
    this.#timers.push({ id, atMs, callback });
    this.#timers.sort((one, other) => one.atMs - other.atMs || one.id - other.id);
    if (this.#timers[0] !== first) this.#wait();
  }

  #wait(): void {
    const first = this.#timers[0];
    if (first === undefined) return;
    const delayMs = first.atMs - this.#scheduler.wallMs(this.#actor);
    this.#scheduler.after(this.#actor, delayMs, () => {
      if (this.#timers[0] !== first) return; // Another has become the first since, and this one will again.
      this.#timers.shift();
      this.#wait();
      first.callback();
    });
  }
}
