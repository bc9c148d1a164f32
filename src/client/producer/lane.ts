// The appends of one producer to one partition: one at a time, in order, each tried again until its outcome
// is known or its time is up. While one is under way the others wait together and share the next one.
import { compressRecords } from "../../compression/compress.ts";
import { BrokerError } from "../../core/errors.ts";
import { COMPRESSIONS, type CompressionName } from "../../core/log/compression.ts";
import { addToSequence, isDecided, isOutOfStep } from "../../core/log/producers.ts";
import { foldBatches } from "../../core/log/record-batch.ts";
import { encodeAppend, type PlannedAppend, planAppends } from "../../core/produce-plan.ts";
import type { ProducerRecord } from "../../core/record.ts";
import { batchesPath, PRODUCERS_PATH } from "../../protocol/paths.ts";
import { ConnectionError, type HttpClient } from "../http.ts";

export type LaneOutcome =
  | { readonly ok: true; readonly baseOffset: number; readonly logAppendTimeMs?: number }
  | { readonly ok: false; readonly error: BrokerError | ConnectionError };

export interface LaneOptions {
  readonly expectedOffset: number | null;
  readonly compression: CompressionName;
  readonly deliveryTimeoutMs: number;
  readonly lingerMs: number;
  readonly batchSize: number;
}

interface Item {
  readonly records: readonly ProducerRecord[];
  readonly maxMessageBytes: number;
  readonly options: LaneOptions;
  readonly deadlineMs: number;
  /** A refused append of several is sent again one by one: only the guilty one shall fail. */
  isAlone: boolean;
  readonly resolve: (outcome: LaneOutcome) => void;
}

interface Appended {
  readonly baseOffset: number;
  readonly logAppendTimeMs?: number;
}

/** Waiting appends are joined up to so many records: a few large appends are enough. */
export const MAX_JOINED_RECORDS = 10_000;
export const FIRST_BACKOFF_MS = 50;
export const MAX_BACKOFF_MS = 1_000;

export class Lane {
  readonly #http: HttpClient;
  readonly #topic: string;
  readonly #partition: number;
  readonly #queue: Item[] = [];
  #isSending = false;
  /** Ends the wait for more records. */
  #endLinger: (() => void) | null = null;
  /** Null before the first append, and where nobody knows how far the sequence has come. */
  #identity: { producerId: number; producerEpoch: number; sequence: number } | null = null;

  constructor(http: HttpClient, topic: string, partition: number) {
    this.#http = http;
    this.#topic = topic;
    this.#partition = partition;
  }

  /** Resolves when it is known what became of the records, or their time is up. */
  append(
    records: readonly ProducerRecord[],
    maxMessageBytes: number,
    options: LaneOptions,
  ): Promise<LaneOutcome> {
    return new Promise((resolve) => {
      const deadlineMs = Date.now() + options.deliveryTimeoutMs;
      const isAlone = options.expectedOffset !== null;
      this.#queue.push({ records, maxMessageBytes, options, deadlineMs, isAlone, resolve });
      if (!this.#isSending) void this.#work(options.lingerMs);
      else if (this.#waitingRecords >= options.batchSize) this.hurry();
    });
  }

  /** What waits for more records waits no longer. */
  hurry(): void {
    this.#endLinger?.();
  }

  get #waitingRecords(): number {
    return this.#queue.reduce((sum, { records }) => sum + records.length, 0);
  }

  async #work(lingerMs: number): Promise<void> {
    this.#isSending = true;
    const isFull = this.#waitingRecords >= (this.#queue[0]?.options.batchSize ?? 0);
    if (lingerMs > 0 && !isFull) await this.#linger(lingerMs);
    while (this.#queue.length > 0) await this.#send(this.#take());
    this.#isSending = false;
  }

  async #linger(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endLinger = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endLinger = null;
  }

  /** The first item, and those behind it that may share its append. */
  #take(): Item[] {
    const first = this.#queue.shift() as Item;
    const items = [first];
    let count = first.records.length;
    while (!first.isAlone) {
      const next = this.#queue[0];
      if (next === undefined || next.isAlone) break;
      const isAlike = next.options.compression === first.options.compression;
      if (!isAlike || count + next.records.length > first.options.batchSize) break;
      count += next.records.length;
      items.push(next);
      this.#queue.shift();
    }
    return items;
  }

  async #send(items: readonly Item[]): Promise<void> {
    const [first] = items as [Item, ...Item[]];
    const deadlineMs = Math.min(...items.map((item) => item.deadlineMs));
    const records = items.flatMap((item) => item.records);
    const plan = this.#plan(records, first.maxMessageBytes);
    if (plan === null) {
      // Together they are too large for one append.
      this.#putBack(items);
      return;
    }
    const outcome = await this.#deliver(plan, records, first.options, deadlineMs);
    if (!outcome.ok && isRefusal(outcome.error) && items.length > 1) {
      this.#putBack(items);
      return;
    }
    let { baseOffset } = outcome.ok ? outcome : { baseOffset: 0 };
    for (const item of items) {
      item.resolve(outcome.ok ? { ...outcome, baseOffset } : outcome);
      baseOffset += item.records.length;
    }
  }

  #putBack(items: readonly Item[]): void {
    for (const item of items) item.isAlone = true;
    this.#queue.unshift(...items);
  }

  /** The records as one append, or null where they need several. */
  #plan(records: readonly ProducerRecord[], maxMessageBytes: number): PlannedAppend | null {
    const partition = this.#partition;
    const target = { name: this.#topic, partitions: partition + 1, maxMessageBytes };
    const placed = records.map((record) => ({ ...record, partition }));
    // What is wrong with a record was found before it was queued.
    const appends = planAppends({ ...target, isCompacted: false, times: null }, placed, 0);
    return appends.length === 1 ? (appends[0] ?? null) : null;
  }

  /** Sends the same bytes until it is known what became of them. */
  async #deliver(
    plan: PlannedAppend,
    records: readonly ProducerRecord[],
    { expectedOffset, compression }: LaneOptions,
    deadlineMs: number,
  ): Promise<LaneOutcome> {
    let isUnknown = false;
    let isRenewed = false;
    let bytes: Uint8Array | null = null;
    for (let attempt = 0; ; attempt++) {
      try {
        this.#identity ??= await this.#identify();
        bytes ??= await fold(encodeAppend(plan, records, this.#identity), compression);
        const appended = await this.#post(bytes, expectedOffset);
        const { sequence } = this.#identity;
        this.#identity.sequence = addToSequence(sequence, plan.recordCount);
        return { ok: true, ...appended };
      } catch (thrown) {
        const error = known(thrown);
        // Before the first bytes were sent nothing can have been stored.
        isUnknown ||= bytes !== null && !isRefusal(error) && !isPostponed(error);
        const code = error instanceof BrokerError ? error.code : null;
        if (code !== null && isDecided(code)) isUnknown = false;
        if (code !== null && isOutOfStep(code) && !isRenewed) {
          // Somebody else has used this producer's id. Nothing was stored: it is sent as another one.
          isRenewed = true;
          this.#identity = null;
          bytes = null;
          continue;
        }
        const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** attempt, MAX_BACKOFF_MS);
        if (isRefusal(error) || Date.now() + backoffMs >= deadlineMs) {
          // Its sequence numbers may be taken or not: the next append begins as another producer.
          if (isUnknown) this.#identity = null;
          return { ok: false, error: isUnknown ? unknownOutcome(error) : error };
        }
        await new Promise((resolve) => setTimeout(resolve, backoffMs * (0.5 + Math.random() / 2)));
      }
    }
  }

  async #identify() {
    const { producerId, producerEpoch } = await this.#http.request<{
      producerId: number;
      producerEpoch: number;
    }>("POST", PRODUCERS_PATH);
    return { producerId, producerEpoch, sequence: 0 };
  }

  #post(bytes: Uint8Array, expectedOffset: number | null): Promise<Appended> {
    const query = expectedOffset === null ? "" : `?expectedOffset=${expectedOffset}`;
    const path = `${batchesPath(this.#topic, this.#partition)}${query}`;
    return this.#http.request("POST", path, { type: "application/octet-stream", data: bytes });
  }
}

function known(error: unknown): BrokerError | ConnectionError {
  if (error instanceof BrokerError || error instanceof ConnectionError) return error;
  return new BrokerError("UNKNOWN_SERVER_ERROR", String(error), { cause: error });
}

/** True where trying again changes nothing, and nothing was stored. */
function isRefusal(error: Error): boolean {
  if (!(error instanceof BrokerError)) return false;
  return !error.retriable || error.code.startsWith("UNKNOWN_TOPIC");
}

/** True where the broker says that it has not stored anything, for now. */
function isPostponed(error: Error): boolean {
  return (
    error instanceof BrokerError &&
    (error.code === "THROTTLING_QUOTA_EXCEEDED" || error.code === "KAFKA_STORAGE_ERROR")
  );
}

function unknownOutcome(error: BrokerError | ConnectionError): BrokerError | ConnectionError {
  if (error instanceof ConnectionError) return error;
  const detail = `the outcome is unknown: ${error.message}`;
  return new BrokerError("REQUEST_TIMED_OUT", detail, { cause: error });
}

async function fold(bytes: Uint8Array, compression: CompressionName): Promise<Uint8Array> {
  if (compression === "none") return bytes;
  const type = COMPRESSIONS[compression];
  return foldBatches(bytes, type, (records) => compressRecords(type, records));
}
