// Records as the core sees them: bytes. protocol/json-record.ts converts JSON to bytes.

/** A header of a record. Names may repeat, and the order is kept. */
export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A record to be written. */
export interface ProducerRecord {
  readonly key: Uint8Array | null;
  /** `null` is a tombstone. */
  readonly value: Uint8Array | null;
  /** In the order in which they were sent. */
  readonly headers: readonly RecordHeader[];
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

/** A record that was read, with its offset. */
export interface ConsumerRecord extends ProducerRecord {
  readonly offset: number;
}

/** A partition of a topic. Partitions are numbered from 0. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}
