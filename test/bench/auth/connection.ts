// HTTP over one connection, with no more of it than the broker's responses need: the client must cost less than what is
// measured.
import { connect, type Socket } from "node:net";

const END_OF_HEAD = "\r\n\r\n";

export class Connection {
  readonly #socket: Socket;
  #text = "";
  #answer: PromiseWithResolvers<string> | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#text += text;
      this.#settle();
    });
    socket.on("error", (error) => this.#answer?.reject(error));
    socket.on("close", () => this.#answer?.reject(new Error("the connection was closed")));
  }

  static open(url: string): Promise<Connection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(new Connection(socket)));
      socket.once("error", reject);
    });
  }

  /** Sends a request and returns the response's body. Throws unless it is 200. */
  ask(request: string): Promise<string> {
    this.#answer = Promise.withResolvers();
    this.#socket.write(request, "latin1");
    return this.#answer.promise;
  }

  close(): void {
    this.#answer = null;
    this.#socket.destroy();
  }

  #settle(): void {
    const end = this.#text.indexOf(END_OF_HEAD);
    if (end === -1) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1]);
    const from = end + END_OF_HEAD.length;
    if (this.#text.length < from + length) return;
    const text = this.#text;
    this.#text = "";
    if (text.startsWith("HTTP/1.1 200 ")) this.#answer?.resolve(text.slice(from));
    else this.#answer?.reject(new Error(text));
  }
}

export function requestText(
  method: string,
  url: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): string {
  const all = {
    host: new URL(url).host,
    "content-type": "application/json",
    "content-length": body.length,
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} HTTP/1.1`, ...lines, "", body].join("\r\n");
}
