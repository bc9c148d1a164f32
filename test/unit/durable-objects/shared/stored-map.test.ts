// A map whose entries are rows: what it reads, when, and that it has what a plain map would have.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StoredMap } from "../../../../durable-objects/shared/stored-map.ts";

/** Rows, and the reads of them. */
class Rows {
  readonly rows: Map<string, number>;
  readonly reads: string[] = [];
  /** Every read fails with it if there is one. */
  error: Error | null = null;
  readonly map: StoredMap<string, number>;

  constructor(rows: Readonly<Record<string, number>>) {
    this.rows = new Map(Object.entries(rows));
    this.map = new StoredMap({
      one: (key) => {
        this.#note(key);
        return this.rows.get(key);
      },
      all: () => this.#all(),
      any: () => this.rows.size > 0,
    });
  }

  *#all(): Generator<[string, number]> {
    this.#note("all");
    for (const row of this.rows) {
      yield row;
      if (this.error !== null) throw this.error;
    }
  }

  #note(read: string): void {
    this.reads.push(read);
    if (this.error !== null && read !== "all") throw this.error;
  }
}

/** Each way to read all entries, as entries. */
const WHOLE: readonly [string, (map: Map<string, number>) => [string, number][]][] = [
  ["the map itself", (map) => [...map]],
  ["entries", (map) => [...map.entries()]],
  ["keys", (map) => Array.from(map.keys(), (key) => [key, map.get(key) ?? -1])],
  ["values", (map) => [...map.values()].map((value, i) => [[...map.keys()][i] ?? "", value])],
  [
    "forEach",
    (map) => {
      const entries: [string, number][] = [];
      map.forEach((value, key) => void entries.push([key, value]));
      return entries;
    },
  ],
  ["a copy", (map) => [...new Map(map)]],
];

describe("reading", () => {
  test("[GRP-11] a map that nobody reads reads nothing", () => {
    const { map, reads } = new Rows({ a: 1 });
    expect([...map.inMemory()]).toEqual([]);
    map.set("b", 2);
    expect([...map.inMemory()]).toEqual([2]);
    expect(reads).toEqual([]);
  });

  test("[GRP-11] one entry is one row, which is read once, even if it is missing", () => {
    const { map, reads } = new Rows({ a: 1, b: 2 });
    expect([map.get("a"), map.get("a"), map.has("a")]).toEqual([1, 1, true]);
    expect([map.get("x"), map.has("x"), map.has("y"), map.get("y")]).toEqual([
      ...[undefined, false, false, undefined],
    ]);
    expect(reads).toEqual(["a", "x", "y"]);
    expect([...map.inMemory()]).toEqual([1]);
  });

  test("[GRP-11] a falsy value is read once too", () => {
    const { map, reads } = new Rows({ a: 0 });
    expect([map.get("a"), map.has("a"), map.get("a")]).toEqual([0, true, 0]);
    expect(reads).toEqual(["a"]);
  });

  test.each(WHOLE)("[GRP-11] %s reads all rows, once", (_, look) => {
    const { map, reads } = new Rows({ a: 1, b: 2, c: 3 });
    expect(map.get("b")).toBe(2);
    for (let i = 0; i < 2; i++)
      expect(look(map)).toEqual([
        ["a", 1],
        ["b", 2],
        ["c", 3],
      ]);
    expect([map.size, map.get("a"), map.get("x"), map.delete("y")]).toEqual([
      ...[3, 1, undefined, false],
    ]);
    expect(reads).toEqual(["b", "all"]);
  });

  test("[GRP-11] the size reads all rows, as there is no other way to know it", () => {
    const { map, reads } = new Rows({ a: 1, b: 2 });
    map.set("c", 3);
    map.delete("a");
    expect(map.size).toBe(2);
    expect(reads).toEqual(["a", "all"]);
  });
});

describe("changes", () => {
  test("[GRP-3] made before the rows are read count, and keep the places of their rows", () => {
    const { map, reads } = new Rows({ a: 1, b: 2, c: 3 });
    map.set("z", 26).set("b", 20).set("x", 24);
    expect([map.get("b"), map.get("z")]).toEqual([20, 26]);
    expect(reads).toEqual([]);
    expect([...map]).toEqual([
      ["a", 1],
      ["b", 20],
      ["c", 3],
      ["z", 26],
      ["x", 24],
    ]);
  });

  test("[GRP-3] made after the rows are read count as in any map", () => {
    const { map } = new Rows({ a: 1, b: 2 });
    expect(map.size).toBe(2);
    map.set("a", 10).set("c", 3);
    expect([map.delete("b"), map.delete("b")]).toEqual([true, false]);
    expect([...map]).toEqual([
      ["a", 10],
      ["c", 3],
    ]);
  });

  test("[GRP-5] a row that was not read is gone once it is deleted, until it is set again", () => {
    const { map } = new Rows({ a: 1, b: 2 });
    expect([map.delete("a"), map.delete("a"), map.delete("x")]).toEqual([true, false, false]);
    expect([map.get("a"), map.has("a")]).toEqual([undefined, false]);
    expect([...map]).toEqual([["b", 2]]);
    const other = new Rows({ a: 1, b: 2 }).map;
    other.delete("a");
    other.set("a", 5);
    expect([other.get("a"), ...other]).toEqual([5, ["a", 5], ["b", 2]]);
  });

  test("[GRP-5] a row that is stored meanwhile, as it was set in memory, is there once", () => {
    const rows = new Rows({ a: 1 });
    rows.map.set("b", 2);
    rows.rows.set("b", 2);
    rows.map.delete("a");
    rows.rows.delete("a");
    expect([...rows.map]).toEqual([["b", 2]]);
  });
});

describe("a read that fails", () => {
  test("[ERR-1] leaves the map as it was, and is repeated on the next request", () => {
    const rows = new Rows({ a: 1, b: 2, c: 3 });
    const { map } = rows;
    map.set("b", 20).set("d", 4);
    map.delete("c");
    rows.error = new Error("disk gone");
    expect(() => map.get("a")).toThrow("disk gone");
    for (const [, look] of WHOLE) expect(() => look(map)).toThrow("disk gone");
    expect(() => map.size).toThrow("disk gone");
    expect([map.get("b"), map.get("c"), map.get("d")]).toEqual([20, undefined, 4]);
    rows.error = null;
    expect(map.get("a")).toBe(1);
    expect([...map]).toEqual([
      ["a", 1],
      ["b", 20],
      ["d", 4],
    ]);
  });
});

test("[GRP-3] whatever is asked and changed, it has what a plain map has", () => {
  const key = fc.constantFrom("a", "b", "c", "d", "e");
  const operation = fc.oneof(
    fc.record({ type: fc.constant("get" as const), key }),
    fc.record({ type: fc.constant("has" as const), key }),
    fc.record({ type: fc.constant("set" as const), key, value: fc.nat(3) }),
    fc.record({ type: fc.constant("set" as const), key, value: fc.nat(3) }),
    fc.record({ type: fc.constant("delete" as const), key }),
    fc.record({ type: fc.constant("size" as const) }),
    fc.record({ type: fc.constant("entries" as const) }),
  );
  type Operation = typeof operation extends fc.Arbitrary<infer Each> ? Each : never;
  const run = (map: Map<string, number>, each: Operation): unknown => {
    switch (each.type) {
      case "get":
        return map.get(each.key);
      case "has":
        return map.has(each.key);
      case "set":
        return map.set(each.key, each.value) === map;
      case "delete":
        return map.delete(each.key);
      case "size":
        return map.size;
      case "entries":
        return new Map(map);
    }
  };
  fc.assert(
    fc.property(fc.dictionary(key, fc.nat(3)), fc.array(operation), (rows, operations) => {
      const stored = new Rows(rows);
      const plain = new Map(stored.rows);
      for (const each of operations) expect(run(stored.map, each)).toEqual(run(plain, each));
      expect(new Map(stored.map)).toEqual(plain);
      const whole = stored.reads.indexOf("all");
      expect(whole, "all rows are read once, and none after that").toBe(stored.reads.length - 1);
      expect(new Set(stored.reads).size, "no row is read twice").toBe(stored.reads.length);
    }),
  );
});
