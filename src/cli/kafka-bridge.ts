// A TCP listener whose connections go on as WebSockets. It reads nothing of what it carries.
import { createServer, type Server, type Socket } from "node:net";
import { kafkaSocketUrl } from "../protocol/paths.ts";

export interface BridgeOptions {
  readonly url: string;
  readonly token?: string | undefined;
  readonly host: string;
  /** The first node's; each other node has the next. */
  readonly port: number;
  readonly nodes: number;
  /** How clients find the nodes, one address for each; where it listens, unless given. */
  readonly advertise: readonly string[] | null;
  /** Told of each connection that could not be made, or broke. */
  readonly onBroken: (reason: string) => void;
}

/** Unsent bytes beyond which a client is not read from. */
const HIGH_WATER_BYTES = 4 * 1024 * 1024;
const DRAIN_CHECK_MS = 10;

export class KafkaBridge {
  readonly #servers: Server[];
  readonly #sockets = new Set<Socket>();
  /** Of each node, as it listens. */
  readonly addresses: readonly string[];

  private constructor(servers: Server[], addresses: readonly string[]) {
    this.#servers = servers;
    this.addresses = addresses;
  }

  /** Listens on all ports, or on none. @throws where one is taken */
  static async start(options: BridgeOptions): Promise<KafkaBridge> {
    const servers = Array.from({ length: options.nodes }, () => createServer({ noDelay: true }));
    const ports: number[] = [];
    try {
      for (const [node, server] of servers.entries())
        ports.push(
          await listen(server, options.port === 0 ? 0 : options.port + node, options.host),
        );
    } catch (error) {
      for (const server of servers) server.close();
      throw error;
    }
    const host = options.host.includes(":") ? `[${options.host}]` : options.host;
    const addresses = ports.map((port) => `${host}:${port}`);
    const bridge = new KafkaBridge(servers, addresses);
    const advertise = options.advertise ?? addresses;
    for (const [node, server] of servers.entries()) {
      const url = kafkaSocketUrl(options.url, { advertise, node, token: options.token });
      server.on("connection", (socket) => bridge.#carry(socket, url, options.onBroken));
    }
    return bridge;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
  }

  #carry(socket: Socket, url: string, onBroken: (reason: string) => void): void {
    this.#sockets.add(socket);
    socket.pause(); // Until there is something to send to.
    const webSocket = new WebSocket(url);
    webSocket.binaryType = "arraybuffer";
    webSocket.addEventListener("open", () => socket.resume());
    webSocket.addEventListener("message", ({ data }) => {
      socket.write(new Uint8Array(data as ArrayBuffer));
    });
    webSocket.addEventListener("close", ({ code, reason }) => {
      if (code !== 1000 && code !== 1005 && !socket.destroyed)
        onBroken(`a connection was closed: ${code}${reason === "" ? "" : ` ${reason}`}`);
      socket.end();
    });
    webSocket.addEventListener("error", () => {}); // A close follows.
    socket.on("data", (bytes) => {
      webSocket.send(bytes);
      if (webSocket.bufferedAmount > HIGH_WATER_BYTES) this.#holdBack(socket, webSocket);
    });
    socket.on("error", () => {}); // A close follows.
    socket.on("close", () => {
      this.#sockets.delete(socket);
      webSocket.close();
    });
  }

  /** Until what is under way has gone: a WebSocket says how much that is, but not when it changes. */
  #holdBack(socket: Socket, webSocket: WebSocket): void {
    socket.pause();
    const timer = setInterval(() => {
      if (webSocket.bufferedAmount > HIGH_WATER_BYTES && !socket.destroyed) return;
      clearInterval(timer);
      socket.resume();
    }, DRAIN_CHECK_MS);
  }
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
