// A map whose entries are rows. It reads a row when its key is first requested, and all rows when somebody
// iterates. So waking up costs only what is needed, however much is stored. Changes are made in memory; the
// code that makes them also stores them in the same turn.

export interface RowSource<Key, Value> {
  /** Reads one row. */
  one(key: Key): Value | undefined;
  /** Reads all rows, in order. */
  all(): Iterable<readonly [Key, Value]>;
  /** True if there are rows. Reads at most one of them. Absent if that is no cheaper than reading all. */
  any?(): boolean;
}

export class StoredMap<Key, Value> extends Map<Key, Value> {
  /** Null once all rows have been read. */
  #source: RowSource<Key, Value> | null = null;
  /** The keys whose rows were looked up and missing, or deleted. */
  readonly #absent = new Set<Key>();

  constructor(source: RowSource<Key, Value>) {
    super();
    this.#source = source;
  }

  override get(key: Key): Value | undefined {
    const known = super.get(key);
    if (known !== undefined || this.#source === null || this.#absent.has(key)) return known;
    const read = this.#source.one(key);
    if (read === undefined) this.#absent.add(key);
    else super.set(key, read);
    return read;
  }

  override has(key: Key): boolean {
    return this.get(key) !== undefined;
  }

  /** True if there is no entry. It reads at most one row, unless entries were deleted since the rows were read. */
  get isEmpty(): boolean {
    if (super.size > 0) return false;
    const any = this.#absent.size === 0 ? this.#source?.any?.() : undefined;
    return any === undefined ? this.size === 0 : !any;
  }

  /** The values that are in memory. No row is read for them. */
  inMemory(): MapIterator<Value> {
    return super.values();
  }

  override set(key: Key, value: Value): this {
    this.#absent.delete(key);
    return super.set(key, value);
  }

  override delete(key: Key): boolean {
    const isThere = this.has(key);
    if (this.#source !== null) this.#absent.add(key);
    super.delete(key);
    return isThere;
  }

  override get size(): number {
    this.#readAll();
    return super.size;
  }

  override entries(): MapIterator<[Key, Value]> {
    this.#readAll();
    return super.entries();
  }

  override keys(): MapIterator<Key> {
    this.#readAll();
    return super.keys();
  }

  override values(): MapIterator<Value> {
    this.#readAll();
    return super.values();
  }

  override [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.entries();
  }

  override forEach(callback: (value: Value, key: Key, map: Map<Key, Value>) => void): void {
    this.#readAll();
    super.forEach(callback);
  }

  /**
   * Reads the rows that have not been read. The entries are then in the order of the rows, and new ones come
   * last. If reading fails, the map stays as it is.
   */
  #readAll(): void {
    if (this.#source === null) return;
    const rows = [...this.#source.all()];
    this.#source = null;
    const changed = new Map(super.entries());
    super.clear();
    for (const [key, value] of rows) {
      if (this.#absent.has(key)) continue;
      super.set(key, changed.get(key) ?? value);
    }
    for (const [key, value] of changed) super.set(key, value);
    this.#absent.clear();
  }
}
