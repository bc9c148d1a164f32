// The SDK's consumer: handlers over the consumer core. Records of one partition are handled one after
// another in offset order, partitions side by side. What a handler has returned from is committed.
import { durationMs } from "../core/duration.ts";
import { BrokerError } from "../core/errors.ts";
import { DEFAULT_SESSION_TIMEOUT_MS, DEFAULT_WINDOW_BYTES } from "../core/limits.ts";
import type { ConsumerRecord, TopicPartition } from "../core/record.ts";
import type { InitialOffset } from "../protocol/group-socket.ts";
import {
  type ApplicationEffect,
  ConsumerDriver,
  MAX_TIMER_MS,
} from "./consumer/consumer-driver.ts";
import type { AssignedPlace, PartitionPosition } from "./consumer/effects.ts";
import type { Transport } from "./consumer/transport.ts";

export interface ConsumerOptions {
  /** Members of one group share its topics' partitions; each group gets everything. */
  readonly groupId: string;
  /** Names; may be empty where there is a pattern. */
  readonly topics: readonly string[];
  /** RE2 syntax: every topic whose whole name matches is subscribed too, those created later as well. */
  readonly topicPattern?: string;
  /**
   * Where to begin where the group has committed nothing, and its config does not say. By duration (milliseconds,
   * or ISO 8601 as in PT1H): at the first record that is at most so old (KIP-1106). @default "earliest"
   */
  readonly from?: "earliest" | "latest" | { readonly duration: number | string };
  /** A static member: its partitions wait for it for a session timeout while it is away (KIP-345). */
  readonly instanceId?: string;
  /** A name for people, shown by describe. */
  readonly clientId?: string;
  /** Silence after which the member counts as dead, in ms, 1,000 to 1,800,000. @default 45000 */
  readonly sessionTimeoutMs?: number;
  /**
   * How long one call of a handler may take, in ms, 1 to 2,147,483,647 (Kafka's max.poll.interval.ms). One that has
   * not returned by then is taken for stuck: the member gives all its partitions up as lost and leaves the group, a
   * static one too. What was processed is committed, the record at work is not, and `run` rejects with
   * REQUEST_TIMED_OUT. A handler that blocks the whole thread blocks this as well, and ends the session instead.
   * @default none: a handler keeps its partitions for as long as it takes, while the process lives
   */
  readonly maxProcessingMs?: number;
  /** Time between commits in ms; 0 commits whenever something was processed. @default 500 */
  readonly commitIntervalMs?: number;
  /** Bytes in flight per partition, at most 4 MiB. @default 1 MiB */
  readonly windowBytes?: number;
  readonly onAssigned?: (partitions: readonly PartitionPosition[]) => void;
  /** To be given up: the handler at work is waited for, what it did is committed. */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => void;
  /** Gone already: another member may have them, and what was not committed comes again there. */
  readonly onLost?: (partitions: readonly TopicPartition[]) => void;
  /** What the consumer mends or waits for by itself: reconnects, refused commits, topics that do not exist. @default console.warn */
  readonly onError?: (error: BrokerError) => void;
}

export interface Batch extends TopicPartition {
  readonly records: readonly ConsumerRecord[];
}

export type Handlers =
  | { readonly eachRecord: (record: ConsumerRecord, place: TopicPartition) => unknown }
  | { readonly eachBatch: (batch: Batch) => unknown };

interface Work {
  readonly place: TopicPartition;
  queue: { readonly generation: number; readonly records: readonly ConsumerRecord[] }[];
  isRunning: boolean;
  /** Revoked: let go after the record, or the batch, at work. */
  isStopping: boolean;
  isLost: boolean;
  /** How often the application sought here: what was fetched before a seek is not handled after it. */
  seeks: number;
}

export class Consumer {
  readonly memberId: string = crypto.randomUUID();
  readonly #driver: ConsumerDriver;
  readonly #options: Omit<ConsumerOptions, "groupId" | "topics">;
  readonly #work = new Map<string, Work>();
  /** Handlers at work, also those of partitions that were lost meanwhile. */
  #running = 0;
  #handlers: Handlers | null = null;
  #isClosing = false;
  #fatal: Error | null = null;
  #settle: () => void = () => {};

  /** With a group: `topics` shared among its members. Without (`groupId` null): all of `partitions`. */
  constructor(
    transport: Transport,
    options: Omit<ConsumerOptions, "groupId"> & {
      groupId: string | null;
      partitions?: readonly AssignedPlace[];
    },
  ) {
    checkMaxProcessing(options.maxProcessingMs);
    this.#options = options;
    this.#driver = new ConsumerDriver(
      {
        groupId: options.groupId,
        memberId: this.memberId,
        topics: options.topics,
        ...(options.topicPattern === undefined ? {} : { topicPattern: options.topicPattern }),
        ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
        instanceId: options.instanceId ?? null,
        clientId: options.clientId ?? null,
        sessionTimeoutMs: options.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS,
        from: initialOffset(options.from ?? "earliest"),
        windowBytes: options.windowBytes ?? DEFAULT_WINDOW_BYTES,
        commitIntervalMs: options.commitIntervalMs ?? 500,
      },
      transport,
      (effect) => this.#onEffect(effect),
    );
  }

  /** The partitions held now. */
  get assignment(): TopicPartition[] {
    return this.#driver.assignment;
  }

  /**
   * Joins and handles records until `close`. Resolves once the member has left; rejects with what a
   * handler threw, or with the BrokerError that ended the membership: REQUEST_TIMED_OUT where a handler took
   * longer than `maxProcessingMs`.
   */
  run(handlers: Handlers): Promise<void> {
    if (this.#handlers !== null) throw new Error("run was called before");
    this.#handlers = handlers;
    return new Promise((resolve, reject) => {
      this.#settle = () => (this.#fatal === null ? resolve() : reject(this.#fatal));
      this.#driver.start();
    });
  }

  /** Waits for the handlers at work, commits what they did, and leaves the group at once. */
  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    for (const work of this.#work.values()) {
      work.isStopping = true;
      work.queue = [];
    }
    this.#closeWhenIdle();
  }

  pause(place: TopicPartition): void {
    this.#driver.pause(place);
  }

  resume(place: TopicPartition): void {
    this.#driver.resume(place);
  }

  /** Goes on at `offset`; the next commit may move the group's position back. False where not assigned. */
  seek(place: TopicPartition, offset: number): boolean {
    const work = this.#work.get(keyOf(place));
    if (work !== undefined) {
      work.queue = [];
      work.seeks++;
    }
    return this.#driver.seek(place, offset);
  }

  #onEffect(effect: ApplicationEffect): void {
    switch (effect.type) {
      case "assigned":
        for (const { topic, partition } of effect.partitions) {
          const work: Work = {
            place: { topic, partition },
            queue: [],
            isRunning: false,
            isStopping: this.#isClosing,
            isLost: false,
            seeks: 0,
          };
          this.#work.set(keyOf(work.place), work);
        }
        this.#options.onAssigned?.(effect.partitions);
        return;
      case "records": {
        const work = this.#work.get(keyOf(effect));
        if (work === undefined || work.isStopping) return;
        work.queue.push({ generation: effect.generation, records: effect.records });
        if (!work.isRunning) void this.#process(work);
        return;
      }
      case "revoked":
        this.#options.onRevoked?.(effect.partitions);
        for (const place of effect.partitions) this.#stopWork(place);
        return;
      case "lost":
        for (const place of effect.partitions) {
          const work = this.#work.get(keyOf(place));
          if (work !== undefined) work.isLost = true;
          this.#work.delete(keyOf(place));
        }
        this.#options.onLost?.(effect.partitions);
        return;
      case "error":
        if (effect.isFatal) this.#fatal = effect.error;
        else (this.#options.onError ?? warn)(effect.error);
        return;
      case "closed":
        this.#settle();
    }
  }

  #stopWork(place: TopicPartition): void {
    const work = this.#work.get(keyOf(place));
    if (work !== undefined) {
      work.isStopping = true;
      work.queue = [];
    }
    if (work === undefined || !work.isRunning) this.#release(place);
  }

  #release(place: TopicPartition): void {
    this.#work.delete(keyOf(place));
    this.#driver.released(place);
  }

  async #process(work: Work): Promise<void> {
    work.isRunning = true;
    this.#running++;
    try {
      for (let next = work.queue.shift(); next !== undefined; next = work.queue.shift()) {
        await this.#handle(work, next.records, next.generation);
        if (work.isLost) break;
      }
    } catch (error) {
      // What ended the consumer is told, not what a handler throws later because of it.
      this.#fatal ??= error instanceof Error ? error : new Error(String(error));
      this.close();
    } finally {
      work.isRunning = false;
      this.#running--;
    }
    if (this.#isClosing) this.#closeWhenIdle();
    else if (work.isStopping && !work.isLost) this.#release(work.place);
  }

  async #handle(work: Work, records: readonly ConsumerRecord[], generation: number): Promise<void> {
    const handlers = this.#handlers as Handlers;
    // A process that was stopped and goes on must not handle what others own by now [SES-4].
    this.#driver.checkSession();
    if (work.isLost) return;
    if ("eachBatch" in handlers) {
      const timer = this.#watch(work.place, records[0]?.offset ?? 0);
      try {
        await handlers.eachBatch({ ...work.place, records });
      } finally {
        clearTimeout(timer);
      }
      const last = records.at(-1);
      if (!work.isLost && last !== undefined) {
        this.#driver.processed(work.place, last.offset + 1, generation);
      }
      return;
    }
    const { seeks } = work;
    for (const record of records) {
      if (work.isStopping || work.isLost || work.seeks !== seeks) return;
      const timer = this.#watch(work.place, record.offset);
      try {
        await handlers.eachRecord(record, work.place);
      } finally {
        clearTimeout(timer);
      }
      if (!work.isLost) this.#driver.processed(work.place, record.offset + 1, generation);
      this.#driver.checkSession();
    }
  }

  /** Times a call of a handler, where it may not take as long as it likes. */
  #watch(place: TopicPartition, offset: number): unknown {
    const { maxProcessingMs } = this.#options;
    if (maxProcessingMs === undefined) return undefined;
    const sinceMs = Date.now();
    return setTimeout(() => {
      // A wall clock can be set back; it has been this long at least.
      const tookMs = Math.max(maxProcessingMs, Date.now() - sinceMs);
      const detail = `the handler of ${place.topic}/${place.partition} has not returned from offset ${offset} after ${tookMs} ms; maxProcessingMs is ${maxProcessingMs}`;
      this.#giveUp(new BrokerError("REQUEST_TIMED_OUT", detail));
    }, maxProcessingMs);
  }

  /** [SES-8] Leaves without waiting for a handler: it may never return, and others shall go on. */
  #giveUp(error: BrokerError): void {
    this.#fatal ??= error;
    this.#isClosing = true;
    this.#driver.leave();
    // Only now: if the session has ended meanwhile, they were told to be lost just now.
    const partitions = Array.from(this.#work.values(), ({ place }) => place);
    if (partitions.length > 0) this.#onEffect({ type: "lost", partitions });
  }

  #closeWhenIdle(): void {
    if (this.#running === 0) this.#driver.close();
  }
}

function initialOffset(from: NonNullable<ConsumerOptions["from"]>): InitialOffset {
  if (typeof from === "string") return from;
  const { duration } = from;
  const ms = typeof duration === "number" ? duration : durationMs(duration);
  if (ms !== null && Number.isSafeInteger(ms) && ms >= 0) return { durationMs: ms };
  throw new BrokerError(
    "INVALID_REQUEST",
    `from.duration is ${JSON.stringify(duration)}, it must be milliseconds or an ISO 8601 duration of days, hours, minutes, seconds`,
  );
}

declare const console: { warn(text: string): void };
declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;

/** @throws BrokerError INVALID_REQUEST */
function checkMaxProcessing(ms: number | undefined): void {
  if (ms === undefined || (Number.isInteger(ms) && ms >= 1 && ms <= MAX_TIMER_MS)) return;
  throw new BrokerError(
    "INVALID_REQUEST",
    `maxProcessingMs is ${ms}, it must be a whole number from 1 to ${MAX_TIMER_MS}`,
  );
}

function warn(error: BrokerError): void {
  console.warn(`rivulet: ${error.code}: ${error.message}`);
}

function keyOf(place: TopicPartition): string {
  return `${place.partition} ${place.topic}`;
}
