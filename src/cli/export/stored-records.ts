// Reads the records that a partition holds, in order and some at a time.
import { batches as batchesIn } from "../../core/log/record-batch.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import type { Broker } from "../broker.ts";
import { recordsOf, type StoredBatch } from "./stored-batches.ts";

export class StoredRecords {
  readonly #broker: Broker;
  readonly #place: TopicPartition;
  /** The log starts here. */
  readonly #logStart: number;
  #batches: StoredBatch[] = [];
  #records: ConsumerRecord[] = [];
  #index = 0;
  /** Everything before it was read. */
  #readTo = 0;

  constructor(broker: Broker, place: TopicPartition, logStart: number) {
    this.#broker = broker;
    this.#place = place;
    this.#logStart = logStart;
  }

  /** Returns the record at the offset, or null if it was deleted. Ask for offsets in increasing order. */
  async at(offset: number): Promise<ConsumerRecord | null> {
    if (offset < this.#logStart) return null;
    for (;;) {
      for (; this.#index < this.#records.length; this.#index++) {
        const record = this.#records[this.#index] as ConsumerRecord;
        if (record.offset === offset) return record;
        if (record.offset > offset) return null;
      }
      const batch = this.#batches.shift();
      this.#index = 0;
      this.#records = batch === undefined ? [] : recordsOf(batch);
      if (batch !== undefined) continue;
      if (this.#readTo > offset) return null;
      const { topic, partition } = this.#place;
      const { bytes, nextOffset } = await this.#broker.batches(topic, partition, offset);
      if (bytes.length === 0) return null;
      this.#readTo = nextOffset;
      this.#batches = Array.from(batchesIn(bytes), (each) => ({ bytes, ...each }));
    }
  }
}
