// What is left of the quotas of those who are served here: by one isolate, or by one partition.
import { MAX_QUOTA_BUCKETS } from "../limits.ts";
import { Bucket } from "./bucket.ts";
import { type Caller, namespaceOf } from "./caller.ts";
import type { Rate } from "./quota.ts";

/** Whoever shares a quota: all connections and requests of a principal. */
export function quotaKeyOf(caller: Pick<Caller, "principal" | "namespace">): string {
  return `${namespaceOf(caller)} ${caller.principal}`;
}

export class QuotaBook {
  /** The buckets. The one that was used first comes first. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #connections = new Map<string, number>();

  /** [QUO-2] Returns how long the caller has to wait, in milliseconds, before it may do more of this. */
  waitMs(caller: Caller, rate: Rate, nowMs: number): number {
    const perSecond = caller.quota?.[rate];
    return perSecond === undefined
      ? 0
      : this.#bucket(caller, rate, perSecond, nowMs).waitMs(perSecond, nowMs);
  }

  /** [QUO-2] Counts what the caller has done. */
  take(caller: Caller, rate: Rate, amount: number, nowMs: number): void {
    const perSecond = caller.quota?.[rate];
    if (perSecond !== undefined)
      this.#bucket(caller, rate, perSecond, nowMs).take(amount, perSecond, nowMs);
  }

  /** [QUO-4] Counts a connection. Returns what gives its place back, or null if the caller has as many as it may. */
  open(caller: Caller): (() => void) | null {
    const bound = caller.quota?.connections;
    if (bound === undefined) return () => {};
    const key = quotaKeyOf(caller);
    const count = this.#connections.get(key) ?? 0;
    if (count >= bound) return null;
    this.#connections.set(key, count + 1);
    let isOpen = true;
    return () => {
      if (isOpen) this.#close(key);
      isOpen = false;
    };
  }

  #close(key: string): void {
    const left = (this.#connections.get(key) ?? 1) - 1;
    if (left > 0) this.#connections.set(key, left);
    else this.#connections.delete(key);
  }

  #bucket(caller: Caller, rate: Rate, perSecond: number, nowMs: number): Bucket {
    const key = `${rate} ${quotaKeyOf(caller)}`;
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
