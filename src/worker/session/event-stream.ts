// A topic as server-sent events: a reader without a group, whose position is in the events' ids. The browser
// sends the last id when it reconnects (`Last-Event-ID`), and the stream continues after it.

import type { Topic } from "../../core/cluster/topics.ts";
import { BrokerError, ERRORS } from "../../core/errors.ts";
import type { Holding } from "../../core/ledger.ts";
import { ANSWER_STALL_MS, EVENT_STREAM_BUFFER_BYTES } from "../../core/limits.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import type { Env } from "../../env.ts";
import { type ApplicationEffect, ConsumerDriver } from "../../member/consumer-driver.ts";
import type { ReaderPlace } from "../../member/places.ts";
import { memory } from "../../memory.ts";
import { type RecordFilter, recordFilter } from "../../protocol/record-filter.ts";
import { callerIn } from "../edge/authorize.ts";
import { recordBytes } from "../edge/fetch.ts";
import { Invocation } from "../edge/invocation.ts";
import { outsideError } from "../edge/namespace.ts";
import { stubTransport } from "../edge/stub-transport.ts";
import { atExpiry } from "../edge/timer.ts";
import { watchGrowth } from "./growth.ts";
import { SessionRoom } from "./session-room.ts";
import { ASKED_WINDOW_BYTES, SessionWindow } from "./session-window.ts";

/** The interval of a comment that keeps proxies from closing a quiet stream, and reveals clients that have gone. */
const KEEP_ALIVE_MS = 15_000;
/** The wait before the browser reconnects. */
const RETRY_MS = 1_000;
const UTF8 = new TextEncoder();

export interface EventStreamOptions {
  readonly partitions: readonly ReaderPlace[];
  /** The topic, if all of its partitions are read, including future ones. */
  readonly growing?: Topic | undefined;
  readonly from: "earliest" | "latest";
  readonly key?: string | undefined;
  readonly header?: Readonly<Record<string, string>> | undefined;
}

type Frame = TopicPartition & {
  readonly attachId: number;
  readonly records: readonly ConsumerRecord[];
  /** The number of records that were written. */
  written: number;
};

export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  /** Resolves when the client or the topic has gone. */
  readonly closed: Promise<void>;
  readonly #env: Env;
  readonly #driver: ConsumerDriver;
  readonly #invocation: Invocation;
  readonly #room = new SessionRoom();
  readonly #window = new SessionWindow();
  readonly #filter: RecordFilter | null;
  /** Received frames that wait until the client has read the earlier ones. */
  readonly #waiting: Frame[] = [];
  /** The offset at which the stream continues, by partition. An event's id contains these. */
  readonly #positions = new Map<number, number>();
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  /** The bytes counted among unread answers. */
  readonly #holding: Holding;
  /** The time when the client last took something. */
  #tookMs = Date.now();
  #keepAlive: ReturnType<typeof setInterval> | null = null;
  #stopWatching: () => void = () => {};
  #stopExpiry: () => void = () => {};
  #isOver = false;
  #resolveClosed: () => void = () => {};

  constructor(env: Env, topic: string, options: EventStreamOptions) {
    this.#env = env;
    this.#invocation = new Invocation(env);
    this.#filter = recordFilter(options);
    this.#holding = memory.answers.hold((error) => this.#cut(error));
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
        windowBytes: ASKED_WINDOW_BYTES,
        isFull: this.#room.isFull,
        commitIntervalMs: 0,
      },
      this.#window.over(
        stubTransport(this.#invocation.env, callerIn(env), (error) => this.#refuse(error)),
      ),
      (effect) => this.#onEffect(effect),
    );
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          this.#write(`retry: ${RETRY_MS}\n\n`);
          this.#keepAlive = setInterval(() => this.#onKeepAlive(), KEEP_ALIVE_MS);
          this.#driver.start();
          // The partitions notice it when they have something to send. Frames that were already pushed need not
          // wait for that.
          this.#stopExpiry = atExpiry(callerIn(env), () =>
            this.#refuse(
              new BrokerError("SASL_AUTHENTICATION_FAILED", "the credential has expired"),
            ),
          );
          const { growing } = options;
          if (growing !== undefined)
            this.#stopWatching = watchGrowth(this.#invocation.env, growing, (places) =>
              this.#driver.add(places),
            );
        },
        pull: () => {
          this.#tookMs = Date.now();
          this.#flush();
        },
        cancel: () => this.#driver.close(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: EVENT_STREAM_BUFFER_BYTES }),
    );
    // [SES-14] The last event is complete, and the client continues after it.
    void this.#invocation.spent.then(() => this.#driver.close());
  }

  /** [ACL-8] Ends the stream because the reader's credential is no longer valid. */
  #refuse(error: BrokerError): void {
    this.#problem(error);
    this.#driver.close();
  }

  #onEffect(effect: ApplicationEffect): void {
    switch (effect.type) {
      case "assigned":
        for (const { partition, offset } of effect.partitions)
          this.#positions.set(partition, offset);
        this.#write(`${this.#id()}\n\n`);
        return;
      case "records":
        this.#waiting.push({ ...effect, written: 0 });
        this.#flush();
        return;
      case "error":
        this.#problem(effect.error);
        // A topic of that name may be created again, but not with these records.
        if (effect.error.code === "UNKNOWN_TOPIC_ID") this.#driver.close();
        return;
      case "closed":
        this.#end();
    }
  }

  /** [BND-6] Drops a client that takes none of the waiting data. */
  #onKeepAlive(): void {
    const isBehind = (this.#controller?.desiredSize ?? 0) <= 0;
    const nowMs = Date.now();
    this.#tookMs = Math.min(this.#tookMs, nowMs); // [CLK-3] The clock may have been set back.
    if (!isBehind) this.#write(": \n\n");
    else if (nowMs - this.#tookMs > ANSWER_STALL_MS)
      this.#cut(
        new BrokerError("REQUEST_TIMED_OUT", `the client took nothing for ${ANSWER_STALL_MS} ms`),
      );
    else this.#hold(); // The client is still there.
  }

  /** Sends as much as the client keeps up with. More is requested only then. */
  #flush(): void {
    for (let frame = this.#waiting[0]; frame !== undefined; frame = this.#waiting[0]) {
      if (!this.#writeSome(frame)) break;
      this.#waiting.shift();
      const { topic, partition, attachId, records } = frame;
      const next = (records.at(-1)?.offset ?? -1) + 1;
      this.#driver.processed({ topic, partition }, next, attachId);
    }
    this.#room.serve(this.#driver);
    this.#hold();
  }

  /** Continues to write where it stopped. Returns false if the client does not keep up. */
  #writeSome(frame: Frame): boolean {
    const { partition, records } = frame;
    let text = "";
    let isLeftOut = false;
    while (frame.written < records.length) {
      if ((this.#controller?.desiredSize ?? 0) <= text.length) break;
      const record = records[frame.written++] as ConsumerRecord;
      this.#positions.set(partition, record.offset + 1);
      this.#invocation.didRecords([record]);
      isLeftOut = this.#filter !== null && !this.#filter(record);
      if (isLeftOut) continue;
      const data = JSON.stringify({ partition, ...this.#invocation.jsonOf(record) });
      text += `${this.#id()}\ndata: ${data}\n\n`;
    }
    // An event without data is not delivered, but its id counts. So records that the filter left out need not
    // be read again.
    if (isLeftOut) text += `${this.#id()}\n\n`;
    if (text !== "") this.#write(text);
    return frame.written === records.length;
  }

  /** [BND-6] Counts the bytes that the client has not taken. */
  #hold(): void {
    const unreadBytes = EVENT_STREAM_BUFFER_BYTES - (this.#controller?.desiredSize ?? 0);
    let bytes = unreadBytes + this.#window.heldBytes;
    for (const { records } of this.#waiting)
      for (const record of records) bytes += recordBytes(record);
    try {
      if (!this.#isOver) this.#holding.set(Math.max(0, bytes));
    } catch (error) {
      this.#cut(error);
    }
  }

  /** Cuts the connection. The client notices, and may reconnect. */
  #cut(error: unknown): void {
    try {
      this.#controller?.error(error);
    } catch {
      // It has already ended.
    }
    this.#driver.close();
  }

  #id(): string {
    const positions = [...this.#positions].sort(([a], [b]) => a - b);
    return `id: ${positions.map(([partition, offset]) => `${partition}:${offset}`).join(",")}`;
  }

  #problem(error: BrokerError): void {
    const { code } = ERRORS[error.code];
    const { data, message: detail, retriable } = outsideError(this.#env, error);
    const problem = { code: error.code, errorCode: code, detail, ...data, retriable };
    this.#write(`event: problem\ndata: ${JSON.stringify(problem)}\n\n`);
  }

  #write(text: string): void {
    this.#invocation.did("byte", text.length);
    try {
      this.#controller?.enqueue(UTF8.encode(text));
    } catch {
      this.#driver.close(); // The client has gone.
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#waiting.length = 0;
    this.#holding.release();
    clearInterval(this.#keepAlive);
    this.#stopWatching();
    this.#stopExpiry();
    try {
      this.#controller?.close();
    } catch {
      // It is already cancelled.
    }
    this.#resolveClosed();
  }
}
