// Sums by name. The number of names is bounded: further topics and groups are summed together.
//
// A shown sum never decreases. So an object without a name of its own leaves its counts with the others, and starts at
// zero when it gets a name later.
import { MAX_METRICS_TOPIC_IDS } from "../limits.ts";
import { CounterMap, OTHER } from "./counters.ts";

/** The sums of one topic, one group or one class of objects. */
export class Entry {
  readonly label: string;
  /** By the class of the counting object. */
  readonly counters = new Map<string, CounterMap>();
  /** The topic ids with this name, including those whose deletion has not been reported yet. */
  readonly ids = new Set<string>();
  /** The number of remembered objects that count here. */
  objects = 0;

  constructor(label: string) {
    this.label = label;
  }

  countersOf(kind: string): CounterMap {
    const known = this.counters.get(kind);
    if (known !== undefined) return known;
    const counters = new CounterMap();
    this.counters.set(kind, counters);
    return counters;
  }

  /** Returns the sum of a counter over all classes. */
  total(key: string): number {
    let sum = 0;
    for (const counters of this.counters.values()) sum += counters.get(key);
    return sum;
  }

  addId(id: string): void {
    if (this.label === OTHER) return;
    this.ids.delete(id);
    this.ids.add(id);
    for (const oldest of this.ids) {
      if (this.ids.size <= MAX_METRICS_TOPIC_IDS) break;
      this.ids.delete(oldest);
    }
  }
}

export class Directory {
  readonly #max: number;
  readonly #entries = new Map<string, Entry>();
  /** Called with each entry that is no longer shown. */
  readonly #dropped: (entry: Entry) => void;
  /** The entry of all objects without a name of their own. A topic or group that is named like it belongs to it too. */
  readonly other = new Entry(OTHER);

  constructor(max: number, dropped: (entry: Entry) => void) {
    this.#max = max;
    this.#dropped = dropped;
  }

  /**
   * Returns the entry of a name. A new name replaces one without remembered objects. If there is none, the common entry
   * is returned.
   */
  entryOf(name: string): Entry {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    if (name === OTHER) return this.other;
    if (this.#entries.size >= this.#max && !this.#freePlace()) return this.other;
    const entry = new Entry(name);
    this.#entries.set(name, entry);
    return entry;
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** Returns the entries sorted by name. The common entry comes last, if it has counted anything. */
  all(): Entry[] {
    const named = [...this.#entries.values()].sort((a, b) => (a.label < b.label ? -1 : 1));
    return this.other.counters.size === 0 ? named : [...named, this.other];
  }

  remove(entry: Entry): void {
    if (this.#entries.get(entry.label) !== entry) return;
    this.#entries.delete(entry.label);
    this.#dropped(entry);
  }

  #freePlace(): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.objects > 0) continue;
      this.remove(entry);
      return true;
    }
    return false;
  }
}
