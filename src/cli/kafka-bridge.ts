// A TCP listener that passes its connections on as WebSockets. It interprets none of their bytes.
import { createServer, type Server, type Socket } from "node:net";
import { kafkaSocketUrl, socketProtocols } from "../protocol/paths.ts";

export interface BridgeOptions {
  readonly url: string;
  readonly token?: string | undefined;
  readonly host: string;
  /** The port of the first node. Each other node has the next port. */
  readonly port: number;
  readonly nodes: number;
  /** The addresses at which clients find the nodes, one for each. Null for those on which it listens. */
  readonly advertise: readonly string[] | null;
  /** Called for each connection that could not be opened, or broke. */
  readonly onBroken: (reason: string) => void;
}

/** With more unsent bytes than this, the bridge stops reading from the client. */
const HIGH_WATER_BYTES = 4 * 1024 * 1024;
const DRAIN_CHECK_MS = 10;

export class KafkaBridge {
  readonly #servers: Server[];
  readonly #sockets = new Set<Socket>();
  /** The address of each node, as it listens. */
  readonly addresses: readonly string[];

  private constructor(servers: Server[], addresses: readonly string[]) {
    this.#servers = servers;
    this.addresses = addresses;
  }

  /** Listens on all ports, or on none. @throws Error if a port is taken */
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
      const url = kafkaSocketUrl(options.url, { advertise, node });
      const connect = () => new WebSocket(url, socketProtocols(options.token));
      server.on("connection", (socket) => bridge.#carry(socket, connect, options.onBroken));
    }
    return bridge;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
  }

  #carry(socket: Socket, connect: () => WebSocket, onBroken: (reason: string) => void): void {
    this.#sockets.add(socket);
    socket.pause(); // It resumes when the WebSocket is open.
    const webSocket = connect();
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

  /**
   * Pauses the client until the unsent bytes are sent. A WebSocket has a count of them, but no event when it changes.
   */
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
    server.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      const taken = `port ${port} on ${host} is taken; stop what uses it, or choose another with --port`;
      reject(isTaken ? new Error(taken) : error);
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
