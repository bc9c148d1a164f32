// What is left of the quotas of those who are served here: by one isolate, or by one partition.
import { MAX_QUOTA_BUCKETS } from "../limits.ts";
import { Bucket } from "./bucket.ts";
import { type Caller, namespaceOf } from "./caller.ts";
import type { Quota, Rate } from "./quota.ts";

/** A quota, and whoever shares it: all connections and requests of a principal. */
export interface Share {
  readonly key: string;
  readonly quota: Quota;
}

/** [QUO-1] Returns the quotas that bound a caller: its own, and that of whoever made its token. */
export function sharesOf(caller: Caller): Share[] {
  const { principal, quota, madeBy } = caller;
  const share = (of: string, bounds: Quota | undefined): Share[] =>
    bounds === undefined ? [] : [{ key: `${namespaceOf(caller)} ${of}`, quota: bounds }];
  if (madeBy === undefined) return share(principal, quota);
  // Its own is nobody else's, or a token with the name of somebody else could use up what that one has.
  const own = `${principal} by ${madeBy.keyId ?? madeBy.principal}`;
  return [...share(own, quota), ...share(madeBy.principal, madeBy.quota)];
}

export class QuotaBook {
  /** The buckets. The one that was used first comes first. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #connections = new Map<string, number>();

  /** [QUO-2] Returns how long the caller has to wait, in milliseconds, before it may do more of this. */
  waitMs(caller: Caller, rate: Rate, nowMs: number): number {
    let longestMs = 0;
    for (const { key, quota } of sharesOf(caller)) {
      const perSecond = quota[rate];
      if (perSecond === undefined) continue;
      const bucket = this.#bucket(`${rate} ${key}`, perSecond, nowMs);
      longestMs = Math.max(longestMs, bucket.waitMs(perSecond, nowMs));
    }
    return longestMs;
  }

  /** [QUO-2] Counts what the caller has done. */
  take(caller: Caller, rate: Rate, amount: number, nowMs: number): void {
    for (const { key, quota } of sharesOf(caller)) {
      const perSecond = quota[rate];
      if (perSecond !== undefined)
        this.#bucket(`${rate} ${key}`, perSecond, nowMs).take(amount, perSecond, nowMs);
    }
  }

  /** [QUO-4] Counts a connection. Returns what gives its place back, or null if the caller has as many as it may. */
  open(caller: Caller): (() => void) | null {
    const shares = sharesOf(caller).filter(({ quota }) => quota.connections !== undefined);
    const countOf = (key: string) => this.#connections.get(key) ?? 0;
    if (shares.some(({ key, quota }) => countOf(key) >= (quota.connections ?? 0))) return null;
    const keys = new Set(shares.map(({ key }) => key));
    for (const key of keys) this.#connections.set(key, countOf(key) + 1);
    let isOpen = true;
    return () => {
      if (isOpen) for (const key of keys) this.#close(key);
      isOpen = false;
    };
  }

  #close(key: string): void {
    const left = (this.#connections.get(key) ?? 1) - 1;
    if (left > 0) this.#connections.set(key, left);
    else this.#connections.delete(key);
  }

  #bucket(key: string, perSecond: number, nowMs: number): Bucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    const made = new Bucket(perSecond, nowMs);
    this.#buckets.set(key, made);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MAX_QUOTA_BUCKETS && oldest !== undefined)
      this.#buckets.delete(oldest);
    return made;
  }
}
