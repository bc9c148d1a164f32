// Kafka's protocol over a TCP connection, where the runtime hands one over.
import type { Env } from "../env.ts";
import { listenerNodes } from "./addresses.ts";
import { closed } from "./closed.ts";
import { Connection } from "./connection.ts";
import { Frames } from "./frames.ts";

/**
 * Serves it until the client goes, or breaks a rule. The next bytes are read when what came is answered: a client that
 * sends more than is worked off waits, and costs no memory.
 */
export async function serveTcp(socket: Socket, env: Env): Promise<void> {
  const connection = new Connection(env, listenerNodes(env));
  const frames = new Frames();
  const writer = (socket.writable as WritableStream<Uint8Array>).getWriter();
  try {
    for await (const bytes of socket.readable as ReadableStream<Uint8Array>) {
      for (const frame of frames.push(bytes))
        for (const piece of await connection.answer(frame)) await writer.write(piece);
    }
  } catch (error) {
    closed(error);
  } finally {
    connection.close();
    await socket.close().catch(() => {}); // It is closed, whoever was first.
  }
}
