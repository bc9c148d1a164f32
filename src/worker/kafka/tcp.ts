// Kafka's protocol over a TCP connection, if the runtime provides one.
import { MAX_KAFKA_WRITE_BYTES } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { listenerNodes } from "./addresses.ts";
import { closed } from "./closed.ts";
import { Connection, type Patience } from "./connection.ts";
import { Frames } from "./frames.ts";

/**
 * Serves a connection until the client goes, breaks a rule or does not do its part. It reads the next bytes only after
 * the client has taken the answers to the previous ones. So a client that sends too fast waits, and costs no memory.
 */
export async function serveTcp(socket: Socket, env: Env, patience?: Patience): Promise<void> {
  const writer = (socket.writable as WritableStream<Uint8Array>).getWriter();
  let clientHost = "/";
  let error: unknown;
  try {
    const { remoteAddress = "" } = await socket.opened;
    clientHost = `/${remoteAddress.replace(/:\d+$/, "")}`;
    const over = Promise.withResolvers<unknown>();
    const incoming = new Incoming(socket);
    const options = {
      env,
      nodes: listenerNodes(env),
      clientHost,
      way: "tcp" as const,
      end: over.resolve,
      look: () => incoming.look(() => connection.stopWaiting()),
    };
    const connection = new Connection(patience === undefined ? options : { ...options, patience });
    serve(incoming, writer, connection).then(() => over.resolve(null), over.resolve);
    error = await over.promise;
    connection.close();
  } catch (refused) {
    error = refused;
  }
  closed(error, clientHost);
  // Otherwise the socket would wait to close until an answer is taken that nobody takes.
  if (error !== null) writer.abort(error).catch(() => {});
  await socket.close().catch(() => {}); // The client may have closed it first.
}

type ByteWriter = WritableStreamDefaultWriter<Uint8Array>;

async function serve(
  incoming: Incoming,
  writer: ByteWriter,
  connection: Connection,
): Promise<void> {
  const frames = new Frames(() => connection.maxRequestBytes);
  for (;;) {
    const bytes = await incoming.next();
    if (bytes === null) return;
    connection.moved(bytes.length);
    connection.inFlight.setAsked(frames.buffered + bytes.length);
    for (const frame of frames.push(bytes)) {
      const pieces = await connection.answer(frame);
      connection.expectTaken();
      for (const piece of pieces) await write(writer, piece, connection);
      connection.answered();
      if (connection.isSpent) return;
    }
    connection.inFlight.setAsked(frames.buffered);
    connection.expectRequest(frames.buffered);
  }
}

/** The bytes that a client sends, read a piece at a time, on demand. */
class Incoming {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #ahead: Promise<ReadableStreamReadResult<Uint8Array>> | null = null;

  constructor(socket: Socket) {
    this.#reader = (socket.readable as ReadableStream<Uint8Array>).getReader();
  }

  /** Returns the next piece, or null at the end. */
  async next(): Promise<Uint8Array | null> {
    const read = this.#ahead ?? this.#reader.read();
    this.#ahead = null;
    const { done, value } = await read;
    return done ? null : value;
  }

  /** Reads one piece ahead, no more, and calls `gone` if the client has closed its side [BND-16]. */
  look(gone: () => void): void {
    if (this.#ahead !== null) return;
    this.#ahead = this.#reader.read();
    this.#ahead.then(({ done }) => done && gone(), gone);
  }
}

/** Writes in parts, because only a part that was taken as a whole shows progress. */
async function write(writer: ByteWriter, piece: Uint8Array, connection: Connection): Promise<void> {
  for (let at = 0; at < piece.length; at += MAX_KAFKA_WRITE_BYTES) {
    const part = piece.subarray(at, at + MAX_KAFKA_WRITE_BYTES);
    await writer.write(part);
    connection.moved(part.length);
  }
}
