// A Kafka client of the broker's own messages, the other way round: it writes requests and reads answers.
import { connect, type Socket } from "node:net";
import type { Api } from "../../src/kafka/messages.ts";
import { nullableString, type Type } from "../../src/kafka/schema.ts";
import { Reader, Writer } from "../../src/kafka/wire.ts";

export function encodeRequest(
  api: Api,
  version: number,
  request: unknown,
  correlationId = 0,
): Buffer {
  const isFlexible = version >= api.flexibleFrom;
  const body = new Writer();
  body.int16(api.key);
  body.int16(version);
  body.int32(correlationId);
  nullableString.write(body, "test", { version: 0, isFlexible: false });
  if (isFlexible) body.unsignedVarint(0);
  (api.request as unknown as Type<unknown>).write(body, request, { version, isFlexible });
  return Buffer.concat(body.finish());
}

/** What the header of an answer is followed by. */
export function decodeResponse<T>(api: Api, version: number, frame: Uint8Array): T {
  const isFlexible = version >= api.flexibleFrom;
  const from = new Reader(frame);
  from.int32();
  if (isFlexible && api.name !== "ApiVersions") from.unsignedVarint();
  const response = (api.response as unknown as Type<T>).read(from, { version, isFlexible });
  if (from.left > 0) throw new Error(`${from.left} bytes follow the answer`);
  return response;
}

export function framed(request: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(request.length);
  return Buffer.concat([length, request]);
}

export class RawKafka {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  #buffer: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  #wake = () => {};
  #isClosed = false;

  constructor(address: string) {
    const [host = "", port] = address.split(":");
    this.socket = connect(Number(port), host);
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
