// What a connection waits for, and for how long. It reads no clock, for a clock can be set back: each look finds that
// something has moved since the one before, or it is over [BND-11].
import { after } from "../edge/timer.ts";
import { MalformedError } from "./wire.ts";

/** What the client is to do next. */
export interface Expectation {
  /** What is said where it does not. */
  readonly otherwise: string;
  /** It has this long; twice as long at most, since looking is cheaper than starting a timer each time. */
  readonly withinMs: number;
  /** Where it does a part of it: so many bytes in that time are enough to go on. */
  readonly minBytes: number;
}

export class Watchdog {
  readonly #late: (error: Error) => void;
  #expected: Expectation | null = null;
  #stopTimer: (() => void) | null = null;
  #timerMs = 0;
  /** It was begun to be waited for after the timer was started. */
  #isFresh = false;
  #movedBytes = 0;

  /** `late` is called once, where the client does not do what is expected. */
  constructor(late: (error: Error) => void) {
    this.#late = late;
  }

  /** From now on this is waited for; null while the client waits for us. Costs a timer only where it is due before the one that runs. */
  expect(expected: Expectation | null): void {
    if (expected === this.#expected) return;
    this.#expected = expected;
    this.#movedBytes = 0;
    if (expected === null) return;
    this.#isFresh = this.#stopTimer !== null && this.#timerMs <= expected.withinMs;
    if (!this.#isFresh) this.#start(expected.withinMs);
  }

  /** So much of it came, or went. */
  moved(bytes: number): void {
    this.#movedBytes += bytes;
  }

  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = null;
    this.#expected = null;
  }

  #start(delayMs: number): void {
    this.#stopTimer?.();
    this.#timerMs = delayMs;
    this.#stopTimer = after(delayMs, () => this.#look());
  }

  #look(): void {
    this.#stopTimer = null;
    const expected = this.#expected;
    if (expected === null) return;
    const { withinMs, minBytes, otherwise } = expected;
    const hasMoved = minBytes > 0 && this.#movedBytes >= minBytes;
    if (!this.#isFresh && !hasMoved) {
      this.#late(new MalformedError(otherwise));
      return;
    }
    this.#isFresh = false;
    this.#movedBytes = 0;
    this.#start(withinMs);
  }
}
