// [SES-11] Bounds the records that a session in the Worker holds for its client, in all partitions together. A
// topic has up to 1,000 partitions, and each may have a batch of a few kilobytes that decompresses to
// megabytes.

import { MAX_SESSION_IN_HAND_BYTES } from "../../core/limits.ts";
import type { AssignedPartition } from "../../member/assigned-partition.ts";
import type { ConsumerDriver } from "../../member/consumer-driver.ts";
import type { IsFull } from "../../member/partition-readers.ts";

type Deliverer = Pick<ConsumerDriver, "pause" | "resume">;

export class SessionRoom {
  readonly #maxBytes: number;
  /** The partitions that wait for room, by key. The next one comes first. */
  #waiting = new Map<string, AssignedPartition>();
  /** The partitions that had their turn in the current round. Null between rounds. */
  #served: Set<string> | null = null;

  constructor(maxBytes = MAX_SESSION_IN_HAND_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Records of a paused partition do not count; otherwise they would block the other partitions. */
  readonly isFull: IsFull = (partitions, partition) => {
    const { key } = partition;
    const isItsTurn = this.#served !== null || this.#waiting.size === 0;
    if (isItsTurn && inHandBytes(partitions.values()) < this.#maxBytes) {
      this.#served?.add(key);
      return false;
    }
    this.#waiting.set(key, partition);
    return true;
  };

  /** Delivers from waiting partitions, as far as there is room. Call it whenever there may be more room. */
  serve(driver: Deliverer): void {
    if (this.#served !== null || this.#waiting.size === 0) return;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const served = new Set<string>();
    this.#served = served;
    for (const { isPaused, place } of waiting) {
      if (isPaused) continue;
      // A resumed partition is asked for the records that it holds.
      driver.pause(place);
      driver.resume(place);
    }
    this.#served = null;
    const still = [...this.#waiting];
    this.#waiting = new Map([
      ...still.filter(([key]) => !served.has(key)),
      ...still.filter(([key]) => served.has(key)),
    ]);
  }
}

function inHandBytes(partitions: Iterable<AssignedPartition>): number {
  let bytes = 0;
  for (const each of partitions) if (!each.isPaused) bytes += each.inHandBytes;
  return bytes;
}
