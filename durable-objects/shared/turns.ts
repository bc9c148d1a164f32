// Turns of the event loop. Only a timer gives one that takes in what has come over the network meanwhile: after a message to
// oneself no event has been read from any socket yet.
import { isStanding } from "./clock.ts";
import { message } from "./message.ts";
import type { Sql } from "./sql.ts";

export class Turns {
  readonly #sql: Sql;
  #next: Promise<void> | null = null;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /**
   * Resolves once events that have arrived meanwhile are handled: on one machine all objects share a thread. [CLK-1] Never
   * waits for the wall clock. Where an object's time stands still its timers do too, and a message has to do. Whoever asks
   * meanwhile shares the timer: the first of an object's timers rings in time whatever becomes of the clock, the others by it.
   */
  next(): Promise<void> {
    if (isStanding(this.#sql)) return message();
    this.#next ??= new Promise((resolve) => {
      setTimeout(() => {
        this.#next = null;
        resolve();
      }, 0);
    });
    return this.#next;
  }
}
