import { expect, test } from "vitest";
import { AuditBuffer, type AuditEvent, bounded } from "../../../../src/core/access/audit.ts";
import {
  AUDIT_RATE,
  AUDIT_RATE_MS,
  MAX_AUDIT_PENDING,
  MAX_AUDIT_PRINCIPALS,
  MAX_AUDIT_REFUSALS,
  MAX_AUDIT_TEXT_CHARS,
} from "../../../../src/core/limits.ts";

const event = (more: Partial<AuditEvent> = {}): AuditEvent => ({
  at: "2026-01-01T00:00:00.000Z",
  decision: "refused",
  action: "READ",
  resource: { type: "topic", name: "orders" },
  principal: "User:a",
  way: "http",
  ...more,
});

test("[AUD-2] a bounded number of a principal's refusals is noted, and the others are counted", () => {
  const buffer = new AuditBuffer();
  const tell = (nowMs: number, principal = "User:a") => buffer.add(event({ principal }), nowMs);
  for (let i = 0; i < AUDIT_RATE; i++) expect(tell(0)).toEqual(event());
  for (let i = 0; i < 7; i++) expect(tell(0)).toBeNull();
  expect(tell(0, "User:b")).not.toBeNull();
  expect(tell(AUDIT_RATE_MS)).toEqual(event({ omitted: 7 }));
  expect(tell(AUDIT_RATE_MS)).toEqual(event());
  expect(buffer.take()).toHaveLength(AUDIT_RATE + 3);
  expect(buffer.take()).toEqual([]);
});

test("[AUD-2] all changes are noted, and as many kept as there is room for", () => {
  const buffer = new AuditBuffer();
  const change = event({ decision: "allowed", action: "createTopic" });
  for (let i = 0; i < MAX_AUDIT_PENDING + 5; i++) expect(buffer.add(change, 0)).toEqual(change);
  expect(buffer.take()).toHaveLength(MAX_AUDIT_PENDING);
});

test("[AUD-2] a bounded number of all principals' refusals is noted, and they displace no change", () => {
  const buffer = new AuditBuffer();
  for (let i = 0; i < MAX_AUDIT_PRINCIPALS + 5; i++) {
    const told = buffer.add(event({ principal: `User:${i}` }), 0);
    expect(told !== null).toBe(i < MAX_AUDIT_REFUSALS);
  }
  const change = event({ decision: "allowed", action: "createTopic" });
  expect(buffer.add(change, 0)).toEqual(change);
  expect(buffer.take()).toHaveLength(MAX_AUDIT_REFUSALS + 1);
  expect(buffer.add(event(), AUDIT_RATE_MS)).toEqual(event());
});

test("[AUD-2] each refusal is noted, or counted in a later line", () => {
  const buffer = new AuditBuffer();
  const principals = Array.from({ length: 14 }, (_, i) => `User:${i}`);
  let told = 0;
  let omitted = 0;
  const refuse = (principal: string, nowMs: number) => {
    const line = buffer.add(event({ principal }), nowMs);
    if (line === null) return;
    told++;
    omitted += line.omitted ?? 0;
  };
  for (let round = 0; round < 20; round++) for (const each of principals) refuse(each, 0);
  expect(told).toBe(MAX_AUDIT_REFUSALS);
  for (const each of principals) refuse(each, AUDIT_RATE_MS);
  expect(told + omitted).toBe(20 * principals.length + principals.length);
});

test("[AUD-2] a maker of many tokens counts as one, and crowds out nobody", () => {
  const buffer = new AuditBuffer();
  const flood = (nowMs: number) => {
    const lines = Array.from({ length: 14 * 30 }, (_, i) =>
      buffer.add(event({ principal: `User:${i % 14}` }), nowMs, { madeBy: "User:maker" }),
    );
    return lines.filter((line) => line !== null);
  };
  expect(flood(0)).toHaveLength(AUDIT_RATE);
  for (let i = 0; i < AUDIT_RATE; i++)
    expect(buffer.add(event({ principal: "User:other" }), 0)).not.toBeNull();
  expect(flood(AUDIT_RATE_MS)[0]?.omitted).toBe(14 * 30 - AUDIT_RATE);
});

test("[AUD-2] a principal that has stopped gets a line of its newest refusal with the number of the others", () => {
  const buffer = new AuditBuffer();
  for (let i = 0; i < AUDIT_RATE; i++) buffer.add(event(), 0);
  expect([buffer.owes, buffer.addOwed(2 * AUDIT_RATE_MS)]).toEqual([false, []]);
  const later = 3 * AUDIT_RATE_MS;
  for (let i = 0; i < AUDIT_RATE + 7; i++)
    buffer.add(event({ action: `${i}` }), later, { madeBy: "User:maker" });
  buffer.take();
  expect([buffer.owes, buffer.addOwed(later)]).toEqual([true, []]);
  const told = event({ action: `${AUDIT_RATE + 6}`, omitted: 6 });
  expect(buffer.addOwed(later + AUDIT_RATE_MS)).toEqual([told]);
  expect(buffer.take()).toEqual([told]);
  expect([buffer.owes, buffer.addOwed(later + 2 * AUDIT_RATE_MS)]).toEqual([false, []]);
});

test("[AUD-2] such lines are as bounded as all others, and each comes in the end", () => {
  const buffer = new AuditBuffer();
  for (let i = 0; i < 3 * MAX_AUDIT_REFUSALS; i++)
    for (let n = 0; n < 2; n++) buffer.add(event({ principal: `User:${i}` }), 0);
  buffer.take();
  let nowMs = 0;
  let told = MAX_AUDIT_REFUSALS;
  while (buffer.owes) {
    nowMs += AUDIT_RATE_MS;
    const lines = buffer.addOwed(nowMs);
    expect(lines.length).toBeLessThanOrEqual(MAX_AUDIT_REFUSALS);
    for (const { omitted = 0 } of lines) told += 1 + omitted;
  }
  expect(told).toBe(6 * MAX_AUDIT_REFUSALS);
});

test("[AUD-2] refusals of a principal that must make room are in anybody's next line", () => {
  const buffer = new AuditBuffer();
  for (let i = 0; i < AUDIT_RATE + 3; i++) buffer.add(event({ principal: "User:first" }), 0);
  for (let i = 0; i < MAX_AUDIT_PRINCIPALS; i++) buffer.add(event({ principal: `User:${i}` }), 0);
  const told = buffer.add(event({ principal: "User:0" }), AUDIT_RATE_MS);
  expect(told).toEqual(event({ principal: "User:0", omittedOfOthers: 3 }));
  expect(
    buffer.add(event({ principal: "User:1" }), AUDIT_RATE_MS)?.omittedOfOthers,
  ).toBeUndefined();
});

test("[AUD-2] a caller noted only in the operator's log takes no room", () => {
  const buffer = new AuditBuffer();
  expect(buffer.add(event({ action: "logIn" }), 0, { isKept: false })).toEqual(
    event({ action: "logIn" }),
  );
  expect(buffer.take()).toEqual([]);
});

test("[AUD-2] a text has a bound", () => {
  const long = "x".repeat(2 * MAX_AUDIT_TEXT_CHARS);
  const cut = long.slice(0, MAX_AUDIT_TEXT_CHARS);
  const texts = (text: string) => ({
    ...{ userAgent: text, detail: text, ip: text, requestId: text, principal: text },
    resource: { type: "topic" as const, name: text },
  });
  expect(bounded(event(texts(long)))).toEqual(event(texts(cut)));
});
