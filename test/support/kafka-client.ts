// Kafka clients over TCP, another stream or a WebSocket that send exactly what they are told to.
import { connect, type Socket } from "node:net";
import type { Api } from "../../src/worker/kafka/api.ts";
import { decodeResponse, encodeRequest, framed } from "./kafka-frames.ts";

/** A connection over any transport. */
export interface KafkaLine {
  readonly closed: Promise<void>;
  write(bytes: Uint8Array): void;
  /** The next response. Throws if there will be none. */
  frame(): Promise<Buffer>;
  close(): void;
}

/** Finds the responses in the received bytes. */
class Frames {
  #buffer: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  #wake = () => {};
  #isClosed = false;

  add(data: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    this.#wake();
  }

  end(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async next(): Promise<Buffer> {
    for (;;) {
      const size = this.#buffer.length >= 4 ? this.#buffer.readInt32BE() : Number.POSITIVE_INFINITY;
      if (this.#buffer.length >= 4 + size) {
        const frame = this.#buffer.subarray(4, 4 + size);
        this.#buffer = this.#buffer.subarray(4 + size);
        return frame;
      }
      if (this.#isClosed) throw new Error("the connection was closed");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function connected(address: string): Socket {
  const [host = "", port] = address.split(":");
  return connect(Number(port), host);
}

export class RawKafka implements KafkaLine {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly #frames = new Frames();

  /** Over TCP to `host:port`, or over an open stream. */
  constructor(to: string | Socket) {
    this.socket = typeof to === "string" ? connected(to) : to;
    this.socket.on("data", (data) => this.#frames.add(data));
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      this.socket.once("close", () => {
        this.#frames.end();
        resolve();
      });
    });
  }

  async ask<T = Record<string, unknown>>(api: Api, version: number, request: unknown): Promise<T> {
    this.send(api, version, request);
    return decodeResponse<T>(api, version, await this.frame());
  }

  send(api: Api, version: number, request: unknown): void {
    this.write(framed(encodeRequest(api, version, request)));
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  frame(): Promise<Buffer> {
    return this.#frames.next();
  }

  close(): void {
    this.socket.destroy();
  }
}

export class RawKafkaSocket implements KafkaLine {
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #opened: Promise<void>;
  readonly #frames = new Frames();

  /** Takes the HTTP address of the broker. */
  constructor(url: string) {
    this.#socket = new WebSocket(`${url.replace("http", "ws")}/kafka`);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.addEventListener("message", ({ data }) =>
      this.#frames.add(Buffer.from(data as ArrayBuffer)),
    );
    this.#opened = new Promise((resolve) =>
      this.#socket.addEventListener("open", () => resolve(), { once: true }),
    );
    this.closed = new Promise((resolve) =>
      this.#socket.addEventListener("close", () => {
        this.#frames.end();
        resolve();
      }),
    );
  }

  write(bytes: Uint8Array): void {
    void this.#opened.then(() => this.#socket.send(Uint8Array.from(bytes)));
  }

  frame(): Promise<Buffer> {
    return this.#frames.next();
  }

  close(): void {
    this.#socket.close(1000);
  }
}
