// The remaining quotas. An isolate has one book for all of its callers, and each partition has one.
import {
  HOLDER_SILENT_MS,
  MAX_QUOTA_BUCKETS,
  MAX_TOKEN_QUOTA_BUCKETS,
  QUOTA_WINDOW_MS,
} from "../limits.ts";
import { Buckets } from "./buckets.ts";
import { type Caller, isToken, namespaceOf } from "./caller.ts";
import type { Quota, Rate } from "./quota.ts";

/** The separator between a token's name and its maker's. No principal's name contains this character. */
const BY = "\u0000by ";

/** A quota, shared by all connections and requests of one principal. */
export interface Share {
  readonly key: string;
  readonly quota: Quota;
  /** The maker of the tokens that share this quota. Absent if it is not a token's own quota. */
  readonly maker?: string | undefined;
  /** The number of buckets up to which one more may be made for this quota. */
  readonly places: number;
}

/** [QUO-1] Returns the quotas that bound a caller: its own and, for a token, its maker's. */
export function sharesOf(caller: Caller): Share[] {
  const { principal, quota, madeBy } = caller;
  const share = (of: string, bounds: Quota | undefined, places: number, maker?: string): Share[] =>
    bounds === undefined
      ? []
      : [{ key: `${namespaceOf(caller)} ${of}`, quota: bounds, places, maker }];
  if (madeBy === undefined)
    return share(principal, quota, isToken(caller) ? MAX_TOKEN_QUOTA_BUCKETS : MAX_QUOTA_BUCKETS);
  const maker = madeBy.keyId ?? madeBy.principal;
  // The key includes the maker. Otherwise a token with somebody else's name could use up that principal's quota.
  const own = `${principal}${BY}${maker}`;
  return [
    ...share(own, quota, MAX_TOKEN_QUOTA_BUCKETS, `${namespaceOf(caller)} ${maker}`),
    ...share(madeBy.principal, madeBy.quota, MAX_QUOTA_BUCKETS),
  ];
}

/** The place of one connection among those that its principal may have. */
export interface ConnectionPlace {
  /** Notes that the connection is still open. Must be called more often than every HOLDER_SILENT_MS. */
  renew(nowMs: number): void;
  /** Gives the place back. May be called more than once. */
  close(): void;
}

/** The time at which the connection was last known to be open. */
interface Connection {
  seenMs: number;
}

/**
 * [QUO-7] A bucket that does not exist counts as full, so checking a quota creates none. Only full buckets are
 * forgotten. So a caller cannot get a debt forgotten by using other buckets, however many. A book may therefore be full
 * of buckets that are still in use. Then newcomers wait, and these rules prevent anybody from using that to keep others
 * out:
 *
 * - A principal has one bucket for each rate, whatever it does. A principal without a bucket waits only while
 *   MAX_QUOTA_BUCKETS are in use, which takes thousands of principals. Anybody may be a principal of another issuer, so
 *   those do not get the last places. They wait from MAX_TOKEN_QUOTA_BUCKETS on, and the rest is reserved for keys.
 * - Tokens cost nothing to make, so their own buckets are counted by maker. Each maker has an equal share of
 *   MAX_TOKEN_QUOTA_BUCKETS. If more makers come, a maker beyond its share keeps its buckets and gets no more. So n
 *   makers have at most 1 + 1/2 + … + 1/n times as many buckets, which is below ten times. A token cannot make tokens.
 *   So the bearer of a token can only keep out bearers of other tokens of the same maker, at one token for each place.
 */
export class QuotaBook {
  readonly #principals = new Buckets();
  /** The tokens' own buckets, by maker. A maker without buckets has no entry. */
  readonly #tokens = new Map<string, Buckets>();
  readonly #connections = new Map<string, Set<Connection>>();

  /** [QUO-2] Returns how many milliseconds the caller must wait before it may use more of this rate. */
  waitMs(caller: Caller, rate: Rate, nowMs: number): number {
    let longestMs = 0;
    for (const share of sharesOf(caller)) {
      const perSecond = share.quota[rate];
      if (perSecond === undefined) continue;
      const bucket = this.#bucketsOf(share.maker)?.get(`${rate} ${share.key}`);
      const waitMs = bucket?.waitMs(perSecond, nowMs) ?? this.#roomWaitMs(share, nowMs);
      longestMs = Math.max(longestMs, waitMs);
    }
    return longestMs;
  }

  /**
   * [QUO-2] Counts an amount that the caller has used, after `waitMs` allowed it. Several requests may have been
   * granted the same last place for a bucket. All of them are counted, so the bound can be exceeded by requests in
   * flight, which are bounded elsewhere.
   */
  take(caller: Caller, rate: Rate, amount: number, nowMs: number): void {
    for (const { key, quota, maker } of sharesOf(caller)) {
      const perSecond = quota[rate];
      if (perSecond === undefined) continue;
      const buckets = maker === undefined ? this.#principals : this.#tokensOf(maker, nowMs);
      buckets.use(`${rate} ${key}`, perSecond, nowMs).take(amount, perSecond, nowMs);
    }
  }

  /**
   * [QUO-4] Counts a connection. Returns its place, or null if the caller has as many as it may. A connection that was
   * not renewed for HOLDER_SILENT_MS was killed, and its place goes to the next one.
   */
  open(caller: Caller, nowMs: number): ConnectionPlace | null {
    const shares = sharesOf(caller).filter(({ quota }) => quota.connections !== undefined);
    if (shares.some(({ key, quota }) => !this.#hasPlace(key, quota.connections ?? 0, nowMs)))
      return null;
    const keys = new Set(shares.map(({ key }) => key));
    const connection: Connection = { seenMs: nowMs };
    let isOpen = true;
    const count = () => {
      for (const key of keys) {
        const known = this.#connections.get(key) ?? new Set();
        this.#connections.set(key, known.add(connection));
      }
    };
    count();
    return {
      renew: (laterMs) => {
        connection.seenMs = laterMs;
        if (isOpen) count();
      },
      close: () => {
        isOpen = false;
        for (const key of keys) this.#close(key, connection);
      },
    };
  }

  #hasPlace(key: string, bound: number, nowMs: number): boolean {
    const connections = this.#connections.get(key);
    if (connections === undefined || connections.size < bound) return bound > 0;
    for (const connection of connections) {
      connection.seenMs = Math.min(connection.seenMs, nowMs); // [CLK-3] The clock may have been set back.
      if (connection.seenMs < nowMs - HOLDER_SILENT_MS) this.#close(key, connection);
    }
    return connections.size < bound;
  }

  #close(key: string, connection: Connection): void {
    const connections = this.#connections.get(key);
    connections?.delete(connection);
    if (connections?.size === 0) this.#connections.delete(key);
  }

  #bucketsOf(maker: string | undefined): Buckets | undefined {
    return maker === undefined ? this.#principals : this.#tokens.get(maker);
  }

  /** Returns how many milliseconds a caller without a bucket must wait. 0 if there is room for one more. */
  #roomWaitMs({ maker, places }: Share, nowMs: number): number {
    const buckets = this.#bucketsOf(maker);
    buckets?.forgetFull(nowMs);
    const makers = this.#tokens.size + (buckets === undefined ? 1 : 0);
    const bound = maker === undefined ? places : places / makers;
    if ((buckets?.size ?? 0) + 1 <= bound) return 0;
    this.#forgetMaker(nowMs);
    return QUOTA_WINDOW_MS;
  }

  #tokensOf(maker: string, nowMs: number): Buckets {
    const known = this.#tokens.get(maker);
    if (known !== undefined) return known;
    // Two for each new maker, so makers without buckets in use do not pile up.
    this.#forgetMaker(nowMs);
    this.#forgetMaker(nowMs);
    const buckets = new Buckets();
    this.#tokens.set(maker, buckets);
    return buckets;
  }

  /** Checks one maker, in turn, and forgets it if all of its buckets are full. */
  #forgetMaker(nowMs: number): void {
    for (const [maker, buckets] of this.#tokens) {
      buckets.forgetFull(nowMs);
      this.#tokens.delete(maker);
      if (buckets.size > 0) this.#tokens.set(maker, buckets);
      return;
    }
  }
}
