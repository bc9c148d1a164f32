// The options of a producer and of a call, and the records that it takes.
import type { JsonRecordInput } from "../../protocol/json-record.ts";

/** The input of a producer with serdes: `Key` and `Value` are the types that they take. */
export type TypedRecordInput<Key, Value> = Omit<
  JsonRecordInput,
  "key" | "keyBase64" | "value" | "valueBase64"
> & { readonly key?: Key | null; readonly value: Value | null };

/** `value` and `key`: a string is its UTF-8 bytes, a Uint8Array itself, another value its JSON text, null is null. */
export type RecordInput = JsonRecordInput;

export interface SendOptions {
  /** Stops waiting. Records on their way may still be stored. */
  readonly signal?: AbortSignal;
  /**
   * Appends only if the first record gets this offset. Otherwise the error is INVALID_UPDATE_VERSION, with
   * `data.nextOffset`. All records must go to one partition, and fit one append (16 MiB).
   */
  readonly expectedOffset?: number;
  /**
   * A repeat with the same key within 24 hours, by any client, gets the
   * first answer and stores nothing. 1 to 255 characters.
   */
  readonly idempotencyKey?: string;
  /** How the batches are compressed. zstd needs Node, Workers, Deno or Bun. @default "none" */
  readonly compression?: "none" | "gzip" | "zstd";
  /** How long to retry requests that may succeed later, in milliseconds. 0 to 2,147,483,647. @default 30000 */
  readonly deliveryTimeoutMs?: number;
}

/** The defaults for every `send` that does not say otherwise. */
export interface ProducerOptions extends Pick<SendOptions, "compression" | "deliveryTimeoutMs"> {
  /**
   * How long the first record of an append waits for others, in milliseconds, 0 to 60,000. Records that come while an
   * append is under way share the next one in any case. @default 0
   */
  readonly lingerMs?: number;
  /** The most records in one append per partition, 1 to 10,000. An append of that size does not wait. @default 10000 */
  readonly batchSize?: number;
  /**
   * The most records whose outcome is not known, in all. Beyond it,
   * `send` waits before it takes its own. @default 100000
   */
  readonly maxBufferedRecords?: number;
  /**
   * Chooses the partition of a record that names none. @default murmur2 of the key, as
   * Kafka's Java client; without a key one for each call
   */
  readonly partitioner?: (
    record: RecordInput,
    place: { topic: string; partitions: number },
  ) => number;
}
