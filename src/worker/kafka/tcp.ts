// Kafka's protocol over a TCP connection, if the runtime provides one.
import { MAX_KAFKA_WRITE_BYTES } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { listenerNodes } from "./addresses.ts";
import { closed } from "./closed.ts";
import { Connection, type Patience } from "./connection.ts";
import { type ByteSource, Incoming } from "./incoming.ts";

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
    const incoming = incomingOf(socket, () => connection);
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
  for (;;) {
    const request = await incoming.next();
    if (request === null) return;
    const pieces = await connection.answer(request);
    connection.expectTaken();
    for (const piece of pieces) await write(writer, piece, connection);
    connection.answered();
    if (connection.isSpent) return;
  }
}

/** Reads the requests of a connection, and tells it what comes. */
function incomingOf(socket: Socket, connection: () => Connection): Incoming {
  const reader = (socket.readable as ReadableStream<Uint8Array>).getReader({ mode: "byob" });
  const incoming = new Incoming(
    reader as unknown as ByteSource,
    () => connection().maxRequestBytes,
    {
      came: (bytes) => {
        connection().moved(bytes);
        connection().inFlight.setAsked(incoming.heldBytes);
      },
      waits: () => {
        connection().inFlight.setAsked(incoming.heldBytes);
        connection().expectRequest(incoming.buffered);
      },
    },
  );
  return incoming;
}

/** Writes in parts, because only a part that was taken as a whole shows progress. */
async function write(writer: ByteWriter, piece: Uint8Array, connection: Connection): Promise<void> {
  for (let at = 0; at < piece.length; at += MAX_KAFKA_WRITE_BYTES) {
    const part = piece.subarray(at, at + MAX_KAFKA_WRITE_BYTES);
    await writer.write(part);
    connection.moved(part.length);
  }
}
