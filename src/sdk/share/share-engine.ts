// The work of a share consumer: it acquires records, hands them out, and acknowledges each one. It holds no place in the broker
// besides its locks, so it needs nothing but requests. It renews its locks while it holds records, so a handler may take as
// long as it needs, and a consumer that has crashed loses them soon. It is loaded when a share consumer begins, so that programs
// without one do not pay for it.
import { ConnectionError, type HttpClient, jsonBody } from "../../admin/http.ts";
import { BrokerError } from "../../core/errors.ts";
import { MAX_WAIT_MS } from "../../core/limits.ts";
import type { TopicPartition } from "../../core/record.ts";
import { backoffMs } from "../../member/backoff.ts";
import { fromJsonRecord, type JsonRecordInput } from "../../protocol/json-record.ts";
import { shareGroupPath } from "../../protocol/paths.ts";
import { type AnySerdes, convert, hasSerdes, type TypedRecord } from "../serde.ts";
import { type Ack, ShareAcks } from "./share-acks.ts";
import type { CheckedOptions, ShareConsumerOptions } from "./share-options.ts";
import { RejectRecord, ReleaseRecord, type SharedRecord } from "./share-record.ts";

interface AcquiredJson extends Omit<JsonRecordInput, keyof TopicPartition>, TopicPartition {
  readonly offset: number;
  readonly timestamp: number;
  readonly deliveryCount: number;
  readonly leaseId: string;
}

interface AnyRecord extends TypedRecord<unknown, unknown>, TopicPartition {
  readonly deliveryCount: number;
}

interface Held {
  readonly leaseId: string;
  readonly record: SharedRecord<AnyRecord>;
}

/** The time for which a request waits for records. The answer may be a little later. */
const WAIT_MS = Math.min(20_000, MAX_WAIT_MS);
const ANSWER_MS = 30_000;

type State = "new" | "open" | "closing" | "closed";

export class ShareEngine<Record = TypedRecord<Uint8Array, Uint8Array>>
  implements AsyncIterable<SharedRecord<Record>>
{
  readonly #http: HttpClient;
  readonly #options: CheckedOptions;
  readonly #serdes: AnySerdes;
  readonly #onError: (error: BrokerError) => void;
  readonly #acks: ShareAcks;
  /** The leases that it holds. */
  readonly #held = new Map<string, Held>();
  /** The records that nobody has taken yet. */
  #queue: Held[] = [];
  #state: State = "new";
  #failure: unknown = null;
  #wake = () => {};
  #room = () => {};
  #timer: unknown = null;
  #renewMs = 0;
  readonly #cut = new AbortController();
  #filling: Promise<void> = Promise.resolve();

  constructor(
    http: HttpClient,
    checked: CheckedOptions,
    options: Pick<ShareConsumerOptions, "onError"> & AnySerdes,
  ) {
    this.#http = http;
    this.#options = checked;
    this.#serdes = options;
    this.#onError = options.onError ?? ((error) => console.warn(`rivulet: ${error.message}`));
    this.#acks = new ShareAcks(http, `${shareGroupPath(this.#options.groupId)}/acknowledge`);
  }

  /** Calls the handler for each record, up to `concurrency` at a time. Resolves after `close`. */
  async run(
    { eachRecord }: { readonly eachRecord: (record: SharedRecord<Record>) => unknown },
    concurrency: number,
  ): Promise<void> {
    const running = new Set<Promise<void>>();
    try {
      for await (const record of this.#records()) {
        const handled = this.#handle(record, eachRecord).finally(() => running.delete(handled));
        running.add(handled);
        if (running.size >= concurrency) await Promise.race(running);
      }
    } finally {
      await Promise.all(running);
      await this.close();
    }
  }

  /**
   * Yields records. Acknowledge each one: until then it is held. A `break` or a throw closes the consumer, and releases what
   * is not acknowledged.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<SharedRecord<Record>, void, void> {
    try {
      yield* this.#records();
    } finally {
      await this.close();
      await this.#giveBack([...this.#held.values()]);
    }
  }

  /**
   * Releases what no handler has begun, waits for the acknowledgements under way, and ends. Running handlers go on, and `run`
   * waits for them. May be called more than once.
   */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#cut.abort();
    this.#wake();
    this.#room();
    await this.#filling;
    await this.#giveBack(this.#queue.splice(0));
    await this.#acks.idle();
    this.#state = "closed";
    this.#stopRenewing();
  }

  /** Releases records at once. Where that fails, their locks end. */
  async #giveBack(records: readonly Held[]): Promise<void> {
    const release = ({ leaseId }: Held) =>
      this.#settle({ leaseId, type: "release", delayMs: 0 }).catch(() => {});
    await Promise.all(records.map(release));
  }

  async #handle(
    record: SharedRecord<Record>,
    eachRecord: (record: SharedRecord<Record>) => unknown,
  ): Promise<void> {
    let said: () => Promise<void>;
    try {
      await eachRecord(record);
      said = () => record.accept();
    } catch (error) {
      const reason = String((error as Error | null)?.message ?? error).slice(0, 1_000);
      if (error instanceof RejectRecord) said = () => record.reject(reason);
      else if (error instanceof ReleaseRecord) said = () => record.release(error);
      else {
        this.#report(`the handler threw, so the record is released: ${reason}`, record, error);
        said = () => record.release();
      }
    }
    const { leaseId } = leases.get(record) ?? { leaseId: "" };
    if (!this.#held.has(leaseId)) return; // The handler has said it itself.
    await said().catch((error) =>
      this.#report(`it could not be acknowledged: ${error.message}`, record, error),
    );
  }

  async *#records(): AsyncGenerator<SharedRecord<Record>, void, void> {
    if (this.#state !== "new") throw new Error("a share consumer runs once");
    this.#state = "open";
    this.#filling = this.#fill().catch((error) => {
      this.#failure = error;
      this.#wake();
    });
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        this.#room();
        yield next.record as unknown as SharedRecord<Record>;
        continue;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#state !== "open") return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Acquires records as long as there is room for half of what it may hold. */
  async #fill(): Promise<void> {
    const { maxInFlight } = this.#options;
    for (let failures = 0; this.#state === "open"; ) {
      const room = maxInFlight - this.#held.size;
      if (room < Math.ceil(maxInFlight / 2)) {
        await new Promise<void>((resolve) => {
          this.#room = resolve;
        });
        continue;
      }
      try {
        // The answer of the first may hold records, so `close` waits for it. It cuts off the second, which holds none once it
        // waits.
        if ((await this.#acquire(room, 0)) === 0 && this.#state === "open")
          await this.#acquire(room, WAIT_MS);
        failures = 0;
      } catch (error) {
        if (this.#state !== "open") return;
        const isRetriable = error instanceof ConnectionError || (error as BrokerError).retriable;
        if (!isRetriable) throw error;
        this.#onError(
          error instanceof BrokerError
            ? error
            : new BrokerError("NETWORK_EXCEPTION", (error as Error).message, { cause: error }),
        );
        await pause(backoffMs(failures++, Math.random), this.#cut.signal);
      }
    }
  }

  /** Returns the number of records that it has acquired. */
  async #acquire(maxRecords: number, waitMs: number): Promise<number> {
    const { groupId, topics, lockMs, from } = this.#options;
    const wait = { waitMs, onlyWaits: true };
    const body = { topics, maxRecords, ...wait, from, ...(lockMs && { lockMs }) };
    const { records, lockTimeoutMs } = await this.#http.request<{
      readonly records: readonly AcquiredJson[];
      readonly lockTimeoutMs: number;
    }>("POST", `${shareGroupPath(groupId)}/acquire`, jsonBody(body), {
      signal: waitMs > 0 ? this.#cut.signal : undefined,
      timeoutMs: waitMs + ANSWER_MS,
    });
    this.#renewEach(lockTimeoutMs / 3);
    for (const each of records) {
      const record = await this.#record(each);
      if (record !== null) this.#queue.push(record);
    }
    this.#wake();
    return records.length;
  }

  /** Returns the record for the application. Null if its serdes refuse it: then it is released, as Java's consumer does. */
  async #record(acquired: AcquiredJson): Promise<Held | null> {
    const { topic, partition, offset, timestamp, deliveryCount, leaseId } = acquired;
    const { key, value, headers } = fromJsonRecord(acquired, 0);
    const place = { topic, partition, offset };
    const bytes = { ...place, timestamp, deliveryCount, key, value, headers };
    try {
      const typed = hasSerdes(this.#serdes)
        ? await convert(
            "deserialize",
            this.#serdes,
            bytes,
            `${topic}/${partition}/${offset}`,
            place,
          )
        : bytes;
      const held: Held = { leaseId, record: this.#withAcks(typed as AnyRecord, leaseId) };
      this.#held.set(leaseId, held);
      leases.set(held.record, held);
      return held;
    } catch (error) {
      this.#onError(error as BrokerError);
      await this.#settle({ leaseId, type: "release" }).catch(() => {});
      return null;
    }
  }

  #withAcks(record: AnyRecord, leaseId: string): SharedRecord<AnyRecord> {
    return {
      ...record,
      accept: () => this.#settle({ leaseId, type: "accept" }),
      release: ({ delayMs }: { readonly delayMs?: number } = {}) =>
        this.#settle({ leaseId, type: "release", delayMs }),
      reject: (reason?: string) => this.#settle({ leaseId, type: "reject", reason }),
      renew: ({ forMs }: { readonly forMs?: number } = {}) =>
        this.#acks.send({ leaseId, type: "renew", delayMs: forMs }),
    };
  }

  async #settle(ack: Ack): Promise<void> {
    this.#held.delete(ack.leaseId);
    this.#room();
    await this.#acks.send(ack);
  }

  /** Renews all locks this often. */
  #renewEach(ms: number): void {
    if (this.#renewMs === ms) return;
    this.#stopRenewing();
    this.#renewMs = ms;
    this.#timer = setInterval(() => this.#renewAll(), ms);
    (this.#timer as { unref?(): void }).unref?.(); // Only requests keep a process alive.
  }

  #renewAll(): void {
    for (const { leaseId, record } of [...this.#held.values()])
      this.#acks.send({ leaseId, type: "renew", delayMs: this.#options.lockMs }).catch((error) => {
        if (!this.#held.delete(leaseId)) return;
        this.#queue = this.#queue.filter((each) => each.leaseId !== leaseId);
        this.#report(`its lock was lost: ${error.message}`, record, error);
        this.#room();
      });
  }

  #stopRenewing(): void {
    clearInterval(this.#timer);
    this.#renewMs = 0;
  }

  #report(
    what: string,
    { topic, partition, offset }: object & Partial<AnyRecord>,
    cause: unknown,
  ): void {
    const code = cause instanceof BrokerError ? cause.code : "UNKNOWN_SERVER_ERROR";
    const error = new BrokerError(code, `${topic}/${partition}/${offset}: ${what}`, { cause });
    try {
      this.#onError(error);
    } catch (thrown) {
      this.#failure ??= thrown;
      this.#wake();
    }
  }
}

/** The lease of each record that was handed out. */
const leases = new WeakMap<object, Held>();

/** Resolves after the time, or when the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;
declare const setInterval: (callback: () => void, ms: number) => unknown;
declare const clearInterval: (timer: unknown) => void;
declare const console: { warn(text: string): void };
