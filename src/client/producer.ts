// The SDK's producer. It chooses partitions and encodes batches itself, as an idempotent producer: whatever
// it has to send again, because no answer came, is stored once [IDM-6]. Records of one partition are
// appended in the order of the calls; calls that come while an append is under way share the next one.
import { BrokerError, ERRORS, type ErrorName, type FailureData } from "../core/errors.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH } from "../core/limits.ts";
import { type PlacedRecord, type ProduceTarget, planAppends } from "../core/produce-plan.ts";
import { fromJsonRecord, type JsonRecordInput } from "../protocol/json-record.ts";
import { recordsPath, topicPath } from "../protocol/paths.ts";
import type { TopicInfo } from "./admin.ts";
import type { HttpClient } from "./http.ts";
import { checkRecord, toJsonInput } from "./producer/input.ts";
import { Lane, type LaneOutcome } from "./producer/lane.ts";

/** `value` and `key`: a string is its UTF-8 bytes, a Uint8Array itself, another value its JSON text, null is null. */
export type RecordInput = JsonRecordInput;

export type RecordOutcome =
  | { readonly partition: number; readonly offset: number; readonly timestamp: number }
  | {
      readonly partition: number;
      readonly error: FailureData & {
        readonly code: ErrorName;
        readonly errorCode: number;
        readonly retriable: boolean;
        readonly detail: string;
      };
    };

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
    const target = await this.#target(topic, records);
    const appends = planAppends(target, records, Math.random());
    const { expectedOffset = null, compression = "none" } = options;
    if (expectedOffset !== null && appends.length > 1) {
      throw new BrokerError(
        "INVALID_REQUEST",
        `with expectedOffset the records must make one append to one partition, these make ${appends.length}`,
      );
    }
    const { deliveryTimeoutMs = DEFAULT_DELIVERY_TIMEOUT_MS } = options;
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

  /** The topic, described anew where it is old or seems to lack a partition. */
  async #target(name: string, records: readonly PlacedRecord[]): Promise<ProduceTarget> {
    const known = this.#topics.get(name);
    const isFresh = known !== undefined && Date.now() - known.atMs < TOPIC_MAX_AGE_MS;
    let topic = await (isFresh ? known.topic : this.#describe(name));
    const lacksOne = ({ partition }: PlacedRecord) => (partition ?? 0) >= topic.partitions;
    if (isFresh && records.some(lacksOne)) topic = await this.#describe(name);
    return {
      name,
      partitions: topic.partitions,
      maxMessageBytes: Number(topic.config["max.message.bytes"]),
      isCompacted: String(topic.config["cleanup.policy"]).includes("compact"),
    };
  }

  #describe(name: string): Promise<TopicInfo> {
    const topic = this.#http.request<TopicInfo>("GET", topicPath(name));
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
    if (idempotencyKey.length < 1 || idempotencyKey.length > MAX_IDEMPOTENCY_KEY_LENGTH) {
      throw new BrokerError(
        "INVALID_REQUEST",
        `idempotencyKey has ${idempotencyKey.length} characters, it needs 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH}`,
      );
    }
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
  const { code: errorCode, retriable } = ERRORS[code];
  return { partition, error: { code, errorCode, retriable, detail: error.message, ...data } };
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
