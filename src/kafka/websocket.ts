// Kafka's protocol over a WebSocket: binary messages, one behind another, are the stream of bytes, however it is cut.

import { BrokerError } from "../core/errors.ts";
import { MAX_KAFKA_UNSENT_BYTES } from "../core/limits.ts";
import type { Env } from "../env.ts";
import { CLOSE_FATAL, closeReason } from "../protocol/close-codes.ts";
import { closed } from "./closed.ts";
import { Connection } from "./connection.ts";
import { Frames } from "./frames.ts";
import type { Nodes } from "./nodes.ts";
import { MalformedError } from "./wire.ts";

const DRAIN_CHECK_MS = 10;
/** How long what a client left behind is worked on: the platform gives no more. */
const GONE_MS = 30_000;

/**
 * Serves it until the client goes, or breaks a rule: then it is closed with CLOSE_FATAL and the reason. Nobody can be told
 * to wait, so what came is bounded; a client that does not take its answers gets no more of them.
 * @returns what resolves when the connection is closed, and all that came before is served
 * @throws BrokerError where there are too many connections
 */
export function serveWebSocket(
  socket: WebSocket,
  env: Env,
  nodes: Nodes,
  clientHost: string,
): Promise<void> {
  const frames = new Frames();
  /** What came and was not looked at yet. */
  let queuedBytes = 0;
  /** Nothing can be sent any more. */
  let isClosed = false;
  /** Nothing more is served. */
  let isOver = false;
  let work = Promise.resolve();
  const finish = (code: number, reason: string) => {
    isOver = true;
    if (!isClosed) socket.close(code, reason);
    isClosed = true;
    connection.close();
  };
  const end = (error: unknown) => {
    if (isOver) return;
    closed(error, clientHost);
    const known = error instanceof BrokerError ? error.code : "INVALID_REQUEST";
    const text = error instanceof Error ? error.message : String(error);
    finish(CLOSE_FATAL, closeReason(`${known}: ${text}`));
  };
  const connection = new Connection({ env, nodes, clientHost, onIdle: end });
  const answer = async (frame: Uint8Array) => {
    for (const piece of await connection.answer(frame)) if (!isClosed) socket.send(piece);
    if (connection.isSpent) finish(1000, "connect again");
    while (!isClosed && socket.bufferedAmount > MAX_KAFKA_UNSENT_BYTES)
      await new Promise((resolve) => setTimeout(resolve, DRAIN_CHECK_MS));
  };
  const handle = async (bytes: Uint8Array) => {
    for (const frame of frames.push(bytes)) {
      if (isOver) return;
      await answer(frame);
    }
    queuedBytes -= bytes.length;
    if (!isOver) connection.inFlight.set(queuedBytes + frames.buffered);
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    if (isOver) return;
    try {
      if (typeof data === "string")
        throw new MalformedError("a text message; Kafka's protocol is binary");
      const bytes = new Uint8Array(data as ArrayBuffer);
      queuedBytes += bytes.length;
      connection.inFlight.set(queuedBytes + frames.buffered);
      work = work.then(() => handle(bytes)).catch(end);
    } catch (error) {
      end(error);
    }
  });
  const served = Promise.withResolvers<void>();
  const gone = () => {
    if (!isClosed) socket.close();
    isClosed = true;
    connection.stopWaiting();
    // What came before is served still, as over TCP: with acks 0 a client goes when it has sent.
    const timer = setTimeout(served.resolve, GONE_MS);
    void work.then(served.resolve);
    void served.promise.then(() => {
      clearTimeout(timer);
      if (!isOver) finish(1000, "");
    });
  };
  socket.addEventListener("close", gone);
  socket.addEventListener("error", gone);
  socket.accept();
  return served.promise;
}
