// The SDK's consumer: handlers over the consumer core. Records of one partition are handled in sequence, in offset
// order. Partitions are handled concurrently. A record is committed after its handler has returned.
import { BrokerError } from "../core/errors.ts";
import type { ConsumerRecord, TopicPartition } from "../core/record.ts";
import { type ApplicationEffect, ConsumerDriver } from "../member/consumer-driver.ts";
import type { AssignedPlace, ReaderPlace } from "../member/places.ts";
import type { Transport } from "../member/transport.ts";
import type { ConsumerOptions } from "./consumer/consumer-options.ts";
import { type Delivery, HandlerQueue } from "./consumer/handler-queue.ts";
import { coreConfig } from "./consumer/options.ts";
import { ABANDONED, type PlacedRecord, recordLoop } from "./consumer/record-loop.ts";
import { type AnySerdes, convert, hasSerdes } from "./serde.ts";
import { assertWhole } from "./whole.ts";

export type { ConsumerOptions };

/** Consecutive records of one partition, in offset order. */
export interface Batch<Record = ConsumerRecord> extends TopicPartition {
  readonly records: readonly Record[];
}

/**
 * The options of `run`, with one handler. A record, or a batch, is processed when its handler returns, or the promise
 * that it returns resolves. If the handler throws, the consumer closes and `run` rejects with that error. The record,
 * or the whole batch, is then not committed, and comes again.
 */
export type Handlers<Record = ConsumerRecord> = RunOptions &
  (
    | { readonly eachRecord: (record: Record, place: TopicPartition) => unknown }
    | { readonly eachBatch: (batch: Batch<Record>) => unknown }
  );

export interface RunOptions {
  /** The most handlers that run at once, each for another partition. A whole number from 1. @default all partitions */
  readonly partitionsConsumedConcurrently?: number;
  /** Closes the consumer as `close` does. `run` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export type { PlacedRecord };

/**
 * Reads records, as a member of a group or alone. Get one from `rivulet.consumer` or `rivulet.reader`.
 *
 * A consumer is used once: `run` it, or iterate over it. Records of one partition are handled in sequence, in offset
 * order, and partitions concurrently. Delivery is at least once: after a crash, records processed since the last commit
 * come again. It reconnects by itself.
 *
 * `Record` is the type of its records. Without serdes, key and value are bytes.
 */
export class Consumer<Record = ConsumerRecord> {
  /** The id of this consumer as a member of its group, a UUID. */
  readonly memberId: string = crypto.randomUUID();
  readonly #driver: ConsumerDriver;
  readonly #options: Omit<ConsumerOptions, "groupId" | "topics"> & AnySerdes;
  readonly #queues = new Map<string, HandlerQueue>();
  /** The number of running handlers, including those of partitions that have been lost. */
  #running = 0;
  #maxRunning = 0;
  #handlers: Handlers<Record> | null = null;
  /** Partitions with records to handle, while as many handlers run as allowed. */
  readonly #turns = new Set<HandlerQueue>();
  #isClosing = false;
  /** The error that `run` rejects with. */
  #failure: { readonly error: unknown } | null = null;
  /** True while application code is on the call stack. */
  #isCalling = false;
  #settle: () => void = () => {};
  readonly #ended = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  /** With a group, its members share `topics`. Without one (`groupId` null), the consumer reads all of `partitions`. */
  constructor(
    transport: Transport,
    options: Omit<ConsumerOptions, "groupId"> & {
      groupId: string | null;
      partitions?: readonly AssignedPlace[];
    } & AnySerdes,
  ) {
    const config = coreConfig(options, this.memberId);
    this.#options = options;
    this.#driver = new ConsumerDriver(config, transport, (effect) => this.#onEffect(effect));
  }

  /** The partitions assigned now. */
  get assignment(): TopicPartition[] {
    return this.#driver.assignment;
  }

  /**
   * Joins the group and handles records until `close`. Resolves once the consumer has left. May be called once.
   * @throws the error of a handler or callback; the signal's reason; or the BrokerError that ended the membership, such
   * as REQUEST_TIMED_OUT (a handler took longer than `maxProcessingMs`), INVALID_RECORD (a serde rejected a record), or
   * GROUP_AUTHORIZATION_FAILED
   */
  async run(handlers: Handlers<Record>): Promise<void> {
    if (this.#handlers !== null) throw new Error("run was called before");
    const { signal, partitionsConsumedConcurrently: most = Number.MAX_SAFE_INTEGER } = handlers;
    assertWhole("partitionsConsumedConcurrently", most, 1);
    this.#maxRunning = most;
    if (!("eachRecord" in handlers) && !("eachBatch" in handlers))
      throw new BrokerError("INVALID_REQUEST", "run needs eachRecord or eachBatch");
    this.#handlers = handlers;
    signal?.throwIfAborted();
    if (this.#isClosing) return;
    const abort = () => void this.close();
    signal?.addEventListener("abort", abort);
    this.#driver.start();
    await this.#ended;
    signal?.removeEventListener("abort", abort);
    if (this.#failure !== null) throw this.#failure.error;
    signal?.throwIfAborted();
  }

  /**
   * Iterates over the records, in offset order within each partition: `for await (const record of consumer)`. A record
   * is processed when the loop asks for the next one. `break` closes the consumer. After a `break` or a throw, the
   * record in the loop is not processed, and comes again. The loop ends with `close`, and throws the errors of `run`.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Record & TopicPartition, void, void> {
    return recordLoop(
      (eachRecord) => this.run({ eachRecord }),
      () => this.close(),
      (place, abandon) => {
        const queue = this.#queues.get(keyOf(place));
        if (queue !== undefined) queue.abandon = abandon;
      },
    );
  }

  /** @internal [STR-7] Reads these partitions too. Returns false once the consumer is closed. */
  add(places: readonly ReaderPlace[]): boolean {
    return this.#driver.add(places);
  }

  /**
   * Commits the processed records. Resolves once they are committed, or their partitions no longer belong to the
   * consumer.
   */
  commit(): Promise<void> {
    return this.#driver.commit();
  }

  /**
   * Returns the offset after the last processed record, where the group would continue. Null if the partition is not
   * assigned.
   */
  position(place: TopicPartition): number | null {
    return this.#driver.position(place);
  }

  /**
   * Waits for the running handlers, at most 30 seconds, commits the processed records, and leaves the group at once. A
   * static member (`instanceId`) only disconnects, unless a handler used up the 30 seconds. Its partitions then stay
   * reserved for it. Resolves when that is done, and never rejects. Do not await it in a handler, a callback or a loop:
   * it would wait for itself. If a handler calls it synchronously, the promise resolves at once.
   */
  close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      for (const queue of this.#queues.values()) queue.stop();
      this.#closeWhenIdle();
      const timers = [
        setTimeout(() => this.#warnOfSlowClose(), SLOW_CLOSE_MS),
        setTimeout(() => this.#leave(), MAX_CLOSE_MS),
      ];
      void this.#ended.then(() => timers.forEach(clearTimeout));
    }
    return this.#isCalling ? Promise.resolve() : this.#ended;
  }

  /**
   * Pauses a partition. After the record, or the batch, in progress, no more of its records are handled until `resume`.
   */
  pause(place: TopicPartition): void {
    this.#queues.get(keyOf(place))?.pause();
    this.#driver.pause(place);
  }

  /** Resumes a paused partition. */
  resume(place: TopicPartition): void {
    this.#driver.resume(place);
    const queue = this.#queues.get(keyOf(place));
    queue?.resume();
    this.#proceed(queue);
  }

  /**
   * Continues at `offset`. The next commit may move the group's committed offset back. Returns false if the partition
   * is not assigned. If the offset is not in the log, `onError` gets OFFSET_OUT_OF_RANGE and the consumer continues
   * where it was.
   * @throws BrokerError INVALID_REQUEST if `offset` is not a whole number from 0
   */
  seek(place: TopicPartition, offset: number): boolean {
    assertWhole("offset", offset, 0);
    this.#queues.get(keyOf(place))?.seek();
    return this.#driver.seek(place, offset);
  }

  #onEffect(effect: ApplicationEffect): void {
    switch (effect.type) {
      case "assigned":
        this.#call(
          effect.partitions.map((place) => this.#newQueue(place)),
          () => this.#options.onAssigned?.(effect.partitions),
        );
        return;
      case "records": {
        const queue = this.#queues.get(keyOf(effect));
        queue?.add(effect);
        this.#proceed(queue);
        return;
      }
      case "revoked": {
        const queues = effect.partitions.map(
          (place) => this.#queues.get(keyOf(place)) ?? this.#newQueue(place),
        );
        for (const queue of queues) queue.stop();
        this.#call(queues, () => this.#options.onRevoked?.(effect.partitions));
        return;
      }
      case "lost":
        for (const place of effect.partitions) {
          this.#queues.get(keyOf(place))?.end();
          this.#queues.delete(keyOf(place));
        }
        this.#call([], () => this.#options.onLost?.(effect.partitions));
        return;
      case "error":
        if (effect.isFatal) this.#failure ??= { error: effect.error };
        else this.#call([], () => (this.#options.onError ?? warn)(effect.error));
        return;
      case "closed":
        this.#settle();
    }
  }

  #newQueue(place: TopicPartition): HandlerQueue {
    const queue = new HandlerQueue(place);
    if (this.#isClosing) queue.stop();
    this.#queues.set(keyOf(place), queue);
    return queue;
  }

  /** Runs a callback. Nothing in `queues` continues before it is done. If it throws, the consumer ends. */
  #call(queues: readonly HandlerQueue[], callback: () => unknown): void {
    const done = () => {
      for (const queue of queues) {
        queue.leave();
        this.#proceed(queue);
      }
    };
    for (const queue of queues) queue.enter();
    try {
      const result = this.#called(callback);
      if (isThenable(result)) {
        void Promise.resolve(result)
          .catch((error) => this.#fail(error))
          .finally(done);
        return;
      }
    } catch (error) {
      this.#fail(error);
    }
    done();
  }

  /** Keeps the first error that ended the consumer, not later ones caused by it. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    void this.close();
  }

  /** Takes the partition's next step, if there is one. */
  #proceed(queue: HandlerQueue | undefined): void {
    if (this.#isClosing) this.#closeWhenIdle();
    else if (queue?.next === "release") {
      queue.end();
      this.#queues.delete(keyOf(queue.place));
      this.#driver.released(queue.place);
    } else if (queue?.next === "handle") {
      if (this.#running < this.#maxRunning) void this.#process(queue);
      else this.#turns.add(queue);
    }
  }

  async #process(queue: HandlerQueue): Promise<void> {
    queue.enter();
    this.#running++;
    // This must not run inside the driver's round that delivered the records. The driver reports an ended session only
    // after that round.
    await null;
    try {
      for (let next = queue.take(); next !== undefined; next = queue.take()) {
        await this.#handle(queue, next);
        if (this.#turns.size > 0) break; // Other partitions have waited longer.
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      queue.leave();
      this.#running--;
    }
    // Some waiting partitions may have nothing to do by now. All that may run go first.
    for (const next of this.#turns) {
      if (this.#running >= this.#maxRunning) break;
      this.#turns.delete(next);
      this.#proceed(next);
    }
    this.#proceed(queue);
  }

  async #handle(queue: HandlerQueue, { records, attachId }: Delivery): Promise<void> {
    const handlers = this.#handlers as Handlers<Record>;
    const { place } = queue;
    const processed = ({ offset }: ConsumerRecord) => {
      if (queue.state !== "gone") this.#driver.processed(place, offset + 1, attachId);
    };
    // [SRD-2] An error of a serde ends the consumer, like an error of a handler.
    if ("eachBatch" in handlers) {
      const timer = this.#watch(place, records[0]?.offset ?? 0);
      try {
        const all = hasSerdes(this.#options)
          ? await Promise.all(records.map((record) => this.#typed(place, record)))
          : (records as readonly Record[]);
        if (!this.#mayHandle(queue, 0)) return;
        await this.#called(() => handlers.eachBatch({ ...place, records: all }));
      } finally {
        clearTimeout(timer);
      }
      records.slice(-1).forEach(processed);
      return;
    }
    for (let index = 0; index < records.length; index++) {
      const record = records[index] as ConsumerRecord;
      const timer = this.#watch(place, record.offset);
      try {
        const typed = this.#typed(place, record);
        const own = isThenable(typed) ? await typed : typed;
        if (!this.#mayHandle(queue, index)) return;
        const result = this.#called(() => handlers.eachRecord(own, place));
        // Only a promise is awaited. A turn of the event loop costs more than handling most records.
        const outcome = isThenable(result) ? await result : result;
        if (outcome === ABANDONED) {
          queue.putBack(index);
          return;
        }
      } finally {
        clearTimeout(timer);
      }
      processed(record);
    }
  }

  /** A process that was suspended and resumed must not handle records that belong to others by now [SES-4]. */
  #mayHandle(queue: HandlerQueue, index: number): boolean {
    this.#driver.endLateSession();
    return queue.mayHandle(index);
  }

  #typed(place: TopicPartition, record: ConsumerRecord): Record | Promise<Record> {
    const typed = hasSerdes(this.#options)
      ? convert(
          "deserialize",
          this.#options,
          record,
          `${keyOf(place)} at offset ${record.offset}`,
          { ...place, offset: record.offset },
        )
      : record;
    return typed as Record | Promise<Record>;
  }

  /** Starts a timer for a handler call, if its time is limited. */
  #watch(place: TopicPartition, offset: number): unknown {
    const { maxProcessingMs } = this.#options;
    if (maxProcessingMs === undefined) return undefined;
    // [SES-8] Leaves without waiting for the handler. It may never return, and other members must continue.
    return setTimeout(() => {
      const detail = `the handler for offset ${offset} of ${keyOf(place)} did not return within maxProcessingMs, ${maxProcessingMs} ms`;
      this.#failure ??= { error: new BrokerError("REQUEST_TIMED_OUT", detail) };
      this.#leave();
    }, maxProcessingMs);
  }

  #leave(): void {
    this.#isClosing = true;
    this.#driver.leave();
    // Runs only now: if the session had ended, the driver has just reported them as lost.
    const partitions = [...this.#queues.values()].map(({ place }) => place);
    if (partitions.length > 0) this.#onEffect({ type: "lost", partitions });
  }

  /** Calls application code. An awaited `close` during the call would wait for itself. */
  #called(call: () => unknown): unknown {
    const before = this.#isCalling;
    this.#isCalling = true;
    try {
      return call();
    } finally {
      this.#isCalling = before;
    }
  }

  #closeWhenIdle(): void {
    const isBusy = [...this.#queues.values()].some(({ isBusy }) => isBusy);
    if (this.#running === 0 && !isBusy) this.#driver.close();
  }

  #warnOfSlowClose(): void {
    const detail = `close waits for a handler, a callback or a commit, ${MAX_CLOSE_MS} ms at most`;
    this.#onEffect({
      type: "error",
      error: new BrokerError("REQUEST_TIMED_OUT", detail),
      isFatal: false,
    });
  }
}

/** The time after which a close reports what it waits for, and the time after which it stops waiting. */
const SLOW_CLOSE_MS = 5_000;
const MAX_CLOSE_MS = 30_000;

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}

declare const console: { warn(text: string): void };
declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;

function warn(error: BrokerError): void {
  console.warn(`rivulet: ${error.code}: ${error.message}`);
}

function keyOf(place: TopicPartition): string {
  return `${place.topic}/${place.partition}`;
}
