// Keeps what is left of quotas. An isolate has one for everybody whom it serves, and a partition has one.
import {
  HOLDER_SILENT_MS,
  MAX_QUOTA_BUCKETS,
  MAX_TOKEN_QUOTA_BUCKETS,
  QUOTA_WINDOW_MS,
} from "../limits.ts";
import { Buckets } from "./buckets.ts";
import { type Caller, isToken, namespaceOf } from "./caller.ts";
import type { Quota, Rate } from "./quota.ts";

/** What stands between a token's name and its maker's. No principal has such a character in its name. */
const BY = "\u0000by ";

/** A quota, and whoever shares it: all connections and requests of a principal. */
export interface Share {
  readonly key: string;
  readonly quota: Quota;
  /** The maker of the tokens that share it. Absent if it is no token's own. */
  readonly maker?: string | undefined;
  /** How many buckets there may be for one more to be made for it. */
  readonly places: number;
}

/** [QUO-1] Returns the quotas that bound a caller: its own, and that of whoever made its token. */
export function sharesOf(caller: Caller): Share[] {
  const { principal, quota, madeBy } = caller;
  const share = (of: string, bounds: Quota | undefined, places: number, maker?: string): Share[] =>
    bounds === undefined
      ? []
      : [{ key: `${namespaceOf(caller)} ${of}`, quota: bounds, places, maker }];
  if (madeBy === undefined)
    return share(principal, quota, isToken(caller) ? MAX_TOKEN_QUOTA_BUCKETS : MAX_QUOTA_BUCKETS);
  const maker = madeBy.keyId ?? madeBy.principal;
  // Its own is nobody else's, or a token with the name of somebody else could use up what that one has.
  const own = `${principal}${BY}${maker}`;
  return [
    ...share(own, quota, MAX_TOKEN_QUOTA_BUCKETS, `${namespaceOf(caller)} ${maker}`),
    ...share(madeBy.principal, madeBy.quota, MAX_QUOTA_BUCKETS),
  ];
}

/** The place of a connection among those that its principal may have. */
export interface ConnectionPlace {
  /** Notes that the connection is still there. It is to be called more often than every HOLDER_SILENT_MS. */
  renew(nowMs: number): void;
  /** Gives the place back. May be called more than once. */
  close(): void;
}

/** When the connection was last known to be there. */
interface Connection {
  seenMs: number;
}

/**
 * [QUO-7] A bucket that does not exist is full, so asking makes none, and only one that is full is forgotten: nobody can
 * have a debt forgotten by using other buckets, however many. Hence a book can be full of buckets that are not. Then the
 * newcomer waits, and nobody can keep others out so:
 *
 * - A principal has one bucket of its own for each rate, whatever it does. Those who have none of them wait only if
 *   MAX_QUOTA_BUCKETS are in use, so by thousands of principals. Whom other issuers know may be anybody, so those are not
 *   given the last places: they wait from MAX_TOKEN_QUOTA_BUCKETS on, and the rest is for keys.
 * - Tokens cost nothing, so their own buckets are counted by who makes them. Each maker has an equal share of
 *   MAX_TOKEN_QUOTA_BUCKETS. Whoever is beyond its share, because others came, keeps what it has and gets no more. So n
 *   makers have 1 + 1/2 + … + 1/n times as many at most, which is below ten times. Tokens make no tokens, and so a token's
 *   bearer can keep out nobody but others with tokens of the same maker, and takes one token for each place.
 */
export class QuotaBook {
  readonly #principals = new Buckets();
  /** The tokens' own buckets by their makers. A maker that has none is not here. */
  readonly #tokens = new Map<string, Buckets>();
  readonly #connections = new Map<string, Set<Connection>>();

  /** [QUO-2] Returns how long the caller has to wait, in milliseconds, before it may do more of this. */
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
   * [QUO-2] Counts what the caller has done. It has asked before. Many may have been told at once that there is room for
   * one more bucket, and all of them count: what is beyond the bound are requests in flight, which are bounded elsewhere.
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
   * [QUO-4] Counts a connection. Returns its place, or null if the caller has as many as it may. A connection that was not
   * renewed for HOLDER_SILENT_MS was killed, and its place is given to the next one.
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

  /** Returns how long somebody waits who has no bucket yet: 0 if there is room for one more. */
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
    // Two for each that comes, so those that need no bucket any more do not add up.
    this.#forgetMaker(nowMs);
    this.#forgetMaker(nowMs);
    const buckets = new Buckets();
    this.#tokens.set(maker, buckets);
    return buckets;
  }

  /** Looks at one maker, at each at some time, and forgets it if all of its buckets are full. */
  #forgetMaker(nowMs: number): void {
    for (const [maker, buckets] of this.#tokens) {
      buckets.forgetFull(nowMs);
      this.#tokens.delete(maker);
      if (buckets.size > 0) this.#tokens.set(maker, buckets);
      return;
    }
  }
}
