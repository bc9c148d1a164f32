// The delivery states of consecutive offsets, as few ranges as possible. Every offset from `start` to `end` is in exactly one
// range. Neighbors that are alike are merged.
import { assert } from "../assert.ts";

/**
 * The state of a record for one share group (KIP-932). Acknowledged and archived records are finished: they are never
 * delivered again. An archiving record is never delivered again either, but its dead letter is not written yet.
 */
export type DeliveryState = "available" | "acquired" | "acknowledged" | "archiving" | "archived";

/** A time that begins at `sinceMs` and ends `forMs` later, or when the clock is set back. */
export interface Wait {
  readonly sinceMs: number;
  readonly forMs: number;
}

/** The part of a range that is the same for all of its records. */
export interface Delivery {
  readonly state: DeliveryState;
  /** The number of deliveries so far. 0 for finished records. */
  readonly deliveryCount: number;
  /** The holder of acquired records. */
  readonly holder?: string;
  /** The lock of acquired records, or the delay of available ones. Absent for others, and without a delay. */
  readonly wait?: Wait;
  /** Why archiving records were given up. */
  readonly reason?: string;
}

export interface DeliveryRange extends Delivery {
  readonly first: number;
  /** The last offset, included. */
  readonly last: number;
}

export function isFinished({ state }: Delivery): boolean {
  return state === "acknowledged" || state === "archived";
}

export class ShareRanges {
  #start: number;
  #ranges: DeliveryRange[];

  /** `ranges` must be consecutive and begin at `start`. */
  constructor(start: number, ranges: readonly DeliveryRange[] = []) {
    this.#start = start;
    this.#ranges = [...ranges];
  }

  /** The first offset. */
  get start(): number {
    return this.#start;
  }

  /** The offset after the last one. */
  get end(): number {
    return (this.#ranges.at(-1)?.last ?? this.#start - 1) + 1;
  }

  get all(): readonly DeliveryRange[] {
    return this.#ranges;
  }

  /** Returns the ranges that have offsets from `first` to `last`, whole. */
  touching(first: number, last: number): readonly DeliveryRange[] {
    const from = this.#indexOf(first);
    let to = from;
    while (to < this.#ranges.length && (this.#ranges[to] as DeliveryRange).first <= last) to++;
    return this.#ranges.slice(from, to);
  }

  /** Gives the offsets from `first` to `last` a new state. Offsets before the start are left out. */
  set(first: number, last: number, change: (before: DeliveryRange) => Delivery): void {
    const begin = Math.max(first, this.#start);
    if (begin > last) return;
    assert(last < this.end, "ranges: the offsets to change are known");
    const from = this.#indexOf(begin);
    const changed: DeliveryRange[] = [];
    let to = from;
    for (; to < this.#ranges.length; to++) {
      const range = this.#ranges[to] as DeliveryRange;
      if (range.first > last) break;
      const inner = { first: Math.max(range.first, begin), last: Math.min(range.last, last) };
      if (range.first < inner.first) changed.push({ ...range, last: inner.first - 1 });
      changed.push({ ...change(range), ...inner });
      if (range.last > inner.last) changed.push({ ...range, first: inner.last + 1 });
    }
    // The neighbors may be like the changed ranges by now.
    const before = from > 0 ? from - 1 : from;
    const after = Math.min(to + 1, this.#ranges.length);
    const around = [
      ...this.#ranges.slice(before, from),
      ...changed,
      ...this.#ranges.slice(to, after),
    ];
    this.#ranges.splice(before, after - before, ...merged(around));
  }

  /** Adds the offsets from the end to `last`. */
  append(last: number, delivery: Delivery): void {
    const range = { ...delivery, first: this.end, last };
    if (range.first > last) return;
    const tail = this.#ranges.at(-1);
    this.#ranges.splice(-1, 1, ...merged(tail === undefined ? [range] : [tail, range]));
  }

  /** Removes the finished ranges at the start, and returns them. */
  dropFinished(): readonly DeliveryRange[] {
    let count = 0;
    while (count < this.#ranges.length && isFinished(this.#ranges[count] as DeliveryRange)) count++;
    const end = this.end;
    const dropped = this.#ranges.splice(0, count);
    this.#start = this.#ranges[0]?.first ?? end;
    return dropped;
  }

  /** Returns the index of the range with this offset, or of the first one after it. */
  #indexOf(offset: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle] as DeliveryRange).last < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Merges neighbors that are alike. */
export function merged(ranges: readonly DeliveryRange[]): DeliveryRange[] {
  const result: DeliveryRange[] = [];
  for (const range of ranges) {
    const before = result.at(-1);
    if (before !== undefined && isAlike(before, range))
      result[result.length - 1] = { ...before, last: range.last };
    else result.push(range);
  }
  return result;
}

function isAlike(one: Delivery, other: Delivery): boolean {
  return (
    one.state === other.state &&
    one.deliveryCount === other.deliveryCount &&
    one.holder === other.holder &&
    one.reason === other.reason &&
    one.wait?.sinceMs === other.wait?.sinceMs &&
    one.wait?.forMs === other.wait?.forMs
  );
}
