// Pauses between the retries of something that fails, such as the work of an alarm. The platform gives up on an
// alarm that throws a few times. So none of ours throws; it sets itself again [ALM-1].

export class RetryPause {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  /** The pause before the next try. Reading it does not change it. */
  get ms(): number {
    return this.#nextMs;
  }

  /** Notes that a try has failed. Returns the pause before the next one, and doubles the pauses that follow. */
  failed(): number {
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(2 * pauseMs, this.#maxMs);
    return pauseMs;
  }

  succeeded(): void {
    this.#nextMs = this.#firstMs;
  }
}
