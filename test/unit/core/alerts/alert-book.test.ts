// When alerts fire and are resolved, and how their messages are sent.
import { beforeEach, describe, expect, test } from "vitest";
import { bodyOf, type Reading, type SecretRule } from "../../../../src/core/alerts/alert.ts";
import { AlertBook } from "../../../../src/core/alerts/alert-book.ts";
import {
  ALERT_GIVE_UP_MS,
  ALERT_RETRY_MS,
  MAX_ALERT_DELIVERIES,
  MAX_ALERT_RETRY_MS,
  MAX_ALERT_RULES,
  MAX_ALERTS_STANDING,
  MAX_SENT_TO_WEBHOOK,
} from "../../../../src/core/limits.ts";

const NOON = Date.UTC(2026, 10, 30, 12);
const RULE: SecretRule = {
  ...{ name: "late", type: "group-lag", match: "*", threshold: 60, forSeconds: 0 },
  ...{ webhook: "https://example.com/hook", secret: "whsec_c2VjcmV0" },
};

const reading = (subject: string, value: number, threshold = 60): Reading => ({
  ...{ subject, value, isMet: value >= threshold, text: `group ${subject} is ${value} s behind` },
});

let ids = 0;
const newId = () => `msg_${ids++}`;
let book: AlertBook;
beforeEach(() => {
  ids = 0;
  book = new AlertBook(newId);
});

/** Checks these readings, and returns what is sent, accepted by its webhook. */
function look(readings: readonly Reading[], nowMs: number): string[] {
  book.evaluate(() => readings, nowMs);
  const due = book.takeDue(nowMs);
  for (const delivery of due) book.answered(delivery, true, "it answered 200", nowMs);
  return due.map(({ status, subject }) => `${subject} ${status}`);
}

/** The book after its object was evicted. */
function revived(): AlertBook {
  return AlertBook.fromJSON(JSON.parse(JSON.stringify(book)), newId);
}

describe("an alert", () => {
  test("[ALR-2] [ALR-3] fires once and is resolved once, for each subject", () => {
    book.set(RULE);
    expect(look([reading("a", 59), reading("b", 10)], NOON)).toEqual([]);
    expect(look([reading("a", 60), reading("b", 10)], NOON + 1)).toEqual(["a firing"]);
    expect(look([reading("a", 61), reading("b", 90)], NOON + 2)).toEqual(["b firing"]);
    expect(book.infos()[0]?.firing).toEqual([
      { subject: "a", sinceMs: NOON + 1, value: 61, text: "group a is 61 s behind" },
      { subject: "b", sinceMs: NOON + 2, value: 90, text: "group b is 90 s behind" },
    ]);
    expect(look([reading("a", 0), reading("b", 91)], NOON + 3)).toEqual(["a resolved"]);
    expect(look([reading("a", 0), reading("b", 0)], NOON + 4)).toEqual(["b resolved"]);
    expect(look([reading("a", 0), reading("b", 0)], NOON + 5)).toEqual([]);
    expect(look([reading("a", 99)], NOON + 6), "it may fire again").toEqual(["a firing"]);
  });

  test("[ALR-2] whose condition must hold for a while fires when that has passed, and not before", () => {
    book.set({ ...RULE, forSeconds: 300 });
    expect(look([reading("a", 60)], NOON)).toEqual([]);
    expect(book.nextMs, "it is looked at then").toBe(NOON + 300_000);
    expect(book.infos()[0]?.firing).toEqual([]);
    expect(look([reading("a", 60)], NOON + 299_999)).toEqual([]);
    expect(look([reading("a", 60)], NOON + 300_000)).toEqual(["a firing"]);
  });

  test("[ALR-2] whose condition failed for a moment begins again", () => {
    book.set({ ...RULE, forSeconds: 300 });
    look([reading("a", 60)], NOON);
    expect(look([reading("a", 0)], NOON + 200_000), "nothing fired").toEqual([]);
    look([reading("a", 60)], NOON + 250_000);
    expect(look([reading("a", 60)], NOON + 300_000)).toEqual([]);
    expect(look([reading("a", 60)], NOON + 550_000)).toEqual(["a firing"]);
  });

  test("[ALR-2] is checked when it is known to change, even without a report", () => {
    book.set(RULE);
    look([{ ...reading("a", 20), changesMs: NOON + 40_000 }], NOON);
    expect(book.nextMs).toBe(NOON + 40_000);
    look([reading("a", 0)], NOON + 1);
    expect(book.nextMs).toBeNull();
  });

  test("[ALR-2] is resolved when its subject is gone, and when its rule is removed", () => {
    book.set(RULE);
    look([reading("a", 60), reading("b", 60)], NOON);
    expect(look([reading("b", 60)], NOON + 1)).toEqual(["a resolved"]);
    expect(book.remove("late", NOON + 2)).toBe(true);
    expect(book.takeDue(NOON + 2)).toMatchObject([
      { subject: "b", status: "resolved", rule: { webhook: RULE.webhook, secret: RULE.secret } },
    ]);
    expect(book.remove("late", NOON + 3)).toBe(false);
  });

  test("[ALR-1] whose rule is set again keeps firing if it still meets it, and is resolved if not", () => {
    book.set(RULE);
    look([reading("a", 60), reading("b", 90)], NOON);
    book.set({ ...RULE, threshold: 80 });
    const readings = [reading("a", 60, 80), reading("b", 90, 80)];
    expect(look(readings, NOON + 1)).toEqual(["a resolved"]);
  });

  test("[ALR-2] without a webhook is shown and sent nowhere", () => {
    book.set({ ...RULE, webhook: null });
    expect(look([reading("a", 60)], NOON)).toEqual([]);
    expect(book.infos()).toMatchObject([{ name: "late", firing: [{ subject: "a" }] }]);
    expect(book.test("late", NOON)).toBe(false);
  });

  test("[ALR-1] shows no secret", () => {
    book.set(RULE);
    expect(JSON.stringify(book.infos())).not.toContain(RULE.secret);
  });
});

describe("a message", () => {
  test("[ALR-3] that is not accepted is sent again with the same id, after ever longer, for a day", () => {
    book.set(RULE);
    book.evaluate(() => [reading("a", 60)], NOON);
    const waits: number[] = [];
    let nowMs = NOON;
    for (;;) {
      const [delivery] = book.takeDue(nowMs);
      expect(delivery).toMatchObject({ id: "msg_0", atMs: NOON, status: "firing" });
      if (delivery === undefined) break;
      book.answered(delivery, false, "it answered 500", nowMs);
      const nextMs = book.nextMs;
      if (nextMs === null) break;
      expect(book.takeDue(nextMs - 1)).toEqual([]);
      expect(book.infos()[0]?.lastDelivery).toMatchObject({ outcome: "failing", atMs: nowMs });
      waits.push(nextMs - nowMs);
      nowMs = nextMs;
    }
    expect(nowMs - NOON).toBeGreaterThanOrEqual(ALERT_GIVE_UP_MS);
    expect(nowMs - NOON).toBeLessThan(ALERT_GIVE_UP_MS + MAX_ALERT_RETRY_MS);
    expect(waits.slice(0, 3)).toEqual([ALERT_RETRY_MS, 2 * ALERT_RETRY_MS, 4 * ALERT_RETRY_MS]);
    expect(Math.max(...waits)).toBe(MAX_ALERT_RETRY_MS);
    expect(book.infos()[0]?.lastDelivery).toMatchObject({
      outcome: "given up",
      detail: "it answered 500",
    });
  });

  test("[ALR-3] is sent again if its sender died, and the one that follows waits for it", () => {
    book.set(RULE);
    book.evaluate(() => [reading("a", 60)], NOON);
    expect(book.takeDue(NOON)).toHaveLength(1);
    book = revived();
    book.evaluate(() => [reading("a", 0)], NOON + 1);
    expect(book.takeDue(NOON + 1), "it may still be on its way").toEqual([]);
    const [again, ...rest] = book.takeDue(NOON + ALERT_RETRY_MS);
    expect(again).toMatchObject({ id: "msg_0", status: "firing", attempts: 2 });
    expect(rest).toEqual([]);
    if (again !== undefined) book.answered(again, true, "", NOON + ALERT_RETRY_MS);
    expect(book.takeDue(NOON + ALERT_RETRY_MS)).toMatchObject([
      { id: "msg_1", status: "resolved" },
    ]);
  });

  test("[ALR-3] that is being sent is not sent again, however long that takes", () => {
    book.set(RULE);
    book.evaluate(() => [reading("a", 60)], NOON);
    const [first] = book.takeDue(NOON);
    expect(book.takeDue(NOON + 10 * ALERT_RETRY_MS)).toEqual([]);
    if (first !== undefined) book.answered(first, false, "", NOON + 10 * ALERT_RETRY_MS);
    expect(book.takeDue(NOON + 10 * ALERT_RETRY_MS)).toMatchObject([{ id: first?.id }]);
  });

  test("[ALR-3] goes to a webhook with a few others at most, so a hanging one delays no other", () => {
    book.set(RULE);
    book.set({ ...RULE, name: "other", webhook: "https://example.com/other" });
    const many = Array.from({ length: 50 }, (_, i) => reading(`group-${i}`, 60));
    book.evaluate(({ name }) => (name === "other" ? [reading("z", 60)] : many), NOON);
    const taken = book.takeDue(NOON);
    expect(taken.filter(({ rule }) => rule.name === "late")).toHaveLength(MAX_SENT_TO_WEBHOOK);
    expect(taken.filter(({ rule }) => rule.name === "other")).toHaveLength(1);
    const [first] = taken;
    if (first !== undefined) book.answered(first, true, "", NOON);
    expect(book.takeDue(NOON), "the next one, as soon as there is room").toHaveLength(1);
  });

  test("[ALR-3] that waits is sent at once to its rule's current webhook, with its secret, or to none", () => {
    book.set(RULE);
    book.evaluate(() => [reading("a", 60)], NOON);
    for (const delivery of book.takeDue(NOON)) book.answered(delivery, false, "", NOON);
    const [webhook, secret] = ["https://example.com/mended", "whsec_bmV3"];
    book.set({ ...RULE, webhook, secret });
    const [again] = book.takeDue(NOON + 1);
    expect(again).toMatchObject({ id: "msg_0", rule: { webhook, secret } });
    if (again !== undefined) book.answered(again, false, "", NOON + 1);
    book.set({ ...RULE, webhook: null });
    expect(book.takeDue(NOON + 2)).toEqual([]);
    expect(book.nextMs, "nothing waits any more").toBeNull();
  });

  test("[ALR-1] to try a webhook waits for no other", () => {
    book.set({ ...RULE, match: "a" });
    book.evaluate(() => [reading("a", 60)], NOON);
    for (const delivery of book.takeDue(NOON)) book.answered(delivery, false, "", NOON);
    expect(book.test("late", NOON)).toBe(true);
    expect(book.takeDue(NOON)).toMatchObject([{ status: "test" }]);
  });

  test("[ALR-3] of one alert waits for none of another", () => {
    book.set(RULE);
    book.set({ ...RULE, name: "other" });
    book.evaluate(({ name }) => [reading(name, 60)], NOON);
    for (const delivery of book.takeDue(NOON)) book.answered(delivery, false, "", NOON);
    book.evaluate(({ name }) => [reading(name, 60), reading("new", 60)], NOON + 1);
    const subjects = book.takeDue(NOON + 1).map(({ rule, subject }) => `${rule.name} ${subject}`);
    expect(subjects).toEqual(["late new", "other new"]);
  });

  test("[ALR-3] is due at once after the clock was set back", () => {
    book.set(RULE);
    book.evaluate(() => [reading("a", 60)], NOON);
    for (const delivery of book.takeDue(NOON)) book.answered(delivery, false, "", NOON);
    for (const delivery of book.takeDue(NOON - 3_600_000))
      book.answered(delivery, false, "", NOON - 3_600_000);
    expect(book.infos()[0]?.lastDelivery?.atMs).toBe(NOON - 3_600_000);
    expect(book.takeDue(NOON - 3_600_000 + 1), "and then as others are").toEqual([]);
  });

  test("[ALR-3] says what, since when and how much, and is also a sentence", () => {
    book.set(RULE);
    book.evaluate(() => [reading("a", 60)], NOON);
    look([reading("a", 60)], NOON);
    book.evaluate(() => [reading("a", 2)], NOON + 5_000);
    const [delivery] = book.takeDue(NOON + 5_000);
    expect(delivery && JSON.parse(bodyOf(delivery))).toEqual({
      type: "alert.resolved",
      timestamp: "2026-11-30T12:00:05.000Z",
      text: "resolved: group a is 2 s behind",
      data: {
        ...{ alert: "late", rule: "group-lag", subject: "a", value: 2, threshold: 60 },
        since: "2026-11-30T12:00:00.000Z",
      },
    });
  });
});

describe("the book", () => {
  test("[ALR-2] [ALR-3] continues where it was after an eviction", () => {
    book.set({ ...RULE, forSeconds: 60 });
    look([reading("a", 60)], NOON);
    book = revived();
    expect(look([reading("a", 60)], NOON + 60_000)).toEqual(["a firing"]);
    book = revived();
    expect(look([reading("a", 60)], NOON + 61_000)).toEqual([]);
    expect(book.infos()).toMatchObject([{ firing: [{ subject: "a", sinceMs: NOON }] }]);
    expect(look([reading("a", 0)], NOON + 62_000)).toEqual(["a resolved"]);
  });

  test.each([
    null,
    7,
    {},
    { entries: 3, deliveries: "x" },
    { entries: [null, {}, { rule: { name: "x" } }], deliveries: [{}, null] },
  ])("[ALR-2] that cannot be read is empty: %j", (json) => {
    expect(AlertBook.fromJSON(json, newId).isEmpty).toBe(true);
  });

  test("[ALR-1] has a bound on rules, on standing alerts, and on waiting messages", () => {
    const many = Array.from({ length: 1_200 }, (_, i) => reading(`group-${i}`, 60));
    book.set({ ...RULE, name: "rule-0" });
    book.evaluate(() => many, NOON);
    expect(book.infos()[0]).toMatchObject({ beyond: 1_200 - MAX_ALERTS_STANDING });
    expect(book.infos()[0]?.firing).toHaveLength(MAX_ALERTS_STANDING);
    for (let i = 1; i < MAX_ALERT_RULES; i++)
      expect(book.set({ ...RULE, name: `rule-${i}` })).toBeNull();
    expect(book.set({ ...RULE, name: "one-more" })).toMatchObject({ error: "INVALID_REQUEST" });
    expect(book.set({ ...RULE, name: "rule-0", threshold: 5 }), "one that is there").toBeNull();
    book.evaluate(() => many, NOON);
    for (const { name, firing } of book.infos().slice(1))
      expect(firing, `${name} has its share`).toHaveLength(MAX_ALERTS_STANDING / MAX_ALERT_RULES);
    for (let i = 1; i <= 3; i++) {
      book.evaluate(() => [], NOON + 2 * i - 1);
      book.evaluate(() => many, NOON + 2 * i);
    }
    expect(book.toJSON().deliveries).toHaveLength(MAX_ALERT_DELIVERIES);
  });
});
