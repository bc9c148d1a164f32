// A person's WebSocket client: the plain consumer without any SDK.
import WebSocket from "ws";
import type { PlainServerMessage } from "../../src/protocol/plain-consumer.ts";

type RecordsMessage = Extract<PlainServerMessage, { type: "records" }>;

export class PlainClient {
  readonly messages: PlainServerMessage[] = [];
  readonly records: { topic: string; partition: number; offset: number; value: unknown }[] = [];
  /** The partitions held now, according to `assigned` and `revoked`. */
  readonly held = new Set<number>();
  closed: { code: number; reason: string } | null = null;
  onClose: () => void = () => {};
  onMessage: (message: PlainServerMessage) => void = () => {};
  readonly #socket: WebSocket;
  readonly #acknowledges: boolean;

  constructor(url: string, group: string, query: string, options: { acknowledges?: boolean } = {}) {
    this.#acknowledges = options.acknowledges ?? true;
    this.#socket = new WebSocket(
      `${url.replace("http", "ws")}/v1/groups/${group}/consume?${query}`,
    );
    this.#socket.on("message", (data) =>
      this.#receive(JSON.parse(String(data)) as PlainServerMessage),
    );
    this.#socket.on("close", (code, reason) => {
      this.closed = { code, reason: String(reason) };
      this.onClose();
    });
    this.#socket.on("error", () => {});
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(message: object | string): void {
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** A clean good-bye: a leave. */
  close(): void {
    this.#socket.close(1000);
  }

  /** The connection is cut: no close frame. */
  cut(): void {
    this.#socket.terminate();
  }

  #receive(message: PlainServerMessage): void {
    this.messages.push(message);
    if (message.type === "assigned")
      for (const { partition } of message.partitions) this.held.add(partition);
    if (message.type === "revoked")
      for (const { partition } of message.partitions) this.held.delete(partition);
    if (message.type === "records") this.#take(message);
    this.onMessage(message);
  }

  #take({ topic, partition, records }: RecordsMessage): void {
    for (const { offset, value } of records) this.records.push({ topic, partition, offset, value });
    const last = records.at(-1);
    if (this.#acknowledges && last !== undefined)
      this.send({ type: "ack", topic, partition, offset: last.offset });
  }
}
