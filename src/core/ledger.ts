// A bound on bytes that many hold at once: bodies that come in, answers that go out, requests that are not whole yet.
// Only bytes that are there count, never bytes that were announced. Where the bound is passed, whoever holds the most is
// let go, so a few that hold much never shut out the many that hold little [BND-1].
import { BrokerError } from "./errors.ts";

/** Bytes that one holder has of a ledger. */
export interface Holding {
  /** The bytes it holds now. */
  readonly bytes: number;
  /**
   * Says how many bytes it holds from now on. Where this passes the ledger's bound, whoever holds the most is let go: another
   * holder is told by its `evict`, and this one by the exception.
   * @throws BrokerError THROTTLING_QUOTA_EXCEEDED where this one holds the most, or was let go before
   */
  set(bytes: number): void;
  /** Gives everything back. May be called more than once. */
  release(): void;
}

export class Ledger {
  readonly #maxBytes: number;
  readonly #what: string;
  readonly #holders = new Set<Holder>();
  #bytes = 0;

  /** `what` names what is held, in the plural, for the error. */
  constructor(maxBytes: number, what: string) {
    this.#maxBytes = maxBytes;
    this.#what = what;
  }

  /** The bytes of all holders together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A new holder, which holds nothing yet. `evict` is called at most once, when it is let go: it must free what it holds. */
  hold(evict: (error: BrokerError) => void): Holding {
    const holder = new Holder(this, evict);
    this.#holders.add(holder);
    return holder;
  }

  /** For the holders: one holds so many bytes more, or fewer. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  change(holder: Holder, delta: number): void {
    this.#bytes += delta;
    if (delta <= 0) return;
    while (this.#bytes > this.#maxBytes) {
      const largest = this.#largest(holder);
      const error = new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `${this.#what} take ${this.#bytes} bytes, the bound is ${this.#maxBytes}, and this one takes the most, ${largest.bytes}`,
      );
      largest.letGo(error);
      if (largest === holder) throw error;
      largest.evict(error);
    }
  }

  /** For the holders: one is done. */
  forget(holder: Holder): void {
    this.#holders.delete(holder);
  }

  /** The one that grows last among equals, so that two who hold the same do not let go of each other in turn. */
  #largest(growing: Holder): Holder {
    let largest = growing;
    for (const holder of this.#holders) if (holder.bytes > largest.bytes) largest = holder;
    return largest;
  }
}

class Holder implements Holding {
  readonly #ledger: Ledger;
  readonly evict: (error: BrokerError) => void;
  #bytes = 0;
  #gone: BrokerError | null = null;

  constructor(ledger: Ledger, evict: (error: BrokerError) => void) {
    this.#ledger = ledger;
    this.evict = evict;
  }

  get bytes(): number {
    return this.#bytes;
  }

  set(bytes: number): void {
    if (this.#gone !== null) throw this.#gone;
    const delta = bytes - this.#bytes;
    this.#bytes = bytes;
    this.#ledger.change(this, delta);
  }

  release(): void {
    const delta = -this.#bytes;
    this.#bytes = 0;
    this.#ledger.change(this, delta);
    this.#ledger.forget(this);
  }

  /** Its bytes do not count any more, and it can hold none. */
  letGo(error: BrokerError): void {
    this.release();
    this.#gone = error;
  }
}
