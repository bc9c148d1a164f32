import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/core/errors.ts";
import { Budget, type Holding, Ledger, type Spare, SpareRoom } from "../../../src/core/ledger.ts";
import { HOLDER_SILENT_MS } from "../../../src/core/limits.ts";

/** A ledger of a budget that has more room than the ledger. */
function ledgerOf(maxBytes: number, what: string): Ledger {
  return new Ledger(maxBytes, what, new Budget(10 * maxBytes, () => 0));
}

function never(): never {
  throw new Error("nobody was to be let go");
}

describe("a ledger of bytes", () => {
  it("[BND-1] counts what each holder has now, and nothing once it is released", () => {
    const ledger = ledgerOf(100, "bodies");
    const [a, b] = [ledger.hold(never), ledger.hold(never)];
    a.set(40);
    b.set(60);
    a.set(10);
    expect(ledger.bytes).toBe(70);
    b.release();
    b.release();
    expect(ledger.bytes).toBe(10);
  });

  it("[BND-1] drops the largest holder, not the newest", () => {
    const ledger = ledgerOf(100, "bodies");
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

  it("[BND-1] refuses the one that grows if it is the largest itself", () => {
    const ledger = ledgerOf(100, "bodies");
    const small = ledger.hold(never);
    small.set(30);
    const large = ledger.hold(never);
    expect(() => large.set(80)).toThrow("bodies take 110 bytes, the bound is 100");
    expect(ledger.bytes).toBe(30);
  });

  it("[BND-6] leaves one that may not go, however much it holds, until it may", () => {
    const ledger = ledgerOf(100, "answers");
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

  it("[BND-10] drops those of the lowest rank first, as many as needed", () => {
    const ledger = ledgerOf(100, "bodies");
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

  it("[BND-1] among equals refuses the one that grows, so two do not drop each other in turn", () => {
    const ledger = ledgerOf(100, "bodies");
    const held = ledger.hold(never);
    held.set(60);
    const next = ledger.hold(never);
    expect(() => next.set(60)).toThrow(BrokerError);
    expect([held.bytes, next.bytes, ledger.bytes]).toEqual([60, 0, 60]);
  });

  it("[BND-1] is never above its bound, and drops nobody smaller than one that stays", () => {
    const steps = fc.array(fc.record({ who: fc.nat(5), bytes: fc.nat(60) }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (taken) => {
        const ledger = ledgerOf(100, "bodies");
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

describe("the budget of an isolate", () => {
  let nowMs = 0;
  /** A budget of 100, with two ledgers that would take more. */
  function isolate() {
    const budget = new Budget(100, () => nowMs);
    const bodies = new Ledger(90, "bodies", budget);
    const answers = new Ledger(90, "answers", budget);
    return { budget, bodies, answers };
  }

  /** Spare data that is named when it is dropped. */
  function spares(budget: Budget, order: "oldest" | "largest") {
    const room = new SpareRoom(order, budget);
    const dropped: string[] = [];
    const kept: Spare[] = [];
    const add = (name: string, bytes: number) => {
      const spare = { drop: () => void dropped.push(name) };
      kept.push(spare);
      const holding = room.add(spare);
      holding.set(bytes);
      return holding;
    };
    return { room, dropped, add, kept };
  }

  it("[BND-23] counts what all ledgers hold, and drops the largest of all", () => {
    const { budget, bodies, answers } = isolate();
    const gone: string[] = [];
    bodies.hold(({ message }) => gone.push(message)).set(60);
    const answer = answers.hold(never);
    answer.set(40);
    expect([budget.bytes, budget.roomBytes, gone.length]).toEqual([100, 0, 0]);
    answer.set(41);
    expect(gone).toEqual([
      "all data in memory takes 101 bytes, the bound is 100; in the lowest rank, this one takes the most, 60",
    ]);
    expect(budget.bytes).toBe(41);
  });

  it("[BND-23] drops spare data before any holder: of the first kind, the least recently used", () => {
    const { budget, bodies } = isolate();
    const tails = spares(budget, "oldest");
    const feeds = spares(budget, "largest");
    const [a] = [tails.add("a", 10), tails.add("b", 10), tails.add("c", 10)];
    feeds.add("small", 5);
    feeds.add("large", 15);
    a.used();
    const body = bodies.hold(never);
    body.set(55);
    expect([tails.dropped, feeds.dropped]).toEqual([["b"], []]);
    body.set(61);
    expect(tails.dropped).toEqual(["b", "c"]);
    body.set(71);
    expect([tails.dropped, feeds.dropped]).toEqual([["b", "c", "a"], []]);
    body.set(81);
    expect(feeds.dropped).toEqual(["large"]);
    expect([tails.room.bytes, feeds.room.bytes, budget.bytes]).toEqual([0, 5, 86]);
  });

  it("[BND-23] makes room from spare data, and from nothing else", () => {
    const { budget, bodies } = isolate();
    const { add, dropped, room } = spares(budget, "oldest");
    bodies.hold(never).set(50);
    add("a", 30);
    expect([budget.makeRoom(20), dropped]).toEqual([true, []]);
    expect([budget.makeRoom(50), dropped]).toEqual([true, ["a"]]);
    expect(budget.makeRoom(51)).toBe(false);
    add("b", 30);
    expect([room.makeRoom(50), room.size]).toEqual([true, 0]);
    expect(room.makeRoom(51)).toBe(false);
  });

  it("[BND-23] spare data never exceeds the bound: it is dropped itself if nothing else is", () => {
    const { budget, bodies } = isolate();
    const { add, dropped, room } = spares(budget, "oldest");
    bodies.hold(never).set(90);
    add("a", 20);
    expect([dropped, room.bytes, budget.bytes]).toEqual([["a"], 0, 90]);
  });

  it("[BND-23] a holder that cannot be dropped is refused, and keeps what it has", () => {
    const { budget, bodies, answers } = isolate();
    const fixed = bodies.holdFixed();
    fixed.set(30);
    const gone: string[] = [];
    answers.hold(() => gone.push("answer")).set(60);
    fixed.set(41);
    expect(gone).toEqual(["answer"]);
    answers.holdFixed().set(50);
    expect(() => fixed.set(60)).toThrow("all data in memory takes 110 bytes");
    expect([fixed.bytes, budget.bytes]).toEqual([41, 91]);
    expect(() => fixed.set(91)).toThrow("bodies take 91 bytes, the bound is 90");
    fixed.set(50);
    expect(fixed.bytes).toBe(50);
  });

  it("[BND-23] existing data is counted, whatever the bound; the next holder feels it", () => {
    const { budget, bodies, answers } = isolate();
    const fixed = bodies.holdFixed();
    fixed.note(120);
    expect(budget.bytes).toBe(120);
    expect(() => answers.hold(never).set(1)).toThrow("all data in memory takes 121");
    expect(budget.bytes).toBe(120);
    fixed.release();
    answers.hold(never).set(1);
    expect(budget.bytes).toBe(1);
  });

  it("[BND-24] a holder that has not moved for long does not count, in whichever ledger, until it moves again", () => {
    const { budget, bodies, answers } = isolate();
    const [killed, fixed, lives] = [bodies.hold(never), answers.holdFixed(), answers.hold(never)];
    killed.set(40);
    fixed.set(30);
    lives.set(20);
    nowMs += HOLDER_SILENT_MS;
    lives.note(20);
    nowMs += 1;
    const next = bodies.hold(never);
    expect(budget.bytes).toBe(20);
    next.set(80);
    fixed.note(30);
    expect(budget.bytes).toBe(130);
  });

  it("[BND-24] [CLK-3] a clock that is set back hides no holder that has not moved for long", () => {
    const { budget, bodies, answers } = isolate();
    const [killed, later] = [bodies.hold(never), answers.hold(never)];
    killed.set(40);
    nowMs -= 24 * 60 * HOLDER_SILENT_MS;
    bodies.hold(never);
    later.set(20);
    expect(budget.bytes).toBe(60);
    nowMs += HOLDER_SILENT_MS + 1;
    later.note(20);
    bodies.hold(never);
    expect(budget.bytes).toBe(20);
  });

  it("[BND-24] spare data without an owner no longer counts", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const budget = new Budget(100, () => 0);
    const room = new SpareRoom("oldest", budget);
    (() => room.add({ drop: never }).set(60))();
    expect(budget.bytes).toBe(60);
    while (budget.bytes > 0) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      collect();
    }
    expect([room.size, room.bytes]).toEqual([0, 0]);
  });

  it("[BND-23] forgets everything at once, as a new isolate has nothing", () => {
    const { budget, bodies } = isolate();
    const { add } = spares(budget, "oldest");
    const body = bodies.hold(never);
    body.set(50);
    add("a", 10);
    budget.forgetEverything();
    expect([budget.bytes, bodies.bytes, body.bytes]).toEqual([0, 0, 0]);
  });
});
