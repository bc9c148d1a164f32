// Every delivery of a run, by partition, and the figures derived from them.

export interface Delivery {
  readonly atMs: number;
  readonly member: number;
  /** From the record's production until its handler was called. */
  readonly delayMs: number;
}

export interface Taken {
  readonly atMs: number;
  readonly member: number;
  readonly partitions: readonly number[];
}

export class Deliveries {
  readonly #byPartition: Delivery[][];
  /** The partitions that members were told to give up. */
  readonly taken: Taken[] = [];
  /** Anything that should not happen here: lost partitions, errors. */
  readonly troubles: string[] = [];

  constructor(partitions: number) {
    this.#byPartition = Array.from({ length: partitions }, () => []);
  }

  add(partition: number, delivery: Delivery): void {
    this.#byPartition[partition]?.push(delivery);
  }

  get partitions(): readonly number[] {
    return [...this.#byPartition.keys()];
  }

  isFlowing(sinceMs: number): boolean {
    return this.#byPartition.every((list) => (list.at(-1)?.atMs ?? 0) > sinceMs);
  }

  /** The member that received the last delivery before `atMs`. */
  ownerAt(partition: number, atMs: number): number | undefined {
    return this.#byPartition[partition]?.findLast((delivery) => delivery.atMs <= atMs)?.member;
  }

  /**
   * The longest time without a delivery that ends in the window, wherever it began: the effect of the change must not count
   * as before it. One that lasts beyond the window counts up to its end.
   */
  longestGapMs(partition: number, fromMs: number, toMs: number): number {
    let longest = 0;
    let beforeMs: number | null = null;
    for (const { atMs } of this.#byPartition[partition] ?? []) {
      if (beforeMs !== null && atMs >= fromMs && beforeMs <= toMs)
        longest = Math.max(longest, Math.min(atMs, toMs) - beforeMs);
      beforeMs = atMs;
    }
    return beforeMs === null || beforeMs > toMs ? longest : Math.max(longest, toMs - beforeMs);
  }

  /** From production to handler, of every record handled in the window. */
  delaysMs(partition: number, fromMs: number, toMs: number): number[] {
    return (this.#byPartition[partition] ?? [])
      .filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
      .map(({ delayMs }) => delayMs);
  }

  /** From the last delivery at the old owner to the first at the new one, for the first move after `fromMs`. */
  pauseMs(partition: number, fromMs: number): number | null {
    const list = this.#byPartition[partition] ?? [];
    const first = list.findIndex(
      ({ atMs, member }, index) => atMs >= fromMs && member !== list[index - 1]?.member,
    );
    const [last, next] = [list[first - 1], list[first]];
    return last === undefined || next === undefined ? null : next.atMs - last.atMs;
  }
}
