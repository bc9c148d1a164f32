// The state of the subjects of alerts, as the metrics know it.
import { beforeEach, describe, expect, test } from "vitest";
import type { AlertRule, AlertType } from "../../../../src/core/alerts/alert.ts";
import { isAbout } from "../../../../src/core/alerts/alert.ts";
import { readingsFor } from "../../../../src/core/alerts/readings.ts";
import { MAX_PARTITION_BYTES } from "../../../../src/core/limits.ts";
import { BudgetBook } from "../../../../src/core/metrics/budgets.ts";
import { MetricsState } from "../../../../src/core/metrics/metrics-state.ts";
import {
  groupSnapshot,
  HOUR_MS,
  MINUTE_MS,
  partitionSnapshot,
  position,
  START_MS,
} from "../../../support/metrics-snapshots.ts";

const NOW_MS = START_MS + 10 * MINUTE_MS;
const spent = new Map<string, number>();
let state: MetricsState;
let budgets: BudgetBook;
beforeEach(() => {
  spent.clear();
  state = new MetricsState();
  budgets = new BudgetBook((topic) => spent.get(topic) ?? 0);
});

function ruleOf(type: AlertType, threshold: number, match = "*"): AlertRule {
  return { name: "rule", type, match, threshold, forSeconds: 0, webhook: null };
}

function read(rule: AlertRule, nowMs = NOW_MS) {
  return readingsFor(rule, state, budgets, nowMs);
}

function tellEnd(logEndOffset: number, nowMs: number, topic = "orders"): void {
  const told = partitionSnapshot({ topic, logEndOffset });
  state.take(nowMs, `id-of-${topic}/0`, told);
}

test.each([
  ["*", "billing", true],
  ["billing", "billing", true],
  ["billing", "billing-2", false],
  ["bill*", "billing", true],
  ["bill*", "bil", false],
  ["a.b", "a-b", false],
])("[ALR-1] %s is about %s: %s", (match, name, is) => {
  expect(isAbout(match, name)).toBe(is);
});

describe("lag", () => {
  beforeEach(() => {
    tellEnd(0, START_MS);
    tellEnd(100, NOW_MS - 30_000);
    state.take(NOW_MS, "billing", groupSnapshot({ positions: [position(50)] }));
  });

  test("[ALR-2] is the age of the oldest unread record, and it is known when it will be too old", () => {
    const rule = ruleOf("group-lag", 3_600);
    const [now] = read(rule);
    expect(now).toMatchObject({ subject: "billing", isMet: false });
    const changesMs = now?.changesMs ?? 0;
    expect(read(rule, changesMs - 1_000)).toMatchObject([{ isMet: false }]);
    expect(read(rule, changesMs)).toMatchObject([
      { isMet: true, value: 3_600, text: "group billing is 3600 s behind" },
    ]);
  });

  test("[ALR-2] of a group that has read everything is none, however long ago that was", () => {
    state.take(NOW_MS, "billing", groupSnapshot({ epoch: 2, positions: [position(100)] }));
    const [later] = read(ruleOf("group-lag", 60), NOW_MS + HOUR_MS);
    expect(later).toMatchObject({ value: 0, isMet: false });
    expect(later?.changesMs).toBeUndefined();
  });

  test("[ALR-2] of a group without commits, and in a partition without reports, is unknown", () => {
    state.take(NOW_MS, "new", groupSnapshot({ groupId: "new" }));
    const unknown = groupSnapshot({ groupId: "lost", positions: [position(5, 0, "unheard")] });
    state.take(NOW_MS, "lost", unknown);
    for (const match of ["new", "lost"])
      expect(read(ruleOf("group-lag", 1, match), NOW_MS + HOUR_MS)).toMatchObject([
        { subject: match, isMet: false },
      ]);
  });

  test("[ALR-1] is checked for the groups that the rule names", () => {
    state.take(NOW_MS, "audit", groupSnapshot({ groupId: "audit" }));
    expect(read(ruleOf("group-lag", 60, "bil*")).map(({ subject }) => subject)).toEqual([
      "billing",
    ]);
  });
});

test("[ALR-2] a group without members fires, and with members does not", () => {
  state.take(NOW_MS, "left", groupSnapshot({ groupId: "left", members: 0 }));
  state.take(NOW_MS, "billing", groupSnapshot({ members: 2 }));
  expect(read(ruleOf("group-empty", 0))).toEqual([
    { subject: "left", value: 0, isMet: true, text: "group left has no members" },
    { subject: "billing", value: 2, isMet: false, text: "group billing has 2 members" },
  ]);
});

test("[ALR-2] a partition is as full as its storage is of what it can hold", () => {
  for (const [partition, storedBytes] of [0.2, 0.8, 0.7999]
    .map((share) => share * MAX_PARTITION_BYTES)
    .entries())
    state.take(NOW_MS, `id-of-orders/${partition}`, partitionSnapshot({ partition, storedBytes }));
  expect(read(ruleOf("partition-full", 80, "orders"))).toMatchObject([
    { subject: "orders/0", value: 20, isMet: false },
    { subject: "orders/1", isMet: true, text: "partition orders/1 has used 80 % of its storage" },
    { subject: "orders/2", isMet: false },
  ]);
  expect(read(ruleOf("partition-full", 80, "other"))).toEqual([]);
});

test("[ALR-2] a budget is used by its owner's cost today, and begins again at midnight", () => {
  budgets.setTopic("orders", 2, NOW_MS);
  spent.set("orders", 1.7);
  const midnight = START_MS + 24 * HOUR_MS;
  expect(read(ruleOf("budget", 80))).toEqual([
    {
      ...{ subject: "topic orders", value: 85, isMet: true, changesMs: midnight },
      text: "topic orders has used 85 % of its budget of $2 for today",
    },
  ]);
  expect(read(ruleOf("budget", 90))).toMatchObject([{ isMet: false }]);
  expect(read(ruleOf("budget", 80, "other"))).toEqual([]);
});
