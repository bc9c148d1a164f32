// A WebSocket over a service binding. A Worker's global WebSocket can only reach network addresses.
import { brokerError, parseJson } from "../../admin/http.ts";
import type { RivuletService } from "../../admin/service.ts";
import type { StandardWebSocket } from "../../member/transport.ts";
import { CLOSE_FATAL } from "../../protocol/close-codes.ts";

/** An accepted socket in a Worker. Other runtimes do not have this type. */
interface AcceptedSocket {
  binaryType: string;
  accept(): void;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: Close) => void): void;
  addEventListener(type: "error", listener: () => void): void;
}

/** The close code of a socket that could not be opened, or whose connection broke. */
const ABNORMAL = 1006;
/** The statuses of a refusal that a repeated request would get again: the request is wrong, or a grant is missing. */
const FINAL_STATUSES = [400, 403];

interface Close {
  readonly code: number;
  readonly reason: string;
}

/**
 * Behaves like the standard WebSocket, as far as the SDK uses it: the events `open`, `message` and `close`,
 * `binaryType`, `readyState`, `send` and `close`. It has no `error` event: the reason of `close` says why a socket
 * could not be opened. If a retry cannot help, the close code is 4000, which ends the consumer. A network WebSocket
 * never reports that.
 */
export class BindingSocket implements StandardWebSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;

  readonly url: string;
  readonly #events = new EventTarget();
  #binaryType = "blob";
  #readyState: number = BindingSocket.CONNECTING;
  #socket: AcceptedSocket | null = null;

  /** `url` is a ws or wss address. Only its path and query reach the broker. */
  constructor(service: Pick<RivuletService, "fetch">, url: string, protocols: string[] = []) {
    this.url = url;
    this.#open(service, protocols).catch((error: unknown) =>
      this.#closed(ABNORMAL, error instanceof Error ? error.message : String(error)),
    );
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#events.addEventListener(type, listener as never);
  }

  get readyState(): number {
    return this.#readyState;
  }

  get binaryType(): string {
    return this.#binaryType;
  }

  set binaryType(type: string) {
    this.#binaryType = type;
    if (this.#socket !== null) this.#socket.binaryType = type;
  }

  /**
   * Sends data. @throws Error while the socket is being opened. Once it is closing, data is dropped, as the standard
   * requires.
   */
  send(data: string | Uint8Array): void {
    if (this.#readyState === BindingSocket.CONNECTING)
      throw new Error("the socket is not open yet");
    if (this.#readyState === BindingSocket.OPEN) this.#socket?.send(data);
  }

  close(code?: number, reason?: string): void {
    if (this.#readyState >= BindingSocket.CLOSING) return;
    const wasOpen = this.#readyState === BindingSocket.OPEN;
    this.#readyState = BindingSocket.CLOSING;
    if (wasOpen) this.#socket?.close(code, reason);
    else queueMicrotask(() => this.#closed(ABNORMAL, "closed before it was open"));
  }

  async #open(service: Pick<RivuletService, "fetch">, protocols: readonly string[]): Promise<void> {
    const headers: Record<string, string> = { upgrade: "websocket" };
    if (protocols.length > 0) headers["sec-websocket-protocol"] = protocols.join(", ");
    const request = new Request(this.url.replace(/^ws/i, "http"), { headers });
    const response = await service.fetch(request);
    const { webSocket } = response as { readonly webSocket?: AcceptedSocket | null };
    if (!webSocket) {
      const { code, reason } = await refusalOf(response);
      this.#closed(code, reason);
      return;
    }
    webSocket.binaryType = this.#binaryType;
    if (this.#readyState !== BindingSocket.CONNECTING) {
      webSocket.accept();
      webSocket.close(1000, "no longer wanted");
      return;
    }
    webSocket.addEventListener("message", ({ data }) => this.#dispatch("message", { data }));
    webSocket.addEventListener("close", ({ code, reason }) => this.#closed(code, reason));
    webSocket.addEventListener("error", () => this.#closed(ABNORMAL, "the connection broke"));
    this.#socket = webSocket;
    this.#readyState = BindingSocket.OPEN;
    webSocket.accept();
    this.#dispatch("open");
  }

  #closed(code: number, reason: string): void {
    if (this.#readyState === BindingSocket.CLOSED) return;
    this.#readyState = BindingSocket.CLOSED;
    this.#dispatch("close", { code, reason });
  }

  #dispatch(type: string, properties: object = {}): void {
    this.#events.dispatchEvent(Object.assign(new Event(type), properties));
  }
}

/**
 * Returns the close of a socket that the broker refused to open, with the error of its problem, or else with the
 * status.
 */
async function refusalOf(response: Response): Promise<Close> {
  const problem = brokerError(parseJson(await response.text()));
  if (problem === null) return { code: ABNORMAL, reason: `HTTP ${response.status}` };
  const isFinal = FINAL_STATUSES.includes(response.status);
  return {
    code: isFinal ? CLOSE_FATAL : ABNORMAL,
    reason: `${problem.code}: ${problem.message}`,
  };
}
