// Kafka's protocol over a TCP connection, where the runtime hands one over.
import type { Env } from "../env.ts";
import { listenerNodes } from "./addresses.ts";
import { closed } from "./closed.ts";
import { Connection } from "./connection.ts";
import { Frames } from "./frames.ts";

/**
 * Serves it until the client goes, or breaks a rule. The next bytes are read when what came is answered, and that was
 * taken: a client that sends more than is worked off waits, and costs no memory.
 */
export async function serveTcp(socket: Socket, env: Env): Promise<void> {
  let clientHost = "/";
  const end = (error: unknown) => {
    closed(error, clientHost);
    // It is closed, whoever was first.
    return socket.close().catch(() => {});
  };
  let connection: Connection;
  try {
    const { remoteAddress = "" } = await socket.opened;
    clientHost = `/${remoteAddress.replace(/:\d+$/, "")}`;
    const onIdle = (error: Error) => void end(error);
    connection = new Connection({ env, nodes: listenerNodes(env), clientHost, onIdle });
  } catch (error) {
    return end(error);
  }
  try {
    await serve(socket, connection);
    await end(null);
  } catch (error) {
    await end(error);
  } finally {
    connection.close();
  }
}

async function serve(socket: Socket, connection: Connection): Promise<void> {
  const frames = new Frames();
  const writer = (socket.writable as WritableStream<Uint8Array>).getWriter();
  for await (const bytes of socket.readable as ReadableStream<Uint8Array>) {
    connection.inFlight.set(frames.buffered + bytes.length);
    for (const frame of frames.push(bytes)) {
      for (const piece of await connection.answer(frame)) await writer.write(piece);
      if (connection.isSpent) return;
    }
    connection.inFlight.set(frames.buffered);
  }
}
