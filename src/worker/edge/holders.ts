// Counts the memory that the requests of a Worker take while they are worked on.
import { BrokerError } from "../../core/errors.ts";
import type { Holding, Ledger } from "../../core/ledger.ts";
import { MAX_WORK_BYTES, MAX_WORK_BYTES_PER_REQUEST } from "../../core/limits.ts";
import { memory } from "../../memory.ts";
import { after } from "./timer.ts";

/**
 * [BND-3] A request that is worked on. One that has begun is never let go, because nobody could say how far it got. So it
 * begins only if as much again as it takes stays free. Many small requests then always find room beside the large ones.
 */
export class Work {
  readonly #ledger: Ledger;
  readonly #holding: Holding;

  constructor(ledger: Ledger = memory.work) {
    this.#ledger = ledger;
    this.#holding = ledger.holdFixed();
  }

  /** Adds so many bytes to the work. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  add(bytes: number): void {
    const before = this.#holding.bytes;
    const more = Math.min(before + bytes, MAX_WORK_BYTES_PER_REQUEST);
    const others = this.#ledger.bytes - before;
    if (more > before && others + 2 * more > MAX_WORK_BYTES)
      throw new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `requests that are worked on take ${others} bytes; with this one's ${more}, and as many that stay free for smaller ones, the bound of ${MAX_WORK_BYTES} is passed`,
      );
    this.#holding.set(more);
  }

  /** Ends the work. May be called more than once. */
  end(): void {
    this.#holding.release();
  }
}

/**
 * Calls `renew` as long as the invocation lives, and often enough for a holder that is silent otherwise. Returns how to
 * stop. If the invocation is cancelled, its timers go with it.
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
