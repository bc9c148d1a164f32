// Kafka's protocol over a WebSocket: binary messages, one behind another, are the stream of bytes, however it is cut.

import { BrokerError } from "../core/errors.ts";
import { MAX_KAFKA_QUEUED_BYTES } from "../core/limits.ts";
import type { Env } from "../env.ts";
import { CLOSE_FATAL, closeReason } from "../protocol/close-codes.ts";
import { closed } from "./closed.ts";
import { Connection } from "./connection.ts";
import { Frames } from "./frames.ts";
import type { Nodes } from "./nodes.ts";
import { MalformedError } from "./wire.ts";

/** Serves it until the client goes, or breaks a rule: then it is closed with CLOSE_FATAL and the reason. */
export function serveWebSocket(socket: WebSocket, env: Env, nodes: Nodes): void {
  const connection = new Connection(env, nodes);
  const frames = new Frames();
  /** What came and is not answered. Nobody can be told to wait here, so it is bounded. */
  let queuedBytes = 0;
  let isClosed = false;
  let work = Promise.resolve();
  const end = (error: unknown) => {
    if (isClosed) return;
    isClosed = true;
    connection.close();
    closed(error);
    const known = error instanceof BrokerError ? error.code : "INVALID_REQUEST";
    const text = error instanceof Error ? error.message : String(error);
    socket.close(CLOSE_FATAL, closeReason(`${known}: ${text}`));
  };
  const handle = async (bytes: Uint8Array) => {
    for (const frame of frames.push(bytes)) {
      if (isClosed) return;
      for (const piece of await connection.answer(frame)) if (!isClosed) socket.send(piece);
    }
    queuedBytes -= bytes.length;
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    if (isClosed) return;
    if (typeof data === "string") {
      end(new MalformedError("a text message; Kafka's protocol is binary"));
      return;
    }
    const bytes = new Uint8Array(data as ArrayBuffer);
    queuedBytes += bytes.length;
    if (queuedBytes > MAX_KAFKA_QUEUED_BYTES) {
      const detail = `${queuedBytes} bytes wait for an answer, the bound is ${MAX_KAFKA_QUEUED_BYTES}`;
      end(new BrokerError("THROTTLING_QUOTA_EXCEEDED", detail));
      return;
    }
    work = work.then(() => handle(bytes)).catch(end);
  });
  const gone = () => {
    if (isClosed) return;
    isClosed = true;
    connection.close();
    socket.close();
  };
  socket.addEventListener("close", gone);
  socket.addEventListener("error", gone);
  socket.accept();
}
