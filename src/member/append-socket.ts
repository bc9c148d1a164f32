// Appends over a partition socket. They arrive in the order in which they were sent, so an append need not wait for the
// previous answer. No Worker code runs for them. Busy producers load this file. Code that all producers share is passed
// in.
import { type AppendAnswer, writeAppendFrame } from "../protocol/append-frame.ts";
import type { Socket, SocketEvents } from "./transport.ts";

export interface Appended {
  readonly baseOffset: number;
  readonly logAppendTimeMs?: number;
  readonly logStartOffset?: number;
}

interface Pending {
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
  readonly timer: unknown;
}

export interface AppendSocketParts {
  readonly open: (events: SocketEvents) => Socket;
  /** Called whenever no answers are outstanding. */
  readonly onIdle: () => void;
  /** Returns undefined if the text is not JSON. */
  readonly parse: (text: string) => unknown;
  /** Returns the error in an answer that is not an acknowledgement. */
  readonly refused: (answer: unknown) => Error;
  readonly lost: (reason: string) => Error;
}

export class AppendSocket {
  readonly #parts: AppendSocketParts;
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #requestId = 0;
  isOpen = false;
  isClosed = false;

  constructor(parts: AppendSocketParts) {
    this.#parts = parts;
    this.#socket = parts.open({
      opened: () => {
        this.isOpen = true;
        parts.onIdle();
      },
      text: (data) => this.#answered(data),
      bytes: () => {},
      closed: (code, reason) => this.#closed(`the connection broke (${code} ${reason})`),
    });
  }

  /**
   * Appends batches. @throws BrokerError if the partition rejects the append; ConnectionError if there was no answer.
   */
  append(batches: Uint8Array, expectedOffset: number | null, timeoutMs: number): Promise<Appended> {
    return new Promise((resolve, reject) => {
      const requestId = this.#requestId++;
      // If a partition does not answer one append, it does not answer later ones either.
      const timer = setTimeout(() => this.close(`no answer for ${timeoutMs} ms`), timeoutMs);
      this.#pending.set(requestId, { resolve, reject, timer });
      this.#socket.send(writeAppendFrame({ requestId, expectedOffset, batches }));
    });
  }

  #answered(data: string): void {
    const answer = this.#parts.parse(data) as AppendAnswer | undefined;
    const pending = this.#pending.get(answer?.requestId ?? -1);
    if (answer === undefined || pending === undefined) return;
    this.#pending.delete(answer.requestId);
    clearTimeout(pending.timer as number);
    if (answer.type === "appended") pending.resolve(answer);
    else pending.reject(this.#parts.refused(answer));
    if (this.#pending.size === 0) this.#parts.onIdle();
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
      reject(this.#parts.lost(`no answer: ${reason}`));
    }
    this.#pending.clear();
  }
}
