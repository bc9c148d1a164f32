// One append: the records of the calls that share it, and their encoded bytes. The same bytes are sent until their
// outcome is known.

import { ConnectionError } from "../../admin/http.ts";
import { BrokerError, brokerErrorOf, ERRORS } from "../../core/errors.ts";
import type { CompressionName } from "../../core/log/compression.ts";
import { addToSequence } from "../../core/log/producers.ts";
import { compressBatches } from "../../core/log/record-batch.ts";
import { encodeAppend, type PlannedAppend } from "../../core/produce-plan.ts";
import type { ProducerRecord } from "../../core/record.ts";

export type LaneOutcome =
  | { readonly ok: true; readonly baseOffset: number; readonly logAppendTimeMs?: number }
  | { readonly ok: false; readonly error: BrokerError | ConnectionError };

export interface LaneOptions {
  readonly expectedOffset: number | null;
  readonly compression: CompressionName;
  /** The deadline on the monotonic clock. */
  readonly deadlineMs: number;
  readonly lingerMs: number;
  readonly batchSize: number;
}

/** The records of one call for the partition. */
export interface Item {
  readonly records: readonly ProducerRecord[];
  readonly sizeInBytes: number;
  readonly maxMessageBytes: number;
  readonly options: LaneOptions;
  readonly resolve: (outcome: LaneOutcome) => void;
}

/** The producer's identity for one partition. `sequence` is that of the next record. */
export interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
  sequence: number;
  /** True if an append was stored. The partition then knows the producer, and rejects appends after a gap. */
  isKnown: boolean;
}

export class Delivery {
  readonly items: readonly Item[];
  readonly records: readonly ProducerRecord[];
  readonly plan: PlannedAppend;
  /** The items whose deadline has not passed. */
  #waiting: readonly Item[];
  /** Null until the records are encoded for a producer. */
  bytes: Uint8Array | null = null;
  identity: Identity | null = null;
  /** The first sequence number of the bytes. */
  sequence = 0;
  /** True if it was sent and may have been stored. */
  isUnknown = false;

  constructor(items: readonly Item[], records: readonly ProducerRecord[], plan: PlannedAppend) {
    this.items = items;
    this.records = records;
    this.plan = plan;
    this.#waiting = items;
  }

  /** The earliest deadline of the waiting items. */
  get deadlineMs(): number {
    return Math.min(...this.#waiting.map(({ options }) => options.deadlineMs));
  }

  /**
   * Settles items whose deadline is before `nowMs` with `error`. If that is all of them, settles none and returns true.
   */
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

  /** Encodes the records as the next append of this producer. */
  async encodeAs(identity: Identity): Promise<Uint8Array> {
    this.identity = identity;
    this.sequence = identity.sequence;
    const encoded = encodeAppend(this.plan, this.records, identity);
    this.bytes = await compress(encoded, this.options.compression);
    identity.sequence = addToSequence(identity.sequence, this.plan.recordCount);
    return this.bytes;
  }

  /** Notes what an answer, or its absence, means for the outcome. */
  note(error: BrokerError | ConnectionError): void {
    if (error instanceof BrokerError && ERRORS[error.code].outcomeKnown) this.isUnknown = false;
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

/** True if the topic or the partition did not exist. Nothing was stored. */
export function isOfNoTopic(error: Error): boolean {
  return error instanceof BrokerError && error.code.startsWith("UNKNOWN_TOPIC");
}

/** True if a retry would change nothing, and nothing was stored. */
export function isRefusal(error: Error): boolean {
  return error instanceof BrokerError && (!error.retriable || isOfNoTopic(error));
}

/** True if the broker has not stored anything for the moment. */
function isPostponed(error: Error): boolean {
  return (
    error instanceof BrokerError &&
    (error.code === "THROTTLING_QUOTA_EXCEEDED" || error.code === "KAFKA_STORAGE_ERROR")
  );
}

export function known(error: unknown): BrokerError | ConnectionError {
  return error instanceof ConnectionError ? error : brokerErrorOf(error, "UNKNOWN_SERVER_ERROR");
}

async function compress(bytes: Uint8Array, compression: CompressionName): Promise<Uint8Array> {
  if (compression === "none") return bytes;
  // Most producers never need it.
  const { compressRecords, typeOf } = await import("../../compression/compress.ts");
  const type = typeOf(compression);
  return compressBatches(bytes, type, (records) => compressRecords(type, records));
}
