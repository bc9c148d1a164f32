// The records of one partition on their way to its handler, as a state machine. It runs nothing itself: the consumer
// reports events to it and asks for the next step.
//
//     open ←— pause, resume —→ paused     open, paused —— stop ——→ stopping     any —— end ——→ gone
//
// A partition is busy while application code works on it: one handler, or callbacks. Its next step waits until they
// end. A partition that is gone (given up or lost) has no next step.
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";

export type HandlerState = "open" | "paused" | "stopping" | "gone";

/** The next step: handle the result of `take`, release the partition, or wait for another event. */
export type NextStep = "handle" | "release" | "wait";

export interface Delivery {
  /** The attach that delivered the records. It is passed back with `processed`. */
  readonly attachId: number;
  readonly records: readonly ConsumerRecord[];
}

export class HandlerQueue {
  readonly place: TopicPartition;
  /** Takes back the record that waits for a loop which has not reached it. Its handler then returns ABANDONED. */
  abandon: (() => void) | undefined;
  #state: HandlerState = "open";
  #waiting: Delivery[] = [];
  /** The delivery that a handler works on. A seek or a stop drops the rest of it. */
  #current: Delivery | undefined;
  /** The number of working handlers (at most one) and callbacks. */
  #busy = 0;

  constructor({ topic, partition }: TopicPartition) {
    this.place = { topic, partition };
  }

  get state(): HandlerState {
    return this.#state;
  }

  get isBusy(): boolean {
    return this.#busy > 0;
  }

  get next(): NextStep {
    if (this.#busy > 0) return "wait";
    if (this.#state === "stopping") return "release";
    return this.#state === "open" && this.#waiting.length > 0 ? "handle" : "wait";
  }

  /** Notes that application code starts to work on the partition. */
  enter(): void {
    this.#busy++;
  }

  leave(): void {
    this.#busy--;
  }

  /** Queues records. If the partition is stopping, they are never taken. */
  add(delivery: Delivery): void {
    this.#waiting.push(delivery);
  }

  /** Takes the next delivery to handle. Undefined if there is none, or the partition is not open. */
  take(): Delivery | undefined {
    this.#current = this.#state === "open" ? this.#waiting.shift() : undefined;
    return this.#current;
  }

  /** Returns true if the record at `index` of the current delivery may be handled. If paused, the rest waits. */
  mayHandle(index: number): boolean {
    if (this.#state === "paused") this.putBack(index);
    return this.#current !== undefined;
  }

  /** Puts the current delivery back in the queue, from `index` on. */
  putBack(index: number): void {
    if (this.#current === undefined) return; // A seek or a stop has dropped it.
    const { attachId, records } = this.#current;
    this.#waiting.unshift({ attachId, records: records.slice(index) });
    this.#current = undefined;
  }

  pause(): void {
    if (this.#state === "open") this.#state = "paused";
    this.abandon?.();
  }

  resume(): void {
    if (this.#state === "paused") this.#state = "open";
  }

  /** Drops the records that were read before a seek. */
  seek(): void {
    this.#waiting = [];
    this.#current = undefined;
    this.abandon?.();
  }

  /**
   * Stops the partition, because it is revoked or the consumer closes. It is released after the record, or the batch,
   * in progress.
   */
  stop(): void {
    if (this.#state !== "gone") this.#state = "stopping";
    this.seek();
  }

  /** Ends the partition, because it was given up or lost. A handler that still works on it no longer counts. */
  end(): void {
    this.#state = "gone";
    this.stop();
  }
}
