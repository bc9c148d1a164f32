// Kafka's clients keep reporting that they are alive (Heartbeat, ConsumerGroupHeartbeat). While there is
// nothing new, the connection that serves a member answers for the group. It watches the group over a
// hibernating socket and reports over it that the member is alive; the runtime notes that without waking the
// object. When something changes, the group notifies the connection from here.
import { DEFAULT_SESSION_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { WatchMessage } from "../../src/protocol/watch-socket.ts";
import type { ObjectSocket, ObjectSockets } from "../shared/object-socket.ts";
import { close, sendJson } from "../shared/socket.ts";
import { attachState } from "../shared/socket-caller.ts";
import type { GroupClock } from "./group-clock.ts";

const TAG = "watch";

interface Attachment {
  readonly watches: string;
  readonly openedAtMs: number;
  /** The session timeout of the member. Release 0.2 did not write it; it is then the default. */
  readonly sessionTimeoutMs: number;
}

export class Watchers {
  readonly #ctx: ObjectSockets;
  readonly #clock: GroupClock;
  readonly #sockets = new Map<string, ObjectSocket>();

  constructor(ctx: ObjectSockets, clock: GroupClock) {
    this.#ctx = ctx;
    this.#clock = clock;
    for (const socket of ctx.getWebSockets(TAG)) {
      const attachment = attachmentOf(socket);
      if (attachment !== null) this.#sockets.set(attachment.watches, socket);
    }
  }

  /** Watches for the member over this socket from now on. The member's earlier socket is closed. */
  accept(socket: ObjectSocket, memberId: string, sessionTimeoutMs: number, nowMs: number): void {
    const older = this.#sockets.get(memberId);
    this.#ctx.acceptWebSocket(socket, [TAG]);
    attach(socket, { watches: memberId, openedAtMs: nowMs, sessionTimeoutMs });
    this.#sockets.set(memberId, socket);
    if (older !== undefined) close(older, 1000, "watched by another connection");
  }

  /** Closes the watch of the first member for which `isGone` is true. Returns false if there is none. */
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

  /** Returns when the member was last reported alive, or 0 if no connection reports it. */
  seenMs(memberId: string): number {
    const socket = this.#sockets.get(memberId);
    if (socket === undefined) return 0;
    const answeredMs = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(attachmentOf(socket)?.openedAtMs ?? 0, this.#clock.heard(answeredMs));
  }

  /** The time when the newest socket was opened. */
  get latestMs(): number {
    const times = Array.from(this.#sockets.values(), (socket) => attachmentOf(socket)?.openedAtMs);
    return times.reduce<number>((latest, atMs) => Math.max(latest, atMs ?? 0), 0);
  }

  /** [CLK-4] Starts all sessions anew. */
  beginSessionsAnew(nowMs: number): void {
    for (const socket of this.#sockets.values()) {
      const attachment = attachmentOf(socket);
      if (attachment !== null) attach(socket, { ...attachment, openedAtMs: nowMs });
    }
  }

  get memberIds(): Iterable<string> {
    return this.#sockets.keys();
  }

  /** Returns the watched members, each with its session timeout. */
  *sessions(): Iterable<{ readonly memberId: string; readonly sessionTimeoutMs: number }> {
    for (const [memberId, socket] of this.#sockets) {
      const attachment = attachmentOf(socket);
      if (attachment !== null) yield { memberId, sessionTimeoutMs: attachment.sessionTimeoutMs };
    }
  }

  /** Sets a new timeout for the member's session. */
  setSessionTimeout(memberId: string, sessionTimeoutMs: number): void {
    const socket = this.#sockets.get(memberId);
    const attachment = socket === undefined ? null : attachmentOf(socket);
    if (
      socket !== undefined &&
      attachment !== null &&
      attachment.sessionTimeoutMs !== sessionTimeoutMs
    )
      attach(socket, { ...attachment, sessionTimeoutMs });
  }

  /** Makes the member's next heartbeat reach the group. */
  notify(memberId: string): void {
    const message: WatchMessage = { type: "changed" };
    const socket = this.#sockets.get(memberId);
    if (socket !== undefined) sendJson(socket, message);
  }

  notifyAll(): void {
    for (const memberId of this.#sockets.keys()) this.notify(memberId);
  }

  /**
   * Returns the member whose watch was this socket. Null if the socket was no watch, or not the member's newest
   * one.
   */
  lost(socket: ObjectSocket): string | null {
    const memberId = attachmentOf(socket)?.watches;
    if (memberId === undefined || this.#sockets.get(memberId) !== socket) return null;
    this.#sockets.delete(memberId);
    return memberId;
  }
}

function attach(socket: ObjectSocket, attachment: Attachment): void {
  attachState(socket, attachment);
}

function attachmentOf(socket: ObjectSocket): Attachment | null {
  const attachment = socket.deserializeAttachment() as Partial<Attachment> | null;
  if (attachment?.watches === undefined) return null;
  return { sessionTimeoutMs: DEFAULT_SESSION_TIMEOUT_MS, ...attachment } as Attachment;
}
