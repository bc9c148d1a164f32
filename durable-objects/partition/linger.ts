// The time that appends wait for others to share their row (`commit.linger.ms`). It depends on a partition's
// timer, which may be late if somebody sets the clock. So later events check if the time has passed, and code
// that notices a changed clock ends the wait.
import { isWithin } from "../../src/core/elapsed.ts";
import type { ObjectClock } from "../shared/clock.ts";

interface Wait {
  readonly forMs: number;
  /** The wall clock when the timer was set. */
  readonly armedMs: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

export class Linger {
  readonly #clock: Pick<ObjectClock, "glance">;
  readonly #over: () => void;
  #wait: Wait | null = null;

  /** `over` is called when the time has passed, but not after `end`. */
  constructor(clock: Pick<ObjectClock, "glance">, over: () => void) {
    this.#clock = clock;
    this.#over = over;
  }

  get isPending(): boolean {
    return this.#wait !== null;
  }

  /** Starts to wait. [CLK-1] Returns false if it cannot: the object's time stands still, and so would a timer. */
  begin(forMs: number): boolean {
    const { isAhead, wallMs } = this.#clock.glance();
    if (isAhead) return false;
    const timer = setTimeout(() => {
      this.#wait = null;
      this.#over();
    }, forMs);
    this.#wait = { forMs, armedMs: wallMs, timer };
    return true;
  }

  end(): void {
    if (this.#wait !== null) clearTimeout(this.#wait.timer);
    this.#wait = null;
  }

  /**
   * [CLK-1] True if the time has passed and the timer has not rung, or somebody has set the clock back. A
   * glance costs nothing while the object's own time moves.
   */
  get isLate(): boolean {
    if (this.#wait === null) return false;
    const { forMs, armedMs } = this.#wait;
    return !isWithin(armedMs, forMs, this.#clock.glance().wallMs);
  }
}
