// Reads the records of a topic as they arrive, over a socket. Each message is acknowledged once it has been
// processed, so no more is in flight than the page keeps up with.

import { MAX_FILTER_LENGTH } from "../core/limits.ts";
import { socketProtocols, topicPath } from "../protocol/paths.ts";
import type { PlainServerMessage } from "../protocol/plain-consumer.ts";
import { credential, get, ProblemError } from "./api.ts";
import type { Filter } from "./record-scan.ts";
import type { TailRows } from "./tail-rows.ts";

export interface TailPlace {
  /** The address of the broker. */
  readonly origin: string;
  readonly topic: string;
  /** The only partition that is read, or null for all. */
  readonly partition: number | null;
  readonly filter: Filter;
}

export interface TailListener {
  /** Called when the rows have changed, or the connection has opened or closed. */
  onChange(isOpen: boolean): void;
  /** Called after an error that it recovers from. */
  onProblem(error: unknown): void;
  /** Called when it cannot continue. */
  onEnd(error: unknown): void;
}

/** The wait before a closed socket is opened again. */
const AGAIN_MS = 3_000;
/** A socket closed with this code must not be opened again: see src/protocol/close-codes.ts. */
const CLOSE_FATAL = 4000;
const CLOSE_UNAUTHENTICATED = 4005;

/** Reads from the end of the topic, into `rows`, until the returned function is called. */
export function follow(place: TailPlace, rows: TailRows, listener: TailListener): () => void {
  const tail = new Tail(place, rows, listener);
  return () => tail.stop();
}

class Tail {
  readonly #place: TailPlace;
  readonly #rows: TailRows;
  readonly #listener: TailListener;
  readonly #controller = new AbortController();
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(place: TailPlace, rows: TailRows, listener: TailListener) {
    this.#place = place;
    this.#rows = rows;
    this.#listener = listener;
    this.#open();
  }

  stop(): void {
    this.#controller.abort();
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
  }

  #open(): void {
    const socket = new WebSocket(
      streamUrl(this.#place),
      socketProtocols(credential.value ?? undefined),
    );
    this.#socket = socket;
    let hasBegun = false;
    socket.addEventListener("message", ({ data }) => {
      if (this.#controller.signal.aborted) return;
      const message = JSON.parse(data) as PlainServerMessage;
      hasBegun ||= message.type === "assigned";
      this.#receive(socket, message);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      if (this.#controller.signal.aborted) return;
      if (code === CLOSE_FATAL || code === CLOSE_UNAUTHENTICATED)
        return this.#end(new Error(reason));
      this.#listener.onChange(false);
      if (hasBegun) this.#openLater();
      else void this.#findOut();
    });
  }

  #receive(socket: WebSocket, message: PlainServerMessage): void {
    switch (message.type) {
      case "assigned":
        for (const { partition, offset } of message.partitions) this.#rows.begin(partition, offset);
        this.#listener.onChange(true);
        return;
      case "records": {
        const { topic, partition, records } = message;
        this.#rows.add(partition, records);
        const offset = records.at(-1)?.offset;
        if (offset !== undefined)
          socket.send(JSON.stringify({ type: "ack", topic, partition, offset }));
        this.#listener.onChange(true);
        return;
      }
      case "error":
        // It continues, or the broker closes the socket with the reason.
        if (!message.retriable)
          this.#listener.onProblem(new Error(`${message.code}: ${message.detail}`));
    }
  }

  /** A socket that was refused does not report why. Asking for the topic does. */
  async #findOut(): Promise<void> {
    try {
      await get(topicPath(this.#place.topic), this.#controller.signal);
    } catch (error) {
      if (error instanceof ProblemError && isFinal(error)) return this.#end(error);
    }
    this.#openLater();
  }

  #openLater(): void {
    if (this.#controller.signal.aborted) return;
    this.#timer = setTimeout(() => this.#open(), AGAIN_MS);
  }

  #end(error: unknown): void {
    if (this.#controller.signal.aborted) return;
    this.stop();
    this.#listener.onEnd(error);
  }
}

/** The names that the broker accepts in a query. */
const PLAIN_NAME = /^[\w.-]{1,100}$/;

/**
 * Returns the address of the stream. The broker filters by keys and headers where it can, and the page filters
 * in any case.
 */
export function streamUrl({ origin, topic, partition, filter }: TailPlace): URL {
  const url = new URL(`${topicPath(topic)}/stream`, origin);
  url.protocol = url.protocol.replace("http", "ws");
  const { searchParams: query } = url;
  query.set("ack", "explicit");
  if (partition !== null) query.set("partition", String(partition));
  if (filter.key !== "" && filter.key.length <= MAX_FILTER_LENGTH) query.set("key", filter.key);
  const { headerName, headerValue } = filter;
  if (PLAIN_NAME.test(headerName) && headerValue !== "" && headerValue.length <= MAX_FILTER_LENGTH)
    query.set(`header.${headerName}`, headerValue);
  return url;
}

/** True for a refusal that would be the same the next time, such as a missing topic. */
function isFinal({ status }: ProblemError): boolean {
  return status < 500 && status !== 429;
}
