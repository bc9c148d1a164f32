// A topic as server-sent events: a reader without a group, whose position travels as the events' id. The
// browser sends the last one back when it reconnects (`Last-Event-ID`), and the stream goes on behind it.

import type { ReaderPlace } from "../client/consumer/consumer-core.ts";
import { type ApplicationEffect, ConsumerDriver } from "../client/consumer/consumer-driver.ts";
import { type BrokerError, ERRORS } from "../core/errors.ts";
import { DEFAULT_WINDOW_BYTES, EVENT_STREAM_BUFFER_BYTES } from "../core/limits.ts";
import type { ConsumerRecord, TopicPartition } from "../core/record.ts";
import { stubTransport } from "../edge/stub-transport.ts";
import type { Env } from "../env.ts";
import { toJsonRecord } from "../protocol/json-record.ts";
import { type RecordFilter, recordFilter } from "../protocol/record-filter.ts";

/** A comment this often keeps proxies from closing a quiet stream, and finds out who has gone. */
const KEEP_ALIVE_MS = 15_000;
/** What the browser waits before it connects again. */
const RETRY_MS = 1_000;
const UTF8 = new TextEncoder();

export interface EventStreamOptions {
  readonly partitions: readonly ReaderPlace[];
  readonly from: "earliest" | "latest";
  readonly key?: string | undefined;
  readonly header?: Readonly<Record<string, string>> | undefined;
}

type Frame = TopicPartition & {
  readonly generation: number;
  readonly records: readonly ConsumerRecord[];
};

export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  /** Resolves when the client has gone or the topic has. */
  readonly closed: Promise<void>;
  readonly #driver: ConsumerDriver;
  readonly #filter: RecordFilter | null;
  /** Received, and waiting until the client has read what it was sent. */
  readonly #waiting: Frame[] = [];
  /** Where the stream goes on, by partition: what an event's id says. */
  readonly #positions = new Map<number, number>();
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #keepAlive: ReturnType<typeof setInterval> | null = null;
  #resolveClosed: () => void = () => {};

  constructor(env: Env, topic: string, options: EventStreamOptions) {
    this.#filter = recordFilter(options);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#driver = new ConsumerDriver(
      {
        groupId: null,
        memberId: crypto.randomUUID(),
        topics: [topic],
        partitions: options.partitions,
        instanceId: null,
        clientId: null,
        sessionTimeoutMs: 0,
        from: options.from,
        windowBytes: DEFAULT_WINDOW_BYTES,
        commitIntervalMs: 0,
      },
      stubTransport(env),
      (effect) => this.#onEffect(effect),
    );
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          this.#write(`retry: ${RETRY_MS}\n\n`);
          this.#keepAlive = setInterval(() => this.#write(": \n\n"), KEEP_ALIVE_MS);
          this.#driver.start();
        },
        pull: () => this.#flush(),
        cancel: () => this.#driver.close(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: EVENT_STREAM_BUFFER_BYTES }),
    );
  }

  #onEffect(effect: ApplicationEffect): void {
    switch (effect.type) {
      case "assigned":
        for (const { partition, offset } of effect.partitions)
          this.#positions.set(partition, offset);
        this.#write(`${this.#id()}\n\n`);
        return;
      case "records":
        this.#waiting.push(effect);
        this.#flush();
        return;
      case "error":
        this.#problem(effect.error);
        // A topic of that name may come again, but not with these records.
        if (effect.error.code === "UNKNOWN_TOPIC_ID") this.#driver.close();
        return;
      case "closed":
        this.#end();
    }
  }

  /** Sends as much as the client keeps up with; only then more is asked for. */
  #flush(): void {
    while (this.#waiting.length > 0 && (this.#controller?.desiredSize ?? 0) > 0) {
      const { topic, partition, generation, records } = this.#waiting.shift() as Frame;
      const next = (records.at(-1)?.offset ?? -1) + 1;
      const events = records.flatMap((record) => {
        this.#positions.set(partition, record.offset + 1);
        if (this.#filter !== null && !this.#filter(record)) return [];
        const data = JSON.stringify({ partition, ...toJsonRecord(record) });
        return [`${this.#id()}\ndata: ${data}\n\n`];
      });
      // An event without data is none, but its id counts: what was left out need not be read again.
      if (events.length === 0) events.push(`${this.#id()}\n\n`);
      this.#write(events.join(""));
      this.#driver.processed({ topic, partition }, next, generation);
    }
  }

  #id(): string {
    const positions = [...this.#positions].sort(([a], [b]) => a - b);
    return `id: ${positions.map(([partition, offset]) => `${partition}:${offset}`).join(",")}`;
  }

  #problem(error: BrokerError): void {
    const { code } = ERRORS[error.code];
    const { data, message: detail, retriable } = error;
    const problem = { code: error.code, errorCode: code, detail, ...data, retriable };
    this.#write(`event: problem\ndata: ${JSON.stringify(problem)}\n\n`);
  }

  #write(text: string): void {
    try {
      this.#controller?.enqueue(UTF8.encode(text));
    } catch {
      this.#driver.close(); // The client has gone.
    }
  }

  #end(): void {
    clearInterval(this.#keepAlive);
    try {
      this.#controller?.close();
    } catch {
      // Cancelled already.
    }
    this.#resolveClosed();
  }
}
