// One partition for the SDK's producer, without a broker. It checks sequences and conditions as the real one does, reports
// each append, and fails as the test wants. It runs by fake timers.
import { expect, vi } from "vitest";
import { HttpClient } from "../../src/admin/http.ts";
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import type { ErrorName } from "../../src/core/errors.ts";
import { crcWithoutTimes, fingerprintWith } from "../../src/core/log/fingerprint.ts";
import { Producers } from "../../src/core/log/producers.ts";
import { batches, readBatchHeader } from "../../src/core/log/record-batch.ts";
import type { SocketEvents, Transport } from "../../src/member/transport.ts";
import { readAppendFrame } from "../../src/protocol/read-append-frame.ts";
import { Producer, type ProducerOptions, type SendOptions } from "../../src/sdk/producer.ts";

const UTF8 = new TextDecoder();
/** The time of an append over HTTP, so that others come meanwhile. */
const HTTP_MS = 5;

type Answer =
  | { readonly type: "appended"; readonly baseOffset: number }
  | {
      readonly type: "error";
      readonly code: ErrorName;
      readonly detail: string;
      readonly nextOffset?: number;
    };

/** One append as it reached the partition. */
export interface CameIn {
  readonly way: "http" | "socket";
  readonly values: string;
  /** Its producer, counted from 1. */
  readonly producer: number;
  readonly sequence: number;
  readonly expectedOffset: number | null;
}

/**
 * The fate of a request over HTTP, in place of a response. "unsent" does not reach the partition. "swallowed" is carried out
 * and not answered. "stuck" does not arrive and is never answered. An error's name is the response.
 */
export type Trouble = "unsent" | "swallowed" | "stuck" | ErrorName;

/**
 * One partition that checks sequences as the real one does. Appends over the socket wait until the test admits them.
 */
export class FakePartition {
  readonly log: string[] = [];
  /** The way in which each append came. */
  readonly ways: string[] = [];
  /** The appends that arrived, including repeats and rejected ones. */
  readonly came: CameIn[] = [];
  readonly #producers = new Producers([]);
  #producerIds = 0;
  /** Appends with this value are rejected. */
  refused: string | null = null;
  isHttpDown = false;
  /** The fates of the next appends over HTTP. */
  readonly troubles: Trouble[] = [];
  /** Called with each append over HTTP, even while HTTP is down. */
  onHttp = () => {};
  /** Called on each request for the topic, even if nobody answers. */
  onDescribe = () => {};
  isTopicDown = false;
  /** The number of descriptions of the topic. */
  descriptions = 0;
  topic = {
    name: "t",
    topicId: "id",
    partitions: 1,
    config: { "max.message.bytes": 1_000_000, "cleanup.policy": "delete" },
  };
  readonly sockets: FakeSocket[] = [];
  /** The ids of the topics that sockets were opened for. */
  readonly openedFor: string[] = [];
  /** The time that requests had until they were aborted, in milliseconds. */
  readonly gaveUpAfterMs: number[] = [];

  readonly fetch = async (
    url: string,
    init: { body?: string | Uint8Array; signal?: AbortSignal },
  ) => {
    if (url.endsWith("/v1/producers"))
      return answered({ producerId: ++this.#producerIds, producerEpoch: 0 });
    const { pathname, searchParams } = new URL(url);
    if (!pathname.endsWith("/batches")) {
      this.descriptions++;
      this.onDescribe();
      if (this.isTopicDown) throw new TypeError("fetch failed");
      return answered(this.topic);
    }
    this.onHttp();
    if (this.isHttpDown) throw new TypeError("fetch failed");
    this.ways.push("http");
    const trouble = this.troubles.shift();
    if (trouble === "stuck") return await this.#never(init.signal as AbortSignal);
    await new Promise((resolve) => setTimeout(resolve, HTTP_MS));
    if (trouble === "unsent") throw new TypeError("fetch failed");
    const condition = searchParams.get("expectedOffset");
    const bytes = init.body as Uint8Array;
    const expectedOffset = condition === null ? null : Number(condition);
    const refusal = trouble === "swallowed" ? undefined : trouble;
    const { type: _, ...rest } = this.append(bytes, refusal, { way: "http", expectedOffset });
    if (trouble === "swallowed") throw new TypeError("fetch failed");
    return answered(rest, "code" in rest ? 400 : 200);
  };

  #never(signal: AbortSignal): Promise<never> {
    const startMs = performance.now();
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        this.gaveUpAfterMs.push(performance.now() - startMs);
        reject(new Error("aborted"));
      });
    });
  }

  readonly transport: Transport = {
    openGroup: () => {
      throw new Error("there is no group");
    },
    openPartition: ({ topicId }, events) => {
      const socket = new FakeSocket(this, events);
      this.sockets.push(socket);
      this.openedFor.push(topicId);
      return socket;
    },
  };

  append(
    bytes: Uint8Array,
    refusal?: ErrorName,
    { way, expectedOffset }: Pick<CameIn, "way" | "expectedOffset"> = {
      way: "socket",
      expectedOffset: null,
    },
  ): Answer {
    const { producerId, producerEpoch, baseSequence } = readBatchHeader(bytes);
    const records = [...batches(bytes)].flatMap(({ start }) => decodeAnyBatch(bytes, start));
    const values = records.map(({ value }) => UTF8.decode(value ?? undefined));
    this.came.push({
      way,
      values: values.join(" "),
      producer: producerId,
      sequence: baseSequence,
      expectedOffset,
    });
    if (refusal !== undefined) return { type: "error", code: refusal, detail: "for the test" };
    if (values.includes(this.refused ?? ""))
      return { type: "error", code: "INVALID_RECORD", detail: "for the test" };
    const lastSequence = baseSequence + records.length - 1;
    const fingerprint = Array.from(batches(bytes)).reduce(
      (whole, { start, header }) =>
        fingerprintWith(whole, crcWithoutTimes(bytes, start, header.sizeInBytes)),
      0,
    );
    const sequences = { firstSequence: baseSequence, lastSequence };
    const origin = { producerId, producerEpoch, ...sequences, fingerprint, isOwn: false };
    const staged = this.#producers.stage();
    const checked = staged.validateSequence(origin, () => ({ ok: true, isSame: false }));
    if (!checked.ok) return { type: "error", code: checked.error, detail: checked.detail };
    if (checked.repeated !== null)
      return { type: "appended", baseOffset: checked.repeated.baseOffset };
    const baseOffset = this.log.length;
    if (expectedOffset !== null && expectedOffset !== baseOffset)
      return {
        type: "error",
        code: "INVALID_UPDATE_VERSION",
        detail: "for the test",
        nextOffset: baseOffset,
      };
    staged.add({ ...origin, baseOffset, atMs: 0 });
    staged.commit();
    this.log.push(...values);
    return { type: "appended", baseOffset };
  }
}

export class FakeSocket {
  readonly #partition: FakePartition;
  readonly #events: SocketEvents;
  readonly waiting: {
    readonly requestId: number;
    readonly batches: Uint8Array;
    readonly expectedOffset: number | null;
  }[] = [];
  isClosed = false;

  constructor(partition: FakePartition, events: SocketEvents) {
    this.#partition = partition;
    this.#events = events;
  }

  open(): void {
    this.#events.opened();
  }

  send(data: string | Uint8Array): void {
    this.#partition.ways.push("socket");
    const { buffer, byteOffset, byteLength } = data as Uint8Array<ArrayBuffer>;
    this.waiting.push(readAppendFrame(buffer.slice(byteOffset, byteOffset + byteLength)));
  }

  close(): void {
    this.isClosed = true;
  }

  /** The partition accepts the first waiting append, or rejects it with `refusal`, and answers. */
  async letIn(refusal?: ErrorName): Promise<void> {
    const { requestId, batches: bytes, expectedOffset } = this.#shift();
    const answer = this.#partition.append(bytes, refusal, { way: "socket", expectedOffset });
    this.say({ ...answer, requestId });
    await settle();
  }

  /** The partition accepts it, and its response is lost. */
  swallow(): void {
    this.#partition.append(this.#shift().batches);
  }

  #shift() {
    return this.waiting.shift() as (typeof this.waiting)[number];
  }

  /** Sends even what no partition would. */
  say(message: object | string): void {
    this.#events.text(typeof message === "string" ? message : JSON.stringify(message));
  }

  break(code = 1006): void {
    this.#events.closed(code, "");
  }
}

function answered(body: object, status = 200) {
  return { status, ok: status < 400, text: async () => JSON.stringify(body) };
}

export const settle = () => vi.advanceTimersByTimeAsync(0);

/** A producer of the partition over HTTP, and over a socket unless disabled. */
export function producerOf(options: ProducerOptions = {}, isOverSockets = true) {
  const partition = new FakePartition();
  const http = new HttpClient("http://b", partition.fetch as never);
  const producer = new Producer(http, isOverSockets ? partition.transport : null, options);
  /** Resolves to the offset, or to the error's name. */
  const send = (value: string, sendOptions: SendOptions = {}) =>
    producer.send("t", [{ value }], sendOptions).then(
      ([result]) => (result !== undefined && "offset" in result ? result.offset : result),
      (error) => error.code ?? error.name,
    );
  return { partition, producer, send };
}

/** A producer that is busy enough for a socket, and nothing in flight. */
export async function busyProducer(batchSize = 1) {
  const { partition, producer, send: sendOne } = producerOf({ batchSize });
  const sent: Promise<unknown>[] = [];
  let isSettled = false;
  const send = (value: string, options: SendOptions = {}) => {
    const outcome = sendOne(value, options);
    sent.push(outcome);
    return outcome;
  };
  const warming = 6 * batchSize;
  const first = Array.from({ length: warming }, (_, i) => send(`w${i}`));
  while (partition.sockets.length === 0) await vi.advanceTimersByTimeAsync(1);
  void Promise.all(first).then(() => {
    isSettled = true;
  });
  while (!isSettled) await vi.advanceTimersByTimeAsync(1);
  expect(new Set(partition.ways)).toEqual(new Set(["http"]));
  const socket = partition.sockets[0] as FakeSocket;
  socket.open();
  partition.log.splice(0);
  partition.ways.splice(0);
  partition.came.splice(0);
  return { partition, producer, socket, send, outcomes: () => Promise.all(sent.slice(warming)) };
}
