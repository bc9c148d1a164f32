// The SDK's producer. It chooses partitions and encodes batches itself, as an idempotent producer: whatever
// it has to send again, because no answer came, is stored once [IDM-6]. Records of one partition are
// appended in the order of the calls; calls that come while an append is under way share the next one.
import { BrokerError } from "../core/errors.ts";
import {
  checkConditional,
  type PlacedRecord,
  type PlannedAppend,
  type ProduceTarget,
  planAppends,
} from "../core/produce-plan.ts";
import { fromJsonRecord, type JsonRecordInput } from "../protocol/json-record.ts";
import { recordsPath, topicPath } from "../protocol/paths.ts";
import { type RecordOutcome, refusedRecord } from "../protocol/record-outcome.ts";
import type { TopicInfo } from "./admin.ts";
import { ConnectionError, type HttpClient } from "./http.ts";
import { checkOptions, checkRecord, toJsonInput } from "./producer/input.ts";
import { FIRST_BACKOFF_MS, Lane, type LaneOutcome, MAX_BACKOFF_MS } from "./producer/lane.ts";

/** `value` and `key`: a string is its UTF-8 bytes, a Uint8Array itself, another value its JSON text, null is null. */
export type RecordInput = JsonRecordInput;

export type { RecordOutcome };

export interface SendOptions {
  /** Stops waiting. What is on its way may be stored all the same. */
  readonly signal?: AbortSignal;
  /**
   * Append only if the first record gets this offset, else INVALID_UPDATE_VERSION with `data.nextOffset`. All
   * records must go to one partition, and fit one append (16 MiB).
   */
  readonly expectedOffset?: number;
  /** A repeat with the same key within 24 hours, by whomever, gets the first answer and stores nothing. 1 to 255 characters. */
  readonly idempotencyKey?: string;
  /** How the batches are compressed. zstd needs Node, Workers, Deno or Bun. @default "none" */
  readonly compression?: "none" | "gzip" | "zstd";
  /** How long to try again what may succeed later, in milliseconds. @default 30000 */
  readonly deliveryTimeoutMs?: number;
}

/** Topics are described again after this long, so that added partitions are used. */
const TOPIC_MAX_AGE_MS = 60_000;
const DEFAULT_DELIVERY_TIMEOUT_MS = 30_000;

export class Producer {
  readonly #http: HttpClient;
  readonly #lanes = new Map<string, Lane>();
  /** All calls wait for the same answer, so that they go on in the order in which they came. */
  readonly #topics = new Map<
    string,
    { readonly topic: Promise<TopicInfo>; readonly atMs: number }
  >();

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /**
   * Appends records and answers for each in the order given. An outcome with an `error` was not stored,
   * unless the error is REQUEST_TIMED_OUT: then nobody knows. Tries again by itself whatever may succeed
   * later, for `deliveryTimeoutMs`; that never stores anything twice. @throws BrokerError where nothing was
   * stored; ConnectionError where there was no answer and nobody knows.
   */
  async send(
    topic: string,
    records: readonly RecordInput[],
    options: SendOptions = {},
  ): Promise<readonly RecordOutcome[]> {
    options.signal?.throwIfAborted();
    checkOptions(options);
    for (const [index, record] of records.entries()) checkRecord(record, `records[${index}]`);
    if (options.idempotencyKey !== undefined) return this.#sendKeyed(topic, records, options);
    if (records.length === 0) return [];
    return abortable(this.#send(topic, records, options), options.signal);
  }

  async #send(
    topic: string,
    input: readonly RecordInput[],
    options: SendOptions,
  ): Promise<RecordOutcome[]> {
    const nowMs = Date.now();
    const records = input.map((record): PlacedRecord => {
      const unplaced = fromJsonRecord(record);
      return { ...unplaced, timestamp: unplaced.timestamp ?? nowMs };
    });
    const { expectedOffset = null, compression = "none" } = options;
    const { deliveryTimeoutMs = DEFAULT_DELIVERY_TIMEOUT_MS } = options;
    const random = Math.random();
    const { target, appends } = await this.#plan(topic, records, random, nowMs + deliveryTimeoutMs);
    if (expectedOffset !== null) checkConditional(records, appends, target.partitions);
    const laneOptions = { expectedOffset, compression, deliveryTimeoutMs };
    const outcomes = new Array<RecordOutcome>(records.length);
    // All are queued at once: a lane keeps the order in which it was given its appends.
    const settled = await Promise.all(
      appends.map(async ({ partition, batches }) => {
        const places = batches.flat();
        const own = places.map((place) => records[place] as PlacedRecord);
        const lane = this.#lane(topic, partition);
        const outcome = await lane.append(own, target.maxMessageBytes, laneOptions);
        for (const [i, place] of places.entries())
          outcomes[place] = outcomeOf(outcome, i, own[i] as PlacedRecord, partition);
        return outcome;
      }),
    );
    const [first] = settled;
    if (first !== undefined && !first.ok && settled.every(({ ok }) => !ok)) throw first.error;
    return outcomes;
  }

  #lane(topic: string, partition: number): Lane {
    const place = `${topic}/${partition}`;
    let lane = this.#lanes.get(place);
    if (lane === undefined) {
      lane = new Lane(this.#http, topic, partition);
      this.#lanes.set(place, lane);
    }
    return lane;
  }

  /** What goes where, by the topic as it is known; described anew where by that the records are refused. */
  async #plan(
    name: string,
    records: readonly PlacedRecord[],
    random: number,
    deadlineMs: number,
  ): Promise<{ target: ProduceTarget; appends: PlannedAppend[] }> {
    const known = this.#topics.get(name);
    const isFresh = known !== undefined && Date.now() - known.atMs < TOPIC_MAX_AGE_MS;
    const target = targetOf(await (isFresh ? known.topic : this.#describe(name, deadlineMs)));
    try {
      return { target, appends: planAppends(target, records, random) };
    } catch (error) {
      if (!isFresh) throw error;
      const renewed = targetOf(await this.#describe(name, deadlineMs));
      return { target: renewed, appends: planAppends(renewed, records, random) };
    }
  }

  #describe(name: string, deadlineMs: number): Promise<TopicInfo> {
    const topic = untilAnswered(
      () => this.#http.request<TopicInfo>("GET", topicPath(name)),
      deadlineMs,
    );
    const entry = { topic, atMs: Date.now() };
    this.#topics.set(name, entry);
    topic.catch(() => {
      if (this.#topics.get(name) === entry) this.#topics.delete(name);
    });
    return topic;
  }

  /** The broker keeps the key; it places and encodes, so that every repeat is placed alike. */
  async #sendKeyed(
    topic: string,
    records: readonly RecordInput[],
    { idempotencyKey = "", expectedOffset, signal }: SendOptions,
  ): Promise<readonly RecordOutcome[]> {
    const query = expectedOffset === undefined ? "" : `?expectedOffset=${expectedOffset}`;
    const answer = await this.#http.request<{ results: RecordOutcome[] }>(
      "POST",
      `${recordsPath(topic)}${query}`,
      {
        type: "application/x-ndjson",
        data: records.map((record) => JSON.stringify(toJsonInput(record))).join("\n"),
        headers: { "idempotency-key": idempotencyKey },
      },
      signal,
    );
    return answer.results;
  }
}

function targetOf({ name, partitions, config }: TopicInfo): ProduceTarget {
  return {
    name,
    partitions,
    maxMessageBytes: Number(config["max.message.bytes"]),
    isCompacted: String(config["cleanup.policy"]).includes("compact"),
    times: null, // The broker knows the time better.
  };
}

/** Tries again while the broker cannot be reached. */
async function untilAnswered<T>(ask: () => Promise<T>, deadlineMs: number): Promise<T> {
  for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS)) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ConnectionError) || Date.now() + backoffMs >= deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, backoffMs));
    }
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
  const { error } = outcome;
  const code = error instanceof BrokerError ? error.code : "REQUEST_TIMED_OUT";
  const data = error instanceof BrokerError ? error.data : {};
  return refusedRecord(partition, code, error.message, data);
}

/** The promise, or a rejection as soon as the signal says so. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
