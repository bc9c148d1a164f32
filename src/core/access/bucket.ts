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
  /** The bounds of a principal's credentials differ, and all of them count here. */
  #lowestRate: number;
  #highestRate: number;

  constructor(rate: number, nowMs: number) {
    this.#left = capacityOf(rate);
    this.#atMs = nowMs;
    this.#lowestRate = rate;
    this.#highestRate = rate;
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

  /**
   * True if nothing would be lost by forgetting it: it is full for each of the rates that it was ever used at. Were it
   * the rate of the latest use, somebody with two credentials could empty it at the higher rate and have it forgotten at the lower.
   */
  isFull(nowMs: number): boolean {
    if (wasSetBack(this.#atMs, nowMs)) this.#atMs = nowMs; // [CLK-3]
    const isFullAt = (rate: number) => this.#leftAt(rate, nowMs) >= capacityOf(rate);
    return isFullAt(this.#lowestRate) && isFullAt(this.#highestRate);
  }

  #fill(rate: number, nowMs: number): void {
    this.#left = this.#leftAt(rate, nowMs);
    this.#atMs = nowMs;
    this.#lowestRate = Math.min(this.#lowestRate, rate);
    this.#highestRate = Math.max(this.#highestRate, rate);
  }

  #leftAt(rate: number, nowMs: number): number {
    // [CLK-3] After a step back nothing has come in, and from then on it comes in as before.
    const forMs = wasSetBack(this.#atMs, nowMs) ? 0 : Math.max(0, nowMs - this.#atMs);
    return Math.min(this.#left + (forMs * rate) / 1_000, capacityOf(rate));
  }
}

/** A rate below one a second still lets one through. */
function capacityOf(rate: number): number {
  return Math.max(1, (rate * QUOTA_WINDOW_MS) / 1_000);
}
