// The forgetting of a book of quotas, and the data that no caller can make it forget.
import { describe, expect, test } from "vitest";
import { Buckets } from "../../../../src/core/access/buckets.ts";
import { ANYBODY, type Caller } from "../../../../src/core/access/caller.ts";
import type { Quota } from "../../../../src/core/access/quota.ts";
import { QuotaBook } from "../../../../src/core/access/quota-book.ts";
import { MAX_QUOTA_BUCKETS, MAX_TOKEN_QUOTA_BUCKETS } from "../../../../src/core/limits.ts";
import { runs } from "../../../support/effort.ts";
import { Random } from "../../../support/random.ts";

const keyOf = (name: string, quota?: Quota): Caller => ({
  ...ANYBODY,
  principal: `User:${name}`,
  keyId: name,
  quota,
});

const tokenOf = (maker: Caller, name: string, quota: Quota): Caller => ({
  ...ANYBODY,
  principal: `User:${name}`,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  quota,
  madeBy: { principal: maker.principal, keyId: maker.keyId ?? undefined, quota: maker.quota },
});

const RATE = "producerByteRate";
const slow: Quota = { producerByteRate: 1_024 };

/** Acts like the interfaces: asks, and takes if it need not wait. Returns true if it was served. */
function use(book: QuotaBook, caller: Caller, amount: number, nowMs: number): boolean {
  if (book.waitMs(caller, RATE, nowMs) > 0) return false;
  book.take(caller, RATE, amount, nowMs);
  return true;
}

/** Returns how many of the maker's tokens were served that are then in debt for hours. */
function fill(book: QuotaBook, maker: Caller, tokens: number, nowMs = 0): number {
  let served = 0;
  for (let i = 0; i < tokens; i++)
    if (use(book, tokenOf(maker, `t${i}`, slow), 10_000_000, nowMs)) served++;
  return served;
}

describe("an attacker", () => {
  test("[QUO-7] who uses 16,000 tokens between two requests still has its key's debt", () => {
    const book = new QuotaBook();
    const key = keyOf("k", slow);
    let taken = 0;
    for (let round = 0; round < 2; round++) {
      const nowMs = round * 10_000;
      for (let i = 0; i < 16_000; i++) {
        const token = tokenOf(key, `t${i}`, { producerByteRate: 1_024, requestRate: 1 });
        if (book.waitMs(token, "requestRate", nowMs) === 0)
          book.take(token, "requestRate", 1, nowMs);
        use(book, token, 0, nowMs);
      }
      if (use(book, key, 7_200_000, nowMs)) taken += 7_200_000;
    }
    expect(taken).toBe(7_200_000);
  });

  test("[QUO-7] gets no more of a quota than its rate and its burst, whatever else it uses", () => {
    for (let seed = 1; seed <= runs(5).numRuns; seed++) {
      const random = new Random(seed);
      const book = new QuotaBook();
      const rateOf = (i: number) => 1_024 * (1 + (i % 7));
      const keys = [0, 1, 2].map((i) => keyOf(`k${i}`, i === 0 ? slow : undefined));
      const targets: Caller[] = [
        ...keys,
        ...Array.from({ length: 40 }, (_, i) =>
          tokenOf(random.pick(keys), `target${i}`, { producerByteRate: rateOf(i) }),
        ),
      ];
      const got = targets.map(() => ({ all: 0, last: 0 }));
      let ofFirstKey = 0;
      let lastOfFirstKey = 0;
      let nowMs = 0;
      if (seed % 5 === 0) fill(book, keyOf("k1"), MAX_TOKEN_QUOTA_BUCKETS);
      for (let step = 0; step < 6_000; step++) {
        if (random.chance(0.3)) nowMs += random.delay(40);
        const amount = random.chance(0.1) ? random.integer(1, 1_000_000) : random.integer(0, 500);
        const at = random.chance(0.3) ? random.integer(0, targets.length - 1) : -1;
        const other = tokenOf(random.pick(keys), `other${random.integer(0, 1e9)}`, {
          producerByteRate: rateOf(step),
        });
        const caller = targets[at] ?? other;
        if (!use(book, caller, amount, nowMs)) continue;
        const sum = got[at];
        if (sum !== undefined) {
          sum.all += amount;
          sum.last = amount;
        }
        if (caller.keyId === "k0" || caller.madeBy?.keyId === "k0") {
          ofFirstKey += amount;
          lastOfFirstKey = amount;
        }
      }
      for (const [i, target] of targets.entries()) {
        const rate = target.quota?.producerByteRate ?? Number.POSITIVE_INFINITY;
        // The last request is served whole, whatever its size.
        const { all, last } = got[i] ?? { all: 0, last: 0 };
        expect(all - last, `seed ${seed}`).toBeLessThanOrEqual(rate * (1 + nowMs / 1_000));
      }
      const ofKey = ofFirstKey - lastOfFirstKey;
      expect(ofKey, `seed ${seed}`).toBeLessThanOrEqual(1_024 * (1 + nowMs / 1_000));
    }
  });

  test("[QUO-7] that is refused creates nothing that could displace others", () => {
    const book = new QuotaBook();
    const key = keyOf("k");
    for (let i = 0; i < 2 * MAX_TOKEN_QUOTA_BUCKETS; i++)
      expect(book.waitMs(tokenOf(key, `t${i}`, slow), RATE, 0)).toBe(0);
    expect(fill(book, key, MAX_TOKEN_QUOTA_BUCKETS + 1)).toBe(MAX_TOKEN_QUOTA_BUCKETS);
  });

  test("[QUO-7] whose tokens have used up their share waits for one that is paid for, and its debts are kept", () => {
    const book = new QuotaBook();
    const key = keyOf("k");
    const newcomer = tokenOf(key, "newcomer", slow);
    expect(fill(book, key, 2 * MAX_TOKEN_QUOTA_BUCKETS)).toBe(MAX_TOKEN_QUOTA_BUCKETS);
    expect(book.waitMs(newcomer, RATE, 1_000)).toBeGreaterThan(0);
    for (const i of [0, 1, MAX_TOKEN_QUOTA_BUCKETS - 1])
      expect(book.waitMs(tokenOf(key, `t${i}`, slow), RATE, 1_000)).toBeGreaterThan(9_000_000);
    expect(book.waitMs(newcomer, RATE, 10_000_000)).toBe(0);
  });

  test("[QUO-7] locks out neither keys nor the tokens of others", () => {
    const book = new QuotaBook();
    fill(book, keyOf("attacker"), 2 * MAX_TOKEN_QUOTA_BUCKETS);
    for (let i = 0; i < 100; i++) expect(use(book, keyOf(`k${i}`, slow), 1, 0)).toBe(true);
    expect(use(book, keyOf("attacker", slow), 1, 0)).toBe(true);
    // Each new maker has an equal share, whoever was there before.
    for (let makers = 2; makers <= 6; makers++) {
      const share = Math.floor(MAX_TOKEN_QUOTA_BUCKETS / makers);
      expect(fill(book, keyOf(`maker${makers}`), MAX_TOKEN_QUOTA_BUCKETS)).toBe(share);
    }
  });
});

describe("a book", () => {
  test("[QUO-7] has places for keys that callers of other issuers cannot take", () => {
    const book = new QuotaBook();
    const issued = (i: number) => ({
      ...keyOf(`i${i}`, slow),
      keyId: null,
      expiresAtMs: Number.MAX_SAFE_INTEGER,
    });
    let served = 0;
    for (let i = 0; i < MAX_QUOTA_BUCKETS; i++) if (use(book, issued(i), 10_000_000, 0)) served++;
    expect(served).toBe(MAX_TOKEN_QUOTA_BUCKETS);
    expect(use(book, keyOf("k", slow), 10_000_000, 0)).toBe(true);
    // All callers with one principal share one, by whatever credential.
    expect(book.waitMs(keyOf("i0", slow), RATE, 1_000)).toBeGreaterThan(9_000_000);
    expect(book.waitMs(issued(MAX_QUOTA_BUCKETS), RATE, 10_000_000)).toBe(0);
    // The quota of a token's maker is a key's, whoever shares it.
    expect(use(book, tokenOf(keyOf("maker", slow), "t", {}), 1, 0)).toBe(true);
  });

  test("[QUO-7] has a bounded number of principals in debt, and later ones wait for one that is not", () => {
    const book = new QuotaBook();
    for (let i = 0; i < MAX_QUOTA_BUCKETS; i++)
      expect(use(book, keyOf(`k${i}`, slow), 1_024 * 10, 0)).toBe(true);
    const newcomer = keyOf("newcomer", slow);
    expect(book.waitMs(newcomer, RATE, 9_000)).toBeGreaterThan(0);
    expect(book.waitMs(keyOf("k0", slow), RATE, 9_000)).toBeGreaterThan(0);
    expect(book.waitMs(newcomer, RATE, 10_000)).toBe(0);
  });

  test("[QUO-7] has a bounded number of makers, and forgets those whose tokens are paid for", () => {
    const book = new QuotaBook();
    for (let i = 0; i < MAX_TOKEN_QUOTA_BUCKETS; i++)
      expect(fill(book, keyOf(`maker${i}`), 1)).toBe(1);
    const newcomer = tokenOf(keyOf("newcomer"), "t", slow);
    expect(book.waitMs(newcomer, RATE, 1_000)).toBeGreaterThan(0);
    // All have paid. The first to ask finds this out, and makes room for the next one.
    expect(book.waitMs(newcomer, RATE, 20_000_000)).toBeGreaterThan(0);
    expect(book.waitMs(newcomer, RATE, 20_000_000)).toBe(0);
  });
});

describe("buckets", () => {
  test("[QUO-7] that are full do not accumulate, and those in debt do not hide them", () => {
    const buckets = new Buckets();
    for (let i = 0; i < 1_000; i++) buckets.use(`debt ${i}`, 1, 0).take(1_000_000, 1, 0);
    for (let i = 0; i < 100_000; i++) buckets.use(`full ${i}`, 100, i).take(1, 100, i);
    expect(buckets.size).toBeLessThan(2_500);
    for (let i = 0; i < 1_000; i++) expect(buckets.get(`debt ${i}`)).toBeDefined();
  });

  test("[QUO-7] that are in use are looked at last", () => {
    const buckets = new Buckets();
    for (let i = 0; i < 8; i++) buckets.use(`${i}`, 1, 0).take(1, 1, 0);
    for (let i = 0; i < 4; i++) buckets.use(`${i}`, 1, 0);
    buckets.forgetFull(1_000);
    expect(Array.from({ length: 8 }, (_, i) => buckets.get(`${i}`) !== undefined)).toEqual(
      [0, 1, 2, 3].map(() => true).concat([4, 5, 6, 7].map(() => false)),
    );
  });
});
