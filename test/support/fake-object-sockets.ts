// The sockets of an object as the runtime keeps them: they outlive the parts of the object that use them.
import type { ObjectSockets } from "../../durable-objects/shared/object-socket.ts";
import type { TestedSocket } from "./fake-socket.ts";

export class FakeObjectSockets implements ObjectSockets {
  /** In the order in which they were accepted. */
  readonly all: TestedSocket[] = [];
  /** The time of each socket's last answered ping. A test sets it. */
  readonly alive = new Map<WebSocket, Date>();
  readonly #tags = new Map<WebSocket, readonly string[]>();

  acceptWebSocket(socket: WebSocket, tags: string[] = []): void {
    this.all.push(socket as TestedSocket);
    this.#tags.set(socket, tags);
  }

  getWebSockets(tag?: string): TestedSocket[] {
    if (tag === undefined) return [...this.all];
    return this.all.filter((socket) => this.#tags.get(socket)?.includes(tag));
  }

  getWebSocketAutoResponseTimestamp(socket: WebSocket): Date | null {
    return this.alive.get(socket) ?? null;
  }
}
