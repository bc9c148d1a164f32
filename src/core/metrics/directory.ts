// Whose sums have a name. There are only so many names: topics and groups that come later are summed together.
//
// A sum never falls as long as it is shown. So one that has found no name keeps what it has counted with the others, and
// one that gets a name later begins there at zero.
import { MAX_METRICS_TOPIC_IDS } from "../limits.ts";
import { CounterMap, OTHER } from "./counters.ts";

/** The sums of one topic, of one group or of one class of objects. */
export class Entry {
  readonly label: string;
  /** By the class of the object that has counted. */
  readonly counters = new Map<string, CounterMap>();
  /** The ids that a topic of this name has, or had until its deletion was heard of. */
  readonly ids = new Set<string>();
  /** Remembered objects that count here. */
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

  /** The sum of a counter over all classes. */
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
  /** Called with an entry that is no longer shown. */
  readonly #dropped: (entry: Entry) => void;
  /** Everybody without a name of their own. A topic or group that is called so is one of them. */
  readonly other = new Entry(OTHER);

  constructor(max: number, dropped: (entry: Entry) => void) {
    this.#max = max;
    this.#dropped = dropped;
  }

  /** Returns the entry of a name. A new name takes the place of one that no object is remembered of, or has none. */
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

  /** Returns the entries sorted by name, the one of those without a name at the end, if there is anything in it. */
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
