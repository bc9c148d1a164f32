// Checks that the client does its part in time. It reads no clock, because a clock can be set back. Each check
// either finds that something moved since the previous one, or gives up [BND-11].
import { after } from "../edge/timer.ts";
import { MalformedError } from "./wire.ts";

/** The next thing that the client has to do. */
export interface Expectation {
  /** The error message if the client does not do it. */
  readonly otherwise: string;
  /**
   * The time that the client has. The wait may be twice as long, because a check is cheaper than a new timer
   * each time.
   */
  readonly withinMs: number;
  /** The progress that is enough to continue: this many bytes within that time. 0 if only the whole counts. */
  readonly minBytes: number;
}

export class Watchdog {
  readonly #late: (error: Error) => void;
  #expected: Expectation | null = null;
  #stopTimer: (() => void) | null = null;
  #timerMs = 0;
  /** True if the wait began after the timer was started. */
  #isFresh = false;
  #movedBytes = 0;

  /** `late` is called once, if the client does not do its part. */
  constructor(late: (error: Error) => void) {
    this.#late = late;
  }

  /**
   * Sets the next expectation. Null while the client waits for the server. A new timer is started only if the
   * expectation is due before the running timer.
   */
  expect(expected: Expectation | null): void {
    if (expected === this.#expected) return;
    this.#expected = expected;
    this.#movedBytes = 0;
    if (expected === null) return;
    this.#isFresh = this.#stopTimer !== null && this.#timerMs <= expected.withinMs;
    if (!this.#isFresh) this.#start(expected.withinMs);
  }

  /** Notes bytes that were received or sent. */
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
