// The records of one partition on their way to its handler, as a state machine. It runs nothing itself: the consumer
// tells it what happens and asks what may happen next.
//
//     open ←— pause, resume —→ paused     open, paused —— stop ——→ stopping     any —— end ——→ gone
//
// A partition is busy while code of the application is at work on it: one handler, or callbacks. Its next step waits
// until they have ended. One that is gone, given up or lost, has no next step.
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";

export type HandlerState = "open" | "paused" | "stopping" | "gone";

/** The next step: handle what `take` gives, give the partition up, or wait for another event. */
export type NextStep = "handle" | "release" | "wait";

export interface Delivery {
  /** The attachment that brought the records. `processed` passes it back. */
  readonly attachId: number;
  readonly records: readonly ConsumerRecord[];
}

export class HandlerQueue {
  readonly place: TopicPartition;
  /** Takes back the record that waits for a loop which has not come to it. Its handler then returns ABANDONED. */
  abandon: (() => void) | undefined;
  #state: HandlerState = "open";
  #waiting: Delivery[] = [];
  /** The delivery that a handler is at work on. A seek, or a stop, drops the rest of it. */
  #current: Delivery | undefined;
  /** The number of handlers (at most one) and callbacks at work. */
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

  /** Code of the application begins to work on the partition. */
  enter(): void {
    this.#busy++;
  }

  leave(): void {
    this.#busy--;
  }

  /** Queues records. Those of a partition that stops are never taken. */
  add(delivery: Delivery): void {
    this.#waiting.push(delivery);
  }

  /** Takes the next delivery to handle. Undefined if there is none, or the partition is not open. */
  take(): Delivery | undefined {
    this.#current = this.#state === "open" ? this.#waiting.shift() : undefined;
    return this.#current;
  }

  /** Returns whether the record at `index` of the current delivery may be handled. If paused, the rest waits. */
  mayHandle(index: number): boolean {
    if (this.#state === "paused") this.putBack(index);
    return this.#current !== undefined;
  }

  /** Makes the current delivery wait again, from `index` on. */
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

  /** Drops what was read before a seek. */
  seek(): void {
    this.#waiting = [];
    this.#current = undefined;
    this.abandon?.();
  }

  /** The partition is revoked, or the consumer closes. It is given up after the record, or the batch, in progress. */
  stop(): void {
    if (this.#state !== "gone") this.#state = "stopping";
    this.seek();
  }

  /** The partition was given up, or is lost. What a handler still does there no longer counts. */
  end(): void {
    this.#state = "gone";
    this.stop();
  }
}
