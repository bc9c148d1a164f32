// Turns of the event loop. Only a timer gives a turn that handles what has arrived over the network. After a
// message to oneself, no event has been read from any socket yet.
import { isWithin } from "../../src/core/elapsed.ts";
import type { ObjectClock } from "./clock.ts";
import { message } from "./message.ts";

/** A turn that takes longer than this, by the wall clock, counts as delayed. */
const MAX_TURN_MS = 1_000;

/** A turn that somebody is waiting for. */
interface Turn {
  readonly came: Promise<void>;
  readonly come: () => void;
  /** The wall clock, and Date.now(), when the timer was set. */
  readonly armedMs: number;
  readonly shownMs: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

export class Turns {
  readonly #clock: ObjectClock;
  #next: Turn | null = null;

  constructor(clock: ObjectClock) {
    this.#clock = clock;
  }

  /**
   * Resolves once the events that have arrived are handled. On one machine all objects share a thread. [CLK-1]
   * It never waits for the wall clock: if an object's time stands still, so do its timers, and a message is
   * used instead. Callers in the same turn share the timer. The first of an object's timers rings on time
   * whatever the clock does; the others depend on the clock.
   */
  next(): Promise<void> {
    const { isAhead, wallMs } = this.#clock.glance();
    if (isAhead) return message();
    this.#next ??= this.#arm(wallMs);
    return this.#next.came;
  }

  #arm(armedMs: number): Turn {
    const { promise: came, resolve } = Promise.withResolvers<void>();
    const come = () => {
      this.#next = null;
      resolve();
    };
    return { came, come, armedMs, shownMs: Date.now(), timer: setTimeout(come, 0) };
  }

  /**
   * [CLK-1] Ends the current turn now, because somebody set the clock. A timer set just before may be late by
   * as much as the clock was set back, even once the clock is right again. Later turns need no timer while the
   * object's time stands still, so the clock is read even if nobody waits.
   */
  hurry(): void {
    const { wallMs } = this.#clock.look();
    const turn = this.#next;
    if (turn === null || isWithin(turn.armedMs, MAX_TURN_MS, wallMs)) return;
    clearTimeout(turn.timer);
    turn.come();
  }

  /**
   * [CLK-1] Ends the turn if the time stands still, when a reader asks. So an object that was not notified of
   * the clock continues too. Appends do not ask. Many come within a millisecond, in which the time stands still
   * anyway, and reading the wall clock costs 5 to 40 µs.
   */
  hurryIfStanding(): void {
    if (this.#next !== null && Date.now() <= this.#next.shownMs) this.hurry();
  }
}
