import { concatBytes } from "../../src/core/bytes.ts";
import type { Env } from "../../src/env.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { Nodes } from "../../src/worker/kafka/nodes.ts";
import { serveWebSocket } from "../../src/worker/kafka/websocket.ts";
import { decodeResponse, encodeRequest, framed } from "../support/kafka-frames.ts";
import { type Closed, isBytes, TestSocket } from "./support.ts";

/** One connection of a Kafka client, over the WebSocket /kafka. */
export class Kafka {
  readonly #socket: TestSocket<never>;
  #rest: Uint8Array = new Uint8Array();
  #readBytes = 0;

  private constructor(socket: TestSocket<never>) {
    this.#socket = socket;
  }

  /** @param query says which node the connection goes to, and of which nodes its client is told */
  static async open(query = "", from: object = {}): Promise<Kafka> {
    return new Kafka(await TestSocket.open(`/kafka${query}`, () => {}, from));
  }

  /** A connection to a broker with these bindings and variables. */
  static openWith(env: Env): Kafka {
    const { 0: client, 1: server } = new WebSocketPair();
    const nodes = new Nodes([{ host: "broker.test", port: 9092 }], null);
    void serveWebSocket(server, env, nodes, "/");
    const socket = new TestSocket<never>(client, () => {});
    client.accept();
    return new Kafka(socket);
  }

  async ask<T>(api: Api, version: number, request: unknown): Promise<T> {
    this.send(api, version, request);
    for (;;) {
      const view = new DataView(this.#rest.buffer, this.#rest.byteOffset);
      const end = this.#rest.length < 4 ? Number.POSITIVE_INFINITY : 4 + view.getInt32(0);
      if (this.#rest.length >= end) {
        const frame = this.#rest.subarray(4, end);
        this.#rest = this.#rest.slice(end);
        this.#readBytes += end;
        return decodeResponse<T>(api, version, frame);
      }
      this.#rest = concatBytes([this.#rest, await this.#socket.next(isBytes)]);
    }
  }

  /** Sends a request without waiting for a response. */
  send(api: Api, version: number, request: unknown): void {
    this.#socket.send(framed(encodeRequest(api, version, request)));
  }

  get closed(): Promise<Closed> {
    return this.#socket.closed;
  }

  /** The bytes that came beyond the responses that were read. */
  get unreadBytes(): number {
    const sizes = this.#socket.received.filter(isBytes).map(({ length }) => length);
    return sizes.reduce((sum, each) => sum + each, 0) - this.#readBytes;
  }

  close(): void {
    this.#socket.close();
  }
}
