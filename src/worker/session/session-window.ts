// [SES-13] The window of a session in the Worker. It belongs to the session, whatever the number of its
// partitions: each gets a share when it attaches. It is small at first, because most clients read little. It
// doubles whenever the client has given back as much as it holds. A partition gets its larger share with its
// next returned bytes. The consumer knows nothing of this: it asks for the most that a partition may have, and
// the answer says that it has it.
import {
  FIRST_SESSION_WINDOW_BYTES,
  MAX_SESSION_PARTITION_WINDOW_BYTES,
  MIN_SESSION_PARTITION_WINDOW_BYTES,
  SESSION_WINDOW_BYTES,
} from "../../core/limits.ts";
import type { Socket, SocketEvents, Transport } from "../../member/transport.ts";
import { PING, PONG } from "../../protocol/heartbeat.ts";
import type { PartitionMessage, ReaderMessage } from "../../protocol/partition-socket.ts";

/** The window that the consumer requests for each partition. */
export const ASKED_WINDOW_BYTES = MAX_SESSION_PARTITION_WINDOW_BYTES;

interface Share {
  /** The window that was last requested from the partition. */
  windowBytes: number;
  /** The bytes that came since, and have not been given back. */
  heldBytes: number;
}

export class SessionWindow {
  readonly #shares = new Set<Share>();
  #totalBytes = FIRST_SESSION_WINDOW_BYTES;
  /** The bytes that were given back since the window grew. */
  #readBytes = 0;

  /** The bytes of received records that the consumer has not finished, in compressed form. */
  get heldBytes(): number {
    let bytes = 0;
    for (const share of this.#shares) bytes += share.heldBytes;
    return bytes;
  }

  /** Returns the transport with smaller windows. */
  over(transport: Transport): Transport {
    return {
      ...transport,
      openPartition: (place, events) => {
        const share = { windowBytes: 0, heldBytes: 0 };
        this.#shares.add(share);
        const socket = transport.openPartition(place, this.#received(share, events));
        return {
          send: (data) => socket.send(typeof data === "string" ? this.#sent(share, data) : data),
          close: (code, reason) => {
            this.#shares.delete(share);
            socket.close(code, reason);
          },
        } satisfies Socket;
      },
    };
  }

  #received(share: Share, events: SocketEvents): SocketEvents {
    return {
      ...events,
      text: (data) => {
        const message = data === PONG ? null : (JSON.parse(data) as PartitionMessage);
        if (message?.type !== "attached") {
          events.text(data);
          return;
        }
        share.heldBytes = 0;
        // The missing part of the window is in flight from an earlier attach, and the consumer gives it back.
        const windowBytes = ASKED_WINDOW_BYTES - share.windowBytes + message.windowBytes;
        events.text(JSON.stringify({ ...message, windowBytes }));
      },
      bytes: (data) => {
        share.heldBytes += data.length;
        events.bytes(data);
      },
      closed: (code, reason) => {
        this.#shares.delete(share);
        events.closed(code, reason);
      },
    };
  }

  #sent(share: Share, data: string): string {
    if (data === PING) return data;
    const message = JSON.parse(data) as ReaderMessage;
    if (message.type === "attach") {
      share.heldBytes = 0;
      share.windowBytes = 0;
      share.windowBytes = Math.max(
        MIN_SESSION_PARTITION_WINDOW_BYTES,
        Math.min(this.#shareBytes, this.#leftBytes),
      );
      return JSON.stringify({ ...message, windowBytes: share.windowBytes });
    }
    share.heldBytes = Math.max(0, share.heldBytes - message.bytes);
    this.#grow(message.bytes);
    const windowBytes = Math.min(
      this.#shareBytes,
      share.windowBytes + Math.max(0, this.#leftBytes),
    );
    if (share.windowBytes === 0 || windowBytes <= share.windowBytes) return data;
    share.windowBytes = windowBytes;
    return JSON.stringify({ ...message, windowBytes: share.windowBytes });
  }

  #grow(bytes: number): void {
    this.#readBytes += bytes;
    if (this.#readBytes < this.#totalBytes) return;
    this.#readBytes = 0;
    this.#totalBytes = Math.min(2 * this.#totalBytes, SESSION_WINDOW_BYTES);
  }

  /**
   * The part of the window that no partition has. Partitions that came first may have more than their share,
   * and keep it.
   */
  get #leftBytes(): number {
    let bytes = this.#totalBytes;
    for (const share of this.#shares) bytes -= share.windowBytes;
    return bytes;
  }

  get #shareBytes(): number {
    const share = Math.floor(this.#totalBytes / this.#shares.size);
    return Math.min(
      Math.max(share, MIN_SESSION_PARTITION_WINDOW_BYTES),
      MAX_SESSION_PARTITION_WINDOW_BYTES,
    );
  }
}
