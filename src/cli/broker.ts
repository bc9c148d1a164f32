// The broker for long-running commands: bytes in and out, and calls that are repeated while it restarts. All of these may
// be repeated: reads, appends of an idempotent producer, and changes that name the new state.
import { brokerError, parseJson } from "../admin/http.ts";
import { FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { batchesPath, groupPath, PRODUCERS_PATH } from "../protocol/paths.ts";
import { BATCH_HEADERS } from "../protocol/stored-batches.ts";
import { type Admin, BrokerError, ConnectionError } from "../sdk/index.ts";
import { listed, whole } from "./answer.ts";
import { connect, type GlobalOptions } from "./context.ts";
import type { GroupPosition } from "./export/content.ts";

/** The time for which a call is repeated. A broker that restarts is back by then. */
const TRY_MS = 60_000;
const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 5_000;
const REQUEST_MS = 60_000;
/** The bytes of one read. */
const READ_BYTES = 2 * 1_048_576;
const NO_CONTENT = 204;

export interface ReadBatches {
  readonly topicId: string;
  readonly bytes: Uint8Array;
  readonly nextOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/** A committed offset as the broker returns it. */
export type TopicPosition = GroupPosition & { readonly topic: string };

export class Broker {
  readonly admin: Admin;
  readonly #global: GlobalOptions;
  readonly #note: (text: string) => void;
  /** True once the broker has answered. Before that, an address without an answer is an error. */
  #hasAnswered = false;

  /** Calls `note` with the reason of each wait. */
  constructor(global: GlobalOptions, note: (text: string) => void) {
    this.#global = global;
    this.#note = note;
    this.admin = connect(global).admin;
  }

  /** Makes a call, and repeats it while there is no answer or the error may pass. */
  async again<T>(call: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS)) {
      try {
        const answer = await call();
        this.#hasAnswered = true;
        return answer;
      } catch (error) {
        if (error instanceof BrokerError) this.#hasAnswered = true;
        const waitMs = Math.max(backoffMs, waitOf(error));
        const isOver = performance.now() - startMs + waitMs > TRY_MS;
        if (!this.#hasAnswered || isOver || !mayPass(error)) throw error;
        if (backoffMs > FIRST_BACKOFF_MS) this.#note(`# ${(error as Error).message}; trying again`);
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  /** Returns whole batches, beginning with the one that holds `offset`. */
  batches(topic: string, partition: number, offset: number): Promise<ReadBatches> {
    const path = `${batchesPath(topic, partition)}?offset=${offset}&maxBytes=${READ_BYTES}`;
    return this.again(async () => {
      const { headers, bytes } = await this.#request("GET", path);
      const number = (name: string) => Number(headers.get(name));
      return {
        topicId: headers.get(BATCH_HEADERS.topicId) ?? "",
        bytes,
        nextOffset: number(BATCH_HEADERS.nextOffset),
        logStartOffset: number(BATCH_HEADERS.logStartOffset),
        highWatermark: number(BATCH_HEADERS.highWatermark),
      };
    });
  }

  /** Appends batches to a log that ends at `expectedOffset`. */
  append(
    topic: string,
    partition: number,
    bytes: Uint8Array,
    expectedOffset: number,
  ): Promise<{ baseOffset: number }> {
    const path = `${batchesPath(topic, partition)}?expectedOffset=${expectedOffset}`;
    return this.again(async () => jsonOf(await this.#request("POST", path, bytes)));
  }

  /** Makes a request once. Bodies and answers are JSON. A 204 is null. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const data = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body));
    const answer = await this.#request(method, path, data, "application/json");
    const value = answer.status === NO_CONTENT ? (null as T) : jsonOf<T>(answer);
    this.#hasAnswered = true;
    return value;
  }

  /** Returns the start and the end of each partition. It asks some at a time, and wakes those that were used. */
  bounds(topic: string, partitions: number): Promise<{ start: number; end: number }[]> {
    const all = Array.from({ length: partitions }, (_, partition) => partition);
    return mapConcurrently(all, FAN_OUT, async (partition) => {
      const bound = (at: string) =>
        this.again(() => this.admin.listOffset(topic, partition, at)).then(
          (answer) => whole(answer, "offset").offset,
        );
      const start = await bound("earliest");
      return { start, end: Math.max(start, await bound("latest")) };
    });
  }

  newProducer(): Promise<{ producerId: number; producerEpoch: number }> {
    return this.again(async () => jsonOf(await this.#request("POST", PRODUCERS_PATH)));
  }

  /** Returns the committed offsets of the group, or null if there is no such group. It wakes nothing but the group. */
  async positions(groupId: string): Promise<readonly TopicPosition[] | null> {
    const path = `${groupPath(groupId)}/offsets`;
    try {
      const answer = await this.again(async () =>
        jsonOf<{ offsets: TopicPosition[] }>(await this.#request("GET", path)),
      );
      return listed(answer.offsets, "offsets");
    } catch (error) {
      if (error instanceof BrokerError && error.code === "GROUP_ID_NOT_FOUND") return null;
      throw error;
    }
  }

  async #request(
    method: string,
    path: string,
    body?: Uint8Array,
    type = "application/octet-stream",
  ) {
    const { url, token } = this.#global;
    let response: Response;
    let bytes: Uint8Array;
    try {
      response = await fetch(new URL(path, url), {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": type }),
        },
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      const { cause, message } = error as Error;
      const reason = cause instanceof Error && cause.message !== "" ? cause.message : message;
      throw new ConnectionError(`no answer from ${url}: ${reason}`, { cause: error });
    }
    const { headers, status } = response;
    if (response.ok) return { status, headers, bytes };
    const problem = brokerError(parseJson(new TextDecoder().decode(bytes)));
    throw problem ?? new ConnectionError(`HTTP ${status}: not a Rivulet broker`);
  }
}

interface Answer {
  readonly status: number;
  readonly bytes: Uint8Array;
}

/** @throws ConnectionError if the answer is not an object or a list */
function jsonOf<T>({ status, bytes }: Answer): T {
  const value = parseJson(new TextDecoder().decode(bytes));
  if (Object(value) === value) return value as T;
  throw new ConnectionError(`HTTP ${status}: not a Rivulet broker`);
}

/** Retriable errors that will not pass by waiting. */
const FINAL = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID", "INVALID_UPDATE_VERSION"]);

function mayPass(error: unknown): boolean {
  if (error instanceof ConnectionError) return !/^HTTP 4/.test(error.message);
  return error instanceof BrokerError && error.retriable && !FINAL.has(error.code);
}

function waitOf(error: unknown): number {
  const { retryAfterMs } = error instanceof BrokerError ? error.data : {};
  return typeof retryAfterMs === "number" ? retryAfterMs : 0;
}
