// One append on its way: the records of the calls that share it, and the bytes they became. The same bytes are
// sent until it is known what became of them.
import { BrokerError, brokerErrorOf } from "../../core/errors.ts";
import type { CompressionName } from "../../core/log/compression.ts";
import { addToSequence, isDecided } from "../../core/log/producers.ts";
import { foldBatches } from "../../core/log/record-batch.ts";
import { encodeAppend, type PlannedAppend } from "../../core/produce-plan.ts";
import type { ProducerRecord } from "../../core/record.ts";
import { ConnectionError } from "../http.ts";

export type LaneOutcome =
  | { readonly ok: true; readonly baseOffset: number; readonly logAppendTimeMs?: number }
  | { readonly ok: false; readonly error: BrokerError | ConnectionError };

export interface LaneOptions {
  readonly expectedOffset: number | null;
  readonly compression: CompressionName;
  /** By the monotonic clock. */
  readonly deadlineMs: number;
  readonly lingerMs: number;
  readonly batchSize: number;
}

/** What one call wants appended to the partition. */
export interface Item {
  readonly records: readonly ProducerRecord[];
  readonly sizeInBytes: number;
  readonly maxMessageBytes: number;
  readonly options: LaneOptions;
  readonly resolve: (outcome: LaneOutcome) => void;
}

/** A producer in one partition; `sequence` is that of the next record. */
export interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
  sequence: number;
  /** An append was stored: the partition knows it, and refuses what comes behind a gap. */
  isKnown: boolean;
}

export class Delivery {
  readonly items: readonly Item[];
  readonly records: readonly ProducerRecord[];
  readonly plan: PlannedAppend;
  /** The items whose time is not up. */
  #waiting: readonly Item[];
  /** Null until they are encoded as somebody's. */
  bytes: Uint8Array | null = null;
  identity: Identity | null = null;
  /** The first sequence number of the bytes. */
  sequence = 0;
  /** It was sent, and may have been stored. */
  isUnknown = false;

  constructor(items: readonly Item[], records: readonly ProducerRecord[], plan: PlannedAppend) {
    this.items = items;
    this.records = records;
    this.plan = plan;
    this.#waiting = items;
  }

  /** When the first of the items that wait has no time left. */
  get deadlineMs(): number {
    return Math.min(...this.#waiting.map(({ options }) => options.deadlineMs));
  }

  /** Answers the items that have no time left at `nowMs` with `error`, unless none has: then true. */
  expire(nowMs: number, error: BrokerError | ConnectionError): boolean {
    const hasTime = ({ options }: Item) => options.deadlineMs > nowMs;
    const waiting = this.#waiting.filter(hasTime);
    if (waiting.length === 0) return true;
    for (const item of this.#waiting) if (!hasTime(item)) item.resolve({ ok: false, error });
    this.#waiting = waiting;
    return false;
  }

  get options(): LaneOptions {
    return (this.items[0] as Item).options;
  }

  /** As the next of this producer's. */
  async encodeAs(identity: Identity): Promise<Uint8Array> {
    this.identity = identity;
    this.sequence = identity.sequence;
    const encoded = encodeAppend(this.plan, this.records, identity);
    this.bytes = await fold(encoded, this.options.compression);
    identity.sequence = addToSequence(identity.sequence, this.plan.recordCount);
    return this.bytes;
  }

  /** What an answer, or its absence, says about whether the bytes are stored. */
  note(error: BrokerError | ConnectionError): void {
    if (error instanceof BrokerError && isDecided(error.code)) this.isUnknown = false;
    else if (!isRefusal(error) && !isPostponed(error)) this.isUnknown = true;
  }

  settle(outcome: LaneOutcome): void {
    let { baseOffset } = outcome.ok ? outcome : { baseOffset: 0 };
    for (const item of this.items) {
      item.resolve(outcome.ok ? { ...outcome, baseOffset } : outcome);
      baseOffset += item.records.length;
    }
  }
}

/** True where the topic, or the partition, was not there: nothing was stored. */
export function isOfNoTopic(error: Error): boolean {
  return error instanceof BrokerError && error.code.startsWith("UNKNOWN_TOPIC");
}

/** True where trying again changes nothing, and nothing was stored. */
export function isRefusal(error: Error): boolean {
  return error instanceof BrokerError && (!error.retriable || isOfNoTopic(error));
}

/** True where the broker says that it has not stored anything, for now. */
function isPostponed(error: Error): boolean {
  return (
    error instanceof BrokerError &&
    (error.code === "THROTTLING_QUOTA_EXCEEDED" || error.code === "KAFKA_STORAGE_ERROR")
  );
}

export function known(error: unknown): BrokerError | ConnectionError {
  return error instanceof ConnectionError ? error : brokerErrorOf(error, "UNKNOWN_SERVER_ERROR");
}

async function fold(bytes: Uint8Array, compression: CompressionName): Promise<Uint8Array> {
  if (compression === "none") return bytes;
  // Most producers never need it.
  const { compressRecords, typeOf } = await import("../../compression/compress.ts");
  const type = typeOf(compression);
  return foldBatches(bytes, type, (records) => compressRecords(type, records));
}
