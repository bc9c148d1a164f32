// Readers whose clients have not taken what they were sent [BND-18]. The runtime does not report when a socket
// has drained, so it is asked at once and then at growing intervals. Unread bytes stay in memory until the
// client goes, even after its socket is closed, so nothing more is sent to it until then. The object does not
// hibernate while it waits.
//
//
// A reader may leave little unread until it has shown that it reads, by giving window back or by taking all of
// it. One ledger counts what all readers of an isolate leave unread. When it is full, a reader gets nothing if
// it has anything unread, or has not shown that it reads [BND-25].
//
//
// [CLK-1] Nobody depends on these timers, which are late if the clock is set back. A client that has consumed
// what it was sent gives its window back, and then gets more.
//
//
// A client is not closed for taking nothing. An operating system with a large buffer may take megabytes at once
// and then nothing for minutes, although its client reads. Closing the socket would free nothing either.
import {
  MAX_READER_UNREAD_BYTES,
  MAX_UNREAD_BYTES,
  MIN_READER_UNREAD_BYTES,
} from "../../src/core/limits.ts";
import { memory } from "../../src/memory.ts";
import { unsentBytes } from "../../src/protocol/unsent.ts";

const MIN_CHECK_MS = 1;
const MAX_CHECK_MS = 10_000;

interface Wait {
  unreadBytes: number;
  /** The next check comes after this time. */
  checkMs: number;
}

export class SlowReaders {
  readonly #drained: (socket: WebSocket) => void;
  readonly #waits = new Map<WebSocket, Wait>();
  /** The bytes that each client had not taken at the last check. */
  readonly #unread = new Map<WebSocket, number>();
  #unreadBytes = 0;
  readonly #holding = memory.unread.holdFixed();
  /** The bytes that a socket may leave unread, once its reader has shown that it reads. */
  readonly #allowed = new WeakMap<WebSocket, number>();
  /** The next check of all sockets comes after this time. Null if none is planned. */
  #surveyMs: number | null = null;

  /** `drained` is called when the client of a socket has room for more. */
  constructor(drained: (socket: WebSocket) => void) {
    this.#drained = drained;
  }

  /** The bytes that the client of a socket may leave unread, and the size of its frames unless a batch is larger. */
  allowedBytes(socket: WebSocket): number {
    return this.#allowed.get(socket) ?? MIN_READER_UNREAD_BYTES;
  }

  /** True if this client, or others, must take what they were sent before it is sent more. */
  isFull(socket: WebSocket): boolean {
    return this.#isFull(socket, this.#lookAt(socket));
  }

  #isFull(socket: WebSocket, unreadBytes: number): boolean {
    if (unreadBytes > this.allowedBytes(socket)) return true;
    const mayTake = unreadBytes === 0 && this.#allowed.has(socket);
    if (!mayTake && memory.unread.bytes >= MAX_UNREAD_BYTES) return true;
    return !memory.budget.makeRoom(MIN_READER_UNREAD_BYTES);
  }

  /** Notes that the client has taken or consumed what it was sent. It may leave more unread from now on. */
  noteRead(socket: WebSocket): void {
    this.#allowed.set(socket, Math.min(2 * this.allowedBytes(socket), MAX_READER_UNREAD_BYTES));
  }

  /** Waits until the client has taken enough, however long that takes. */
  add(socket: WebSocket): void {
    if (this.#waits.has(socket)) return;
    const wait = { unreadBytes: this.#lookAt(socket), checkMs: 0 };
    this.#waits.set(socket, wait);
    this.#lookLater(socket, wait);
  }

  delete(socket: WebSocket): void {
    this.#waits.delete(socket);
    this.#note(socket, 0);
  }

  #lookLater(socket: WebSocket, wait: Wait): void {
    setTimeout(() => {
      if (this.#waits.get(socket) === wait) this.#look(socket, wait);
    }, wait.checkMs);
  }

  #look(socket: WebSocket, wait: Wait): void {
    const unreadBytes = this.#lookAt(socket);
    if (unreadBytes === 0 && wait.unreadBytes > 0) this.noteRead(socket);
    if (!this.#isFull(socket, unreadBytes)) {
      this.#waits.delete(socket);
      this.#drained(socket);
      return;
    }
    const hasTaken = unreadBytes < wait.unreadBytes;
    wait.unreadBytes = unreadBytes;
    wait.checkMs = Math.min(hasTaken ? 0 : 2 * wait.checkMs, MAX_CHECK_MS) || MIN_CHECK_MS;
    this.#lookLater(socket, wait);
  }

  /** Returns the number of bytes that the client has not taken, and counts them. */
  #lookAt(socket: WebSocket): number {
    const unreadBytes = unreadBytesOf(socket);
    this.#note(socket, unreadBytes);
    if (this.#unreadBytes > MAX_READER_UNREAD_BYTES && this.#surveyMs === null)
      this.#surveyAfter(MIN_CHECK_MS);
    return unreadBytes;
  }

  #note(socket: WebSocket, unreadBytes: number): void {
    const before = this.#unread.get(socket) ?? 0;
    if (unreadBytes === before) return;
    if (unreadBytes === 0) this.#unread.delete(socket);
    else this.#unread.set(socket, unreadBytes);
    this.#unreadBytes += unreadBytes - before;
    this.#holding.note(this.#unreadBytes);
  }

  /** Checks all sockets again as long as they leave much unread. Bytes that were taken no longer count. */
  #surveyAfter(ms: number): void {
    this.#surveyMs = ms;
    setTimeout(() => {
      for (const socket of [...this.#unread.keys()])
        if (!this.#waits.has(socket)) this.#note(socket, unreadBytesOf(socket));
      this.#holding.note(this.#unreadBytes); // Renews the count, even if nothing has changed.
      this.#surveyMs = null;
      if (this.#unreadBytes > MAX_READER_UNREAD_BYTES)
        this.#surveyAfter(Math.min(2 * ms, MAX_CHECK_MS));
    }, ms);
  }
}

/** Returns 0 if the runtime does not report the number. */
function unreadBytesOf(socket: WebSocket): number {
  return unsentBytes(socket) ?? 0;
}
