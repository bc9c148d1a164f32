// Kafka's protocol over a TCP connection, where the runtime hands one over.
import { sizeOf } from "../core/bytes.ts";
import { MAX_KAFKA_WRITE_BYTES } from "../core/limits.ts";
import type { Env } from "../env.ts";
import { listenerNodes } from "./addresses.ts";
import { closed } from "./closed.ts";
import { Connection, type Patience } from "./connection.ts";
import { Frames } from "./frames.ts";

/**
 * Serves it until the client goes, breaks a rule or does not do its part. The next bytes are read when what came is
 * answered, and that was taken: a client that sends more than is worked off waits, and costs no memory.
 */
export async function serveTcp(socket: Socket, env: Env, patience?: Patience): Promise<void> {
  const writer = (socket.writable as WritableStream<Uint8Array>).getWriter();
  let clientHost = "/";
  let error: unknown;
  try {
    const { remoteAddress = "" } = await socket.opened;
    clientHost = `/${remoteAddress.replace(/:\d+$/, "")}`;
    const over = Promise.withResolvers<unknown>();
    const options = { env, nodes: listenerNodes(env), clientHost, end: over.resolve };
    const connection = new Connection(patience === undefined ? options : { ...options, patience });
    serve(socket, writer, connection).then(() => over.resolve(null), over.resolve);
    error = await over.promise;
    connection.close();
  } catch (refused) {
    error = refused;
  }
  closed(error, clientHost);
  // The socket would not close before an answer is taken that nobody takes.
  if (error !== null) writer.abort(error).catch(() => {});
  await socket.close().catch(() => {}); // It is closed, whoever was first.
}

type ByteWriter = WritableStreamDefaultWriter<Uint8Array>;

async function serve(socket: Socket, writer: ByteWriter, connection: Connection): Promise<void> {
  const frames = new Frames();
  for await (const bytes of socket.readable as ReadableStream<Uint8Array>) {
    connection.moved(bytes.length);
    const askedBytes = frames.buffered + bytes.length;
    connection.inFlight.setAsked(askedBytes);
    for (const frame of frames.push(bytes)) {
      const pieces = await connection.answer(frame);
      connection.inFlight.setWithAnswer(askedBytes, sizeOf(pieces));
      connection.expectTaken();
      for (const piece of pieces) await write(writer, piece, connection);
      if (connection.isSpent) return;
    }
    connection.inFlight.setAsked(frames.buffered);
    connection.expectRequest(frames.buffered);
  }
}

/** In parts, for only what was taken as a whole can be seen to have gone. */
async function write(writer: ByteWriter, piece: Uint8Array, connection: Connection): Promise<void> {
  for (let at = 0; at < piece.length; at += MAX_KAFKA_WRITE_BYTES) {
    const part = piece.subarray(at, at + MAX_KAFKA_WRITE_BYTES);
    await writer.write(part);
    connection.moved(part.length);
  }
}
