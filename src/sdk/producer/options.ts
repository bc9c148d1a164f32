// The options of a producer and of a call, and the records that it accepts.
import type { JsonRecordInput } from "../../protocol/json-record.ts";

/** The input of a producer with serdes. `Key` and `Value` are the types that they serialize. */
export type TypedRecordInput<Key, Value> = Omit<
  JsonRecordInput,
  "key" | "keyBase64" | "value" | "valueBase64"
> & { readonly key?: Key | null; readonly value: Value | null };

/**
 * A record to send. In `value` and `key`, a string means its UTF-8 bytes, and a Uint8Array means itself. Null means
 * null, which as a value is a tombstone. Any other value means its JSON text. A value without a JSON form, such as NaN
 * or a Map, is rejected. A record has at most 100 headers.
 */
export type RecordInput = JsonRecordInput;

/** The options of one `send`. */
export interface SendOptions {
  /** Stops waiting: the call rejects with the signal's reason. Records in flight may still be stored. */
  readonly signal?: AbortSignal;
  /**
   * Appends only if the first record gets this offset. Otherwise the call throws INVALID_UPDATE_VERSION, with the next
   * offset in `data.nextOffset`. All records must go to one partition and fit one append (16 MiB).
   */
  readonly expectedOffset?: number;
  /**
   * A repeat with the same key within 24 hours, by any client, gets the first answer and stores nothing. 1 to 255 ASCII
   * characters.
   */
  readonly idempotencyKey?: string;
  /** The compression of the batches. zstd needs Node, Workers, Deno or Bun; gzip works everywhere. @default "none" */
  readonly compression?: "none" | "gzip" | "zstd";
  /** The time for which requests that may succeed later are retried, in ms, 0 to 2,147,483,647. @default 30000 */
  readonly deliveryTimeoutMs?: number;
}

/** The options of a producer. `compression` and `deliveryTimeoutMs` are the defaults for every `send`. */
export interface ProducerOptions extends Pick<SendOptions, "compression" | "deliveryTimeoutMs"> {
  /**
   * The time that the first record of an append waits for others, in ms, 0 to 60,000. Records that are sent during an
   * append share the next one in any case. @default 0
   */
  readonly lingerMs?: number;
  /** The most records in one append per partition, 1 to 10,000. An append of that size does not wait. @default 10000 */
  readonly batchSize?: number;
  /**
   * The most records whose outcome is unknown, over all calls, at least 1. Beyond this, `send` waits before it accepts
   * its records. @default 100000
   */
  readonly maxBufferedRecords?: number;
  /**
   * Returns the partition, from 0 to `partitions` - 1, of a record without one. @default murmur2 of the key, as in
   * Kafka's Java client; for keyless records, one partition per call
   */
  readonly partitioner?: (
    record: RecordInput,
    place: { topic: string; partitions: number },
  ) => number;
}
