// Budgets of topics and principals: what is used of them, and when they are used up.
import { beforeEach, describe, expect, test } from "vitest";
import { ANYBODY, type Caller } from "../../../../src/core/access/caller.ts";
import {
  APPEND_DOLLARS,
  PrincipalBudgets,
  REQUEST_DOLLARS,
  SOCKET_APPEND_DOLLARS,
} from "../../../../src/core/access/principal-budgets.ts";
import { MAX_BUDGETS } from "../../../../src/core/limits.ts";
import { BudgetBook } from "../../../../src/core/metrics/budgets.ts";

const MIDNIGHT = Date.UTC(2026, 11, 1);
const NOON = MIDNIGHT - 12 * 3_600_000;
const ORDERS = { kind: "topic", name: "orders" } as const;
const ANN = { kind: "principal", name: "User:ann" } as const;

describe("the book", () => {
  let spent = 0;
  let book: BudgetBook;
  beforeEach(() => {
    spent = 0;
    book = new BudgetBook(() => spent);
  });

  test("[BGT-2] a topic's budget is used up by what the meter says, until midnight or a larger budget", () => {
    expect(book.usedUpUntilMs(ORDERS, NOON), "it has none").toBeNull();
    book.set(ORDERS, 2, NOON);
    spent = 1.99;
    expect(book.usedUpUntilMs(ORDERS, NOON)).toBeNull();
    spent = 2;
    expect(book.usedUpUntilMs(ORDERS, NOON)).toBe(MIDNIGHT);
    book.set(ORDERS, 4, NOON);
    expect(book.usedUpUntilMs(ORDERS, NOON)).toBeNull();
    book.set(ORDERS, 1, NOON);
    expect(book.usedUpUntilMs(ORDERS, NOON)).toBe(MIDNIGHT);
    book.set(ORDERS, null, NOON);
    expect(book.usedUpUntilMs(ORDERS, NOON)).toBeNull();
    expect(book.isEmpty).toBe(true);
  });

  test("[BGT-3] a principal's budget is used up by what was told of it, and begins anew at midnight", () => {
    book.add("User:ann", 5, NOON);
    book.set(ANN, 2, NOON);
    book.add("User:ann", 1.5, NOON);
    expect(book.principalsUsedUp(NOON)).toEqual([]);
    book.add("User:ann", 0.5, NOON);
    expect(book.principalsUsedUp(NOON)).toEqual(["User:ann"]);
    expect(book.principalsUsedUp(MIDNIGHT - 1)).toEqual(["User:ann"]);
    expect(book.principalsUsedUp(MIDNIGHT)).toEqual([]);
    book.add("User:ann", 0.5, MIDNIGHT);
    expect(book.uses(MIDNIGHT)).toMatchObject([{ dollars: 0.5, percent: 25 }]);
  });

  test("[BGT-4] each step is told once a day", () => {
    book.set(ORDERS, 10, NOON);
    const steps = (dollars: number, nowMs = NOON) => {
      spent = dollars;
      return book.takeSteps(nowMs).map(({ level }) => level);
    };
    expect(steps(7.9)).toEqual([]);
    expect(steps(8)).toEqual([1]);
    expect(steps(9)).toEqual([]);
    expect(steps(10)).toEqual([2]);
    expect(steps(12)).toEqual([]);
    expect(steps(0, MIDNIGHT)).toEqual([]);
    expect(steps(11, MIDNIGHT), "over both at once").toEqual([2]);
  });

  test("[BGT-2] [BGT-3] [BGT-4] goes on where it was after an eviction", () => {
    book.set(ANN, 2, NOON);
    book.add("User:ann", 1.7, NOON);
    book.takeSteps(NOON);
    const revived = new BudgetBook(() => spent);
    revived.restore(JSON.parse(JSON.stringify(book)));
    expect(revived.takeSteps(NOON)).toEqual([]);
    expect(revived.uses(NOON)).toEqual(book.uses(NOON));
    for (const bad of [null, 3, [null, {}, { kind: "topic", name: "x", dollarsPerDay: -1 }]]) {
      const other = new BudgetBook(() => spent);
      other.restore(bad);
      expect(other.isEmpty).toBe(true);
    }
  });

  test("[BGT-3] has a bound on the budgets that it keeps", () => {
    for (let i = 0; i <= MAX_BUDGETS; i++) book.set({ kind: "topic", name: `t${i}` }, 1, NOON);
    expect(book.uses(NOON)).toHaveLength(MAX_BUDGETS);
  });
});

describe("what principals cost in an isolate", () => {
  const ann: Caller = {
    ...ANYBODY,
    principal: "User:ann",
    keyId: "k1",
    quota: { dollarsPerDay: 3 },
  };
  const free: Caller = {
    ...ANYBODY,
    principal: "User:free",
    keyId: "k2",
    quota: { requestRate: 9 },
  };
  const token: Caller = {
    ...{ ...ANYBODY, principal: "User:browser", expiresAtMs: MIDNIGHT, keyId: null },
    madeBy: { principal: "User:ann", keyId: "k1", quota: { dollarsPerDay: 3 } },
  };
  let budgets: PrincipalBudgets;
  beforeEach(() => {
    budgets = new PrincipalBudgets();
  });

  test("[BGT-3] a request, an append and one over a socket have their prices", () => {
    expect(REQUEST_DOLLARS).toBeCloseTo(0.45e-6, 15);
    expect(APPEND_DOLLARS).toBeCloseTo(2e-6, 15);
    expect(SOCKET_APPEND_DOLLARS).toBeCloseTo(2e-6 + 0.15e-6 / 20, 15);
  });

  test("[BGT-3] is told once, and of those with budgets only", () => {
    for (const caller of [ann, free, ann]) budgets.spend(caller, 1);
    expect(budgets.take()).toEqual([{ principal: "User:ann", dollars: 2, dollarsPerDay: 3 }]);
    expect(budgets.take()).toEqual([]);
  });

  test("[BGT-1] of tokens counts for whoever made them", () => {
    budgets.spend(token, 1);
    budgets.spend(ann, 1);
    expect(budgets.take()).toMatchObject([{ principal: "User:ann", dollars: 2 }]);
    budgets.learn(["User:ann"], MIDNIGHT);
    expect(budgets.waitMs(token, NOON)).toBe(MIDNIGHT - NOON);
  });

  test("[BGT-1] of tenants counts apart, though their principals have one name", () => {
    budgets.spend({ ...ann, namespace: "acme." }, 1);
    budgets.spend(ann, 2);
    expect(budgets.take().map(({ principal }) => principal)).toEqual([
      "acme. User:ann",
      "User:ann",
    ]);
    budgets.learn(["acme. User:ann"], MIDNIGHT);
    expect(budgets.waitMs(ann, NOON)).toBe(0);
    expect(budgets.waitMs({ ...ann, namespace: "acme." }, NOON)).toBeGreaterThan(0);
  });

  test("[BGT-3] that could not be told is told with the next", () => {
    budgets.spend(ann, 1);
    const untold = budgets.take();
    budgets.spend(ann, 2);
    budgets.giveBack(untold);
    expect(budgets.take()).toMatchObject([{ dollars: 3 }]);
  });

  test("[BGT-3] holds up whoever has nothing left, until midnight, and nobody else", () => {
    expect(budgets.waitMs(ann, NOON)).toBe(0);
    budgets.learn(["User:ann", "User:free"], MIDNIGHT);
    expect(budgets.waitMs(ann, NOON)).toBe(MIDNIGHT - NOON);
    expect(budgets.waitMs(free, NOON), "it has no budget any more").toBe(0);
    expect(budgets.waitMs(ann, MIDNIGHT)).toBe(0);
    budgets.learn([], MIDNIGHT);
    expect(budgets.waitMs(ann, NOON)).toBe(0);
  });
});
