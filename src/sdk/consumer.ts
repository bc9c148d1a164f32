// The SDK's consumer: handlers over the consumer core. Records of one partition are handled one after another, in
// offset order. Partitions are handled side by side. Records whose handler has returned are committed.
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

export interface Batch<Record = ConsumerRecord> extends TopicPartition {
  readonly records: readonly Record[];
}

export type Handlers<Record = ConsumerRecord> = RunOptions &
  (
    | { readonly eachRecord: (record: Record, place: TopicPartition) => unknown }
    | { readonly eachBatch: (batch: Batch<Record>) => unknown }
  );

export interface RunOptions {
  /** How many handlers may run at once, each for another partition, at least 1. @default all partitions */
  readonly partitionsConsumedConcurrently?: number;
  /** Closes the consumer as `close` does. `run` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export type { PlacedRecord };

/**
 * Reads records as a group member or alone. `Record` is what its serdes make
 * of a record. Without serdes, key and value are bytes.
 */
export class Consumer<Record = ConsumerRecord> {
  readonly memberId: string = crypto.randomUUID();
  readonly #driver: ConsumerDriver;
  readonly #options: Omit<ConsumerOptions, "groupId" | "topics"> & AnySerdes;
  readonly #queues = new Map<string, HandlerQueue>();
  /** The number of handlers that are running, including those of partitions lost meanwhile. */
  #running = 0;
  #maxRunning = 0;
  #handlers: Handlers<Record> | null = null;
  /** Partitions with work to do, while as many handlers are running as allowed. */
  readonly #turns = new Set<HandlerQueue>();
  #isClosing = false;
  /** The error that `run` rejects with. */
  #failure: { readonly error: unknown } | null = null;
  /** True while the application's code is on the stack. */
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

  /** The partitions held now. */
  get assignment(): TopicPartition[] {
    return this.#driver.assignment;
  }

  /**
   * Joins and handles records until `close`. Resolves once the member has left. Rejects with the error
   * that a handler or callback threw, or with the BrokerError that ended the membership:
   * REQUEST_TIMED_OUT if a handler took longer than `maxProcessingMs`.
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
   * is done when the loop asks for the next. `break` closes the consumer. The record in the loop at a `break` or a
   * throw comes again. The loop ends with `close`, and throws if `run` would reject.
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

  /** @internal [STR-7] Reads these partitions as well. Returns false once it is closed. */
  add(places: readonly ReaderPlace[]): boolean {
    return this.#driver.add(places);
  }

  /** Commits the processed records. Resolves once the group has them, or the partitions are gone. */
  commit(): Promise<void> {
    return this.#driver.commit();
  }

  /** Returns the offset after the last processed record, where the group would continue. Null if not assigned. */
  position(place: TopicPartition): number | null {
    return this.#driver.position(place);
  }

  /**
   * Waits for the running handlers, 30 seconds at most, commits what they did, and leaves the group at once. Resolves
   * when that is done and never rejects. So call it without `await` in a handler, a callback or a loop, or it would
   * wait for itself. If a handler calls it synchronously, the promise resolves at once.
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

  /** Pauses a partition. No more of its records are handled after the record, or the batch, in progress. */
  pause(place: TopicPartition): void {
    this.#queues.get(keyOf(place))?.pause();
    this.#driver.pause(place);
  }

  resume(place: TopicPartition): void {
    this.#driver.resume(place);
    const queue = this.#queues.get(keyOf(place));
    queue?.resume();
    this.#proceed(queue);
  }

  /**
   * Continues at `offset`. The next commit may move the group's position back. Returns false if not assigned. If the
   * log does not hold the offset, `onError` gets OFFSET_OUT_OF_RANGE and the consumer continues where it was.
   * @throws BrokerError INVALID_REQUEST if it is not an offset.
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

  /** Calls back. Nothing in `queues` continues before the callback is done. If it throws, the consumer ends. */
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

  /** Keeps the first error that ended the consumer, not later ones that it caused. */
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
    // This must not run inside the driver's round that brought the records.
    // A check of the clock reports only after that round.
    await null;
    try {
      for (let next = queue.take(); next !== undefined; next = queue.take()) {
        await this.#handle(queue, next);
        if (this.#turns.size > 0) break; // Others have waited for longer.
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      queue.leave();
      this.#running--;
    }
    // Some that wait for a turn may have nothing to do by now. All that may run go first.
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
    // [SRD-2] An error from a serde ends the consumer, like one from a handler.
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

  /** A process that was suspended and resumes must not handle records that others own by now [SES-4]. */
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

  /** Times a call of a handler if its time is limited. */
  #watch(place: TopicPartition, offset: number): unknown {
    const { maxProcessingMs } = this.#options;
    if (maxProcessingMs === undefined) return undefined;
    // [SES-8] Leaves without waiting for the handler. It may never return, and others must continue.
    return setTimeout(() => {
      const detail = `the handler has not returned from offset ${offset} of ${keyOf(place)} within maxProcessingMs, ${maxProcessingMs} ms`;
      this.#failure ??= { error: new BrokerError("REQUEST_TIMED_OUT", detail) };
      this.#leave();
    }, maxProcessingMs);
  }

  #leave(): void {
    this.#isClosing = true;
    this.#driver.leave();
    // Runs only now: if the session has ended meanwhile, they were just reported as lost.
    const partitions = [...this.#queues.values()].map(({ place }) => place);
    if (partitions.length > 0) this.#onEffect({ type: "lost", partitions });
  }

  /** Calls into the application. A close during the call would wait for itself. */
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

/** How long a close waits before it says what for, and before it stops waiting. */
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
