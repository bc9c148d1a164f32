// The dollar meter: the cost of each topic and group, from the counts of its objects.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_COST_OWNERS } from "../../../../src/core/limits.ts";
import {
  CostLedger,
  dollarsOf,
  NOTHING_SPENT,
  type Owner,
} from "../../../../src/core/metrics/cost-ledger.ts";
import { NO_USAGE, type Usage } from "../../../../src/core/metrics/usage.ts";
import { runs } from "../../../support/effort.ts";

const NOON = Date.UTC(2026, 10, 30, 12);
const HOUR_MS = 3_600_000;
const ORDERS: Owner = { kind: "topic", name: "orders" };
const CREW: Owner = { kind: "group", name: "crew" };
const used = (some: Partial<Usage>, storedBytes = 0) => ({
  usage: { ...NO_USAGE, ...some },
  storedBytes,
});
const lineOf = (ledger: CostLedger, { name }: Owner, nowMs: number) =>
  ledger.lines(nowMs).find((line) => line.name === name);

describe("the price", () => {
  test.each([
    ["a million rows written", { rowsWritten: 1e6 }, 1],
    ["a million rows read", { rowsRead: 1e6 }, 0.001],
    ["a million requests", { requests: 1e6 }, 0.15],
    ["twenty million messages", { messages: 20e6 }, 0.15],
    ["a million seconds awake, at 128 MB", { awakeMs: 1e9 }, 1.6],
  ])("[MTR-1] of %s", (_, some, dollars) => {
    expect(dollarsOf({ ...NOTHING_SPENT, usage: { ...NO_USAGE, ...some } })).toBeCloseTo(
      dollars,
      9,
    );
  });

  test("[MTR-1] of a million Worker requests, and of a GB for a month", () => {
    expect(dollarsOf({ ...NOTHING_SPENT, workerRequests: 1e6 })).toBeCloseTo(0.3, 9);
    const byteSeconds = 1e9 * 30 * 24 * 3_600;
    expect(dollarsOf({ ...NOTHING_SPENT, byteSeconds })).toBeCloseTo(0.2, 9);
  });
});

test("[MTR-1] storage costs all the time, even without a report", () => {
  const ledger = new CostLedger();
  ledger.add(ORDERS, "orders/0", used({}, 1e9), NOON);
  ledger.add(ORDERS, "orders/1", used({}, 1e9), NOON);
  const line = lineOf(ledger, ORDERS, NOON + 3 * HOUR_MS);
  expect(line?.month.byteSeconds).toBe(2e9 * 3 * 3_600);
  expect(line?.perHour).toBeCloseTo((2 * 0.2) / (30 * 24), 9);
  ledger.removeObject(ORDERS, "orders/1", NOON + 3 * HOUR_MS);
  const later = lineOf(ledger, ORDERS, NOON + 4 * HOUR_MS);
  expect(later?.month.byteSeconds).toBe((2e9 * 3 + 1e9) * 3_600);
});

test("[MTR-4] a topic's throughput is summed for the day and the month, and survives storage", () => {
  const ledger = new CostLedger();
  const through = { recordsIn: 3, bytesIn: 300, bytesOut: 900 };
  ledger.add(ORDERS, "orders/0", { ...used({}), ...through }, NOON);
  ledger.add(ORDERS, "orders/1", { ...used({}), ...through }, NOON);
  const stored = CostLedger.fromJSON(JSON.parse(JSON.stringify(ledger.toJSON())));
  const sum = { recordsIn: 6, bytesIn: 600, bytesOut: 1_800 };
  for (const each of [ledger, stored])
    expect(lineOf(each, ORDERS, NOON)).toMatchObject({ today: sum, month: sum });
});

test("[MTR-4] an account from an earlier release continues with no throughput", () => {
  const ledger = new CostLedger();
  ledger.add(ORDERS, "orders/0", used({ requests: 1 }), NOON);
  const json = JSON.parse(JSON.stringify(ledger.toJSON()));
  for (const each of [json.accounts[0].today, json.accounts[0].thisMonth])
    for (const name of ["recordsIn", "bytesIn", "bytesOut"]) delete each[name];
  expect(lineOf(CostLedger.fromJSON(json), ORDERS, NOON)?.today).toMatchObject({
    recordsIn: 0,
    usage: { requests: 1 },
  });
});

test("[MTR-2] a day and a month begin at midnight UTC, and the projection is the month at this rate", () => {
  const ledger = new CostLedger();
  const before = Date.UTC(2026, 10, 29, 23, 59, 30);
  ledger.add(ORDERS, "orders/0", used({ rowsWritten: 1e6 }), before);
  expect(lineOf(ledger, ORDERS, before)).toMatchObject({ dollarsToday: 1, dollarsThisMonth: 1 });
  // A row a second, reported for the last five minutes.
  for (let minute = 0; minute < 5; minute++)
    ledger.add(ORDERS, "orders/0", used({ rowsWritten: 60 }), NOON + minute * 60_000);
  const now = NOON + 4 * 60_000;
  const line = lineOf(ledger, ORDERS, now);
  expect(line?.dollarsToday).toBeCloseTo(300e-6, 12);
  expect(line?.dollarsThisMonth).toBeCloseTo(1 + 300e-6, 12);
  expect(line?.perHour).toBeCloseTo(3_600e-6, 12);
  expect(line?.dollarsProjected).toBeCloseTo(1 + 300e-6 + 3_600e-6 * (12 - 4 / 60), 9);
  // Nothing was reported since, so nothing goes on.
  expect(lineOf(ledger, ORDERS, now + HOUR_MS)?.perHour).toBe(0);
  const next = Date.UTC(2026, 11, 1, 0, 0, 1);
  expect(lineOf(ledger, ORDERS, next)).toMatchObject({ dollarsToday: 0, dollarsThisMonth: 0 });
});

test("[MTR-1] the parts add up to the total, whatever is reported by whom and however often it is stored", () => {
  const owners: Owner[] = [ORDERS, CREW, { kind: "overhead", name: "cluster" }];
  const told = fc.record({
    owner: fc.constantFrom(...owners),
    object: fc.constantFrom("a", "b"),
    rowsWritten: fc.nat(1_000),
    requests: fc.nat(1_000),
    storedBytes: fc.nat(1e9),
    afterMs: fc.nat(600_000),
    isStored: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(told, { maxLength: 40 }), (all) => {
      let ledger = new CostLedger();
      let nowMs = Date.UTC(2026, 10, 3);
      const sum = { rowsWritten: 0, requests: 0, byteSeconds: 0 };
      const stored = new Map<string, number>();
      for (const { owner, object, rowsWritten, requests, storedBytes, afterMs, isStored } of all) {
        for (const bytes of stored.values()) sum.byteSeconds += (bytes * afterMs) / 1_000;
        nowMs += afterMs;
        ledger.add(owner, object, used({ rowsWritten, requests }, storedBytes), nowMs);
        stored.set(`${owner.name} ${object}`, storedBytes);
        sum.rowsWritten += rowsWritten;
        sum.requests += requests;
        if (isStored) ledger = CostLedger.fromJSON(JSON.parse(JSON.stringify(ledger.toJSON())));
      }
      const lines = ledger.lines(nowMs);
      const total = (count: (line: (typeof lines)[number]) => number) =>
        lines.reduce((all, line) => all + count(line), 0);
      expect(total(({ month }) => month.usage.rowsWritten)).toBe(sum.rowsWritten);
      expect(total(({ month }) => month.usage.requests)).toBe(sum.requests);
      expect(total(({ month }) => month.byteSeconds)).toBeCloseTo(sum.byteSeconds, 0);
    }),
    runs(50),
  );
});

test("[MTR-3] beyond the bound, the costs of further topics are shown together", () => {
  const ledger = new CostLedger();
  for (let i = 0; i < MAX_COST_OWNERS + 10; i++)
    ledger.add({ kind: "topic", name: `t${i}` }, `t${i}/0`, used({ rowsWritten: 1 }), NOON);
  const lines = ledger.lines(NOON);
  expect(lines).toHaveLength(MAX_COST_OWNERS + 1);
  expect(lines[0]).toMatchObject({
    kind: "overhead",
    name: "others",
    month: { usage: { rowsWritten: 10 } },
  });
});

test("[MTR-3] unreadable data is left out, and a newer release's fields do not matter", () => {
  for (const json of [null, 1, [], {}, { accounts: 5 }, { accounts: [{}] }, { accounts: [null] }])
    expect(CostLedger.fromJSON(json).lines(NOON)).toEqual([]);
  const ledger = new CostLedger();
  ledger.add(ORDERS, "orders/0", used({ rowsWritten: 3 }, 5), NOON);
  const json = JSON.parse(JSON.stringify(ledger.toJSON()));
  json.accounts[0].news = true;
  delete json.accounts[0].stored;
  expect(lineOf(CostLedger.fromJSON(json), ORDERS, NOON)).toMatchObject({
    month: { usage: { rowsWritten: 3 } },
  });
});
