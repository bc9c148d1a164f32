// The time for which appends wait for others to share their row (`commit.linger.ms`). It is the timer of a partition, so
// it may be held up where somebody sets the clock. Whatever comes meanwhile therefore asks whether the time has passed,
// and whoever notices that the clock was set ends it.
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

  /** `over` is called when the time has passed, and not when it is ended by `end`. */
  constructor(clock: Pick<ObjectClock, "glance">, over: () => void) {
    this.#clock = clock;
    this.#over = over;
  }

  get isPending(): boolean {
    return this.#wait !== null;
  }

  /** Begins to wait. [CLK-1] Returns false if it cannot: the object's time stands still, and a timer would with it. */
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
   * [CLK-1] True if the time has passed and the timer has not rung, or somebody has set the clock back. A glance costs
   * nothing while the object's own time moves on.
   */
  get isLate(): boolean {
    if (this.#wait === null) return false;
    const { forMs, armedMs } = this.#wait;
    return !isWithin(armedMs, forMs, this.#clock.glance().wallMs);
  }
}
