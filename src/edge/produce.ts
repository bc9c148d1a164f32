// Producing, as far as a Worker does it: choose partitions, encode batches, append them, and say of every
// record what became of it. CPU is spent here, where it multiplies, and not in the partition.
import { isCompacted } from "../core/cluster/config.ts";
import type { Topic } from "../core/cluster/topics.ts";
import { BrokerError, unwrap } from "../core/errors.ts";
import { FAN_OUT, MAX_IDEMPOTENCY_KEY_LENGTH } from "../core/limits.ts";
import { type AppendDone, homePartition, type RequestPlan } from "../core/log/keyed-request.ts";
import { addToSequence } from "../core/log/producers.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import {
  type AppendIdentity,
  encodeAppend,
  type PlacedRecord,
  type PlannedAppend,
  planAppends,
} from "../core/produce-plan.ts";
import { type Env, partitionStub } from "../env.ts";
import type { UnplacedRecord } from "../protocol/json-record.ts";
import {
  type AppendAnswer,
  type AppendRefused,
  type AppendStored,
  appendTo,
  isRefused,
} from "./append.ts";
import { refresh, topicMetadata } from "./metadata.ts";
import { newProducerId, withProducer } from "./producer-pool.ts";
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

export interface ProduceOptions {
  /** [CND-1] Append only if the first record gets this offset. All records must go to one partition. */
  readonly expectedOffset?: number | undefined;
  /** [KEY-1] A repeat with the same key gets the first answer. 1 to MAX_IDEMPOTENCY_KEY_LENGTH characters. */
  readonly idempotencyKey?: string | undefined;
  /** Gives a number from 0 to 1. */
  readonly random: () => number;
  readonly nowMs: number;
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
  options: ProduceOptions,
): Promise<RecordResult[]> {
  checkKey(options.idempotencyKey);
  let topic = await topicMetadata(env, topicName);
  if (records.some((record) => (record.partition ?? 0) >= topic.partitions))
    topic = await refresh(env, topicName);
  const first = await produceTo(env, topic, records, options);
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
    options,
  );
  const results = [...first];
  for (const [i, index] of indexes.entries()) results[index] = again[i] as RecordResult;
  return results;
}

function checkKey(key: string | undefined): void {
  if (key === undefined || (key.length >= 1 && key.length <= MAX_IDEMPOTENCY_KEY_LENGTH)) return;
  throw new BrokerError(
    "INVALID_REQUEST",
    `Idempotency-Key has ${key.length} characters, it needs 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH}`,
  );
}

async function produceTo(
  env: Env,
  topic: Topic,
  records: readonly UnplacedRecord[],
  options: ProduceOptions,
): Promise<RecordResult[]> {
  const { idempotencyKey } = options;
  const plan = planOf(topic, options);
  if (idempotencyKey !== undefined)
    return produceKeyed(env, topic, records, options, plan, idempotencyKey);
  const request = planned(topic.name, records, plan, options);
  const answers = await withProducer(env, (producer) =>
    appendAll(env, topic, request, options, (partition) => {
      const place = `${topic.topicId}/${partition}`;
      return {
        identity: () => ({ ...producer, sequence: producer.sequence(place) }),
        stored: (count) =>
          producer.setSequence(place, addToSequence(producer.sequence(place), count)),
        unknown: () => producer.spoil(),
      };
    }),
  );
  return resultsOf(request, answers);
}

/** Everything the request leaves to us, decided. */
function planOf(topic: Topic, { random, nowMs }: ProduceOptions): RequestPlan {
  return {
    producerId: -1,
    atMs: nowMs,
    partitions: topic.partitions,
    maxMessageBytes: topic.config.maxMessageBytes,
    isCompacted: isCompacted(topic.config),
    random: random(),
  };
}

/** A request with its times and places decided, cut into appends. */
interface PlannedRequest {
  readonly records: readonly PlacedRecord[];
  readonly appends: readonly PlannedAppend[];
}

function planned(
  name: string,
  unplaced: readonly UnplacedRecord[],
  plan: RequestPlan,
  { expectedOffset }: ProduceOptions,
): PlannedRequest {
  const records = unplaced.map((record) => ({
    ...record,
    timestamp: record.timestamp ?? plan.atMs,
  }));
  const appends = planAppends({ name, ...plan }, records, plan.random);
  if (expectedOffset !== undefined) checkConditional(records, appends, plan.partitions);
  return { records, appends };
}

function checkConditional(
  records: readonly PlacedRecord[],
  appends: readonly PlannedAppend[],
  partitions: number,
): void {
  const free = records.findIndex(({ partition, key }) => partition === null && key === null);
  if (free !== -1 && partitions > 1) {
    throw new BrokerError(
      "INVALID_REQUEST",
      `records[${free}] has neither partition nor key: with expectedOffset it must be clear where it goes`,
    );
  }
  const places = new Set(appends.map((append) => append.partition));
  if (places.size > 1) {
    throw new BrokerError(
      "INVALID_REQUEST",
      `the records go to the partitions ${[...places].join(", ")}: with expectedOffset all must go to one`,
    );
  }
  if (appends.length > 1) {
    throw new BrokerError(
      "MESSAGE_TOO_LARGE",
      "the records are too many for one append, which expectedOffset needs",
    );
  }
}

/** How the appends to one partition are identified. */
interface Identities {
  identity(): AppendIdentity;
  stored(recordCount: number): void;
  unknown(): void;
}

/** Appends everything; an answer per append, in their order. `done` are those that need it no more. */
async function appendAll(
  env: Env,
  topic: Topic,
  { records, appends }: PlannedRequest,
  { expectedOffset }: ProduceOptions,
  identities: (partition: number) => Identities,
  done: ReadonlyMap<number, AppendStored> = new Map(),
): Promise<AppendAnswer[]> {
  const answers = new Array<AppendAnswer>(appends.length);
  const partitions = [...new Set(appends.map((append) => append.partition))];
  await mapConcurrently(partitions, FAN_OUT, async (partition) => {
    const at = identities(partition);
    // Appends of one partition go one after another: records keep the order of the request [PRD-2].
    let failure: AppendRefused | null = null;
    for (const [index, append] of appends.entries()) {
      if (append.partition !== partition) continue;
      const answer: AppendAnswer =
        failure ??
        done.get(index) ??
        (await appendTo(
          env,
          topic.topicId,
          partition,
          encodeAppend(append, records, at.identity()),
          { expectedOffset: expectedOffset ?? null, isIdempotent: true },
        ));
      answers[index] = answer;
      if (!isRefused(answer)) {
        at.stored(append.recordCount);
        continue;
      }
      failure = answer;
      if (answer.code === "REQUEST_TIMED_OUT") at.unknown();
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
      const { timestamp } = records[place] as PlacedRecord;
      const offset = answer.baseOffset + i;
      results[place] = { partition, offset, timestamp: answer.logAppendTimeMs ?? timestamp };
    }
  }
  return results;
}

/**
 * [KEY-1] The plan is stored before anything is appended, and what was appended afterwards; a repeat goes
 * by the stored plan and appends only what is not noted. What was stored and not noted (this Worker died
 * in between) its partition recognises, since the plan names the producer.
 */
async function produceKeyed(
  env: Env,
  topic: Topic,
  unplaced: readonly UnplacedRecord[],
  options: ProduceOptions,
  proposal: RequestPlan,
  key: string,
): Promise<RecordResult[]> {
  const hash = await hashOf(unplaced, options.expectedOffset);
  const home = homePartition(key, topic.initialPartitions);
  const stub = () => partitionStub(env, topic.topicId, home);
  // What is wrong with the request by today's topic does not matter if it is a repeat.
  const wrong = reasonAgainst(() => planned(topic.name, unplaced, proposal, options));
  const plan = wrong === null ? { ...proposal, producerId: await newProducerId(env) } : null;
  const begun = await stub().beginRequest(key, hash, plan);
  if (!begun.ok && begun.error === "UNKNOWN_TOPIC_ID")
    return unplaced.map(() => ({
      partition: home,
      code: begun.error,
      detail: begun.detail,
      data: {},
    }));
  const { request } = unwrap(begun);
  if (request === null) throw wrong;
  const replanned = planned(topic.name, unplaced, request.plan, options);
  const done = new Map(request.done.map((each) => [each.index, each]));
  const { producerId } = request.plan;
  const answers = await appendAll(
    env,
    topic,
    replanned,
    options,
    () => {
      let sequence = 0;
      return {
        identity: () => ({ producerId, producerEpoch: 0, sequence }),
        stored: (count) => {
          sequence = addToSequence(sequence, count);
        },
        unknown: () => {},
      };
    },
    done,
  );
  const news: AppendDone[] = [];
  for (const [index, answer] of answers.entries()) {
    if (isRefused(answer) || done.has(index)) continue;
    const { baseOffset, logAppendTimeMs } = answer;
    news.push({ index, baseOffset, logAppendTimeMs });
  }
  if (news.length > 0) await note(() => stub().finishRequest(key, news));
  return resultsOf(replanned, answers);
}

/** What the action throws, or null. */
function reasonAgainst(action: () => unknown): unknown {
  try {
    action();
    return null;
  } catch (error) {
    return error;
  }
}

/** If noting fails, the records are stored all the same; a repeat then asks their partitions again. */
async function note(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    console.error(`an idempotent request's answer could not be noted: ${error}`);
  }
}
