// One partition as one share group sees it (KIP-932): which records are available, who holds which, and what is finished.
// Everything here is synchronous and does no I/O. The object around it stores the state before anybody hears of it.
//
// Guarantees: A record has one holder at most [SHR-1]. It is delivered as often as the group's limit says, at most [SHR-2].
// Once it is acknowledged it is never delivered again [SHR-3].
import { dueMs } from "../elapsed.ts";
import { BrokerError, type Failure, fail, type Result } from "../errors.ts";
import { MAX_SHARE_RANGES, MAX_SHARE_REASON_CHARS } from "../limits.ts";
import {
  type Delivery,
  type DeliveryRange,
  isFinished,
  ShareRanges,
  type Wait,
} from "./share-ranges.ts";
import { backoffMs, type ShareTerms } from "./share-terms.ts";

/** The log as an acquisition reads it. */
export interface ShareLog {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /**
   * Yields the batches from the first one that ends at `offset` or later, in order. Throws CORRUPT_MESSAGE where it meets
   * damaged data.
   */
  batchesFrom(offset: number): Iterable<LogBatch>;
}

export interface LogBatch {
  readonly first: number;
  /** The last offset, included. */
  readonly last: number;
  readonly bytes: Uint8Array;
  /** The offsets of its records, ascending. Null if none was removed. Compaction removes some. */
  readonly offsets: readonly number[] | null;
}

export interface AcquireRequest {
  /** Names who gets the records. Only acknowledgements in this name count. */
  readonly holder: string;
  readonly maxRecords: number;
  /** At least one batch is returned, however large it is. */
  readonly maxBytes: number;
  /** The holder has the records for this time, unless it renews the lock. */
  readonly lockMs: number;
  /**
   * True if batches are not divided, so that `maxRecords` may be exceeded within the last one (KIP-1206,
   * `batch_optimized`).
   */
  readonly takesWholeBatches: boolean;
  /** Divides the acquired ranges, at the borders of batches, into ranges of about this many records. */
  readonly batchSize: number;
}

export interface AcquiredRange {
  readonly first: number;
  readonly last: number;
  /** 1 for the first delivery. */
  readonly deliveryCount: number;
}

export interface Acquired {
  readonly ranges: readonly AcquiredRange[];
  /** The whole batches around them, in order. Records outside the ranges are not the holder's. */
  readonly batches: readonly Uint8Array[];
}

/** A statement of a holder about some of its records. */
export interface Acknowledgement {
  readonly first: number;
  /** The last offset, included. */
  readonly last: number;
  /**
   * `accept` finishes the records. `release` makes them available again. `reject` gives them up. `renew` begins the lock
   * again. `gap` means that there are no such records: compaction has removed them. `return` gives records back that nobody
   * was sent, so this delivery does not count.
   */
  readonly type: "accept" | "release" | "reject" | "renew" | "gap" | "return";
  /** For `release`, the time before the next delivery. For `renew`, the time of the lock. */
  readonly delayMs?: number | undefined;
  /** For `reject`, why. */
  readonly reason?: string | undefined;
}

/** The numbers of records in each state. */
export interface ShareCounts {
  readonly acquired: number;
  /** Available again after a delivery, or delayed. */
  readonly waiting: number;
  /** The part of `waiting` that is delayed. */
  readonly delayed: number;
  readonly archiving: number;
  /** Finished records since the group began to read the partition. */
  readonly acknowledged: number;
  readonly archived: number;
}

/** The state of a share partition as it is stored: see stored-share.ts. */
export interface ShareState {
  readonly startOffset: number;
  readonly ranges: readonly DeliveryRange[];
  /** Increases with each reset. */
  readonly epoch: number;
  /** Finished records before `startOffset`. */
  readonly acknowledged: number;
  readonly archived: number;
}

/** Kafka's texts (KIP-1191). */
export const REJECTED = "Offset rejected by client.";
export const TOO_MANY_DELIVERIES = "Offset delivery count exceeded the threshold.";

export class SharePartition {
  /** The group's config. A change applies to later decisions. A lock keeps its time. */
  terms: ShareTerms;
  #ranges: ShareRanges;
  #epoch: number;
  #acknowledged: number;
  #archived: number;
  #isChanged = false;

  constructor(state: ShareState, terms: ShareTerms) {
    this.terms = terms;
    this.#ranges = new ShareRanges(state.startOffset, state.ranges);
    this.#epoch = state.epoch;
    this.#acknowledged = state.acknowledged;
    this.#archived = state.archived;
  }

  /** The first offset that is not finished. */
  get startOffset(): number {
    return this.#ranges.start;
  }

  /** The offset after the last one that was ever acquired. */
  get nextOffset(): number {
    return this.#ranges.end;
  }

  get ranges(): readonly DeliveryRange[] {
    return this.#ranges.all;
  }

  get state(): ShareState {
    return {
      startOffset: this.startOffset,
      ranges: this.ranges,
      epoch: this.#epoch,
      acknowledged: this.#acknowledged,
      archived: this.#archived,
    };
  }

  /** True if the state has changed since the last call. */
  takeChanged(): boolean {
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }

  counts(nowMs: number): ShareCounts {
    return {
      acquired: this.#sum(({ state }) => state === "acquired"),
      waiting: this.#sum(({ state }) => state === "available"),
      delayed: this.#sum((range) => range.state === "available" && endOf(range, nowMs) > nowMs),
      archiving: this.#sum(({ state }) => state === "archiving"),
      acknowledged: this.#acknowledged + this.#sum(({ state }) => state === "acknowledged"),
      archived: this.#archived + this.#sum(({ state }) => state === "archived"),
    };
  }

  /** The number of records that are held. */
  get #locks(): number {
    return this.#sum(({ state }) => state === "acquired");
  }

  #sum(test: (range: DeliveryRange) => boolean): number {
    return this.ranges.reduce((total, range) => total + (test(range) ? sizeOf(range) : 0), 0);
  }

  /** Returns how many records up to `logEndOffset` are not finished. */
  lag(logEndOffset: number): number {
    return Math.max(0, logEndOffset - this.startOffset) - this.#sum(isFinished);
  }

  /** True if there is a record that may be acquired now. */
  hasAvailable(log: Pick<ShareLog, "logEndOffset">, nowMs: number): boolean {
    if (this.#locks >= this.terms.maxLocks) return false;
    return this.ranges.some((range) => isDue(range, nowMs)) || this.#mayGoOn(log);
  }

  /** The time at which a lock or a delay ends. Infinity if there is none. */
  nextDueMs(nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const range of this.ranges)
      if (range.wait !== undefined) earliest = Math.min(earliest, endOf(range, nowMs));
    return earliest;
  }

  /** [SHR-7] Releases the records whose lock has ended. Delays that have ended leave no trace. */
  expire(nowMs: number): void {
    for (const range of [...this.ranges]) {
      if (range.wait === undefined || endOf(range, nowMs) > nowMs) continue;
      if (range.state === "acquired") this.#release(range, nowMs);
      else this.#set(range, ({ wait: _over, ...rest }) => rest);
    }
    this.#settle();
  }

  /**
   * [SHR-10] Finishes the records before the start of the log, because they are gone. A record that is archiving stays: its
   * dead letter is still to be written.
   */
  logStartMoved({ logStartOffset }: Pick<ShareLog, "logStartOffset">): void {
    if (logStartOffset <= this.startOffset) return;
    if (logStartOffset > this.nextOffset) this.#append(logStartOffset - 1, FINISHED);
    const gone = { first: this.startOffset, last: logStartOffset - 1 };
    this.#set(gone, (range) =>
      range.state === "archiving" || isFinished(range) ? range : FINISHED,
    );
    this.#settle();
  }

  /** [SHR-1] [SHR-2] Gives records to a holder. It gets none if none is available. */
  acquire(request: AcquireRequest, log: ShareLog, nowMs: number): Acquired {
    this.logStartMoved(log);
    this.expire(nowMs);
    const acquisition = new Acquisition(request, this.terms, log, this.#locks);
    try {
      for (const range of this.ranges) {
        if (!isDue(range, nowMs)) continue;
        if (!acquisition.takeFrom(range)) break;
      }
      if (this.#mayGoOn(log) && !acquisition.isFull)
        acquisition.takeFrom({ ...NEW, first: this.nextOffset, last: log.logEndOffset - 1 });
    } catch (error) {
      // [CRC-2] The damage is reported to whoever comes to it first.
      if (!(error instanceof BrokerError) || acquisition.ranges.length === 0) throw error;
    }
    const lock = { sinceMs: nowMs, forMs: request.lockMs };
    for (const { first, last, deliveryCount } of acquisition.taken)
      this.#put({ first, last }, () => acquiredBy(request.holder, deliveryCount, lock));
    for (const hole of acquisition.holes) this.#put(hole, () => FINISHED);
    for (const range of acquisition.spent)
      this.#set(range, () => this.#givenUp(range, TOO_MANY_DELIVERIES));
    this.#settle();
    return { ranges: acquisition.ranges, batches: acquisition.batches };
  }

  /**
   * Applies acknowledgements of a holder, all or none. They must be in order and not overlap. Records before the start
   * offset are finished already, and are left out. INVALID_RECORD_STATE [SHR-8]: the holder does not hold all of the
   * records. INVALID_REQUEST: the offsets were never delivered, or are out of order.
   */
  acknowledge(holder: string, acks: readonly Acknowledgement[], nowMs: number): Result<object> {
    this.expire(nowMs);
    const refused = this.#whyNotAcknowledge(holder, acks);
    if (refused !== null) return refused;
    for (const ack of acks) this.#apply(ack, nowMs);
    this.#settle();
    return { ok: true };
  }

  /** [SHR-9] Releases all that a holder holds: it has gone. There is no delay, because it did not ask for one. */
  releaseAll(holder: string, nowMs: number): void {
    this.expire(nowMs);
    for (const range of [...this.ranges])
      if (range.state === "acquired" && range.holder === holder) this.#release(range, nowMs, 0);
    this.#settle();
  }

  /** The records whose dead letters are still to be written. */
  get archiving(): readonly DeliveryRange[] {
    return this.ranges.filter(({ state }) => state === "archiving");
  }

  /** [DLQ-1] Notes that these dead letters are written. Offsets that are not archiving are left out. */
  archived(offsets: readonly number[]): void {
    for (const offset of offsets)
      for (const range of this.#ranges.touching(offset, offset))
        if (range.state === "archiving") this.#set({ first: offset, last: offset }, () => FINISHED);
    this.#settle();
  }

  /** [SHR-12] Begins again at an offset. All that is known about deliveries is forgotten. */
  reset(startOffset: number): void {
    this.#ranges = new ShareRanges(startOffset);
    this.#epoch++;
    this.#isChanged = true;
  }

  #whyNotAcknowledge(holder: string, acks: readonly Acknowledgement[]): Failure | null {
    let before = -1;
    for (const { first, last, type } of acks) {
      if (first > last || first <= before)
        return fail(
          "INVALID_REQUEST",
          `offsets ${first} to ${last} must ascend, and begin after offset ${before}`,
        );
      before = last;
      if (last >= this.nextOffset)
        return fail(
          "INVALID_REQUEST",
          `offset ${last} was never delivered; the last one was ${this.nextOffset - 1}`,
        );
      if (type === "renew" && !this.terms.mayRenew)
        return fail("INVALID_RECORD_STATE", "the group's config forbids to renew locks");
      if (type === "renew" && first < this.startOffset)
        return fail("INVALID_RECORD_STATE", `offset ${first} is finished`);
      for (const range of this.#ranges.touching(first, last))
        if (range.state !== "acquired" || range.holder !== holder)
          return fail(
            "INVALID_RECORD_STATE",
            `offset ${Math.max(first, range.first)} is not held by this consumer`,
          );
    }
    return null;
  }

  #apply(ack: Acknowledgement, nowMs: number): void {
    switch (ack.type) {
      case "accept":
        this.#set(ack, () => ({ state: "acknowledged", deliveryCount: 0 }));
        break;
      case "gap":
        this.#set(ack, () => FINISHED);
        break;
      case "reject":
        this.#set(ack, (range) => this.#givenUp(range, ack.reason ?? REJECTED));
        break;
      case "renew": {
        const forMs = ack.delayMs ?? this.terms.lockMs;
        this.#set(ack, (range) => ({ ...range, wait: { sinceMs: nowMs, forMs } }));
        break;
      }
      case "return":
        this.#set(ack, ({ deliveryCount }) => ({
          state: "available",
          deliveryCount: deliveryCount - 1,
        }));
        break;
      case "release":
        for (const range of this.#ranges.touching(ack.first, ack.last))
          this.#release(cutTo(range, ack), nowMs, ack.delayMs);
    }
  }

  /** [SHR-4] Makes records available again, or gives them up if they were delivered often enough. */
  #release(
    range: DeliveryRange,
    nowMs: number,
    delayMs = backoffMs(this.terms, range.deliveryCount),
  ): void {
    const { deliveryCount } = range;
    const wait = delayMs > 0 ? { wait: { sinceMs: nowMs, forMs: delayMs } } : {};
    this.#set(range, () =>
      deliveryCount >= this.terms.maxDeliveries
        ? this.#givenUp(range, TOO_MANY_DELIVERIES)
        : { state: "available", deliveryCount, ...wait },
    );
  }

  /** [SHR-5] Records that are given up become dead letters, if the group has any. */
  #givenUp({ deliveryCount }: Delivery, reason: string): Delivery {
    if (this.terms.deadLetters === null) return FINISHED;
    const known = this.ranges.reduce((sum, range) => sum + (range.reason?.length ?? 0), 0);
    const fits = known + reason.length <= MAX_SHARE_REASON_CHARS;
    return { state: "archiving", deliveryCount, reason: fits ? reason : REJECTED };
  }

  /** True if records that were never acquired may be acquired now. */
  #mayGoOn({ logEndOffset }: Pick<ShareLog, "logEndOffset">): boolean {
    return this.nextOffset < logEndOffset && this.ranges.length < MAX_SHARE_RANGES;
  }

  #set(
    { first, last }: Pick<DeliveryRange, "first" | "last">,
    change: (before: DeliveryRange) => Delivery,
  ): void {
    this.#ranges.set(first, last, (range) => deliveryOf(change(range)));
    this.#isChanged = true;
  }

  #append(last: number, delivery: Delivery): void {
    this.#ranges.append(last, delivery);
    this.#isChanged = true;
  }

  /** Sets a range that may lie behind the last offset that was ever acquired. */
  #put(range: Pick<DeliveryRange, "first" | "last">, change: (before: Delivery) => Delivery): void {
    if (range.last >= this.nextOffset) this.#append(range.last, NEW);
    this.#set(range, change);
  }

  /** [SHR-11] Moves the start offset past what is finished. */
  #settle(): void {
    for (const range of this.#ranges.dropFinished()) {
      if (range.state === "acknowledged") this.#acknowledged += sizeOf(range);
      else this.#archived += sizeOf(range);
      this.#isChanged = true;
    }
  }
}

const FINISHED: Delivery = { state: "archived", deliveryCount: 0 };
const NEW: Delivery = { state: "available", deliveryCount: 0 };

function acquiredBy(holder: string, deliveryCount: number, wait: Wait): Delivery {
  return { state: "acquired", deliveryCount, holder, wait };
}

/** Returns the delivery without the offsets, which a range has besides. */
function deliveryOf(delivery: Delivery): Delivery {
  const { state, deliveryCount, holder, wait, reason } = delivery;
  return {
    ...{ state, deliveryCount },
    ...(holder === undefined ? {} : { holder }),
    ...(wait === undefined ? {} : { wait }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function sizeOf({ first, last }: Pick<DeliveryRange, "first" | "last">): number {
  return last - first + 1;
}

function cutTo(range: DeliveryRange, { first, last }: Pick<DeliveryRange, "first" | "last">) {
  return { ...range, first: Math.max(range.first, first), last: Math.min(range.last, last) };
}

function endOf({ wait }: Delivery, nowMs: number): number {
  return wait === undefined ? nowMs : dueMs(wait.sinceMs, wait.forMs, nowMs);
}

function isDue(range: DeliveryRange, nowMs: number): boolean {
  return range.state === "available" && endOf(range, nowMs) <= nowMs;
}

/** Chooses the records of one acquisition. It changes nothing. */
class Acquisition {
  /** The acquired records, for the holder. */
  readonly ranges: AcquiredRange[] = [];
  readonly batches: Uint8Array[] = [];
  /** The acquired records, in as few ranges as possible. */
  readonly taken: AcquiredRange[] = [];
  /** Offsets without records. */
  readonly holes: Pick<DeliveryRange, "first" | "last">[] = [];
  /** Records that were delivered as often as the limit says, which has been lowered. */
  readonly spent: DeliveryRange[] = [];
  isFull = false;
  readonly #request: AcquireRequest;
  readonly #terms: ShareTerms;
  readonly #cursor: BatchCursor;
  #locks: number;
  #records = 0;
  #bytes = 0;
  #lastBatch: LogBatch | null = null;

  constructor(request: AcquireRequest, terms: ShareTerms, log: ShareLog, locks: number) {
    this.#request = request;
    this.#terms = terms;
    this.#cursor = new BatchCursor(log);
    this.#locks = locks;
  }

  /** Takes as much of a range as there is room for. Returns false if there is no more room. */
  takeFrom(range: DeliveryRange): boolean {
    const deliveryCount = range.deliveryCount + 1;
    if (deliveryCount > this.#terms.maxDeliveries) {
      this.spent.push(range);
      return true;
    }
    const isolated = isolatedSize(range, this.#terms.maxDeliveries);
    if (isolated !== null && this.#records > 0) return this.#full();
    const end = isolated === null ? range.last : range.first + isolated - 1;
    for (let first = range.first; first <= end; ) {
      const batch = this.#cursor.at(first);
      const run = batch === null ? null : runFrom(batch, first);
      const holeEnd = Math.min(end, (run?.first ?? batch?.last ?? end) - (run === null ? 0 : 1));
      if (batch === null || run === null || holeEnd >= first) {
        this.holes.push({ first, last: holeEnd });
        first = holeEnd + 1;
        continue;
      }
      const size = this.#room(batch, Math.min(end, run.last) - first + 1);
      if (size <= 0) return this.#full();
      this.#take({ first, last: first + size - 1, deliveryCount }, batch);
      first += size;
    }
    return isolated === null || this.#full();
  }

  #full(): boolean {
    this.isFull = true;
    return false;
  }

  /** Returns how many of `size` records of a batch may be taken. */
  #room(batch: LogBatch, size: number): number {
    const { maxRecords, maxBytes, takesWholeBatches } = this.#request;
    const bytes = batch.first === this.#lastBatch?.first ? 0 : batch.bytes.length;
    const isTooLarge = this.#records > 0 && this.#bytes + bytes > maxBytes;
    const room = Math.min(maxRecords - this.#records, this.#terms.maxLocks - this.#locks);
    if (isTooLarge || room <= 0) return 0;
    return takesWholeBatches ? size : Math.min(size, room);
  }

  #take(range: AcquiredRange, batch: LogBatch): void {
    if (batch.first !== this.#lastBatch?.first) {
      this.batches.push(batch.bytes);
      this.#bytes += batch.bytes.length;
    }
    this.#lastBatch = batch;
    const size = sizeOf(range);
    this.#records += size;
    this.#locks += size;
    addRange(this.taken, range, Number.POSITIVE_INFINITY);
    addRange(this.ranges, range, this.#request.batchSize);
  }
}

/** Adds a range to the last one if both are alike and have `most` records at most. */
function addRange(ranges: AcquiredRange[], range: AcquiredRange, most: number): void {
  const before = ranges.at(-1);
  const isNext =
    before !== undefined &&
    before.last + 1 === range.first &&
    before.deliveryCount === range.deliveryCount &&
    sizeOf(before) + sizeOf(range) <= most;
  if (isNext) ranges[ranges.length - 1] = { ...before, last: range.last };
  else ranges.push(range);
}

/**
 * [SHR-13] Returns how many records of a range may be delivered together, or null for all. From half the limit on, each
 * delivery has half as many records as the one before, and the last attempt has one record alone. So a record that ends
 * its consumer is soon alone, and the others near it survive (Kafka's throttling of suspicious batches).
 */
function isolatedSize(range: DeliveryRange, maxDeliveries: number): number | null {
  const { deliveryCount } = range;
  const from = Math.max(2, Math.ceil(maxDeliveries / 2));
  if (deliveryCount < from) return null;
  if (maxDeliveries > 2 && deliveryCount === maxDeliveries - 1) return 1;
  const size = sizeOf(range);
  return Math.min(size, Math.max(1, Math.floor(size / 2 ** (deliveryCount - from + 1))));
}

/** Returns the first consecutive records of a batch from an offset on, or null if there are none. */
function runFrom(
  { first, last, offsets }: LogBatch,
  from: number,
): { first: number; last: number } | null {
  if (offsets === null) return { first: Math.max(first, from), last };
  const begin = offsets.findIndex((offset) => offset >= from);
  const start = offsets[begin];
  if (start === undefined) return null;
  let end = start;
  for (let i = begin + 1; offsets[i] === end + 1; i++) end++;
  return { first: start, last: end };
}

/** Finds the batches of ascending offsets. It reads on while they follow each other. */
class BatchCursor {
  readonly #log: ShareLog;
  #iterator: Iterator<LogBatch> | null = null;
  #current: LogBatch | null = null;

  constructor(log: ShareLog) {
    this.#log = log;
  }

  /** Returns the first batch that ends at `offset` or later. */
  at(offset: number): LogBatch | null {
    const current = this.#current;
    if (current !== null && offset <= current.last && offset >= current.first) return current;
    const follows = current !== null && offset === current.last + 1;
    if (!follows) this.#iterator = this.#log.batchesFrom(offset)[Symbol.iterator]();
    const next = this.#iterator?.next();
    this.#current = next === undefined || next.done === true ? null : next.value;
    return this.#current;
  }
}
