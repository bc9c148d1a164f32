// Appends over a partition socket. They arrive in the order in which they were sent, so the next one need not
// wait for the answer to the one before, and no Worker code runs for any of them.
import type { BrokerError } from "../../core/errors.ts";
import { type AppendAnswer, writeAppendFrame } from "../../protocol/append-frame.ts";
import { brokerError, ConnectionError, parseJson } from "../http.ts";
import type { Socket, SocketEvents } from "../transport/transport.ts";

export interface Appended {
  readonly baseOffset: number;
  readonly logAppendTimeMs?: number;
}

interface Pending {
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: BrokerError | ConnectionError) => void;
  readonly timer: unknown;
}

export class AppendSocket {
  readonly #socket: Socket;
  readonly #onIdle: () => void;
  readonly #pending = new Map<number, Pending>();
  #requestId = 0;
  isOpen = false;
  isClosed = false;

  /** `onIdle` is told whenever no answer is awaited. */
  constructor(open: (events: SocketEvents) => Socket, onIdle: () => void) {
    this.#onIdle = onIdle;
    this.#socket = open({
      opened: () => {
        this.isOpen = true;
        onIdle();
      },
      text: (data) => this.#answered(parseJson(data) as AppendAnswer),
      bytes: () => {},
      closed: (code, reason) => this.#closed(`the connection broke (${code} ${reason})`),
    });
  }

  /** @throws BrokerError for what the partition refuses; ConnectionError where there was no answer. */
  append(batches: Uint8Array, expectedOffset: number | null, timeoutMs: number): Promise<Appended> {
    return new Promise((resolve, reject) => {
      const requestId = this.#requestId++;
      // Whoever does not answer one does not answer those behind it.
      const timer = setTimeout(() => this.close(`no answer for ${timeoutMs} ms`), timeoutMs);
      this.#pending.set(requestId, { resolve, reject, timer });
      this.#socket.send(writeAppendFrame({ requestId, expectedOffset, batches }));
    });
  }

  #answered(answer: AppendAnswer): void {
    const pending = this.#pending.get(answer.requestId);
    if (pending === undefined) return;
    this.#pending.delete(answer.requestId);
    clearTimeout(pending.timer as number);
    if (answer.type === "appended") pending.resolve(answer);
    else pending.reject(brokerError(answer) ?? new ConnectionError("the answer makes no sense"));
    if (this.#pending.size === 0) this.#onIdle();
  }

  close(reason: string): void {
    this.#socket.close(1000, reason);
    this.#closed(reason);
  }

  #closed(reason: string): void {
    this.isOpen = false;
    this.isClosed = true;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer as number);
      reject(new ConnectionError(`no answer: ${reason}`));
    }
    this.#pending.clear();
  }
}
