// Counts the memory of the requests that a Worker is working on.
import { BrokerError } from "../../core/errors.ts";
import type { Holding, Ledger } from "../../core/ledger.ts";
import { MAX_WORK_BYTES, MAX_WORK_BYTES_PER_REQUEST } from "../../core/limits.ts";
import { memory } from "../../memory.ts";
import { after } from "./timer.ts";

/**
 * [BND-3] A request that is being worked on. Once begun it is never dropped, because nobody could say how far
 * it got. So it begins only if as much memory as it takes stays free besides. Many small requests then always
 * find room beside large ones.
 */
export class Work {
  readonly #ledger: Ledger;
  readonly #holding: Holding;

  constructor(ledger: Ledger = memory.work) {
    this.#ledger = ledger;
    this.#holding = ledger.holdFixed();
  }

  /** Adds bytes to the work. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  add(bytes: number): void {
    const before = this.#holding.bytes;
    const more = Math.min(before + bytes, MAX_WORK_BYTES_PER_REQUEST);
    const others = this.#ledger.bytes - before;
    if (more > before && others + 2 * more > MAX_WORK_BYTES)
      throw new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `requests in progress take ${others} bytes; with the ${more} of this one, and as many kept free for smaller ones, they would exceed the bound of ${MAX_WORK_BYTES}`,
      );
    this.#holding.set(more);
  }

  /** Ends the work. May be called more than once. */
  end(): void {
    this.#holding.release();
  }
}

/**
 * Calls `renew` while the invocation lives, often enough for a holder that is otherwise silent. Returns a
 * function that stops it. If the invocation is cancelled, its timers end with it.
 */
export function keepRenewing(everyMs: number, renew: () => void): () => void {
  let stop = () => {};
  const wait = () => {
    stop = after(everyMs, () => {
      renew();
      wait();
    });
  };
  wait();
  return () => stop();
}
