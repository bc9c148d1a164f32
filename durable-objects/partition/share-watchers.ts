// The sockets that wait until a share group may acquire records here. Each is told once. The group that it waits for is in its
// attachment, so it waits through hibernation, and nothing stays awake for it.
import type { ShareAvailableMessage } from "../../src/protocol/partition-socket.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";
import { sendJson } from "../shared/socket.ts";
import { attachState } from "../shared/socket-caller.ts";

interface Attachment {
  /** The group, or null once the socket has been told. */
  readonly watchedShare?: string | null;
}

export class ShareWatchers {
  readonly #groups = new Map<ObjectSocket, string>();
  readonly #hasAvailable: (group: string) => boolean;

  /** `sockets` have outlived hibernation. */
  constructor(sockets: readonly ObjectSocket[], hasAvailable: (group: string) => boolean) {
    this.#hasAvailable = hasAvailable;
    for (const socket of sockets) {
      const { watchedShare } = (socket.deserializeAttachment() ?? {}) as Attachment;
      if (typeof watchedShare === "string") this.#groups.set(socket, watchedShare);
    }
  }

  watch(socket: ObjectSocket, group: string): void {
    this.#groups.set(socket, group);
    attachState(socket, { watchedShare: group } satisfies Attachment);
    this.changed(group);
  }

  remove(socket: ObjectSocket): void {
    this.#groups.delete(socket);
  }

  /** Tells those who wait for the group, if there is something for it. Without a group, for any. */
  changed(group?: string): void {
    if (this.#groups.size === 0) return;
    const available = new Map<string, boolean>();
    for (const [socket, watched] of this.#groups) {
      if (group !== undefined && watched !== group) continue;
      const isAvailable = available.get(watched) ?? this.#hasAvailable(watched);
      available.set(watched, isAvailable);
      if (isAvailable) this.#notify(socket);
    }
  }

  /** Tells all who wait for a group: it was deleted, and they will find that out. */
  notifyAll(group: string): void {
    for (const [socket, watched] of this.#groups) if (watched === group) this.#notify(socket);
  }

  #notify(socket: ObjectSocket): void {
    this.#groups.delete(socket);
    attachState(socket, { watchedShare: null } satisfies Attachment);
    sendJson(socket, { type: "available" } satisfies ShareAvailableMessage);
  }
}
