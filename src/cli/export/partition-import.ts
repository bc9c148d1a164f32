// Stores the records of one partition in order. Records that an earlier import stored are compared, and not stored again.
// Each append names the offset that it must get, so nothing comes in between and nothing is stored twice.
import { concatBytes, equalBytes } from "../../core/bytes.ts";
import { addToSequence } from "../../core/log/producers.ts";
import { batches as batchesIn, recordSize } from "../../core/log/record-batch.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import { BrokerError } from "../../sdk/index.ts";
import type { Broker } from "../broker.ts";
import type { RecordsContent } from "./content.ts";
import { appendable, encodeRecords, recordsOf, type StoredBatch } from "./stored-batches.ts";
import { StoredRecords } from "./stored-records.ts";

/** The bytes of one append, which becomes a row of the partition. */
const APPEND_BYTES = 1_000_000;
/** The bytes of records in one batch. A larger record becomes a batch of its own, compressed. */
const BATCH_BYTES = 900_000;
const BATCH_RECORDS = 10_000;
const GZIP = 1;

export class PartitionImport {
  readonly #broker: Broker;
  readonly #place: TopicPartition;
  readonly #producer: { readonly producerId: number; readonly producerEpoch: number };
  /** The first offset of the file. Earlier records of a batch were deleted. */
  readonly #from: number;
  /** The end of the log when the import began. Records before it are compared. */
  readonly #storedEnd: number;
  readonly #stored: StoredRecords;
  /** The offset that the next record of the file has in the new log. */
  #next = 0;
  #sequence = 0;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #pendingRecords = 0;
  #added = 0;

  constructor(
    broker: Broker,
    place: TopicPartition,
    producer: { readonly producerId: number; readonly producerEpoch: number },
    bounds: { readonly from: number; readonly storedStart: number; readonly storedEnd: number },
  ) {
    this.#broker = broker;
    this.#place = place;
    this.#producer = producer;
    this.#from = bounds.from;
    this.#storedEnd = bounds.storedEnd;
    this.#stored = new StoredRecords(broker, place, bounds.storedStart);
  }

  /** The number of records that this import has stored. */
  get added(): number {
    return this.#added;
  }

  /** @throws Error if other records are stored */
  async add({ records, batches }: RecordsContent): Promise<void> {
    if (records !== null) await this.#addRecords(records, 0);
    for (const batch of batches ?? []) await this.#addBatch(batch);
  }

  async #addBatch(batch: StoredBatch): Promise<void> {
    const { recordCount, compression } = batch.header;
    const producer = { ...this.#producer, baseSequence: this.#sequence };
    const isNew = this.#next >= this.#storedEnd;
    const whole = isNew ? appendable(batch, this.#from, producer) : null;
    if (whole !== null) return await this.#append(whole, recordCount);
    const records = recordsOf(batch).filter(({ offset }) => offset >= this.#from);
    await this.#addRecords(records, compression);
  }

  async #addRecords(all: readonly ConsumerRecord[], compression: number): Promise<void> {
    let i = 0;
    for (; i < all.length && this.#next < this.#storedEnd; i++) {
      await this.#compare(all[i] as ConsumerRecord, this.#next);
      this.#next++;
    }
    while (i < all.length) {
      const start = i;
      const { timestamp } = all[start] as ConsumerRecord;
      let bytes = 0;
      while (i < all.length && i - start < BATCH_RECORDS) {
        const size = recordSize(all[i] as ConsumerRecord, i - start, timestamp);
        if (i > start && bytes + size > BATCH_BYTES) break;
        bytes += size;
        i++;
      }
      // It was compressed when it was stored: uncompressed it would have been refused.
      const isLarge = bytes > BATCH_BYTES;
      const producer = { ...this.#producer, baseSequence: this.#sequence };
      const folding = isLarge && compression === 0 ? GZIP : compression;
      await this.#append(encodeRecords(all.slice(start, i), producer, folding), i - start);
    }
  }

  async #append(batch: Uint8Array, records: number): Promise<void> {
    if (this.#pendingBytes + batch.length > APPEND_BYTES) await this.flush();
    this.#pending.push(batch);
    this.#pendingBytes += batch.length;
    this.#pendingRecords += records;
    this.#sequence = addToSequence(this.#sequence, records);
    this.#next += records;
  }

  /** Stores the collected records. */
  async flush(): Promise<void> {
    if (this.#pendingRecords === 0) return;
    const { topic, partition } = this.#place;
    const bytes = concatBytes(this.#pending);
    const count = this.#pendingRecords;
    const at = this.#next - count;
    try {
      await this.#broker.append(topic, partition, bytes, at);
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== "INVALID_UPDATE_VERSION") throw error;
      await this.#compareStored(bytes, at, count, error);
    }
    this.#added += count;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#pendingRecords = 0;
  }

  /**
   * Handles a partition that does not end where it should. Either an append was stored, its answer was lost, and the
   * partition has since forgotten the producer. Or the same import runs twice.
   */
  async #compareStored(bytes: Uint8Array, at: number, count: number, error: BrokerError) {
    const { topic, partition } = this.#place;
    const { nextOffset } = error.data;
    if (typeof nextOffset !== "number" || nextOffset < at + count)
      throw new Error(
        `${topic}/${partition} ends at ${nextOffset} and not at ${at}: somebody else writes to it, or deletes it`,
      );
    let offset = at;
    for (const each of batchesIn(bytes))
      for (const record of recordsOf({ bytes, ...each })) await this.#compare(record, offset++);
  }

  /** Compares a record with the one stored at its offset. Records that retention or compaction deleted are skipped. */
  async #compare(record: ConsumerRecord, at: number): Promise<void> {
    const stored = await this.#stored.at(at);
    if (stored === null || isSame(stored, record)) return;
    const { topic, partition } = this.#place;
    throw new Error(
      `${topic}/${partition} has another record at offset ${at} than the file (offset ${record.offset} there): the topic is neither empty nor from this file. Import into another one with --topic`,
    );
  }
}

function isSame(a: ConsumerRecord, b: ConsumerRecord): boolean {
  return (
    a.timestamp === b.timestamp &&
    equalBytes(a.key, b.key) &&
    equalBytes(a.value, b.value) &&
    a.headers.length === b.headers.length &&
    a.headers.every(({ key, value }, i) => {
      const other = b.headers[i];
      return other !== undefined && key === other.key && equalBytes(value, other.value);
    })
  );
}
