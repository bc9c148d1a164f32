import { concatBytes } from "../../src/core/bytes.ts";
import type { Api } from "../../src/kafka/messages.ts";
import { decodeResponse, encodeRequest, framed } from "../support/kafka-frames.ts";
import { isBytes, TestSocket } from "./support.ts";

/** One connection of a Kafka client, over the WebSocket /kafka. */
export class Kafka {
  readonly #socket: TestSocket<never>;
  #rest: Uint8Array = new Uint8Array();

  private constructor(socket: TestSocket<never>) {
    this.#socket = socket;
  }

  static async open(): Promise<Kafka> {
    return new Kafka(await TestSocket.open("/kafka"));
  }

  async ask<T>(api: Api, version: number, request: unknown): Promise<T> {
    this.#socket.send(framed(encodeRequest(api, version, request)));
    for (;;) {
      const view = new DataView(this.#rest.buffer, this.#rest.byteOffset);
      const end = this.#rest.length < 4 ? Number.POSITIVE_INFINITY : 4 + view.getInt32(0);
      if (this.#rest.length >= end) {
        const frame = this.#rest.subarray(4, end);
        this.#rest = this.#rest.slice(end);
        return decodeResponse<T>(api, version, frame);
      }
      this.#rest = concatBytes([this.#rest, await this.#socket.next(isBytes)]);
    }
  }

  close(): void {
    this.#socket.close();
  }
}
