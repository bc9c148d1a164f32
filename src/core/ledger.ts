// A bound on the bytes of many holders at once: request bodies, answers, incomplete requests. Only bytes that exist
// count, never bytes that were announced. When the bound is passed, the holder with the most bytes is let go. So a few
// large holders never shut out many small ones [BND-1]. Where holders have ranks, the lowest rank goes first, so many small
// holders of no account never shut out a large one of some.
import { BrokerError } from "./errors.ts";

/** The bytes that one holder has in a ledger. */
export interface Holding {
  /** The bytes that it holds now. */
  readonly bytes: number;
  /**
   * Sets the number of bytes that it holds from now on. If this passes the ledger's bound, holders are let go, the one of the
   * lowest rank and then with the most first. Another holder is told by its `evict`, and this one by the exception.
   * @throws BrokerError THROTTLING_QUOTA_EXCEEDED if it is this one's turn, or if it was let go before
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
   * bytes. While `mayGo` returns false, it is not let go for another. `rank` is asked when somebody has to go.
   */
  hold(
    evict: (error: BrokerError) => void,
    mayGo: () => boolean = () => true,
    rank: () => number = () => 0,
  ): Holding {
    const holder = new Holder(this, evict, mayGo, rank);
    this.#holders.add(holder);
    return holder;
  }

  /** Called by holders: one holds so many bytes more. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  grow(holder: Holder, delta: number): void {
    this.#bytes += delta;
    // Without ranks one is enough: the one that is let go holds at least as much as the holder grew by.
    while (this.#bytes > this.#maxBytes) {
      const next = this.#nextToGo(holder);
      const error = new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `${this.#what} take ${this.#bytes} bytes, the bound is ${this.#maxBytes}, and of those that go first this one takes the most, ${next.bytes}`,
      );
      next.letGo(error);
      if (next === holder) throw error;
      next.evict(error);
    }
  }

  /** Called by holders: one holds so many bytes less. */
  shrink(delta: number): void {
    this.#bytes -= delta;
  }

  /** Called by holders: one is done. */
  forget(holder: Holder): void {
    this.#holders.delete(holder);
  }

  /**
   * Returns the holder that is let go next: of those that may be, the largest of the lowest rank. Among equals it is
   * the one that grows, so two equal holders do not evict each other in turn.
   */
  #nextToGo(growing: Holder): Holder {
    let next = growing;
    let lowest = growing.rank();
    for (const holder of this.#holders) {
      if (holder.bytes === 0) continue;
      const rank = holder.rank();
      const isNext = rank < lowest || (rank === lowest && holder.bytes > next.bytes);
      if (!isNext || !holder.mayGo()) continue;
      next = holder;
      lowest = rank;
    }
    return next;
  }
}

class Holder implements Holding {
  readonly #ledger: Ledger;
  readonly evict: (error: BrokerError) => void;
  readonly mayGo: () => boolean;
  readonly rank: () => number;
  #bytes = 0;
  #gone: BrokerError | null = null;

  constructor(
    ledger: Ledger,
    evict: (error: BrokerError) => void,
    mayGo: () => boolean,
    rank: () => number,
  ) {
    this.#ledger = ledger;
    this.evict = evict;
    this.mayGo = mayGo;
    this.rank = rank;
  }

  get bytes(): number {
    return this.#bytes;
  }

  set(bytes: number): void {
    if (this.#gone !== null) throw this.#gone;
    const delta = bytes - this.#bytes;
    this.#bytes = bytes;
    if (delta > 0) this.#ledger.grow(this, delta);
    else this.#ledger.shrink(-delta);
  }

  release(): void {
    this.#ledger.shrink(this.#bytes);
    this.#bytes = 0;
    this.#ledger.forget(this);
  }

  /** Stops counting its bytes. It can hold none from now on. */
  letGo(error: BrokerError): void {
    this.release();
    this.#gone = error;
  }
}
