// Budgets of topics and principals: how much is used, and when they are used up.
import { beforeEach, describe, expect, test } from "vitest";
import { ANYBODY, type Caller } from "../../../../src/core/access/caller.ts";
import {
  APPEND_DOLLARS,
  PrincipalBudgets,
  REQUEST_DOLLARS,
  SOCKET_APPEND_DOLLARS,
} from "../../../../src/core/access/principal-budgets.ts";
import { MAX_BUDGETS, MAX_BUDGETS_PER_MAKER } from "../../../../src/core/limits.ts";
import { BudgetBook } from "../../../../src/core/metrics/budgets.ts";

const MIDNIGHT = Date.UTC(2026, 11, 1);
const NOON = MIDNIGHT - 12 * 3_600_000;

const spentBy = (principal: string, dollars: number, dollarsPerDay: number, maker?: string) => ({
  ...{ principal, dollars, dollarsPerDay },
  ...(maker === undefined ? {} : { maker }),
});

describe("the book", () => {
  let spent = 0;
  let book: BudgetBook;
  beforeEach(() => {
    spent = 0;
    book = new BudgetBook(() => spent);
  });

  test("[BGT-2] a topic's budget is used up by what the meter says, until midnight or a larger budget", () => {
    expect(book.topicUntilMs("orders", NOON), "it has none").toBeNull();
    book.setTopic("orders", 2, NOON);
    spent = 1.99;
    expect(book.topicUntilMs("orders", NOON)).toBeNull();
    spent = 2;
    expect(book.topicUntilMs("orders", NOON)).toBe(MIDNIGHT);
    book.setTopic("orders", 4, NOON);
    expect(book.topicUntilMs("orders", NOON)).toBeNull();
    book.setTopic("orders", 1, NOON);
    expect(book.topicUntilMs("orders", NOON)).toBe(MIDNIGHT);
    book.setTopic("orders", null, NOON);
    expect(book.topicUntilMs("orders", NOON)).toBeNull();
    book.setTopic("orders", 1, NOON);
    book.removeTopic("orders");
    expect(book.isEmpty).toBe(true);
  });

  test("[BGT-3] a principal's cost goes to whoever reports it, and to all when nothing is left", () => {
    book.spend(spentBy("User:ann", 1.5, 2), NOON);
    expect(book.spentToday([], NOON)).toEqual([]);
    expect(book.spentToday(["User:ann", "User:nobody"], NOON)).toEqual([
      { principal: "User:ann", dollars: 1.5 },
    ]);
    book.spend(spentBy("User:ann", 0.5, 2), NOON);
    expect(book.spentToday([], NOON)).toEqual([{ principal: "User:ann", dollars: 2 }]);
    expect(book.spentToday([], MIDNIGHT - 1)).toHaveLength(1);
    expect(book.spentToday(["User:ann"], MIDNIGHT), "the day is over").toEqual([]);
    book.spend(spentBy("User:ann", 0.5, 2), MIDNIGHT);
    expect(book.uses(MIDNIGHT)).toMatchObject([{ dollars: 0.5, percent: 25 }]);
  });

  test("[BGT-4] each step is reported once a day, whatever bound is given", () => {
    book.setTopic("orders", 10, NOON);
    const steps = (dollars: number, nowMs = NOON) => {
      spent = dollars;
      return book.takeSteps(nowMs).map(({ level }) => level);
    };
    expect(steps(7.9)).toEqual([]);
    expect(steps(8)).toEqual([1]);
    expect(steps(9)).toEqual([]);
    expect(steps(10)).toEqual([2]);
    book.setTopic("orders", 100, NOON);
    expect(steps(10)).toEqual([]);
    book.setTopic("orders", 10, NOON);
    expect(steps(12)).toEqual([]);
    expect(steps(0, MIDNIGHT)).toEqual([]);
    expect(steps(11, MIDNIGHT), "over both at once").toEqual([2]);
  });

  test("[BGT-3] a clock that is set back across midnight and forth undoes nothing", () => {
    book.spend(spentBy("User:ann", 2, 2), MIDNIGHT + 1_000);
    expect(book.spentToday([], MIDNIGHT - 1_000)).toHaveLength(1);
    expect(book.spentToday([], MIDNIGHT + 2_000)).toHaveLength(1);
  });

  test("[BGT-2] [BGT-3] [BGT-4] continues where it was after an eviction", () => {
    book.spend(spentBy("User:ann", 1.7, 2), NOON);
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

  test("[BGT-3] has bounds: nobody keeps another out, and those of a past day have gone", () => {
    for (let i = 0; i <= MAX_BUDGETS; i++) book.setTopic(`t${i}`, 1, NOON);
    expect(book.uses(NOON)).toHaveLength(MAX_BUDGETS);
    for (let i = 0; i <= MAX_BUDGETS_PER_MAKER; i++)
      book.spend(spentBy(`token-${i}`, 1, 1, "k1"), NOON);
    expect(book.uses(NOON)).toHaveLength(MAX_BUDGETS + MAX_BUDGETS_PER_MAKER);
    book.spend(spentBy("other-token", 1, 1, "k2"), NOON);
    book.spend(spentBy("User:key", 1, 1), NOON);
    expect(book.uses(NOON)).toHaveLength(MAX_BUDGETS + MAX_BUDGETS_PER_MAKER + 2);
    expect(book.uses(MIDNIGHT)).toHaveLength(MAX_BUDGETS);
  });
});

describe("what principals cost in an isolate", () => {
  const ann: Caller = {
    ...{ ...ANYBODY, principal: "User:ann", keyId: "k1" },
    quota: { dollarsPerDay: 3 },
  };
  const free: Caller = {
    ...{ ...ANYBODY, principal: "User:free", keyId: "k2" },
    quota: { requestRate: 9 },
  };
  const token: Caller = {
    ...{ ...ANYBODY, principal: "User:browser", expiresAtMs: MIDNIGHT, keyId: null },
    madeBy: { principal: "User:ann", keyId: "k1", quota: { dollarsPerDay: 3 } },
  };
  let ids = 0;
  let budgets: PrincipalBudgets;
  beforeEach(() => {
    ids = 0;
    budgets = new PrincipalBudgets(() => `b${ids++}`);
  });
  /** Takes the pending reports, as if they had arrived. */
  const tell = () => {
    const batch = budgets.take();
    if (batch !== null) budgets.arrived(batch);
    return batch?.spent ?? [];
  };
  const used = (principal: string, dollars: number) => [{ principal, dollars }];

  test("[BGT-3] a request, an append and one over a socket have their prices", () => {
    expect(REQUEST_DOLLARS).toBeCloseTo(0.45e-6, 15);
    expect(APPEND_DOLLARS).toBeCloseTo(2e-6, 15);
    expect(SOCKET_APPEND_DOLLARS).toBeCloseTo(2e-6 + 0.15e-6 / 20, 15);
  });

  test("[BGT-3] is reported once, and only for those with budgets", () => {
    for (const caller of [ann, free, ann]) budgets.spend(caller, 1);
    expect(tell()).toEqual([{ principal: "User:ann", dollars: 2, dollarsPerDay: 3 }]);
    expect(tell()).toEqual([]);
  });

  test("[BGT-1] of tokens counts for their maker", () => {
    budgets.spend(token, 1);
    budgets.spend(ann, 1);
    expect(tell()).toMatchObject([{ principal: "User:ann", dollars: 2 }]);
    budgets.learn(used("User:ann", 3), MIDNIGHT);
    expect(budgets.waitMs(token, NOON)).toBe(MIDNIGHT - NOON);
  });

  test("[BGT-1] of a token with its own budget counts for both, and nobody can take its name", () => {
    const own = { ...token, quota: { dollarsPerDay: 1 } };
    budgets.spend(own, 1);
    const names = tell().map(({ principal }) => principal);
    expect(names).toHaveLength(2);
    const forged = { ...ann, principal: "User:browser by k1" };
    budgets.learn(
      names.map((principal) => ({ principal, dollars: 2 })),
      MIDNIGHT,
    );
    expect(budgets.waitMs(own, NOON)).toBeGreaterThan(0);
    expect(budgets.waitMs(forged, NOON)).toBe(0);
  });

  test("[BGT-1] of tenants counts separately, though their principals have one name", () => {
    budgets.spend({ ...ann, namespace: "acme." }, 1);
    budgets.spend(ann, 2);
    expect(tell().map(({ principal }) => principal)).toEqual(["acme. User:ann", "User:ann"]);
    budgets.learn(used("acme. User:ann", 3), MIDNIGHT);
    expect(budgets.waitMs(ann, NOON)).toBe(0);
    expect(budgets.waitMs({ ...ann, namespace: "acme." }, NOON)).toBeGreaterThan(0);
  });

  test("[BGT-3] that may not have arrived is reported again as it was, and the rest with the next", () => {
    budgets.spend(ann, 1);
    const first = budgets.take();
    budgets.spend(ann, 2);
    expect(budgets.take()).toEqual(first);
    expect(tell()).toMatchObject([{ dollars: 1 }]);
    expect(tell()).toMatchObject([{ dollars: 2 }]);
  });

  test("[BGT-3] holds up a caller with nothing left by its own bound, until midnight, and nobody else", () => {
    expect(budgets.waitMs(ann, NOON)).toBe(0);
    budgets.learn([...used("User:ann", 3), ...used("User:free", 9)], MIDNIGHT);
    expect(budgets.waitMs(ann, NOON)).toBe(MIDNIGHT - NOON);
    expect(budgets.waitMs(free, NOON), "it has no budget").toBe(0);
    const raised = { ...ann, quota: { dollarsPerDay: 4 } };
    expect(budgets.waitMs(raised, NOON), "another key of it, or a larger budget").toBe(0);
    expect(budgets.waitMs(ann, MIDNIGHT)).toBe(0);
    expect(budgets.waitMs(ann, NOON - 365 * 86_400_000), "the clock was set back").toBe(0);
    budgets.learn([], MIDNIGHT);
    expect(budgets.waitMs(ann, NOON)).toBe(0);
  });
});
