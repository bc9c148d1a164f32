// Kafka's protocol over a TCP connection, if the runtime provides one.
import { MIN_KAFKA_WRITE_BYTES } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { listenerNodes } from "./addresses.ts";
import { Answers } from "./answers.ts";
import { closed } from "./closed.ts";
import { Connection, type Patience } from "./connection.ts";
import { type ByteSource, Incoming } from "./incoming.ts";
import { inParts, nextPartBytes } from "./parts.ts";

/**
 * Serves a connection until the client goes, breaks a rule or does not do its part. It reads the next request
 * only after the client has taken the answers to the previous ones, except for the few that may overlap. So a
 * client that sends too fast waits, and costs no memory.
 */
export async function serveTcp(socket: Socket, env: Env, patience?: Patience): Promise<void> {
  const writer = (socket.writable as WritableStream<Uint8Array>).getWriter();
  let clientHost = "/";
  let error: unknown;
  try {
    const { remoteAddress = "" } = await socket.opened;
    clientHost = `/${remoteAddress.replace(/:\d+$/, "")}`;
    const over = Promise.withResolvers<unknown>();
    const options = {
      env,
      nodes: listenerNodes(env),
      clientHost,
      way: "tcp" as const,
      end: over.resolve,
      look: () => served.look(),
    };
    const connection = new Connection(patience === undefined ? options : { ...options, patience });
    const served = new Served(socket, writer, connection, over.resolve);
    served.all().then(() => over.resolve(null), over.resolve);
    error = await over.promise;
    connection.close();
  } catch (refused) {
    error = refused;
  }
  closed(error, clientHost);
  // Otherwise the socket would delay its close until an answer is taken that nobody takes.
  if (error !== null) writer.abort(error).catch(() => {});
  await socket.close().catch(() => {}); // The client may have closed it first.
}

type ByteWriter = WritableStreamDefaultWriter<Uint8Array>;

/** The requests of a connection as they arrive, and its answers. */
class Served {
  readonly #writer: ByteWriter;
  readonly #connection: Connection;
  readonly #incoming: Incoming;
  readonly #answers: Answers;
  #partBytes = MIN_KAFKA_WRITE_BYTES;
  /** True if the next request has not arrived. */
  #isWaiting = true;

  /** `failed` is called when an answer could not be made or written. The connection cannot continue. */
  constructor(
    socket: Socket,
    writer: ByteWriter,
    connection: Connection,
    failed: (error: unknown) => void,
  ) {
    this.#writer = writer;
    this.#connection = connection;
    const reader = (socket.readable as ReadableStream<Uint8Array>).getReader({ mode: "byob" });
    this.#incoming = new Incoming(
      reader as unknown as ByteSource,
      () => connection.maxRequestBytes,
      {
        came: (bytes) => {
          connection.came(bytes);
          this.#setAsked();
        },
        waits: () => {
          this.#isWaiting = true;
          this.#expectRequest();
        },
      },
    );
    this.#answers = new Answers({ write: (pieces) => this.#write(pieces), failed });
  }

  look(): void {
    this.#incoming.look(() => this.#connection.stopWaiting());
  }

  /**
   * Serves all requests until the client stops sending. Everything that was begun is answered, whatever follows
   * it.
   */
  async all(): Promise<void> {
    try {
      while (!this.#connection.isSpent) {
        const request = await this.#incoming.next();
        this.#isWaiting = false;
        if (request === null) break;
        await this.#serve(request);
      }
    } finally {
      await this.#answers.untilTaken();
    }
  }

  async #serve(request: Uint8Array): Promise<void> {
    const [connection, answers] = [this.#connection, this.#answers];
    const mayOverlap = connection.mayOverlap(request);
    await (mayOverlap ? answers.untilRoom(request.length) : answers.untilTaken());
    const begun = await connection.begin(request);
    answers.add(request.length, begun.answer);
    this.#setAsked();
    if (!begun.mayOverlap || !connection.inFlight.hasRoomAhead) await answers.untilTaken();
  }

  async #write(pieces: readonly Uint8Array[]): Promise<void> {
    const connection = this.#connection;
    connection.expectTaken();
    for (const part of inParts(pieces, () => this.#partBytes)) {
      const startMs = Date.now();
      await this.#writer.write(part);
      connection.moved(part.length);
      this.#partBytes = nextPartBytes(this.#partBytes, Date.now() - startMs);
    }
    connection.answered();
    if (this.#isWaiting) this.#expectRequest();
  }

  #expectRequest(): void {
    this.#setAsked();
    this.#connection.expectRequest(this.#incoming.buffered);
  }

  #setAsked(): void {
    this.#connection.inFlight.setAsked(this.#answers.askedBytes + this.#incoming.heldBytes);
  }
}
