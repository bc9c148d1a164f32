// The actions of the processes, as they saw them. The invariants that must hold at any moment are DESIGN invariants 1, 3, 4
// and 6, from outside. The objects are watched by partition-checker.ts and group-checker.ts.

export interface Place {
  readonly topic: string;
  readonly partition: number;
}

export interface Acknowledged extends Place {
  readonly value: string;
  readonly offset: number;
}

/** A process that handles records, in one of its lives. */
export interface HandlerOf {
  readonly name: string;
  readonly group: string;
  /** A client of the SDK: it promises that nothing is handled after another member got `assigned`. */
  readonly isSdk: boolean;
}

/** A group's reading of one partition. */
interface Reading {
  /** The offset after the last one that anybody has begun to handle, without a gap; null before the first. */
  frontier: number | null;
  /** The last one to get `assigned`, among those of the SDK: news to a plain client may be old. */
  holder: HandlerOf | null;
  /** The next record of each. */
  readonly expected: Map<HandlerOf, number>;
  /** The holder gave the partition up in good order: where the next one must begin. */
  handedOver: number | null;
  readonly handled: Set<number>;
}

function nameOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}

export class History {
  readonly findings: string[] = [];
  readonly acknowledged: Acknowledged[] = [];
  readonly sent = new Set<string>();
  readonly counts = { sent: 0, acknowledged: 0, handled: 0, again: 0, assigned: 0, lost: 0 };
  /** A clock that the consumers cannot see has jumped: a group may have given partitions away early. */
  isClockTrusted = true;
  /** Partitions in which somebody else appended under a producer's id. */
  readonly #forged = new Set<string>();
  /** Group and topic whose committed offsets may jump: reset from outside, or the records were deleted. */
  readonly #volatile = new Set<string>();
  /** Groups whose committed offsets somebody set by hand. */
  readonly #moved = new Set<string>();
  readonly #readings = new Map<string, Reading>();
  readonly #values = new Map<string, string>();
  readonly #order = new Map<string, { readonly number: number; readonly offset: number }[]>();
  readonly #committedOf: (group: string, place: Place) => number | null;

  /**
   * [GRP-8] By group and name: static members whose name was taken over. They may not know it yet: only the partitions and
   * the commits are fenced.
   */
  readonly #replaced = new Set<string>();
  readonly #note: (line: string) => void;

  constructor(
    committedOf: (group: string, place: Place) => number | null,
    note: (line: string) => void,
  ) {
    this.#committedOf = committedOf;
    this.#note = note;
  }

  find(finding: string): void {
    if (this.findings.length < 20) this.findings.push(finding);
  }

  /** From now on committed offsets in the topic may jump, and offsets may be given out again. */
  setVolatile(topic: string): void {
    this.#volatile.add(topic);
  }

  isVolatile(topic: string): boolean {
    return this.#volatile.has(topic);
  }

  /**
   * Somebody else appends here under a producer's id, at its next sequence. The producer's own append at that sequence is
   * rejected and later ones are accepted, so its sends may be in another order. Five such appends displace its last ones
   * from what the partition recognizes, so one with a lost response may be stored twice.
   */
  forge(place: Place): void {
    this.#forged.add(nameOf(place));
  }

  reading(group: string, { topic, partition }: Place): Reading {
    const key = `${group} ${topic}/${partition}`;
    let reading = this.#readings.get(key);
    if (reading === undefined) {
      reading = {
        frontier: null,
        holder: null,
        expected: new Map(),
        handedOver: null,
        handled: new Set(),
      };
      this.#readings.set(key, reading);
    }
    return reading;
  }

  /** `order`: of the sends of one SDK producer, which keeps it within a partition [PRD-2]. */
  acknowledge(
    acknowledged: Acknowledged,
    order: { readonly producer: string; readonly number: number } | null,
  ): void {
    this.counts.acknowledged++;
    this.acknowledged.push(acknowledged);
    const { topic, partition, offset } = acknowledged;
    const isOrdered = !this.isVolatile(topic) && !this.#forged.has(`${topic}/${partition}`);
    if (order !== null && isOrdered) {
      const line = `${order.producer} in ${topic}/${partition}`;
      const acknowledgedBefore = this.#order.get(line) ?? [];
      this.#order.set(line, acknowledgedBefore);
      for (const before of acknowledgedBefore)
        if (before.number < order.number !== before.offset < offset)
          this.find(
            `${line}: send ${order.number} at ${offset}, ${before.number} at ${before.offset}`,
          );
      acknowledgedBefore.push({ number: order.number, offset });
    }
    this.#same(acknowledged, acknowledged.offset, acknowledged.value, "acknowledged");
  }

  /** [1] The record at an offset never changes. */
  #same(place: Place, offset: number, value: string, what: string): void {
    if (this.isVolatile(place.topic)) return;
    const at = `${place.topic}/${place.partition}/${offset}`;
    const known = this.#values.get(at);
    if (known === undefined) this.#values.set(at, value);
    else if (known !== value) this.find(`${at} was ${known}, and is ${value} where ${what}`);
  }

  assigned(handler: HandlerOf, place: Place, offset: number): void {
    this.counts.assigned++;
    const reading = this.reading(handler.group, place);
    reading.frontier ??= offset;
    const at = `${handler.name} of ${handler.group} was assigned ${place.topic}/${place.partition} at ${offset}`;
    this.#note(at);
    reading.expected.set(handler, offset);
    if (this.#isReplaced(handler)) return;
    if (handler.isSdk && !this.isVolatile(place.topic)) {
      const committed = this.#committedOf(handler.group, place);
      // An offset beyond the log's end, set while the group was empty, is no place to begin.
      const isInLog =
        committed === 0 || this.#values.has(`${nameOf(place)}/${Number(committed) - 1}`);
      if (committed !== null && committed !== offset && isInLog)
        this.find(`${at}, but the group has committed ${committed}`);
      if (reading.frontier !== null && offset > reading.frontier)
        this.find(`${at}, but nobody has handled more than up to ${reading.frontier}`);
      if (reading.handedOver !== null && offset !== reading.handedOver)
        this.find(`${at}, but it was handed over at ${reading.handedOver}`);
    }
    if (handler.isSdk) reading.holder = handler;
    reading.handedOver = null;
  }

  /** A record is about to be handled. */
  handling(handler: HandlerOf, place: Place, offset: number, value: string): void {
    this.counts.handled++;
    this.#same(place, offset, value, `${handler.name} read it`);
    const reading = this.reading(handler.group, place);
    const at = `${handler.name} of ${handler.group} handles ${place.topic}/${place.partition}/${offset}`;
    if (reading.handled.has(offset)) this.counts.again++;
    reading.handled.add(offset);
    this.#note(at);
    if (this.isVolatile(place.topic)) return;
    const isExclusive = handler.isSdk && this.isClockTrusted && !this.#isReplaced(handler);
    if (isExclusive && reading.holder !== handler)
      this.find(`${at}, but the partition is ${reading.holder?.name ?? "nobody"}'s`);
    const expected = reading.expected.get(handler);
    if (offset !== expected) this.find(`${at}, but its next offset is ${expected ?? "not known"}`);
    reading.expected.set(handler, offset + 1);
    reading.frontier = Math.max(reading.frontier ?? 0, offset + 1);
  }

  /** The member was asked to give the partition up, has handled the records it had in hand, and lives. */
  handedOver(handler: HandlerOf, place: Place, nextOffset: number): void {
    this.#note(`${handler.name} lets ${place.topic}/${place.partition} go at ${nextOffset}`);
    const reading = this.reading(handler.group, place);
    if (reading.holder === handler && !this.#isReplaced(handler)) reading.handedOver = nextOffset;
  }

  /** The partition is no longer the member's, usually because it is no longer a member. */
  lost(handler: HandlerOf, place: Place): void {
    this.counts.lost++;
    this.#note(`${handler.name} has lost ${place.topic}/${place.partition}`);
    this.died(handler);
  }

  /** The group has removed a member, which may not know: what it handed over may not have arrived. */
  removed(group: string, name: string | null, isReplaced: boolean): void {
    if (isReplaced) this.#replaced.add(`${group} ${name}`);
    for (const { holder } of this.#readings.values())
      if (holder !== null && holder.group === group && holder.name === name) this.died(holder);
  }

  /** The group has a new member. One whose name was taken over may have taken it back. */
  joined(group: string, name: string | null): void {
    this.#replaced.delete(`${group} ${name}`);
  }

  #isReplaced({ group, name }: HandlerOf): boolean {
    return this.#replaced.has(`${group} ${name}`);
  }

  /** The group's committed offsets were set from outside while nobody read with it: it may have skipped records. */
  moved(group: string): void {
    this.#moved.add(group);
    for (const [key, reading] of this.#readings)
      if (key.startsWith(`${group} `)) reading.handedOver = null;
  }

  /** A record that it was about to hand over may not have arrived. */
  died(handler: HandlerOf): void {
    for (const reading of this.#readings.values())
      if (reading.holder === handler) reading.handedOver = null;
  }

  /** At the end: [1] [2] [6] of the content of the logs, and [3] that everybody has had everything. */
  checkLogs(logs: ReadonlyMap<string, readonly string[]>, groups: readonly string[]): void {
    const seen = new Map<string, string>();
    for (const [at, values] of logs) {
      for (const [offset, value] of values.entries()) {
        const before = seen.get(value);
        if (before !== undefined && !this.#forged.has(at))
          this.find(`${value} is stored twice: ${before}, ${at}/${offset}`);
        seen.set(value, `${at}/${offset}`);
        if (!this.sent.has(value)) this.find(`${at}/${offset} is ${value}, which nobody sent`);
        const known = this.isVolatile(at.slice(0, at.lastIndexOf("/")))
          ? undefined
          : this.#values.get(`${at}/${offset}`);
        if (known !== undefined && known !== value)
          this.find(`${at}/${offset} was ${known}, and is ${value} in the log`);
      }
      for (const group of groups) this.#checkRead(group, at, values.length);
    }
    for (const { value, topic, partition, offset } of this.acknowledged) {
      if (this.isVolatile(topic)) continue;
      const found = logs.get(`${topic}/${partition}`)?.[offset];
      if (found !== value)
        this.find(
          `${value} was acknowledged at ${topic}/${partition}/${offset}; there is ${found}`,
        );
    }
  }

  #checkRead(group: string, at: string, end: number): void {
    if (this.#moved.has(group) || this.isVolatile(at.slice(0, at.lastIndexOf("/")))) return;
    const reading = this.#readings.get(`${group} ${at}`);
    for (let offset = 0; offset < end; offset++) {
      if (reading?.handled.has(offset)) continue;
      this.find(`${group} never handled ${at}/${offset}`);
      return;
    }
  }
}
