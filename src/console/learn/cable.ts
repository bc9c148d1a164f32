// WebSockets that can be cut off like a cable: nothing more is sent or received, and nobody is notified. So a
// consumer in this page can die like a machine that somebody unplugs.
import type { StandardWebSocket } from "../../member/transport.ts";
import { PING } from "../../protocol/heartbeat.ts";
import { GROUPS_PATH } from "../../protocol/paths.ts";
import type { WebSocketConstructor } from "../../sdk/transport/network.ts";

type Listener = (event: never) => void;

export class Cable {
  /** The sockets at this end of the cable. */
  readonly WebSocket: WebSocketConstructor;
  readonly #sockets = new Set<WebSocket>();
  #isCut = false;
  #lastBeatMs = Date.now();

  constructor() {
    const cable = this;
    this.WebSocket = class implements StandardWebSocket {
      readonly #socket: WebSocket | null;
      readonly #isGroup: boolean;

      constructor(url: string, protocols?: string[]) {
        this.#isGroup = new URL(url).pathname.startsWith(GROUPS_PATH);
        this.#socket = cable.#isCut ? null : new WebSocket(url, protocols);
        if (this.#socket !== null) cable.#sockets.add(this.#socket);
        this.addEventListener("close", () => cable.#sockets.delete(this.#socket as WebSocket));
      }

      get binaryType(): string {
        return this.#socket?.binaryType ?? "arraybuffer";
      }

      set binaryType(type: string) {
        if (this.#socket !== null) this.#socket.binaryType = type as BinaryType;
      }

      send(data: string | Uint8Array): void {
        if (cable.#isCut) return;
        this.#socket?.send(data as Uint8Array<ArrayBuffer>);
        if (data === PING && this.#isGroup) cable.#lastBeatMs = Date.now();
      }

      close(code?: number, reason?: string): void {
        if (!cable.#isCut) this.#socket?.close(code, reason);
      }

      addEventListener(type: string, listener: Listener): void {
        this.#socket?.addEventListener(type, (event) => {
          if (!cable.#isCut) (listener as (event: Event) => void)(event);
        });
      }
    };
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /**
   * The time of the last heartbeat to the group. The session runs from then on, because nothing else shows that
   * a member is alive.
   */
  get lastBeatMs(): number {
    return this.#lastBeatMs;
  }

  cut(): void {
    this.#isCut = true;
  }

  /** Removes the sockets that a cut has left open. */
  remove(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
  }
}
