// The SDK's producer. It chooses partitions and encodes batches itself, as an idempotent producer. Records that are
// sent again because there was no answer are stored once [IDM-6]. Records of one partition are appended in the order of
// the calls. Calls during an append share the next one.

import type { TopicInfo } from "../admin/admin.ts";
import { answered, ConnectionError, type HttpClient } from "../admin/http.ts";
import type { TopicRecords } from "../admin/service.ts";
import { toBase64 } from "../core/bytes.ts";
import type { whyNotConditional } from "../core/conditional-append.ts";
import { BrokerError, errorOf } from "../core/errors.ts";
import {
  type PlacedRecord,
  type PlannedAppend,
  type ProduceTarget,
  planAppends,
} from "../core/produce-plan.ts";
import { monotonicMs } from "../member/clock.ts";
import type { Transport } from "../member/transport.ts";
import { fromJsonRecord } from "../protocol/json-record.ts";
import { recordsPath, topicPath } from "../protocol/paths.ts";
import { failedRecord, outcomesOfTopics, type RecordOutcome } from "../protocol/record-outcome.ts";
import { isOfNoTopic, type LaneOutcome } from "./producer/delivery.ts";
import { assertOptions, assertRecord, type Prepared } from "./producer/input.ts";
import { Lane } from "./producer/lane.ts";
import {
  DEFAULT_BUFFERED_RECORDS,
  DEFAULT_DELIVERY_TIMEOUT_MS,
  DESCRIBE_TIMEOUT_MS,
  MAX_JOINED_RECORDS,
  MAX_LINGER_MS,
  TOPIC_MAX_AGE_MS,
} from "./producer/limits.ts";
import type {
  ProducerOptions,
  RecordInput,
  SendOptions,
  TypedRecordInput,
} from "./producer/options.ts";
import { untilAnswered } from "./producer/until-answered.ts";
import { type AnySerdes, convert, hasSerdes } from "./serde.ts";
import { assertWhole, refuse } from "./whole.ts";

export type {
  ProducerOptions,
  RecordInput,
  RecordOutcome,
  SendOptions,
  TopicRecords,
  TypedRecordInput,
};

/**
 * Sends records. Get one as `rivulet.producer`, or with own options from `rivulet.newProducer`.
 *
 * It is idempotent: a record that it sends again is stored once. Records of one partition are stored in the order of
 * the calls. Calls need not wait for each other; concurrent ones share appends.
 *
 * `Input` is the type of its records. Without serdes, key and value can be anything that RecordInput allows.
 */
export class Producer<Input extends TypedRecordInput<never, never> | RecordInput = RecordInput> {
  readonly #http: HttpClient;
  readonly #transport: Transport | null;
  readonly #options: ProducerOptions & AnySerdes;
  /**
   * The number of accepted records whose outcome is unknown, and the number of calls, including those that wait for
   * room.
   */
  #buffered = 0;
  #calls = 0;
  /** Resolves when the last call has been accepted. Calls are accepted in order. */
  #admission: Promise<void> = Promise.resolve();
  /** The number of flushes in progress. During a flush, nothing lingers. */
  #flushes = 0;
  /** Wakes everything that waits for a call to end. */
  readonly #waiting: (() => void)[] = [];
  #isClosed = false;
  readonly #lanes = new Map<string, Lane>();
  readonly #topics = new Map<string, KnownTopic>();

  /**
   * Without a transport, all requests go over HTTP. @throws BrokerError INVALID_REQUEST for an option outside its
   * bounds.
   */
  constructor(
    http: HttpClient,
    transport: Transport | null,
    options: ProducerOptions & AnySerdes = {},
  ) {
    const { lingerMs = 0, batchSize = MAX_JOINED_RECORDS } = options;
    const { maxBufferedRecords = DEFAULT_BUFFERED_RECORDS } = options;
    assertOptions(options);
    assertWhole("lingerMs", lingerMs, 0, MAX_LINGER_MS);
    assertWhole("batchSize", batchSize, 1, MAX_JOINED_RECORDS);
    assertWhole("maxBufferedRecords", maxBufferedRecords, 1);
    this.#http = http;
    this.#transport = transport;
    this.#options = options;
  }

  /**
   * Appends records to a topic, and returns their outcomes in the order given. A record with an `error` in its outcome
   * was not stored; only after REQUEST_TIMED_OUT, that is unknown. Requests that may succeed later are retried for
   * `deliveryTimeoutMs`, without storing anything twice.
   *
   * `send` copies its records when called, but not their byte arrays: do not change those before it resolves.
   * @throws BrokerError if nothing was stored, such as INVALID_REQUEST for a wrong record or option, MESSAGE_TOO_LARGE,
   * UNKNOWN_TOPIC_OR_PARTITION, or a missing grant; ConnectionError if there was no answer and the outcome is unknown;
   * the signal's reason
   */
  async send(
    topic: string,
    records: readonly Input[],
    options: SendOptions = {},
  ): Promise<readonly RecordOutcome[]> {
    options.signal?.throwIfAborted();
    if (this.#isClosed) throw new BrokerError("INVALID_REQUEST", "the producer was closed");
    assertOptions(options);
    if (records.length === 0) return [];
    // Later changes to the list, or to a record, have no effect on the call.
    const prepared = this.#prepare(records);
    const sending = this.#sendWhenRoom(topic, prepared, records.length, options);
    return abortable(sending, options.signal);
  }

  /** Prepares the records. Errors in a record are thrown before anything is sent. */
  #prepare(records: readonly Input[]): Prepared | Promise<Prepared> {
    const nowMs = Date.now();
    const checked = (input: readonly RecordInput[]): Prepared => ({
      input,
      records: input.map((record, index) => {
        assertRecord(record, index);
        const { key, value, headers, partition, timestamp } = fromJsonRecord(record, index);
        return { key, value, headers, partition, timestamp: timestamp ?? nowMs };
      }),
    });
    if (!hasSerdes(this.#options)) return checked([...records]);
    const serialized = records.map((record: RecordInput, index) =>
      convert("serialize", this.#options, record, `records[${index}]`),
    );
    return Promise.all(serialized).then(checked);
  }

  /**
   * Sends to several topics at once, and returns the outcomes of each topic in the order given. It is not atomic, but
   * like one `send` for each topic: an error that a topic's `send` would throw becomes the outcome of its records.
   * @throws the first topic's error if all failed
   */
  sendBatch(
    batch: readonly TopicRecords<Input>[],
    options: SendOptions = {},
  ): Promise<readonly (readonly RecordOutcome[])[]> {
    const sent = batch.map(({ topic, records }) => this.send(topic, records, options));
    return outcomesOfTopics(batch, sent);
  }

  /** Resolves once the outcome of everything sent so far is known. Until then, nothing lingers. */
  async flush(): Promise<void> {
    this.#flushes++;
    while (this.#calls > 0) {
      for (const lane of this.#lanes.values()) lane.hurry();
      await this.#change();
    }
    this.#flushes--;
  }

  /**
   * Accepts nothing more, and resolves once the outcome of everything sent is known. A `send` after it throws
   * INVALID_REQUEST.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.flush();
    for (const lane of this.#lanes.values()) lane.close();
  }

  /** Resolves when the next call ends. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #sendWhenRoom(
    topic: string,
    prepared: Prepared | Promise<Prepared>,
    count: number,
    options: SendOptions,
  ): Promise<readonly RecordOutcome[]> {
    const { maxBufferedRecords = DEFAULT_BUFFERED_RECORDS } = this.#options;
    this.#calls++;
    const before = this.#admission;
    let admit = () => {};
    this.#admission = new Promise((resolve) => {
      admit = resolve;
    });
    let taken = 0;
    try {
      const all = { ...this.#options, ...options };
      const { deliveryTimeoutMs = DEFAULT_DELIVERY_TIMEOUT_MS } = all;
      // A serializer that never returns must not block later calls forever.
      const inTimeMs = monotonicMs() + deliveryTimeoutMs;
      const ready =
        prepared instanceof Promise
          ? await abortable(inTime(prepared, inTimeMs), options.signal)
          : prepared;
      // Loaded before its turn comes, because nothing may overtake it after that.
      const check =
        options.expectedOffset === undefined
          ? undefined
          : (await import("../core/conditional-append.ts")).whyNotConditional;
      await before; // A small call does not overtake a large one that waits for room.
      options.signal?.throwIfAborted();
      // A call with more records than the bound goes when no other records are in flight.
      while (this.#buffered > 0 && this.#buffered + count > maxBufferedRecords) {
        await this.#change();
        options.signal?.throwIfAborted(); // Nothing of it was sent.
      }
      taken = count;
      this.#buffered += taken;
      admit();
      return await (options.idempotencyKey === undefined
        ? this.#send(topic, ready, all, check)
        : this.#sendKeyed(topic, ready, all));
    } finally {
      admit();
      this.#buffered -= taken;
      this.#calls--;
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
  }

  async #send(
    topic: string,
    { input, records }: Prepared,
    options: SendOptions,
    check: typeof whyNotConditional | undefined,
  ): Promise<RecordOutcome[]> {
    const deadlineMs = monotonicMs() + (options.deliveryTimeoutMs ?? DEFAULT_DELIVERY_TIMEOUT_MS);
    const { expectedOffset = null, compression = "none" } = options;
    const { target, appends } = await this.#plan(topic, input, records, deadlineMs);
    options.signal?.throwIfAborted(); // Nothing of it was sent.
    const invalid = check?.(records, appends, target.partitions);
    if (invalid) throw errorOf(invalid);
    const { lingerMs = 0, batchSize = MAX_JOINED_RECORDS } = this.#options;
    const laneOptions = {
      expectedOffset,
      compression,
      deadlineMs,
      lingerMs: expectedOffset === null && this.#flushes === 0 ? lingerMs : 0,
      batchSize,
    };
    const outcomes = new Array<RecordOutcome>(records.length);
    // All are queued at once, because a lane keeps the order in which it gets its appends.
    const settled = await Promise.all(
      appends.map(async ({ partition, batches, sizeInBytes }) => {
        const places = batches.flat();
        const own = places.map((place) => records[place] as PlacedRecord);
        const lane = this.#lane(topic, partition);
        lane.topicId = target.topicId;
        const { maxMessageBytes } = target;
        const outcome = await lane.append(own, { sizeInBytes, maxMessageBytes }, laneOptions);
        for (const [i, place] of places.entries())
          outcomes[place] = outcomeOf(outcome, i, own[i] as PlacedRecord, partition);
        return outcome;
      }),
    );
    // The topic may have been created again. Later records must not overtake these there. So these are rejected, and
    // later calls describe the topic again.
    if (settled.some((each) => !each.ok && isOfNoTopic(each.error))) this.#topics.delete(topic);
    const [first] = settled;
    if (first !== undefined && !first.ok && settled.every(({ ok }) => !ok)) throw first.error;
    return outcomes;
  }

  /** Sends over HTTP. The broker handles the idempotency key. */
  async #sendKeyed(
    topic: string,
    prepared: Prepared,
    options: SendOptions,
  ): Promise<readonly RecordOutcome[]> {
    const { signal, deliveryTimeoutMs = DEFAULT_DELIVERY_TIMEOUT_MS } = options;
    const deadlineMs = monotonicMs() + deliveryTimeoutMs;
    const { keyedRequest } = await import("./producer/keyed.ts");
    const { query, body } = keyedRequest(prepared, options, { toBase64, refuse });
    const path = recordsPath(topic) + query;
    const ask = (timeoutMs: number) =>
      this.#http.request<{ results: RecordOutcome[] }>("POST", path, body, { signal, timeoutMs });
    const answer = await untilAnswered(ask, () => deadlineMs);
    answered(answer?.results?.length);
    return answer.results;
  }

  #lane(topic: string, partition: number): Lane {
    const place = `${topic}/${partition}`;
    let lane = this.#lanes.get(place);
    if (lane === undefined) {
      lane = new Lane(this.#http, this.#transport, topic, partition);
      this.#lanes.set(place, lane);
    }
    return lane;
  }

  /** Plans the appends with the cached topic. If that rejects the records, the topic is described again. */
  async #plan(
    name: string,
    input: readonly RecordInput[],
    records: readonly PlacedRecord[],
    deadlineMs: number,
  ): Promise<{ target: Target; appends: PlannedAppend[] }> {
    const random = Math.random();
    const plan = (target: Target) => {
      const placed = this.#partition(input, records, target);
      return { target, appends: planAppends(target, placed, random) };
    };
    const known = this.#topics.get(name);
    const isFresh = known !== undefined && monotonicMs() - known.atMs < TOPIC_MAX_AGE_MS;
    if (!isFresh) this.#topics.delete(name);
    const target = await this.#known(name, deadlineMs);
    try {
      return plan(target);
    } catch (error) {
      if (!isFresh) throw error;
      this.#topics.delete(name);
      return plan(await this.#known(name, deadlineMs));
    }
  }

  /** Applies the application's partitioner, if there is one. */
  #partition(
    input: readonly RecordInput[],
    records: readonly PlacedRecord[],
    { name: topic, partitions }: ProduceTarget,
  ): readonly PlacedRecord[] {
    const { partitioner } = this.#options;
    if (partitioner === undefined) return records;
    return records.map((record, i) => {
      if (record.partition !== null) return record;
      const partition = partitioner(input[i] as RecordInput, { topic, partitions });
      assertWhole(`the partitioner's answer for records[${i}]`, partition, 0, partitions - 1);
      return { ...record, partition };
    });
  }

  /**
   * Returns the cached topic, or describes it. All calls wait for the same answer, each until its own deadline, so they
   * continue in order.
   */
  #known(name: string, deadlineMs: number): Promise<Target> {
    let known = this.#topics.get(name);
    if (known === undefined) {
      const ask = (leftMs: number) =>
        this.#http.request<TopicInfo>("GET", topicPath(name), undefined, {
          timeoutMs: Math.min(leftMs, DESCRIBE_TIMEOUT_MS),
        });
      const latest = { deadlineMs };
      const topic = untilAnswered(ask, () => latest.deadlineMs).then(targetOf);
      const entry: KnownTopic = { atMs: monotonicMs(), latest, topic };
      topic.catch(() => {
        if (this.#topics.get(name) === entry) this.#topics.delete(name);
      });
      this.#topics.set(name, entry);
      known = entry;
    }
    known.latest.deadlineMs = Math.max(known.latest.deadlineMs, deadlineMs);
    return inTime(known.topic, deadlineMs);
  }
}

interface KnownTopic {
  readonly topic: Promise<Target>;
  readonly atMs: number;
  /** The latest deadline of the calls that wait for it. */
  readonly latest: { deadlineMs: number };
}

interface Target extends ProduceTarget {
  readonly topicId: string;
}

function targetOf(topic: TopicInfo): Target {
  answered(topic?.partitions);
  const { name, topicId, partitions, config } = topic;
  return {
    name,
    topicId,
    partitions,
    maxMessageBytes: Number(config["max.message.bytes"]),
    isCompacted: String(config["cleanup.policy"]).includes("compact"),
  };
}

/** Returns the promise, or a rejection at the deadline. */
async function inTime<T>(promise: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: unknown;
  const late = new Promise<never>((_, reject) => {
    const tooLate = () => reject(new ConnectionError("no answer"));
    timer = setTimeout(tooLate, Math.max(1, deadlineMs - monotonicMs()));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer as number);
  }
}

function outcomeOf(
  outcome: LaneOutcome,
  index: number,
  { timestamp }: PlacedRecord,
  partition: number,
): RecordOutcome {
  if (outcome.ok) {
    const { baseOffset, logAppendTimeMs } = outcome;
    return { partition, offset: baseOffset + index, timestamp: logAppendTimeMs ?? timestamp };
  }
  return failedRecord(partition, outcome.error);
}

/** Returns the promise, or a rejection as soon as the signal aborts. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
