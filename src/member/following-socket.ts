// Sockets that switch from a partition with many readers to one of its relays [RLY-1].
import type { RelayMessage } from "../protocol/partition-socket.ts";
import type { Socket, SocketEvents, Transport } from "./transport.ts";

/** Returns a transport whose partition sockets can switch to relays. */
export function followingTransport(transport: Transport): Transport {
  return {
    ...transport,
    openPartition: (place, events) =>
      followingSocket(
        (relay, heard) =>
          transport.openPartition(relay === null ? place : { ...place, relay }, heard),
        events,
      ),
  };
}

/** Opens the socket of the partition, or of one of its relays. */
type Open = (relay: number | null, events: SocketEvents) => Socket;

/**
 * Returns a socket to a partition that switches to a relay if the partition asks for it. Its user does not notice: the
 * relay answers the attach. Owners stay at the partition.
 */
export function followingSocket(open: Open, events: SocketEvents): Socket {
  return new FollowingSocket(open, events);
}

/** The attach message of a reader without a group. */
type Attach = Readonly<Record<string, unknown>>;

class FollowingSocket implements Socket {
  readonly #open: Open;
  readonly #events: SocketEvents;
  #socket: Socket;
  /** The last attach. It is sent to a relay when its socket is open. */
  #attach: Attach | null = null;
  /** True while the socket of a relay is being opened. */
  #isMoving = false;
  #hasMoved = false;
  #isClosed = false;

  constructor(open: Open, events: SocketEvents) {
    this.#open = open;
    this.#events = events;
    this.#socket = open(null, {
      ...events,
      text: (data) => {
        if (!this.#hasMoved) this.#received(data);
      },
      bytes: (data) => {
        if (!this.#hasMoved) events.bytes(data);
      },
      closed: (code, reason) => {
        if (!this.#hasMoved) events.closed(code, reason);
      },
    });
  }

  send(data: string | Uint8Array): void {
    const attach = attachIn(data);
    if (attach !== null) this.#attach = attach;
    if (this.#isMoving) return; // The relay gets the last attach, and no window bytes are due.
    if (attach === null || this.#hasMoved) this.#socket.send(data);
    else this.#socket.send(JSON.stringify({ ...attach, relays: true }));
  }

  close(code: number, reason: string): void {
    this.#isClosed = true;
    this.#socket.close(code, reason);
  }

  #received(data: string): void {
    if (this.#isClosed) return; // Otherwise it would open a socket that nobody closes.
    const message = relayIn(data);
    if (message === null || this.#attach === null) {
      this.#events.text(data);
      return;
    }
    const { attachId, offset } = message;
    if (attachId === this.#attach.attachId) this.#attach = { ...this.#attach, offset };
    this.#hasMoved = true;
    this.#isMoving = true;
    this.#socket.close(1000, "served by a relay");
    this.#socket = this.#open(message.relay, {
      ...this.#events,
      opened: () => {
        this.#isMoving = false;
        this.#socket.send(JSON.stringify(this.#attach));
      },
    });
  }
}

/** Returns the attach message in the data, unless it is an owner's. */
function attachIn(data: string | Uint8Array): Attach | null {
  if (typeof data !== "string" || !data.startsWith("{")) return null;
  const message = JSON.parse(data) as Attach;
  return message.type === "attach" && message.owner === undefined ? message : null;
}

function relayIn(data: string): RelayMessage | null {
  if (!data.startsWith("{")) return null;
  const message = JSON.parse(data) as RelayMessage | { readonly type: string };
  return message.type === "relay" ? (message as RelayMessage) : null;
}
