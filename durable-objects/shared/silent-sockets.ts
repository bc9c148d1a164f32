// The sockets of an object that have not said yet what they are for. They cost nothing while there is room; where there is
// none they go first [BND-15]. Since when each is silent is in its attachment, so that it outlives hibernation.
import { BrokerError } from "../../src/core/errors.ts";
import { closeFatal } from "./socket.ts";

interface Attachment {
  readonly silentSinceMs: number;
}

export class SilentSockets {
  /** The one silent for longest first. */
  readonly #sockets: Set<WebSocket>;

  /** `sockets`: those that outlived hibernation, whatever they are. */
  constructor(sockets: readonly WebSocket[]) {
    const since = new Map<WebSocket, number>();
    for (const socket of sockets) {
      const sinceMs = silentSinceMs(socket);
      if (sinceMs !== null) since.set(socket, sinceMs);
    }
    const longestFirst = [...since].sort(([, a], [, b]) => a - b);
    this.#sockets = new Set(longestFirst.map(([socket]) => socket));
  }

  /** One that was accepted just now. */
  add(socket: WebSocket, nowMs: number): void {
    const attachment: Attachment = { silentSinceMs: nowMs };
    socket.serializeAttachment(attachment);
    this.#sockets.add(socket);
  }

  /** It has spoken, and got another attachment; or it has gone. False where it was known not to be silent. */
  delete(socket: WebSocket): boolean {
    return this.#sockets.delete(socket);
  }

  /**
   * Whether there may be one more besides `all`, after the one silent for longest was closed where there are too many.
   * Those that are being closed have made room, however long their clients take to answer that.
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
}

function isOpen({ readyState }: WebSocket): boolean {
  return readyState === WebSocket.OPEN;
}

/** Null for one that has spoken. One without an attachment was accepted before there were any: it is the first to go. */
function silentSinceMs(socket: WebSocket): number | null {
  const attachment = socket.deserializeAttachment() as Partial<Attachment> | null;
  return attachment === null ? 0 : (attachment.silentSinceMs ?? null);
}
