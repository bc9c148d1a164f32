// WebSockets that can be cut off as a cable is: nothing more goes out or comes in, and nobody is told. So a consumer in this
// page can die as a machine does that somebody unplugs.
import type { StandardWebSocket } from "../../member/transport.ts";
import type { WebSocketConstructor } from "../../sdk/transport/network.ts";

type Listener = (event: never) => void;

export class Cable {
  /** The sockets of whoever is at this cable. */
  readonly WebSocket: WebSocketConstructor;
  readonly #sockets = new Set<WebSocket>();
  #isCut = false;
  #lastSentMs = Date.now();

  constructor() {
    const cable = this;
    this.WebSocket = class implements StandardWebSocket {
      readonly #socket: WebSocket | null;

      constructor(url: string, protocols?: string[]) {
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
        cable.#lastSentMs = Date.now();
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

  /** When something last went out. The broker has heard nothing later. */
  get lastSentMs(): number {
    return this.#lastSentMs;
  }

  cut(): void {
    this.#isCut = true;
  }

  /** Takes the sockets away that a cut has left open. */
  remove(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
  }
}
