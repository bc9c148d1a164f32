// A share partition over a log in memory, and the steps that tests take with it.
import {
  type Acknowledgement,
  type Acquired,
  type AcquireRequest,
  type LogBatch,
  type ShareLog,
  SharePartition,
} from "../../../../src/core/share/share-partition.ts";
import type { DeliveryRange } from "../../../../src/core/share/share-ranges.ts";
import type { ShareTerms } from "../../../../src/core/share/share-terms.ts";

export const DEAD_LETTERS = { topic: "dead", copies: true, creates: true };

export const TERMS: ShareTerms = {
  lockMs: 30_000,
  maxDeliveries: 5,
  maxLocks: 2_000,
  mayRenew: true,
  backoff: [],
  deadLetters: null,
  autoOffsetReset: "earliest",
};

/** A log of batches, each given by its first and last offset. */
export class MemoryShareLog implements ShareLog {
  logStartOffset = 0;
  logEndOffset = 0;
  readonly batches: LogBatch[] = [];

  append(records: number): void {
    const first = this.logEndOffset;
    this.logEndOffset += records;
    const bytes = new Uint8Array(records * 10);
    this.batches.push({ first, last: this.logEndOffset - 1, bytes, offsets: null });
  }

  /** Compaction removes a batch. */
  remove(first: number): void {
    const index = this.batches.findIndex((batch) => batch.first === first);
    this.batches.splice(index, 1);
  }

  /** Compaction leaves only these records of a batch. */
  thin(first: number, offsets: readonly number[]): void {
    const index = this.batches.findIndex((batch) => batch.first === first);
    this.batches[index] = { ...(this.batches[index] as LogBatch), offsets };
  }

  *batchesFrom(offset: number): Generator<LogBatch> {
    for (const batch of this.batches) if (batch.last >= offset) yield batch;
  }
}

export class ShareRig {
  readonly log = new MemoryShareLog();
  readonly share: SharePartition;
  nowMs = 1_000_000;

  constructor(
    terms: Partial<ShareTerms> = {},
    batches: readonly number[] = [10],
    ranges: readonly DeliveryRange[] = [],
  ) {
    this.share = new SharePartition(
      { startOffset: 0, epoch: 0, ranges, acknowledged: 0, archived: 0 },
      { ...TERMS, ...terms },
    );
    for (const records of batches) this.log.append(records);
  }

  /** Acquires record by record. Returns the ranges as "first-last×count". */
  acquire(holder: string, maxRecords = 500, request: Partial<AcquireRequest> = {}): string {
    return shown(this.acquired(holder, maxRecords, request));
  }

  acquired(holder: string, maxRecords = 500, request: Partial<AcquireRequest> = {}): Acquired {
    return this.share.acquire(
      {
        ...{ holder, maxRecords, maxBytes: 1_000_000, lockMs: this.share.terms.lockMs },
        ...{ takesWholeBatches: false, batchSize: Number.POSITIVE_INFINITY, ...request },
      },
      this.log,
      this.nowMs,
    );
  }

  /** Returns the error's name, or "ok". */
  ack(holder: string, ...acks: readonly Acknowledgement[]): string {
    const result = this.share.acknowledge(holder, acks, this.nowMs);
    return result.ok ? "ok" : result.error;
  }

  accept(holder: string, first: number, last = first): string {
    return this.ack(holder, { first, last, type: "accept" });
  }

  release(holder: string, first: number, last = first, delayMs?: number): string {
    return this.ack(holder, { first, last, type: "release", delayMs });
  }

  reject(holder: string, first: number, last = first, reason?: string): string {
    return this.ack(holder, { first, last, type: "reject", reason });
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.share.expire(this.nowMs);
  }

  /** The states, as "first-last state×count". */
  get states(): string[] {
    return this.share.ranges.map(stateOf);
  }
}

function stateOf({ first, last, state, deliveryCount, holder, reason }: DeliveryRange): string {
  const count = deliveryCount > 0 ? `×${deliveryCount}` : "";
  return [`${first}-${last} ${state}${count}`, holder, reason]
    .filter((part) => part !== undefined)
    .join(" ");
}

function shown({ ranges }: Acquired): string {
  return ranges
    .map(({ first, last, deliveryCount }) => `${first}-${last}×${deliveryCount}`)
    .join(" ");
}
