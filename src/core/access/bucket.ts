// The remaining allowance of one rate: see quota.ts.
import { wasSetBack } from "../elapsed.ts";
import { QUOTA_WINDOW_MS } from "../limits.ts";

/**
 * A bucket that fills at a rate, up to the amount of QUOTA_WINDOW_MS. A take is allowed while at least one unit is
 * left, and may be larger than that. The caller then waits until the debt is paid off. So a large request is served,
 * and the rate holds on average.
 */
export class Bucket {
  #left: number;
  #atMs: number;
  /** The credentials of one principal may have different bounds, and they all share this bucket. */
  #lowestRate: number;
  #highestRate: number;

  constructor(rate: number, nowMs: number) {
    this.#left = capacityOf(rate);
    this.#atMs = nowMs;
    this.#lowestRate = rate;
    this.#highestRate = rate;
  }

  /** Returns how many milliseconds to wait before something may be taken. 0 if it may be taken now. */
  waitMs(rate: number, nowMs: number): number {
    this.#fill(rate, nowMs);
    return this.#left >= 1 ? 0 : Math.ceil(((1 - this.#left) * 1_000) / rate);
  }

  take(amount: number, rate: number, nowMs: number): void {
    this.#fill(rate, nowMs);
    this.#left -= amount;
  }

  /**
   * True if the bucket is full at every rate that it was ever used with, so forgetting it loses nothing. Checking only
   * the latest rate would not do. Somebody with two credentials could empty it at the higher rate and have it forgotten
   * at the lower.
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
    // [CLK-3] A step back adds nothing. From then on the bucket fills as before.
    const forMs = wasSetBack(this.#atMs, nowMs) ? 0 : Math.max(0, nowMs - this.#atMs);
    return Math.min(this.#left + (forMs * rate) / 1_000, capacityOf(rate));
  }
}

/** Returns the capacity at a rate. A rate below one a second still lets one through. */
function capacityOf(rate: number): number {
  return Math.max(1, (rate * QUOTA_WINDOW_MS) / 1_000);
}
