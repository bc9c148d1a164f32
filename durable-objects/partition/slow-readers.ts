// Readers whose clients have not taken what they were sent [BND-18]. The runtime does not say when a socket has drained, so
// it is asked: at once, and then ever more seldom. What a client leaves unread stays in memory until the client goes, even
// after its socket is closed, so nothing more is sent to it meanwhile. The object does not hibernate while it waits.
//
// [CLK-1] Nobody depends on these timers, which are late if the clock is set back: a client that has consumed what it was
// sent gives its window back, and is sent more then.
//
// A client is not closed for taking nothing. An operating system with a large buffer may take megabytes at once and then
// nothing for minutes, though its client reads; and closing the socket would free nothing.
import { MAX_READER_UNREAD_BYTES } from "../../src/core/limits.ts";
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

  /** `drained` is called when the client of a socket has room for more. */
  constructor(drained: (socket: WebSocket) => void) {
    this.#drained = drained;
  }

  /** True if the client has to take what it was sent before it is sent more. */
  static isFull(socket: WebSocket): boolean {
    return unreadBytesOf(socket) > MAX_READER_UNREAD_BYTES;
  }

  /** Waits until the client has taken enough, however long that takes. */
  add(socket: WebSocket): void {
    if (this.#waits.has(socket)) return;
    const wait = { unreadBytes: unreadBytesOf(socket), checkMs: 0 };
    this.#waits.set(socket, wait);
    this.#lookLater(socket, wait);
  }

  delete(socket: WebSocket): void {
    this.#waits.delete(socket);
  }

  #lookLater(socket: WebSocket, wait: Wait): void {
    setTimeout(() => {
      if (this.#waits.get(socket) === wait) this.#look(socket, wait);
    }, wait.checkMs);
  }

  #look(socket: WebSocket, wait: Wait): void {
    const unreadBytes = unreadBytesOf(socket);
    if (unreadBytes <= MAX_READER_UNREAD_BYTES) {
      this.#waits.delete(socket);
      this.#drained(socket);
      return;
    }
    const hasTaken = unreadBytes < wait.unreadBytes;
    wait.unreadBytes = unreadBytes;
    wait.checkMs = Math.min(hasTaken ? 0 : 2 * wait.checkMs, MAX_CHECK_MS) || MIN_CHECK_MS;
    this.#lookLater(socket, wait);
  }
}

/** Zero where the runtime does not tell. */
function unreadBytesOf(socket: WebSocket): number {
  return unsentBytes(socket) ?? 0;
}
