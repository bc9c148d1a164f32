// How much of a rate is left: see quota.ts.
import { wasSetBack } from "../elapsed.ts";
import { QUOTA_WINDOW_MS } from "../limits.ts";

/**
 * A bucket that fills at a rate, up to what comes in within QUOTA_WINDOW_MS. Whatever is taken while one is left may
 * be more than that. The debt is then waited for, so a large request is served, and the rate holds on average.
 */
export class Bucket {
  #left: number;
  #atMs: number;

  constructor(rate: number, nowMs: number) {
    this.#left = capacityOf(rate);
    this.#atMs = nowMs;
  }

  /** Returns how long to wait, in milliseconds, until something may be taken. 0 if it may be now. */
  waitMs(rate: number, nowMs: number): number {
    this.#fill(rate, nowMs);
    return this.#left >= 1 ? 0 : Math.ceil(((1 - this.#left) * 1_000) / rate);
  }

  take(amount: number, rate: number, nowMs: number): void {
    this.#fill(rate, nowMs);
    this.#left -= amount;
  }

  /** True if nothing would be lost by forgetting it. */
  isFull(rate: number, nowMs: number): boolean {
    this.#fill(rate, nowMs);
    return this.#left >= capacityOf(rate);
  }

  #fill(rate: number, nowMs: number): void {
    // [CLK-3] After a step back nothing has come in, and from then on it comes in as before.
    if (!wasSetBack(this.#atMs, nowMs))
      this.#left += (Math.max(0, nowMs - this.#atMs) * rate) / 1_000;
    this.#left = Math.min(this.#left, capacityOf(rate));
    this.#atMs = nowMs;
  }
}

/** A rate below one a second still lets one through. */
function capacityOf(rate: number): number {
  return Math.max(1, (rate * QUOTA_WINDOW_MS) / 1_000);
}
