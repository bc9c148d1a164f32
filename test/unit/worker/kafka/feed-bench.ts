// Partitions that push to the feeds of a Kafka connection on the test's command, without a broker. It runs by fake timers.

import { vi } from "vitest";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import type { Topic } from "../../../../src/core/cluster/topics.ts";
import type { ErrorName } from "../../../../src/core/errors.ts";
import { encodeBatch } from "../../../../src/core/log/record-batch.ts";
import type { Env } from "../../../../src/env.ts";
import { PING, PONG } from "../../../../src/protocol/heartbeat.ts";
import { Feeds } from "../../../../src/worker/kafka/feeds.ts";

export const settle = () => vi.advanceTimersByTimeAsync(0);

const UTF8 = new TextEncoder();

/** One batch from an offset on, of as many records as there are values. */
export function batchAt(baseOffset: number, ...values: string[]): Uint8Array {
  const records = values.map((value) => ({
    key: null,
    value: UTF8.encode(value),
    headers: [],
    timestamp: 0,
  }));
  return encodeBatch(records, { baseOffset });
}

type Listener = (event: unknown) => void;

interface Sent {
  readonly type: "attach" | "window";
  readonly attachId: number;
  readonly offset?: number;
  readonly windowBytes?: number;
  readonly bytes?: number;
}

/** The partition's side of one socket. */
export class FakeFeedSocket {
  readonly #listeners = new Map<string, Listener>();
  binaryType = "";
  /** The messages sent to the partition. */
  readonly sent: Sent[] = [];
  isClosed = false;

  accept(): void {}

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, listener);
  }

  send(data: string): void {
    if (data === PING) this.#listeners.get("message")?.({ data: PONG });
    else this.sent.push(JSON.parse(data) as Sent);
  }

  close(): void {
    this.isClosed = true;
  }

  get attach(): Sent {
    return this.sent.findLast(({ type }) => type === "attach") as Sent;
  }

  /** The bytes returned since the last attach. */
  get givenBack(): number {
    const since = this.sent.slice(this.sent.lastIndexOf(this.attach));
    return since.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
  }

  /** Answers the last attach. */
  attached(
    highWatermark: number,
    { windowBytes = this.attach.windowBytes, logStartOffset = 0 } = {},
  ) {
    const { attachId, offset } = this.attach;
    this.say({ type: "attached", attachId, offset, logStartOffset, highWatermark, windowBytes });
  }

  error(code: ErrorName, more: object = {}): void {
    this.say({ type: "error", attachId: this.attach.attachId, code, ...more });
  }

  say(message: object): void {
    this.#listeners.get("message")?.({ data: JSON.stringify(message) });
  }

  push(...batches: Uint8Array[]): void {
    const data = new Uint8Array(batches.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const batch of batches) {
      data.set(batch, at);
      at += batch.length;
    }
    this.#listeners.get("message")?.({ data: data.buffer });
  }

  closed(code: number, reason = ""): void {
    this.#listeners.get("close")?.({ code, reason });
  }
}

/** A broker whose partitions push on the test's command. */
export class FeedBench {
  /** The opened sockets, in order, with the partition's name. */
  readonly sockets: { readonly place: string; readonly socket: FakeFeedSocket }[] = [];
  /** The partitions that were asked for their bounds. */
  readonly asked: string[] = [];
  /** This many lookups by id fail from now on, for a temporary reason. */
  failingLookUps = 0;
  /** The number of questions to the cluster for a topic. */
  lookUps = 0;
  readonly topics = new Map<string, Topic>();
  /** Sockets are refused as long as this is set. */
  isRefusing = false;
  offsets: () => Promise<unknown> = async () => ({ ok: true, logStartOffset: 0, highWatermark: 0 });
  readonly env: Env;

  constructor() {
    const found = (topic: Topic | undefined, error: ErrorName) => {
      this.lookUps++;
      return topic === undefined
        ? { ok: false, error, detail: "there is none" }
        : { ok: true, topic };
    };
    const cluster = {
      topic: async ({ name }: { name: string }) =>
        found(this.topics.get(name), "UNKNOWN_TOPIC_OR_PARTITION"),
      topicById: async ({ topicId: id }: { topicId: string }) => {
        if (this.failingLookUps-- > 0) throw new Error("Network connection lost.");
        const topic = [...this.topics.values()].find(({ topicId }) => topicId === id);
        return found(topic, "UNKNOWN_TOPIC_ID");
      },
    };
    this.env = {
      CLUSTER: { getByName: () => cluster },
      PARTITION: { getByName: (place: string) => this.#partition(place) },
      caller: ANYBODY,
    } as unknown as Env;
  }

  topic(name: string, topicId: string, partitions = 1): void {
    this.topics.set(name, { name, topicId, partitions, overrides: {} } as unknown as Topic);
  }

  #partition(place: string) {
    return {
      fetch: async () => {
        if (this.isRefusing) return { status: 503, webSocket: null };
        const socket = new FakeFeedSocket();
        this.sockets.push({ place, socket });
        return { status: 101, webSocket: socket };
      },
      offsets: () => {
        this.asked.push(place);
        return this.offsets();
      },
    };
  }

  feeds(): Feeds {
    return new Feeds(this.env);
  }

  /** The newest socket to the partition. */
  socket(place: string): FakeFeedSocket {
    const found = this.sockets.findLast((each) => each.place === place);
    if (found === undefined) throw new Error(`nobody reads ${place}`);
    return found.socket;
  }
}
