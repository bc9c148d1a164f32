// Buckets by key. Full ones are forgotten: see quota-book.ts.
import { Bucket } from "./bucket.ts";

/** The number of buckets checked for each new bucket and each newcomer. With only one, full buckets would pile up. */
const LOOKED_AT = 4;

export class Buckets {
  /** In the order of last use or check, the oldest first. */
  readonly #buckets = new Map<string, Bucket>();

  get size(): number {
    return this.#buckets.size;
  }

  get(key: string): Bucket | undefined {
    return this.#buckets.get(key);
  }

  /** Returns the bucket to take from. If there is none, makes one, and forgets some full ones. */
  use(key: string, rate: number, nowMs: number): Bucket {
    const known = this.#buckets.get(key);
    if (known === undefined) this.forgetFull(nowMs);
    else this.#buckets.delete(key);
    const bucket = known ?? new Bucket(rate, nowMs);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  /**
   * [QUO-7] Checks the first few buckets and forgets the full ones. The others go to the end. So each gets its turn,
   * and buckets with a long-lasting debt do not hide full ones behind them.
   */
  forgetFull(nowMs: number): void {
    const looked = this.#buckets.entries().take(LOOKED_AT).toArray();
    for (const [key, bucket] of looked) {
      this.#buckets.delete(key);
      if (!bucket.isFull(nowMs)) this.#buckets.set(key, bucket);
    }
  }
}
