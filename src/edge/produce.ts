// Producing, as far as a Worker does it: choose partitions, encode batches, append them, and say of every
// record what became of it. CPU is spent here, where it multiplies, and not in the partition.
import type { Topic } from "../core/cluster/topics.ts";
import { BrokerError, type ErrorName } from "../core/errors.ts";
import { FAN_OUT, MAX_APPEND_BYTES } from "../core/limits.ts";
import { concatBytes } from "../core/log/append.ts";
import { BATCH_HEADER_BYTES, encodeBatch, recordSize } from "../core/log/record-batch.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { partitionForKey } from "../core/partitioner.ts";
import { type Env, partitionStub } from "../env.ts";
import type { UnplacedRecord } from "../protocol/json-record.ts";
import { refresh, topicMetadata } from "./metadata.ts";

export interface RecordStored {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
}

export interface RecordRefused {
  readonly partition: number;
  readonly code: ErrorName;
  readonly detail: string;
}

export type RecordResult = RecordStored | RecordRefused;

export function isRefused(result: RecordResult): result is RecordRefused {
  return "code" in result;
}

/** Records of one partition, with their places in the request. */
interface Share {
  readonly partition: number;
  readonly indexes: number[];
}

/**
 * [PRD-1] Appends the records and answers for each, in the order given. What is wrong with the request
 * itself (a partition that does not exist, a record above `max.message.bytes`) is thrown before anything
 * is appended; what fails at a partition is told for that partition's records only.
 */
export async function produce(
  env: Env,
  topicName: string,
  records: readonly UnplacedRecord[],
  random: () => number,
): Promise<RecordResult[]> {
  let topic = await topicMetadata(env, topicName);
  if (records.some((record) => (record.partition ?? 0) >= topic.partitions))
    topic = await refresh(env, topicName);
  const first = await produceTo(env, topic, records, random);
  const isGone = (result: RecordResult | undefined) =>
    result !== undefined && isRefused(result) && result.code === "UNKNOWN_TOPIC_ID";
  if (!first.some(isGone)) return first;
  // The topic was deleted since this Worker last asked. If it was created again, those records go there.
  const renewed = await refresh(env, topicName);
  const indexes = [...records.keys()].filter((index) => isGone(first[index]));
  const again = await produceTo(
    env,
    renewed,
    indexes.map((index) => records[index] as UnplacedRecord),
    random,
  );
  const results = [...first];
  for (const [i, index] of indexes.entries()) results[index] = again[i] as RecordResult;
  return results;
}

async function produceTo(
  env: Env,
  topic: Topic,
  records: readonly UnplacedRecord[],
  random: () => number,
): Promise<RecordResult[]> {
  const shares = placeRecords(topic, records, random);
  const appends = shares.map((share) => ({ share, batches: encodeShare(topic, records, share) }));
  const results = new Array<RecordResult>(records.length);
  await mapConcurrently(appends, FAN_OUT, async ({ share, batches }) => {
    // Appends of one partition go one after another: records keep the order of the request [PRD-2].
    let failure: RecordRefused | null = null;
    for (const append of joinBatches(batches)) {
      const outcome: number | RecordRefused =
        failure ?? (await appendTo(env, topic, share.partition, append.bytes));
      if (typeof outcome !== "number") failure = outcome;
      for (const [i, index] of append.indexes.entries()) {
        const { timestamp } = records[index] as UnplacedRecord;
        results[index] =
          typeof outcome === "number"
            ? { partition: share.partition, offset: outcome + i, timestamp }
            : outcome;
      }
    }
  });
  return results;
}

/**
 * [PRD-3] An explicit partition, else the key's by Kafka's murmur2, else, for all keyless records of the
 * request together, one partition at random: few large batches instead of many small ones.
 */
function placeRecords(
  topic: Topic,
  records: readonly UnplacedRecord[],
  random: () => number,
): Share[] {
  const shares = new Map<number, Share>();
  const keyless = Math.floor(random() * topic.partitions);
  for (const [index, record] of records.entries()) {
    let partition = record.partition;
    if (partition !== null && partition >= topic.partitions) {
      throw new BrokerError(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `records[${index}].partition is ${partition}, topic ${topic.name} has ${topic.partitions} (0 to ${topic.partitions - 1})`,
      );
    }
    partition ??= record.key === null ? keyless : partitionForKey(record.key, topic.partitions);
    const share = shares.get(partition);
    if (share === undefined) shares.set(partition, { partition, indexes: [index] });
    else share.indexes.push(index);
  }
  return [...shares.values()];
}

interface EncodedBatch {
  readonly bytes: Uint8Array;
  readonly indexes: readonly number[];
}

function encodeShare(
  topic: Topic,
  records: readonly UnplacedRecord[],
  share: Share,
): EncodedBatch[] {
  const { maxMessageBytes } = topic.config;
  const batches: EncodedBatch[] = [];
  let indexes: number[] = [];
  let size = BATCH_HEADER_BYTES;
  let baseTimestamp = 0;
  const closeBatch = () => {
    if (indexes.length === 0) return;
    batches.push({
      bytes: encodeBatch(indexes.map((index) => records[index] as UnplacedRecord)),
      indexes,
    });
    indexes = [];
    size = BATCH_HEADER_BYTES;
  };
  for (const index of share.indexes) {
    const record = records[index] as UnplacedRecord;
    const alone = BATCH_HEADER_BYTES + recordSize(record, 0, record.timestamp);
    if (alone > maxMessageBytes) {
      throw new BrokerError(
        "MESSAGE_TOO_LARGE",
        `records[${index}] has ${alone} bytes as a batch, max.message.bytes of topic ${topic.name} is ${maxMessageBytes}`,
      );
    }
    if (indexes.length === 0) baseTimestamp = record.timestamp;
    let more = recordSize(record, indexes.length, baseTimestamp);
    if (size + more > maxMessageBytes) {
      closeBatch();
      baseTimestamp = record.timestamp;
      more = recordSize(record, 0, baseTimestamp);
    }
    indexes.push(index);
    size += more;
  }
  closeBatch();
  return batches;
}

/** Batches joined into as few appends as the bound on one append allows. */
function joinBatches(batches: readonly EncodedBatch[]): EncodedBatch[] {
  const appends: EncodedBatch[] = [];
  let group: EncodedBatch[] = [];
  let size = 0;
  const close = () => {
    if (group.length === 0) return;
    appends.push({
      bytes: concatBytes(group.map((batch) => batch.bytes)),
      indexes: group.flatMap((batch) => batch.indexes),
    });
    group = [];
    size = 0;
  };
  for (const batch of batches) {
    if (size + batch.bytes.length > MAX_APPEND_BYTES) close();
    group.push(batch);
    size += batch.bytes.length;
  }
  close();
  return appends;
}

/** The base offset, or why nothing was appended. */
async function appendTo(
  env: Env,
  topic: Topic,
  partition: number,
  bytes: Uint8Array,
): Promise<number | RecordRefused> {
  try {
    const result = await partitionStub(env, topic.topicId, partition).append(bytes);
    if (result.ok) return result.baseOffset;
    return { partition, code: result.error, detail: result.detail };
  } catch (error) {
    // The platform failed, perhaps after the write: the producer has to know that nothing is known.
    return {
      partition,
      code: "REQUEST_TIMED_OUT",
      detail: `the partition did not answer, the outcome is unknown: ${error instanceof Error ? error.message : error}`,
    };
  }
}
