// The lives of one object, and the counts of each.
//
// Counters of a life only grow, and the next life starts at zero. So the total of an object is the sum over its lives,
// and a snapshot adds its difference from the newest one of its life. Snapshots may be repeated, late, or alternate
// between two lives. They never reduce a total.
import { MAX_METRICS_LIVES } from "../limits.ts";
import { type Counters, readCounters } from "./counters.ts";

interface Life {
  readonly name: string;
  readonly counters: Map<string, number>;
}

export interface Advance {
  /** The increase over everything counted before. */
  readonly added: Counters;
  readonly isNewLife: boolean;
  /** True if the rest of the snapshot is the newest known state of the object. */
  readonly isNewest: boolean;
}

export class Lives {
  /** In the order of their first snapshot. */
  readonly #lives: Life[] = [];
  /** The life of the newest snapshot, and that snapshot's version. */
  #current = { name: "", version: 0 };

  /** The number of remembered counters. */
  get size(): number {
    return this.#lives.reduce((sum, { counters }) => sum + counters.size, 0);
  }

  /** `version` is a number of the object that rarely decreases, such as the end of its log. */
  advance(name: string, counters: Counters, version: number): Advance {
    const known = this.#lives.find((life) => life.name === name);
    const life = known ?? { name, counters: new Map<string, number>() };
    const added = advanceOf(life, counters);
    const isOlder = [...life.counters].some(([key, count]) => (counters[key] ?? 0) < count);
    const isNewest =
      known === undefined || (!isOlder && this.#isNewest(known, version, Object.keys(added)));
    for (const [key, more] of Object.entries(added))
      life.counters.set(key, (life.counters.get(key) ?? 0) + more);
    if (known === undefined) this.#lives.push(life);
    if (this.#lives.length > MAX_METRICS_LIVES) this.#lives.shift();
    if (isNewest) this.#current = { name, version };
    return { added, isNewLife: known === undefined, isNewest };
  }

  /**
   * A life that began before the current one may be over, with a late snapshot. Or it is the living one, and the first
   * snapshot of the current one was late. In the latter case it keeps counting, and its version is not lower.
   */
  #isNewest(life: Life, version: number, added: readonly string[]): boolean {
    if (life.name === this.#current.name) return true;
    if (added.length === 0) return false;
    const current = this.#lives.findIndex(({ name }) => name === this.#current.name);
    return this.#lives.indexOf(life) > current || version >= this.#current.version;
  }

  toJSON(): unknown {
    const lives = this.#lives.map(({ name, counters }) => [name, Object.fromEntries(counters)]);
    return { current: this.#current, lives };
  }

  static fromJSON(value: unknown): Lives {
    const restored = new Lives();
    const { current, lives } = (value ?? {}) as { current?: unknown; lives?: unknown };
    for (const each of Array.isArray(lives) ? lives.slice(-MAX_METRICS_LIVES) : []) {
      if (!Array.isArray(each) || typeof each[0] !== "string") continue;
      const counters = new Map(Object.entries(readCounters(each[1])));
      restored.#lives.push({ name: each[0], counters });
    }
    const { name, version } = (current ?? {}) as { name?: unknown; version?: unknown };
    if (typeof name === "string" && typeof version === "number")
      restored.#current = { name, version };
    return restored;
  }
}

function advanceOf(life: Life, counters: Counters): Counters {
  const added: Record<string, number> = {};
  for (const [key, count] of Object.entries(counters)) {
    const more = count - (life.counters.get(key) ?? 0);
    if (more > 0) added[key] = more;
  }
  return added;
}
