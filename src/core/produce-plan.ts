// Turns records into appends: chooses the partition of each record, and divides the records of a partition into batches
// and appends. The Worker and the SDK use the same plan.

import { concatBytes } from "./bytes.ts";
import { BrokerError } from "./errors.ts";
import { MAX_APPEND_BYTES } from "./limits.ts";
import { addToSequence } from "./log/producers.ts";
import {
  BATCH_HEADER_BYTES,
  type Compressor,
  encodeBatch,
  recordSize,
} from "./log/record-batch.ts";
import { partitionForKey } from "./partitioner.ts";
import type { ProducerRecord } from "./record.ts";

/** Records by index: a list, or an object that makes each record when asked. */
export interface Records<R = ProducerRecord> {
  readonly length: number;
  at(place: number): R | undefined;
  entries(): Iterable<[number, R]>;
}

/** The facts about a topic that producing needs. */
export interface ProduceTarget {
  readonly name: string;
  readonly partitions: number;
  readonly maxMessageBytes: number;
  /** True if every record needs a key. */
  readonly isCompacted: boolean;
}

export interface PlacedRecord extends ProducerRecord {
  /** The partition. Null lets the plan choose. */
  readonly partition: number | null;
}

/** Batches of one partition that are appended together. */
export interface PlannedAppend {
  readonly partition: number;
  /** For each batch, the indexes of its records in the list. */
  readonly batches: readonly (readonly number[])[];
  readonly recordCount: number;
  readonly sizeInBytes: number;
}

/**
 * [PRD-3] Plans the appends of a list of records. A record goes to its explicit partition, else to its key's partition
 * by Kafka's murmur2. All keyless records go to the one partition that `random` (from 0 to 1) selects: few large
 * batches instead of many small ones.
 *
 * The appends of a partition keep the order of its records [PRD-2]. Throws UNKNOWN_TOPIC_OR_PARTITION, INVALID_RECORD
 * for a missing key, or MESSAGE_TOO_LARGE; each names the record's index.
 */
export function planAppends(
  target: ProduceTarget,
  records: Records<PlacedRecord>,
  random: number,
): PlannedAppend[] {
  const shares = new Map<number, number[]>();
  const keyless = Math.floor(random * target.partitions);
  for (const [index, record] of records.entries()) {
    const partition = placeRecord(target, record, index, keyless);
    const share = shares.get(partition);
    if (share === undefined) shares.set(partition, [index]);
    else share.push(index);
  }
  return [...shares].flatMap(([partition, indexes]) =>
    cutAppends(partition, cutBatches(target, records, indexes)),
  );
}

/** Joins records of one partition into as few appends as possible. They must have been checked before. */
export function joinAppends(
  target: Pick<ProduceTarget, "name" | "maxMessageBytes">,
  records: readonly ProducerRecord[],
  partition: number,
): PlannedAppend[] {
  const indexes = Array.from(records, (_, index) => index);
  return cutAppends(partition, cutBatches(target, records, indexes));
}

function placeRecord(
  target: ProduceTarget,
  record: PlacedRecord,
  index: number,
  keyless: number,
): number {
  const { name, partitions } = target;
  if (record.key === null && target.isCompacted) {
    throw new BrokerError(
      "INVALID_RECORD",
      `records[${index}].key is null, compacted topic ${name} needs one`,
    );
  }
  if (record.partition === null)
    return record.key === null ? keyless : partitionForKey(record.key, partitions);
  if (record.partition < partitions) return record.partition;
  throw new BrokerError(
    "UNKNOWN_TOPIC_OR_PARTITION",
    `records[${index}].partition is ${record.partition}, topic ${name} has ${partitions} (0 to ${partitions - 1})`,
  );
}

interface SizedBatch {
  readonly indexes: number[];
  readonly sizeInBytes: number;
}

function cutBatches(
  { name, maxMessageBytes }: Pick<ProduceTarget, "name" | "maxMessageBytes">,
  records: Records,
  indexes: readonly number[],
): SizedBatch[] {
  const batches: { indexes: number[]; sizeInBytes: number }[] = [];
  let batch: { indexes: number[]; sizeInBytes: number } | null = null;
  let baseTimestamp = 0;
  for (const index of indexes) {
    const record = records.at(index) as ProducerRecord;
    if (batch !== null) {
      const more = recordSize(record, batch.indexes.length, baseTimestamp);
      if (batch.sizeInBytes + more <= maxMessageBytes) {
        batch.indexes.push(index);
        batch.sizeInBytes += more;
        continue;
      }
    }
    const alone = BATCH_HEADER_BYTES + recordSize(record, 0, record.timestamp);
    if (alone > maxMessageBytes) {
      throw new BrokerError(
        "MESSAGE_TOO_LARGE",
        `records[${index}] has ${alone} bytes as a batch, max.message.bytes of topic ${name} is ${maxMessageBytes}`,
      );
    }
    batch = { indexes: [index], sizeInBytes: alone };
    baseTimestamp = record.timestamp;
    batches.push(batch);
  }
  return batches;
}

/** Joins batches into as few appends as the bound on one append allows. */
function cutAppends(partition: number, batches: readonly SizedBatch[]): PlannedAppend[] {
  const appends: (PlannedAppend & { batches: number[][] })[] = [];
  let append = null as { batches: number[][]; recordCount: number; sizeInBytes: number } | null;
  for (const { indexes, sizeInBytes } of batches) {
    if (append === null || append.sizeInBytes + sizeInBytes > MAX_APPEND_BYTES) {
      const next = { partition, batches: [], recordCount: 0, sizeInBytes: 0 };
      appends.push(next);
      append = next;
    }
    append.batches.push(indexes);
    append.recordCount += indexes.length;
    append.sizeInBytes += sizeInBytes;
  }
  return appends;
}

/** [IDM-1] The producer's identity for an append. `sequence` belongs to its first record. */
export interface AppendIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly sequence: number;
}

/** Returns the append's bytes. Each batch continues the sequence numbers of the one before. */
export function encodeAppend(
  append: PlannedAppend,
  records: Records,
  identity: AppendIdentity,
  compression?: Compressor,
): Uint8Array {
  const { producerId, producerEpoch } = identity;
  let baseSequence = identity.sequence;
  return concatBytes(
    append.batches.map((indexes) => {
      const batch = indexes.map((index) => records.at(index) as ProducerRecord);
      const bytes = encodeBatch(batch, { producerId, producerEpoch, baseSequence, compression });
      baseSequence = addToSequence(baseSequence, batch.length);
      return bytes;
    }),
  );
}
