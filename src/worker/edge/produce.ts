// The Worker's part of producing: it chooses partitions, encodes batches, appends them, and reports the outcome
// of every record. CPU is spent here, where there are many Workers, and not in the partition.
import { compacts } from "../../core/cluster/config.ts";
import type { Topic } from "../../core/cluster/topics.ts";
import { whyNotConditional } from "../../core/conditional-append.ts";
import { BrokerError, errorOf, unwrap } from "../../core/errors.ts";
import { FAN_OUT } from "../../core/limits.ts";
import {
  homePartition,
  type KeyedAppend,
  type RequestPlan,
  whyNotIdempotencyKey,
} from "../../core/log/keyed-request.ts";
import { addToSequence, isOutOfStep } from "../../core/log/producers.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import {
  type AppendIdentity,
  encodeAppend,
  type PlacedRecord,
  type PlannedAppend,
  planAppends,
  type Records,
} from "../../core/produce-plan.ts";
import type { Env } from "../../env.ts";
import type { UnplacedRecord } from "../../protocol/json-record.ts";
import { failedRecord, type RecordOutcome } from "../../protocol/record-outcome.ts";
import { type AppendAnswer, type AppendRefused, appendTo, isRefused, refusalOf } from "./append.ts";
import { beginOf, partitionAt, refresh, topicMetadata } from "./metadata.ts";
import { PackedRecords } from "./packed-records.ts";
import { newProducerId, withProducer } from "./producer-pool.ts";
import { assertWithinQuota } from "./quotas.ts";
import { hashOf } from "./request-hash.ts";

export interface RecordStored {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
}

export interface RecordRefused extends AppendRefused {
  readonly partition: number;
}

export type RecordResult = RecordStored | RecordRefused;

/** Returns the outcome as clients see it. */
export function outcomeOf(result: RecordResult): RecordOutcome {
  if (!isRefused(result)) return result;
  return failedRecord(result.partition, refusalOf(result));
}

export interface ProduceOptions {
  /** [CND-1] The records are appended only if the first one gets this offset. All must go to one partition. */
  readonly expectedOffset?: number | undefined;
  /** [KEY-1] A repeat with the same key gets the first answer. A key has 1 to MAX_IDEMPOTENCY_KEY_LENGTH characters. */
  readonly idempotencyKey?: string | undefined;
  /** Returns a number from 0 to 1. */
  readonly random: () => number;
  readonly nowMs: number;
}

/**
 * [PRD-1] Appends the records and answers for each, in the order given. Errors of the request itself (a partition
 * that does not exist, a record above `max.message.bytes`) are thrown before anything is appended. A failure at a
 * partition is reported only for that partition's records.
 */
export async function produce(
  env: Env,
  topicName: string,
  records: Records<UnplacedRecord>,
  options: ProduceOptions,
): Promise<RecordResult[]> {
  const { idempotencyKey } = options;
  const invalid = idempotencyKey === undefined ? null : whyNotIdempotencyKey(idempotencyKey);
  if (invalid !== null) throw errorOf(invalid);
  assertWithinQuota(env, "producerByteRate");
  let topic = await topicMetadata(env, topicName);
  if (highestPartition(records) >= topic.partitions) topic = await refresh(env, topicName);
  const first = await produceTo(env, topic, records, options);
  const isGone = (result: RecordResult | undefined) =>
    result !== undefined && isRefused(result) && result.code === "UNKNOWN_TOPIC_ID";
  if (!first.some(isGone)) return first;
  // The topic was deleted since this Worker last asked. If it was created again, those records go to the new
  // one.
  const indexes = [...first.keys()].filter((index) => isGone(first[index]));
  let again: readonly RecordResult[];
  try {
    const renewed = await refresh(env, topicName);
    const left = indexes.map((index) => records.at(index) as UnplacedRecord);
    again = await produceTo(env, renewed, left, options);
  } catch (error) {
    // An error for the whole request would mean that nothing is stored.
    if (indexes.length === records.length) throw error;
    return first;
  }
  const results = [...first];
  for (const [i, index] of indexes.entries()) results[index] = again[i] as RecordResult;
  return results;
}

function highestPartition(records: Records<UnplacedRecord>): number {
  let highest = 0;
  for (const [, { partition }] of records.entries()) highest = Math.max(highest, partition ?? 0);
  return highest;
}

async function produceTo(
  env: Env,
  topic: Topic,
  records: Records<UnplacedRecord>,
  options: ProduceOptions,
): Promise<RecordResult[]> {
  const { idempotencyKey } = options;
  const plan = planOf(topic, options);
  if (idempotencyKey !== undefined)
    return produceKeyed(env, topic, records, options, plan, idempotencyKey);
  const request = planned(topic.name, records, plan, options, timesOf(topic, options));
  const answers = await withProducer((producer) =>
    appendAll(env, topic, request, options, (partition) => {
      const place = `${topic.topicId}/${partition}`;
      const { producerId, producerEpoch } = producer;
      return {
        identity: { producerId, producerEpoch, sequence: producer.sequence(place) },
        stored: (sequence) => producer.setSequence(place, sequence),
        spoil: () => producer.spoil(),
      };
    }),
  );
  return resultsOf(request, answers);
}

/** Makes all decisions that the request leaves open. */
function planOf(topic: Topic, { random, nowMs }: ProduceOptions): RequestPlan {
  return {
    producerId: -1,
    atMs: nowMs,
    partitions: topic.partitions,
    maxMessageBytes: topic.config.maxMessageBytes,
    isCompacted: compacts(topic.config),
    random: random(),
  };
}

/** A request with its times and partitions decided, divided into appends. */
interface PlannedRequest {
  readonly records: Records<PlacedRecord>;
  readonly appends: readonly PlannedAppend[];
}

function planned(
  name: string,
  unplaced: Records<UnplacedRecord>,
  plan: RequestPlan,
  { expectedOffset }: ProduceOptions,
  times: Times | null,
): PlannedRequest {
  const records = timed(unplaced, plan.atMs);
  if (times !== null) assertTimes(name, records, times);
  const appends = planAppends({ name, ...plan }, records, plan.random);
  const invalid =
    expectedOffset === undefined ? null : whyNotConditional(records, appends, plan.partitions);
  if (invalid !== null) throw errorOf(invalid);
  return { records, appends };
}

/** Returns the records. Those without a time get this one. */
function timed(records: Records<UnplacedRecord>, atMs: number): Records<PlacedRecord> {
  if (records instanceof PackedRecords) return records.timed(atMs);
  return Array.from(records.entries(), ([, record]) => ({
    ...record,
    timestamp: record.timestamp ?? atMs,
  }));
}

/** The bounds on timestamps that clients set. */
interface Times {
  readonly earliest: number;
  readonly latest: number;
}

/** Returns the bounds, or null if any time is allowed. */
function timesOf({ config }: Topic, { nowMs }: ProduceOptions): Times | null {
  if (config.messageTimestampType === "LogAppendTime") return null;
  const { messageTimestampBeforeMaxMs, messageTimestampAfterMaxMs } = config;
  return {
    earliest: nowMs - messageTimestampBeforeMaxMs,
    latest: nowMs + messageTimestampAfterMaxMs,
  };
}

/** @throws BrokerError INVALID_TIMESTAMP */
function assertTimes(
  name: string,
  records: Records<PlacedRecord>,
  { earliest, latest }: Times,
): void {
  for (const [index, { timestamp }] of records.entries()) {
    if (timestamp >= earliest && timestamp <= latest) continue;
    const bound =
      timestamp < earliest
        ? `at least ${earliest} (message.timestamp.before.max.ms)`
        : `at most ${latest} (message.timestamp.after.max.ms)`;
    throw new BrokerError(
      "INVALID_TIMESTAMP",
      `records[${index}].timestamp is ${timestamp}, topic ${name} accepts ${bound}`,
    );
  }
}

/** The producer identity used for one partition, and callbacks that track its sequence. */
interface AppendAs {
  readonly identity: AppendIdentity;
  stored(nextSequence: number): void;
  /** Notes that the progress of the sequence is unknown. */
  spoil(): void;
  /** The key under which the appends of a request with an idempotency key are noted. */
  readonly keyedBy?: Omit<KeyedAppend, "index">;
}

/** Appends everything. Returns an answer per append, in order. */
async function appendAll(
  env: Env,
  topic: Topic,
  { records, appends }: PlannedRequest,
  { expectedOffset }: ProduceOptions,
  appendAs: (partition: number) => AppendAs,
): Promise<AppendAnswer[]> {
  const answers = new Array<AppendAnswer>(appends.length);
  const partitions = [...new Set(appends.map((append) => append.partition))];
  await mapConcurrently(partitions, FAN_OUT, async (partition) => {
    const as = appendAs(partition);
    let { identity } = as;
    const send = (index: number, append: PlannedAppend) =>
      appendTo(env, topic.topicId, partition, encodeAppend(append, records, identity), {
        expectedOffset: expectedOffset ?? null,
        isIdempotent: true,
        isOwn: true,
        ...(as.keyedBy === undefined ? {} : { keyed: { ...as.keyedBy, index } }),
      });
    // Appends to one partition go one after another, so records keep the order of the request [PRD-2].
    let failure: AppendRefused | null = null;
    for (const [index, append] of appends.entries()) {
      if (append.partition !== partition) continue;
      let answer: AppendAnswer = failure ?? (await send(index, append));
      if (isRefused(answer) && failure === null && isOutOfStep(answer.code)) {
        // Somebody else has used this producer's id. Nothing was stored. The append is made as another
        // producer.
        as.spoil();
        identity = { producerId: newProducerId(), producerEpoch: 0, sequence: 0 };
        answer = await send(index, append);
      }
      answers[index] = answer;
      if (isRefused(answer)) {
        failure = answer;
        if (answer.code === "REQUEST_TIMED_OUT") as.spoil();
        continue;
      }
      const sequence = addToSequence(identity.sequence, append.recordCount);
      identity = { ...identity, sequence };
      as.stored(sequence);
    }
  });
  return answers;
}

function resultsOf({ records, appends }: PlannedRequest, answers: readonly AppendAnswer[]) {
  const results = new Array<RecordResult>(records.length);
  for (const [index, { partition, batches }] of appends.entries()) {
    const answer = answers[index] as AppendAnswer;
    for (const [i, place] of batches.flat().entries()) {
      if (isRefused(answer)) {
        results[place] = { partition, ...answer };
        continue;
      }
      const { timestamp } = records.at(place) as PlacedRecord;
      const offset = answer.baseOffset + i;
      results[place] = { partition, offset, timestamp: answer.logAppendTimeMs ?? timestamp };
    }
  }
  return results;
}

/**
 * [KEY-1] Stores the plan before anything is appended. A repeat follows the stored plan. Each partition stores
 * its notes together with the appends, so a repeat gets the same answers and stores what is missing.
 */
async function produceKeyed(
  env: Env,
  topic: Topic,
  unplaced: Records<UnplacedRecord>,
  options: ProduceOptions,
  proposal: RequestPlan,
  key: string,
): Promise<RecordResult[]> {
  const hash = await hashOf(unplaced, options.expectedOffset);
  const home = homePartition(key, topic.initialPartitions);
  // A repeat must not fail because of the topic's current config.
  const times = timesOf(topic, options);
  const wrong = reasonAgainst(() => planned(topic.name, unplaced, proposal, options, times));
  const ids = { producerId: newProducerId(), requestId: crypto.randomUUID() };
  const plan = wrong === null ? { ...proposal, ...ids } : null;
  const begun = await partitionAt(env, topic.topicId, home).beginRequest({
    key,
    bodyHash: hash,
    plan,
    begin: beginOf(env, topic.topicId, home),
  });
  if (!begun.ok && begun.error === "UNKNOWN_TOPIC_ID") {
    const { error: code, detail } = begun;
    const refused = { partition: home, code, detail, data: {} };
    return Array.from({ length: unplaced.length }, () => refused);
  }
  const { request } = unwrap(begun);
  if (request === null) throw wrong;
  const replanned = planned(topic.name, unplaced, request.plan, options, null);
  const { producerId, requestId } = request.plan;
  const answers = await appendAll(env, topic, replanned, options, () => ({
    identity: { producerId, producerEpoch: 0, sequence: 0 },
    keyedBy: requestId === undefined ? { producerId } : { producerId, requestId },
    stored: () => {},
    spoil: () => {},
  }));
  return resultsOf(replanned, answers);
}

/** Returns the error that the action throws, or null. */
function reasonAgainst(action: () => unknown): unknown {
  try {
    action();
    return null;
  } catch (error) {
    return error;
  }
}
