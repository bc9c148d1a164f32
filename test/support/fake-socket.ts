// The server's end of a socket in an object, as far as the parts of the objects use it.
import type { ObjectSocket } from "../../durable-objects/shared/object-socket.ts";

export interface FakeClose {
  readonly code: number;
  readonly reason: string;
}

class FakeSocket {
  /** The messages sent to the client: text as parsed JSON, frames as bytes. */
  readonly sent: unknown[] = [];
  closed: FakeClose | null = null;
  readyState: number = WebSocket.OPEN;
  /** The bytes that the client has not taken. A test sets it. */
  bufferedAmount = 0;
  /** Called with every frame and message that is sent. */
  onSend: (data: string | Uint8Array) => void = () => {};
  #attachment: unknown = null;

  send(data: string | Uint8Array): void {
    if (this.readyState !== WebSocket.OPEN) throw new TypeError("the socket is closed");
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data);
    this.onSend(data);
  }

  close(code: number, reason: string): void {
    if (this.readyState !== WebSocket.OPEN) throw new TypeError("the socket is closed");
    this.readyState = WebSocket.CLOSING;
    this.closed = { code, reason };
  }

  serializeAttachment(attachment: unknown): void {
    this.#attachment = structuredClone(attachment);
  }

  deserializeAttachment(): unknown {
    return structuredClone(this.#attachment);
  }

  /** Everything sent since the last call. */
  take(): unknown[] {
    return this.sent.splice(0);
  }
}

export type TestedSocket = FakeSocket & ObjectSocket;

export function fakeSocket(): TestedSocket {
  return new FakeSocket() as unknown as TestedSocket;
}
