// The SDK inside the Workers runtime: its requests and sockets go to the Worker under test.
import { exports } from "cloudflare:workers";
import { Rivulet } from "../../src/sdk/index.ts";
import { ORIGIN } from "./support.ts";

/** As the global WebSocket, but to the Worker under test. */
class WorkerSocket {
  /** As the SDK sets it. */
  binaryType = "";
  #socket: WebSocket | null = null;
  #isClosed = false;
  readonly #listeners: [string, (event: never) => void][] = [];

  constructor(url: string) {
    void this.#open(url.replace(/^ws/, "http"));
  }

  async #open(url: string): Promise<void> {
    const { webSocket } = await exports.default.fetch(url, { headers: { upgrade: "websocket" } });
    if (webSocket === null || this.#isClosed) {
      for (const [type, listener] of this.#listeners)
        if (type === "close") listener({ code: 1006, reason: "refused" } as never);
      return;
    }
    this.#socket = webSocket;
    webSocket.binaryType = "arraybuffer";
    for (const [type, listener] of this.#listeners)
      webSocket.addEventListener(type as "message", listener as never);
    webSocket.accept();
    for (const [type, listener] of this.#listeners) if (type === "open") listener({} as never);
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.push([type, listener]);
  }

  send(data: string | Uint8Array): void {
    this.#socket?.send(data);
  }

  close(code?: number, reason?: string): void {
    this.#isClosed = true;
    this.#socket?.close(code, reason);
  }
}

export function sdkClient(): Rivulet {
  return new Rivulet({
    url: ORIGIN,
    fetch: (url, init) => exports.default.fetch(url, init as RequestInit),
    WebSocket: WorkerSocket,
  });
}
