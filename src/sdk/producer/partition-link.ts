// The link of a producer to a partition: HTTP for occasional appends, and a socket once appends come in quick
// succession.

import { brokerError, ConnectionError, type HttpClient, parseJson } from "../../admin/http.ts";
import type { Appended, AppendSocket } from "../../member/append-socket.ts";
import { monotonicMs } from "../../member/clock.ts";
import type { Transport } from "../../member/transport.ts";
import { batchesPath } from "../../protocol/paths.ts";
import { ANSWER_TIMEOUT_MS, BYTES_PER_SECOND, IDLE_MS, REOPEN_MS } from "./limits.ts";

export class PartitionLink {
  readonly #http: HttpClient;
  readonly #transport: Transport | null;
  readonly #topic: string;
  readonly #partition: number;
  #socket: AppendSocket | null = null;
  #reopenAtMs = 0;
  #idleTimer: unknown;

  constructor(http: HttpClient, transport: Transport | null, topic: string, partition: number) {
    this.#http = http;
    this.#transport = transport;
    this.#topic = topic;
    this.#partition = partition;
  }

  /** True if an append sent now arrives after earlier ones, even if those are unanswered. */
  get isOrdered(): boolean {
    return this.#socket?.isOpen ?? false;
  }

  /**
   * Appends batches. @throws BrokerError if the partition rejects the append; ConnectionError if there was no answer.
   */
  append(bytes: Uint8Array, expectedOffset: number | null, withinMs: number): Promise<Appended> {
    const patienceMs = ANSWER_TIMEOUT_MS + (bytes.length / BYTES_PER_SECOND) * 1_000;
    const timeoutMs = Math.max(1, Math.ceil(Math.min(withinMs, patienceMs)));
    const socket = this.#socket;
    if (socket === null || !socket.isOpen) return this.#post(bytes, expectedOffset, timeoutMs);
    clearTimeout(this.#idleTimer as number);
    return socket.append(bytes, expectedOffset, timeoutMs);
  }

  /** Starts using a socket, as soon as one is open. */
  open(topicId: string): void {
    if (this.#socket?.isClosed) this.#socket = null;
    if (this.#transport === null || this.#socket !== null) return;
    if (monotonicMs() < this.#reopenAtMs) return;
    this.#reopenAtMs = monotonicMs() + REOPEN_MS;
    void this.#open(this.#transport, topicId).catch(() => {}); // HTTP works too.
  }

  async #open(transport: Transport, topicId: string): Promise<void> {
    // Most producers never need it.
    const { AppendSocket } = await import("../../member/append-socket.ts");
    const place = { topic: this.#topic, topicId, partition: this.#partition };
    const lost = (reason: string) => new ConnectionError(reason);
    const socket = new AppendSocket({
      open: (events) => transport.openPartition(place, events),
      onIdle: () => {
        clearTimeout(this.#idleTimer as number);
        if (this.#socket === socket) this.#idleTimer = setTimeout(() => this.close(), IDLE_MS);
        else socket.close("done"); // It was closed before it was open.
      },
      parse: parseJson,
      refused: (answer) => brokerError(answer) ?? lost("no answer"),
      lost,
    });
    this.#socket = socket;
  }

  close(): void {
    clearTimeout(this.#idleTimer as number);
    this.#socket?.close("done");
    this.#socket = null;
    this.#reopenAtMs = 0;
  }

  #post(bytes: Uint8Array, expectedOffset: number | null, timeoutMs: number): Promise<Appended> {
    const query = expectedOffset === null ? "" : `?expectedOffset=${expectedOffset}`;
    return this.#http.request(
      "POST",
      `${batchesPath(this.#topic, this.#partition)}${query}`,
      { type: "application/octet-stream", data: bytes },
      { timeoutMs },
    );
  }
}
