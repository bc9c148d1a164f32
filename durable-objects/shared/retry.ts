// Pauses between the tries of something that fails, such as the work of an alarm. The platform gives up on an alarm that
// throws a few times, so none of ours throws: it comes back by itself [ALM-1].

export class RetryPause {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  /** The pause before the next try. It does not change by being looked at. */
  get ms(): number {
    return this.#nextMs;
  }

  /** A try has failed. Returns the pause before the next one, and doubles those that follow. */
  failed(): number {
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(2 * pauseMs, this.#maxMs);
    return pauseMs;
  }

  succeeded(): void {
    this.#nextMs = this.#firstMs;
  }
}
