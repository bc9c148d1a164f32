// Turns of the event loop. Only a timer gives a turn that handles what has come over the network meanwhile. After a
// message to oneself, no event has been read from any socket yet.
import { isWithin } from "../../src/core/elapsed.ts";
import type { ObjectClock } from "./clock.ts";
import { message } from "./message.ts";

/** A turn that takes longer than this, by the wall clock, is held up. */
const MAX_TURN_MS = 1_000;

/** A turn that somebody waits for. */
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
   * Resolves once events that have arrived meanwhile are handled: on one machine all objects share a thread.
   * [CLK-1] It never waits for the wall clock. If an object's time stands still, its timers do too, and a message
   * has to do. Callers that come meanwhile share the timer. The first of an object's timers rings on time whatever
   * the clock does, and the others depend on the clock.
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
   * [CLK-1] Ends the current turn now, because somebody set the clock. A timer set a moment before may be held up for
   * as long as the clock was set back, even once the clock is right again. The turns that follow need no timer while the
   * object's time stands still, so the clock is looked at even if nobody waits.
   */
  hurry(): void {
    const { wallMs } = this.#clock.look();
    const turn = this.#next;
    if (turn === null || isWithin(turn.armedMs, MAX_TURN_MS, wallMs)) return;
    clearTimeout(turn.timer);
    turn.come();
  }

  /**
   * [CLK-1] Hurries at what readers ask, so an object that nobody told of the clock goes on too. Appends do not ask: they
   * are many within a millisecond, in which the time stands still anyway, and the wall clock costs 5 to 40 µs.
   */
  hurryIfStanding(): void {
    if (this.#next !== null && Date.now() <= this.#next.shownMs) this.hurry();
  }
}
