// A Kafka client, over TCP or another stream, that says exactly what it is told to.
import { connect, type Socket } from "node:net";
import type { Api } from "../../src/worker/kafka/api.ts";
import { decodeResponse, encodeRequest, framed } from "./kafka-frames.ts";

function connected(address: string): Socket {
  const [host = "", port] = address.split(":");
  return connect(Number(port), host);
}

export class RawKafka {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  #buffer: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  #wake = () => {};
  #isClosed = false;

  /** Over TCP to `host:port`, or over a stream that is open. */
  constructor(to: string | Socket) {
    this.socket = typeof to === "string" ? connected(to) : to;
    this.socket.on("data", (data) => {
      this.#buffer = Buffer.concat([this.#buffer, data]);
      this.#wake();
    });
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      this.socket.once("close", () => {
        this.#isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  async ask<T = Record<string, unknown>>(api: Api, version: number, request: unknown): Promise<T> {
    this.send(api, version, request);
    return decodeResponse<T>(api, version, await this.frame());
  }

  send(api: Api, version: number, request: unknown): void {
    this.socket.write(framed(encodeRequest(api, version, request)));
  }

  /** The next answer. */
  async frame(): Promise<Buffer> {
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

  close(): void {
    this.socket.destroy();
  }
}
