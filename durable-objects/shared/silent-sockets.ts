// The sockets of an object that have not yet said what they are for. They cost nothing while there is room.
// When room is short, they are closed first [BND-15]. After a minute they are also closed if their principal
// has no room left [BND-22]. A socket's attachment holds the start of its silence, so it outlives hibernation.

import { isWithin } from "../../src/core/elapsed.ts";
import { BrokerError } from "../../src/core/errors.ts";
import { MAX_SILENT_SOCKET_MS } from "../../src/core/limits.ts";
import type { ObjectSocket } from "./object-socket.ts";
import { closeFatal } from "./socket.ts";
import { attachState, hasState } from "./socket-caller.ts";

interface Attachment {
  readonly silentSinceMs: number;
}

export class SilentSockets {
  /** The sockets. The one silent for longest comes first. */
  readonly #sockets: Set<ObjectSocket>;

  /** `sockets` are all sockets that outlived hibernation, silent or not. */
  constructor(sockets: readonly ObjectSocket[]) {
    const since = new Map<ObjectSocket, number>();
    for (const socket of sockets) {
      const sinceMs = silentSinceMs(socket);
      if (sinceMs !== null) since.set(socket, sinceMs);
    }
    const longestFirst = [...since].sort(([, a], [, b]) => a - b);
    this.#sockets = new Set(longestFirst.map(([socket]) => socket));
  }

  get count(): number {
    return this.#sockets.size;
  }

  /** Adds a socket that was just accepted. */
  add(socket: ObjectSocket, nowMs: number): void {
    const attachment: Attachment = { silentSinceMs: nowMs };
    attachState(socket, attachment);
    this.#sockets.add(socket);
  }

  /**
   * Removes a socket that has gone, or that has spoken and got another attachment. Returns false if it was not
   * silent.
   */
  delete(socket: ObjectSocket): boolean {
    return this.#sockets.delete(socket);
  }

  /**
   * True if one more socket fits besides `all`. If not, the one silent for longest is closed first. A socket
   * that is being closed already makes room, however long its client takes to answer.
   */
  hasRoom(all: readonly WebSocket[], maxSockets: number): boolean {
    if (all.length < maxSockets || all.filter(isOpen).length < maxSockets) return true;
    for (const socket of this.#sockets) {
      this.#sockets.delete(socket);
      if (!isOpen(socket)) continue;
      const reason = `there are ${maxSockets} sockets, and this one is silent for longest`;
      closeFatal(socket, new BrokerError("THROTTLING_QUOTA_EXCEEDED", reason));
      return true;
    }
    return false;
  }

  /**
   * [BND-22] Closes the sockets that have been silent for MAX_SILENT_SOCKET_MS. The platform does not always
   * report that a client has gone while it was connecting.
   */
  closeOld(nowMs: number): void {
    for (const socket of this.#sockets) {
      const sinceMs = silentSinceMs(socket) ?? nowMs;
      if (isWithin(sinceMs, MAX_SILENT_SOCKET_MS, nowMs)) return;
      this.#sockets.delete(socket);
      const reason = `it has said nothing for ${MAX_SILENT_SOCKET_MS} ms`;
      if (isOpen(socket)) closeFatal(socket, new BrokerError("REQUEST_TIMED_OUT", reason));
    }
  }
}

function isOpen({ readyState }: WebSocket): boolean {
  return readyState === WebSocket.OPEN;
}

/**
 * Returns the start of the socket's silence, or null if it has spoken. A socket without an attachment was
 * accepted by an old release and goes first.
 */
function silentSinceMs(socket: ObjectSocket): number | null {
  const attachment = socket.deserializeAttachment() as Partial<Attachment> | null;
  const { silentSinceMs = null, ...rest } = attachment ?? {};
  return silentSinceMs ?? (hasState(rest) ? null : 0);
}
