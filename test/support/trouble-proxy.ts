// A proxy that makes trouble between a client and a broker, on the test's command: HTTP request by request, WebSockets byte
// by byte. It outlives restarts of the broker.
import {
  createServer,
  request as forward,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

/** A response that is not the broker's. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * The fate of a request: it passes, the connection is reset before or after the broker had it, or somebody else answers.
 */
export type Fate = "pass" | "lose request" | "lose answer" | Answer;

/** Decides by the request line, as in `GET /v1/topics`. The request waits for its promise. */
export type FateOf = (line: string) => Fate | Promise<Fate>;

/** No response at all. */
export const BLACK_HOLE = new Promise<never>(() => {});

/** The fate of what one side of a WebSocket sends. */
type Course = "pass" | "held" | "lost";

/** A WebSocket through the proxy. */
export class Link {
  readonly line: string;
  readonly #client: Socket;
  readonly #broker: Socket;
  readonly #courses = { requests: "pass" as Course, answers: "pass" as Course };
  readonly #held: (() => void)[] = [];
  /** The client has sent something since the handshake. */
  isUsed = false;
  /** The number of times that something was held or lost. */
  withheld = 0;

  constructor(line: string, client: Socket, broker: Socket) {
    this.line = line;
    this.#client = client;
    this.#broker = broker;
    this.#carry("requests", client, broker);
    this.#carry("answers", broker, client);
  }

  /** Both sides see a reset; data in flight is lost. */
  cut(): void {
    this.#client.resetAndDestroy();
    this.#broker.resetAndDestroy();
  }

  /** Nothing gets through, either way, and nobody is told. */
  stall(): void {
    this.#courses.requests = "held";
    this.#courses.answers = "held";
  }

  /** All held data arrives, and later data too. */
  flow(): void {
    this.#courses.requests = "pass";
    this.#courses.answers = "pass";
    for (const write of this.#held.splice(0)) write();
  }

  /** Data that one side sends from here on is lost, and nobody is told. Such a link can only be cut. */
  lose(side: "requests" | "answers"): void {
    this.#courses[side] = "lost";
  }

  #carry(side: "requests" | "answers", from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on("data", (bytes) => {
      if (side === "requests") this.isUsed = true;
      const course = this.#courses[side];
      if (course !== "pass") this.withheld++;
      if (course === "held") this.#held.push(() => to.write(bytes));
      else if (course === "pass") to.write(bytes);
    });
    from.on("error", () => this.cut());
    from.on("close", () => {
      if (this.#courses[side] === "pass") to.destroySoon();
      else if (this.#courses[side] === "held") this.#held.push(() => to.destroySoon());
    });
  }
}

export class TroubleProxy {
  readonly url: string;
  fateOf: FateOf = () => "pass";
  /** The request lines so far, upgrades among them. */
  readonly lines: string[] = [];
  readonly #server: Server;
  readonly #brokerPort: number;
  readonly #links = new Set<Link>();

  private constructor(server: Server, brokerPort: number) {
    this.#server = server;
    this.#brokerPort = brokerPort;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (incoming, outgoing) => void this.#answer(incoming, outgoing));
    server.on("upgrade", (incoming, client: Socket) => void this.#link(incoming, client));
  }

  static async start(brokerPort: number): Promise<TroubleProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new TroubleProxy(server, brokerPort);
  }

  /** The WebSockets that are open now and whose request line matches. */
  links(match: RegExp): Link[] {
    return [...this.#links].filter(({ line }) => match.test(line));
  }

  cut(match = /./): void {
    for (const link of this.links(match)) link.cut();
  }

  stop(): void {
    this.cut();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #decide({ method, url }: IncomingMessage): { line: string; fate: Fate | Promise<Fate> } {
    const line = `${method} ${url}`;
    this.lines.push(line);
    return { line, fate: this.fateOf(line) };
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const reset = () => incoming.socket.resetAndDestroy();
    try {
      const { fate: decision } = this.#decide(incoming);
      const body = await readAll(incoming);
      const fate = await decision;
      if (typeof fate === "object") {
        outgoing.writeHead(fate.status, { "content-type": fate.type }).end(fate.body);
        return;
      }
      if (fate === "lose request") {
        reset();
        return;
      }
      const answer = await this.#ask(incoming, body);
      const answered = await readAll(answer);
      if (fate === "lose answer") reset();
      else outgoing.writeHead(answer.statusCode ?? 500, headersOf(answer)).end(answered);
    } catch {
      reset(); // The client has gone, or the broker is down.
    }
  }

  #ask({ method, url, headers }: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const host = "127.0.0.1";
      const onward = forward({ host, port: this.#brokerPort, path: url, method, headers }, resolve);
      onward.on("error", reject);
      onward.end(body);
    });
  }

  async #link(incoming: IncomingMessage, client: Socket): Promise<void> {
    client.on("error", () => client.destroy());
    const { line, fate: decision } = this.#decide(incoming);
    const fate = await decision;
    if (typeof fate === "object") {
      const length = Buffer.byteLength(fate.body);
      client.end(
        `HTTP/1.1 ${fate.status} No\r\ncontent-type: ${fate.type}\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n${fate.body}`,
      );
      return;
    }
    if (fate !== "pass" || client.destroyed) {
      client.resetAndDestroy();
      return;
    }
    const broker = connect({ port: this.#brokerPort, host: "127.0.0.1" });
    broker.write(`${line} HTTP/1.1\r\n${headerLines(incoming.rawHeaders)}\r\n`);
    const link = new Link(line, client, broker);
    this.#links.add(link);
    client.on("close", () => this.#links.delete(link));
  }
}

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The response is passed on whole, so only its division into pieces is lost. */
function headersOf({ headers }: IncomingMessage) {
  const { "transfer-encoding": _, connection: __, ...rest } = headers;
  return rest;
}

/** Names and values follow one another in the list. */
function headerLines(raw: readonly string[]): string {
  return raw.map((text, i) => `${text}${i % 2 === 0 ? ": " : "\r\n"}`).join("");
}
