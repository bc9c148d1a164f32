import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/core/errors.ts";
import { type Holding, Ledger } from "../../../src/core/ledger.ts";

function never(): never {
  throw new Error("nobody was to be let go");
}

describe("a ledger of bytes", () => {
  it("[BND-1] counts what each holds now, and nothing once it is released", () => {
    const ledger = new Ledger(100, "bodies");
    const [a, b] = [ledger.hold(never), ledger.hold(never)];
    a.set(40);
    b.set(60);
    a.set(10);
    expect(ledger.bytes).toBe(70);
    b.release();
    b.release();
    expect(ledger.bytes).toBe(10);
  });

  it("[BND-1] lets go whoever holds the most, not whoever comes next", () => {
    const ledger = new Ledger(100, "bodies");
    const evicted: BrokerError[] = [];
    const large = ledger.hold((error) => evicted.push(error));
    const [small, next] = [ledger.hold(never), ledger.hold(never)];
    large.set(90);
    small.set(5);
    next.set(20);
    expect(evicted.map(({ code }) => code)).toEqual(["THROTTLING_QUOTA_EXCEEDED"]);
    expect(ledger.bytes).toBe(25);
    expect(() => large.set(1)).toThrow(BrokerError);
    expect(ledger.bytes).toBe(25);
  });

  it("[BND-1] refuses the one that grows where it holds the most itself", () => {
    const ledger = new Ledger(100, "bodies");
    const small = ledger.hold(never);
    small.set(30);
    const large = ledger.hold(never);
    expect(() => large.set(80)).toThrow("bodies take 110 bytes, the bound is 100");
    expect(ledger.bytes).toBe(30);
  });

  it("[BND-6] leaves one that may not go, however much it holds, until it may", () => {
    const ledger = new Ledger(100, "answers");
    let mayGo = false;
    const evicted: BrokerError[] = [];
    ledger
      .hold(
        (error) => evicted.push(error),
        () => mayGo,
      )
      .set(80);
    expect(() => ledger.hold(never).set(30)).toThrow("this one takes the most, 30");
    expect([ledger.bytes, evicted.length]).toEqual([80, 0]);
    mayGo = true;
    ledger.hold(never).set(30);
    expect([ledger.bytes, evicted.length]).toEqual([30, 1]);
  });

  it("[BND-10] lets go those of the lowest rank first, as many as it takes", () => {
    const ledger = new Ledger(100, "bodies");
    const gone: string[] = [];
    const held = (name: string, rank: number, bytes: number) => {
      const holding = ledger.hold(
        () => gone.push(name),
        () => true,
        () => rank,
      );
      holding.set(bytes);
      return holding;
    };
    const large = held("large", 1, 40);
    for (const [i, bytes] of [10, 20, 15].entries()) held(`small ${i}`, 0, bytes);
    held("none", 0, 0);
    large.set(80);
    expect(gone).toEqual(["small 1", "small 2"]);
    expect(() => held("low", 0, 11)).toThrow("this one takes the most, 11");
    held("next", 1, 30);
    expect(gone).toEqual(["small 1", "small 2", "small 0", "large"]);
    expect(ledger.bytes).toBe(30);
  });

  it("[BND-1] among equals refuses the one that grows, so two do not let each other go in turn", () => {
    const ledger = new Ledger(100, "bodies");
    const held = ledger.hold(never);
    held.set(60);
    const next = ledger.hold(never);
    expect(() => next.set(60)).toThrow(BrokerError);
    expect([held.bytes, next.bytes, ledger.bytes]).toEqual([60, 0, 60]);
  });

  it("[BND-1] is never above its bound, and lets nobody go who holds less than another that stays", () => {
    const steps = fc.array(fc.record({ who: fc.nat(5), bytes: fc.nat(60) }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (taken) => {
        const ledger = new Ledger(100, "bodies");
        const held = new Map<number, Holding>();
        for (const { who, bytes } of taken) {
          const gone: number[] = [];
          const holding = held.get(who) ?? ledger.hold(() => gone.push(who));
          held.set(who, holding);
          const before = new Map([...held].map(([id, each]) => [id, each.bytes]));
          before.set(who, bytes);
          try {
            holding.set(bytes);
          } catch {
            gone.push(who);
          }
          expect(ledger.bytes).toBeLessThanOrEqual(100);
          const kept = [...held].filter(([, each]) => each.bytes > 0).map(([id]) => id);
          const largestKept = Math.max(0, ...kept.map((id) => before.get(id) ?? 0));
          const lost = [...before].filter(
            ([id, was]) => was > 0 && (held.get(id)?.bytes ?? 0) === 0,
          );
          if (lost.length === 1) expect(lost[0]?.[1]).toBeGreaterThanOrEqual(largestKept);
          for (const [id] of lost) held.delete(id);
        }
      }),
    );
  });
});
