// A record that a share consumer holds, and the errors by which a handler says what becomes of it.
import type { TopicPartition } from "../../core/record.ts";

/** A record that the consumer holds. Say once what became of it. */
export type SharedRecord<Record> = Record &
  TopicPartition & {
    /** 1 for the first delivery. */
    readonly deliveryCount: number;
    /** It is done: it is never delivered again. @throws BrokerError INVALID_RECORD_STATE if it is not held any more */
    accept(): Promise<void>;
    /** Deliver it again: after `delayMs` (0 to 43,200,000), or after the group's back-off. @throws as `accept` */
    release(options?: { readonly delayMs?: number }): Promise<void>;
    /** Give it up: it becomes a dead letter, if the group has any. @throws as `accept` */
    reject(reason?: string): Promise<void>;
    /**
     * Begin the time of its lock again. This happens by itself, so it is only needed before the thread is blocked for
     * long: for `forMs` (1,000 to 43,200,000). @throws as `accept`
     */
    renew(options?: { readonly forMs?: number }): Promise<void>;
  };

/** Thrown by a handler to give a record up. */
export class RejectRecord extends Error {
  override readonly name = "RejectRecord";
}

/** Thrown by a handler to have a record delivered again after `delayMs`, and not after the group's back-off. */
export class ReleaseRecord extends Error {
  override readonly name = "ReleaseRecord";
  readonly delayMs: number;

  constructor(delayMs: number, message = "it is to be delivered again") {
    super(message);
    this.delayMs = delayMs;
  }
}

export interface ShareRunOptions {
  /** The most handlers that run at the same time, 1 to 1,000. @default maxInFlight */
  readonly concurrency?: number;
}
