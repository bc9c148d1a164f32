// A TCP proxy that breaks and stalls its connections. It outlives restarts of the broker.
import { connect, createServer, type Server, type Socket } from "node:net";

class Connection {
  readonly #client: Socket;
  readonly #broker: Socket;
  #stall: NodeJS.Timeout | null = null;

  constructor(client: Socket, brokerPort: number) {
    this.#client = client;
    this.#broker = connect({ port: brokerPort, host: "127.0.0.1", allowHalfOpen: true });
    this.#carry(client, this.#broker);
    this.#carry(this.#broker, client);
  }

  get isStalled(): boolean {
    return this.#stall !== null;
  }

  /** Both sides see their connection reset; data in flight is lost. */
  cut(): void {
    if (this.#stall !== null) clearTimeout(this.#stall);
    this.#client.destroy();
    this.#broker.destroy();
  }

  /** Nothing gets through, either way, and nobody is told. */
  stall(ms: number): void {
    this.#client.pause();
    this.#broker.pause();
    this.#stall = setTimeout(() => {
      this.#stall = null;
      this.#client.resume();
      this.#broker.resume();
    }, ms);
  }

  #carry(from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on("data", (bytes) => {
      if (!to.write(bytes)) from.pause();
    });
    to.on("drain", () => {
      if (!this.isStalled) from.resume();
    });
    from.on("end", () => to.end());
    from.on("error", () => this.cut());
    from.on("close", (hadError) => {
      if (hadError) this.cut();
    });
  }

  onClosed(callback: () => void): void {
    let open = 2;
    for (const socket of [this.#client, this.#broker])
      socket.once("close", () => {
        open--;
        if (open === 0) callback();
      });
  }
}

export class TcpProxy {
  readonly url: string;
  readonly #server: Server;
  readonly #connections: Set<Connection>;

  private constructor(server: Server, connections: Set<Connection>, port: number) {
    this.#server = server;
    this.#connections = connections;
    this.url = `http://127.0.0.1:${port}`;
  }

  static start(brokerPort: number): Promise<TcpProxy> {
    const connections = new Set<Connection>();
    const server = createServer({ allowHalfOpen: true }, (client) => {
      const connection = new Connection(client, brokerPort);
      connections.add(connection);
      connection.onClosed(() => connections.delete(connection));
    });
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const port = typeof address === "object" && address !== null ? address.port : 0;
        resolve(new TcpProxy(server, connections, port));
      });
    });
  }

  /** Cuts the connection at `pick`, from 0 to 1, of those there are. False if there is none. */
  cut(pick: number): boolean {
    const connection = at([...this.#connections], pick);
    connection?.cut();
    return connection !== undefined;
  }

  stall(pick: number, ms: number): boolean {
    const flowing = [...this.#connections].filter(({ isStalled }) => !isStalled);
    const connection = at(flowing, pick);
    connection?.stall(ms);
    return connection !== undefined;
  }

  stop(): void {
    for (const connection of this.#connections) connection.cut();
    this.#server.close();
  }
}

/** The item at `pick`, from 0 to 1, of the list's length. */
export function at<T>(items: readonly T[], pick: number): T | undefined {
  return items[Math.floor(pick * items.length)];
}
