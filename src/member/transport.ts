// The interface by which consumers and producers open sockets. There are two: network sockets
// (sdk/transport/network.ts) and Durable Object stubs inside the Worker (worker/edge/stub-transport.ts).

export interface Socket {
  send(data: string | Uint8Array): void;
  close(code: number, reason: string): void;
}

/** Each socket calls `closed` exactly once, even if it could not be opened. No event comes after it. */
export interface SocketEvents {
  opened(): void;
  text(data: string): void;
  bytes(data: Uint8Array): void;
  closed(code: number, reason: string): void;
}

/** A partition, or one of its relays. */
export interface SocketPlace {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly relay?: number;
}

export interface Transport {
  openGroup(groupId: string, events: SocketEvents): Socket;
  openPartition(place: SocketPlace, events: SocketEvents): Socket;
}

/**
 * Replaces the close code of a working socket that should just be opened again, because its token expires soon. It is
 * not a failure, and not a WebSocket close code.
 */
export const RENEWED = 0;

/** The interface of a standard WebSocket in browsers, Node, Deno, Bun and Workers. */
export interface StandardWebSocket {
  binaryType: string;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: never) => void): void;
}

/** Passes a standard WebSocket's events to `events`. */
export function listen(socket: StandardWebSocket, events: SocketEvents): void {
  let isClosed = false;
  const closed = (code: number, reason: string) => {
    if (isClosed) return;
    isClosed = true;
    events.closed(code, reason);
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    if (!isClosed) events.opened();
  });
  socket.addEventListener("message", (event: { data: string | ArrayBuffer }) => {
    if (isClosed) return;
    if (typeof event.data === "string") events.text(event.data);
    else events.bytes(new Uint8Array(event.data));
  });
  socket.addEventListener("close", (event: { code: number; reason: string }) =>
    closed(event.code, event.reason),
  );
  // A close always follows an error, unless the runtime omits it.
  socket.addEventListener("error", () => closed(1006, "connection failed"));
}
