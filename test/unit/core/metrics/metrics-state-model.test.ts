// Counters under chance. Objects live, die and live again, and snapshots come twice and late. The MetricsObject is evicted
// with and without having stored its state.
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_METRICS_LIVES } from "../../../../src/core/limits.ts";
import { MetricsState } from "../../../../src/core/metrics/metrics-state.ts";
import type { AnySnapshot } from "../../../../src/core/metrics/snapshot.ts";
import { NO_USAGE } from "../../../../src/core/metrics/usage.ts";
import { runs } from "../../../support/effort.ts";
import { groupSnapshot, partitionSnapshot, START_MS } from "../../../support/metrics-snapshots.ts";

const OBJECTS = ["orders/0", "orders/1", "clicks/0", "billing"];

interface Life {
  readonly object: string;
  readonly name: string;
  count: number;
  rows: number;
}

/** A snapshot in flight. It is made when it is sent. */
function snapshotOf({ object, name, count, rows }: Life): AnySnapshot {
  const told = { life: name, usage: { ...NO_USAGE, rowsWritten: rows } };
  const [topic = "", partition] = object.split("/");
  if (partition === undefined)
    return groupSnapshot({
      ...told,
      groupId: object,
      commitsTotal: count,
      lost: { silent: count },
    });
  const place = { topic, topicId: topic, partition: Number(partition) };
  return partitionSnapshot({ ...told, ...place, appendedRecords: count, logEndOffset: count });
}

class World {
  readonly lives: Life[] = [];
  readonly #pending: { object: string; snapshot: AnySnapshot }[] = [];
  #state = new MetricsState();
  #stored: string[] = [];
  #shown = new Map<string, number>();
  #nowMs = START_MS;

  live(object: string): void {
    const before = this.lives.filter((life) => life.object === object).length;
    if (before >= MAX_METRICS_LIVES) return;
    this.lives.push({ object, name: `${object} ${before}`, count: 0, rows: 0 });
  }

  work(object: string, records: number): void {
    const life = this.lives.findLast((each) => each.object === object);
    if (life === undefined) return;
    life.count += records;
    life.rows += 1;
  }

  send(pick: number): void {
    const life = this.lives[pick % Math.max(1, this.lives.length)];
    if (life !== undefined) this.#pending.push({ object: life.object, snapshot: snapshotOf(life) });
  }

  /** One of those in flight arrives. It may arrive again. */
  deliver(pick: number, again: boolean): void {
    const i = pick % Math.max(1, this.#pending.length);
    const next = this.#pending[i];
    if (next === undefined) return;
    if (!again) this.#pending.splice(i, 1);
    this.#tell(next.object, next.snapshot);
  }

  #tell(object: string, snapshot: AnySnapshot): void {
    this.#nowMs += 1_000;
    this.#state.take(this.#nowMs, object, snapshot);
  }

  store(): void {
    this.#stored = this.#state.toJSON();
  }

  evict(): void {
    this.#state = MetricsState.fromJSON(this.#stored);
  }

  /** Displayed values are stored before. */
  scrape(): void {
    this.store();
    const totals = this.totals();
    for (const [name, before] of this.#shown)
      expect(totals.get(name) ?? 0, name).toBeGreaterThanOrEqual(before);
    this.#shown = totals;
  }

  totals(): Map<string, number> {
    const totals = new Map<string, number>();
    for (const directory of [this.#state.topics, this.#state.groups])
      for (const entry of directory.all())
        for (const key of ["appendedRecords", "commits", "lost/silent", "rowsWritten", "wakeups"])
          totals.set(`${entry.label} ${key}`, entry.total(key));
    return totals;
  }

  /** Every life reports its final counts once more. */
  settle(): void {
    for (const life of this.lives) this.#tell(life.object, snapshotOf(life));
  }

  /** The truth. */
  countedBy(name: string, figure: (life: Life) => number): number {
    const lives = this.lives.filter(({ object }) => object.split("/")[0] === name);
    return lives.reduce((sum, life) => sum + figure(life), 0);
  }
}

const object = fc.constantFrom(...OBJECTS);
const act = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("live" as const), object }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("work" as const), object, records: fc.nat(9) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), pick: fc.nat(99) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("deliver" as const),
      pick: fc.nat(99),
      again: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("store" as const, "evict" as const, "scrape" as const),
    }),
  },
);

function run(
  world: World,
  acts: readonly (typeof act extends fc.Arbitrary<infer T> ? T : never)[],
) {
  for (const each of acts) {
    if (each.do === "live") world.live(each.object);
    else if (each.do === "work") world.work(each.object, each.records);
    else if (each.do === "send") world.send(each.pick);
    else if (each.do === "deliver") world.deliver(each.pick, each.again);
    else world[each.do]();
  }
}

test("[MET-3] [MET-4] what was shown never falls, and reaches what all lives have counted", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120, size: "max" }), (acts) => {
      const world = new World();
      run(world, acts);
      world.scrape();
      world.settle();
      world.scrape();
      const totals = world.totals();
      for (const name of ["orders", "clicks"])
        expect(totals.get(`${name} appendedRecords`) ?? 0).toBe(
          world.countedBy(name, ({ count }) => count),
        );
      for (const key of ["commits", "lost/silent"])
        expect(totals.get(`billing ${key}`) ?? 0).toBe(
          world.countedBy("billing", ({ count }) => count),
        );
      for (const name of ["orders", "clicks", "billing"]) {
        expect(totals.get(`${name} rowsWritten`) ?? 0).toBe(
          world.countedBy(name, ({ rows }) => rows),
        );
        expect(totals.get(`${name} wakeups`) ?? 0).toBe(world.countedBy(name, () => 1));
      }
    }),
    runs(300),
  );
});
