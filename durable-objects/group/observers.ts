// Observers watch a group, as the console does. They are notified that something has changed, and ask for the
// details. Their sockets hibernate, so observing an idle group wakes nobody [GRP-19].
import type { Handled } from "../../src/core/group/changes.ts";
import type { GroupChangedMessage } from "../../src/protocol/group-events.ts";
import type { ObjectSocket, ObjectSockets } from "../shared/object-socket.ts";
import { close, sendJson } from "../shared/socket.ts";
import { attachState } from "../shared/socket-caller.ts";

/** The attachment of an observer's socket. */
interface Attachment {
  readonly observes: true;
}

export class Observers {
  readonly #ctx: ObjectSockets;
  readonly #isGood: (socket: ObjectSocket) => boolean;
  readonly #sockets = new Set<ObjectSocket>();

  /** `isGood` returns true if the credential of a socket is still valid. */
  constructor(ctx: ObjectSockets, isGood: (socket: ObjectSocket) => boolean) {
    this.#ctx = ctx;
    this.#isGood = isGood;
    for (const socket of ctx.getWebSockets()) if (observes(socket)) this.#sockets.add(socket);
  }

  get count(): number {
    return this.#sockets.size;
  }

  accept(socket: ObjectSocket, tags: string[]): void {
    this.#ctx.acceptWebSocket(socket, tags);
    const attachment: Attachment = { observes: true };
    attachState(socket, attachment);
    this.#sockets.add(socket);
  }

  has(socket: ObjectSocket): boolean {
    return this.#sockets.has(socket);
  }

  /**
   * Notifies all observers of what was just stored. The output gate holds the messages until the write is
   * durable.
   */
  publish({ events, history }: Handled): void {
    if (this.#sockets.size === 0 || events.length === 0) return;
    const hasCommits = events.some(({ type }) => type === "offset");
    const hasChanges = history.length > 0 || events.some(({ type }) => type !== "offset");
    const message: GroupChangedMessage = {
      type: "changed",
      ...(hasChanges ? { group: true } : {}),
      ...(hasCommits ? { offsets: true } : {}),
    };
    for (const socket of this.#sockets) if (this.#isGood(socket)) sendJson(socket, message);
  }

  delete(socket: ObjectSocket): void {
    this.#sockets.delete(socket);
  }

  /** Closes all sockets, because the group is gone. */
  closeAll(code: number, reason: string): void {
    for (const socket of this.#sockets) close(socket, code, reason);
    this.#sockets.clear();
  }
}

function observes(socket: ObjectSocket): boolean {
  const attachment = socket.deserializeAttachment() as Partial<Attachment> | null;
  return attachment?.observes === true;
}
