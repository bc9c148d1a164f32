// A bound on the bytes of many holders at once: request bodies, answers, incomplete requests. Only bytes that exist
// count, never bytes that were announced. When the bound is passed, the holder with the most bytes is let go. So a few
// large holders never shut out many small ones [BND-1].
import { BrokerError } from "./errors.ts";

/** The bytes that one holder has in a ledger. */
export interface Holding {
  /** The bytes that it holds now. */
  readonly bytes: number;
  /**
   * Sets the number of bytes that it holds from now on. If this passes the ledger's bound, the holder with the most is
   * let go. Another holder is told by its `evict`, and this one by the exception.
   * @throws BrokerError THROTTLING_QUOTA_EXCEEDED if this one holds the most, or was let go before
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

  /** `what` is a plural that names the held things, for the error. */
  constructor(maxBytes: number, what: string) {
    this.#maxBytes = maxBytes;
    this.#what = what;
  }

  /** The bytes of all holders together. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds a holder, which holds nothing yet. `evict` is called at most once, when it is let go. It must then free its
   * bytes. While `mayGo` returns false, it is not let go for another.
   */
  hold(evict: (error: BrokerError) => void, mayGo: () => boolean = () => true): Holding {
    const holder = new Holder(this, evict, mayGo);
    this.#holders.add(holder);
    return holder;
  }

  /** Called by holders: one holds so many bytes more, or fewer. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  change(holder: Holder, delta: number): void {
    this.#bytes += delta;
    if (this.#bytes <= this.#maxBytes) return;
    // The one that is let go holds at least as much as the holder grew by, so letting go of one is enough.
    const largest = this.#largest(holder);
    const error = new BrokerError(
      "THROTTLING_QUOTA_EXCEEDED",
      `${this.#what} take ${this.#bytes} bytes, the bound is ${this.#maxBytes}, and this one takes the most, ${largest.bytes}`,
    );
    largest.letGo(error);
    if (largest === holder) throw error;
    largest.evict(error);
  }

  /** Called by holders: one is done. */
  forget(holder: Holder): void {
    this.#holders.delete(holder);
  }

  /**
   * Returns the largest holder that may be let go. Among equals it is
   * the one that grows, so two equal holders do not evict each other in turn.
   */
  #largest(growing: Holder): Holder {
    let largest = growing;
    for (const holder of this.#holders)
      if (holder.bytes > largest.bytes && holder.mayGo()) largest = holder;
    return largest;
  }
}

class Holder implements Holding {
  readonly #ledger: Ledger;
  readonly evict: (error: BrokerError) => void;
  readonly mayGo: () => boolean;
  #bytes = 0;
  #gone: BrokerError | null = null;

  constructor(ledger: Ledger, evict: (error: BrokerError) => void, mayGo: () => boolean) {
    this.#ledger = ledger;
    this.evict = evict;
    this.mayGo = mayGo;
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

  /** Stops counting its bytes. It can hold none from now on. */
  letGo(error: BrokerError): void {
    this.release();
    this.#gone = error;
  }
}
