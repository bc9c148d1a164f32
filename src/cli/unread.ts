// The offsets that a consume with an end has still to read, by partition.
import type { TopicPartition } from "../sdk/index.ts";

export interface Range {
  readonly place: TopicPartition;
  next: number;
  /** The first offset that is not read. */
  readonly end: number;
}

export class Unread {
  readonly #ranges = new Map<string, Range>();

  /** The partitions that are not read to their ends. */
  get ranges(): readonly Range[] {
    return [...this.#ranges.values()];
  }

  get isEmpty(): boolean {
    return this.#ranges.size === 0;
  }

  /** The offsets that are left. Compaction may have removed the records of some. */
  get offsets(): number {
    return this.ranges.reduce((sum, { next, end }) => sum + end - next, 0);
  }

  /** Adds a partition. Returns false if there is nothing to read in it. */
  add(place: TopicPartition, next: number, end: number): boolean {
    const key = keyOf(place);
    if (next < end) this.#ranges.set(key, { place, next, end });
    else this.#ranges.delete(key);
    return next < end;
  }

  /** Notes that a partition is somebody else's now. */
  remove(place: TopicPartition): void {
    this.#ranges.delete(keyOf(place));
  }

  /** True if the offset comes before the end of its partition. */
  includes(place: TopicPartition, offset: number): boolean {
    const range = this.#ranges.get(keyOf(place));
    return range !== undefined && offset < range.end;
  }

  /** Notes that everything before `next` is read. Returns true if that is all of the partition. */
  readUpTo(place: TopicPartition, next: number): boolean {
    const range = this.#ranges.get(keyOf(place));
    if (range === undefined) return true;
    range.next = Math.max(range.next, next);
    if (range.next < range.end) return false;
    this.#ranges.delete(keyOf(place));
    return true;
  }
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
