// An HTTP proxy that loses requests and answers, as the test says: what a client sees of a network.
import { createServer, request as forward, type IncomingMessage, type Server } from "node:http";

/** What happens to a request: its answer comes, or the connection breaks before or after the broker had it. */
export type Fate = "answer" | "lose request" | "lose answer";

export class LossyProxy {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static start(target: string, fateOf: (path: string) => Fate): Promise<LossyProxy> {
    const server = createServer((incoming, outgoing) => {
      const fate = fateOf(incoming.url ?? "");
      readAll(incoming).then((body) => {
        if (fate === "lose request") {
          incoming.socket.destroy();
          return;
        }
        const { method, headers } = incoming;
        const onward = forward(`${target}${incoming.url}`, { method, headers }, (answer) => {
          readAll(answer).then((answered) => {
            if (fate === "lose answer") {
              incoming.socket.destroy();
              return;
            }
            outgoing.writeHead(answer.statusCode ?? 500, headersOf(answer));
            outgoing.end(answered);
          });
        });
        onward.on("error", () => incoming.socket.destroy());
        onward.end(body);
      });
    });
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const port = typeof address === "object" && address !== null ? address.port : 0;
        resolve(new LossyProxy(server, port));
      });
    });
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The answer is passed on whole, so only the way it came in pieces is not. */
function headersOf({ headers }: IncomingMessage) {
  const { "transfer-encoding": _, connection: __, ...rest } = headers;
  return rest;
}
