// Kafka's clients say again and again that they are there (Heartbeat, ConsumerGroupHeartbeat). The connection that serves a
// member answers for the group while there is nothing new: it watches the group over a hibernating socket, says over it
// that the member is there, which the runtime notes without waking the object, and is told here when something changes.
import type { WatchMessage } from "../../src/protocol/watch-socket.ts";
import { close, sendJson } from "../shared/socket.ts";
import type { GroupClock } from "./group-clock.ts";

const TAG = "watch";

interface Attachment {
  readonly watches: string;
  readonly openedAtMs: number;
}

export class Watchers {
  readonly #ctx: DurableObjectState;
  readonly #clock: GroupClock;
  readonly #sockets = new Map<string, WebSocket>();

  constructor(ctx: DurableObjectState, clock: GroupClock) {
    this.#ctx = ctx;
    this.#clock = clock;
    for (const socket of ctx.getWebSockets(TAG)) {
      const attachment = attachmentOf(socket);
      if (attachment !== null) this.#sockets.set(attachment.watches, socket);
    }
  }

  /** From now on over this socket; an earlier one of this member is closed. */
  accept(socket: WebSocket, memberId: string, nowMs: number): void {
    const older = this.#sockets.get(memberId);
    this.#ctx.acceptWebSocket(socket, [TAG]);
    attach(socket, memberId, nowMs);
    this.#sockets.set(memberId, socket);
    if (older !== undefined) close(older, 1000, "watched by another connection");
  }

  /** Closes the watch for the first such member; false where there is none. */
  closeOneFor(isGone: (memberId: string) => boolean): boolean {
    for (const [memberId, socket] of this.#sockets) {
      if (!isGone(memberId)) continue;
      this.#sockets.delete(memberId);
      close(socket, 1000, "the member has gone");
      return true;
    }
    return false;
  }

  has(memberId: string): boolean {
    return this.#sockets.has(memberId);
  }

  get memberIds(): Iterable<string> {
    return this.#sockets.keys();
  }

  /** When the member was last said to be there; 0 where nobody says so. */
  seenMs(memberId: string): number {
    const socket = this.#sockets.get(memberId);
    if (socket === undefined) return 0;
    const answeredMs = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(attachmentOf(socket)?.openedAtMs ?? 0, this.#clock.heard(answeredMs));
  }

  /** When the newest of them was opened. */
  get latestMs(): number {
    const times = Array.from(this.#sockets.values(), (socket) => attachmentOf(socket)?.openedAtMs);
    return times.reduce<number>((latest, atMs) => Math.max(latest, atMs ?? 0), 0);
  }

  /** [CLK-4] */
  beginSessionsAnew(nowMs: number): void {
    for (const [memberId, socket] of this.#sockets) attach(socket, memberId, nowMs);
  }

  /** Its next heartbeat is to come here. */
  tell(memberId: string): void {
    const message: WatchMessage = { type: "changed" };
    const socket = this.#sockets.get(memberId);
    if (socket !== undefined) sendJson(socket, message);
  }

  /** Whose socket has gone; null where it was none of these, or not the newest. */
  lost(socket: WebSocket): string | null {
    const memberId = attachmentOf(socket)?.watches;
    if (memberId === undefined || this.#sockets.get(memberId) !== socket) return null;
    this.#sockets.delete(memberId);
    return memberId;
  }
}

function attach(socket: WebSocket, watches: string, openedAtMs: number): void {
  const attachment: Attachment = { watches, openedAtMs };
  socket.serializeAttachment(attachment);
}

function attachmentOf(socket: WebSocket): Attachment | null {
  const attachment = socket.deserializeAttachment() as Partial<Attachment> | null;
  return attachment?.watches === undefined ? null : (attachment as Attachment);
}
