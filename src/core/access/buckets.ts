// Buckets by their keys, of which those that are full are forgotten: see quota-book.ts.
import { Bucket } from "./bucket.ts";

/** How many are looked at for each that is made, and for each newcomer. More than one, or those that are full add up. */
const LOOKED_AT = 4;

export class Buckets {
  /** The one that was used or looked at the longest ago comes first. */
  readonly #buckets = new Map<string, Bucket>();

  get size(): number {
    return this.#buckets.size;
  }

  get(key: string): Bucket | undefined {
    return this.#buckets.get(key);
  }

  /** Returns the bucket that something is taken from. It is made if there is none, and others are then forgotten. */
  use(key: string, rate: number, nowMs: number): Bucket {
    const known = this.#buckets.get(key);
    if (known === undefined) this.forgetFull(nowMs);
    else this.#buckets.delete(key);
    const bucket = known ?? new Bucket(rate, nowMs);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  /**
   * [QUO-7] Looks at the first few, and forgets those that are full. The others are put last, so each is looked at in its
   * turn, and debts that last for long do not hide what is full behind them.
   */
  forgetFull(nowMs: number): void {
    const looked = this.#buckets.entries().take(LOOKED_AT).toArray();
    for (const [key, bucket] of looked) {
      this.#buckets.delete(key);
      if (!bucket.isFull(nowMs)) this.#buckets.set(key, bucket);
    }
  }
}
