// Kafka's protocol over a WebSocket. Binary messages, one after another, form the stream of bytes, however it
// is cut.

import { BrokerError } from "../../core/errors.ts";
import { MAX_KAFKA_UNREAD_BYTES, MIN_KAFKA_WRITE_BYTES } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { CLOSE_FATAL, closeReason } from "../../protocol/close-codes.ts";
import { unsentBytes } from "../../protocol/unsent.ts";
import { after, pause } from "../edge/timer.ts";
import { closed } from "./closed.ts";
import { Connection, type Patience } from "./connection.ts";
import { Frames } from "./frames.ts";
import type { Nodes } from "./nodes.ts";
import { MalformedError } from "./wire.ts";

/** The time for which the requests of a client that has gone are still processed. The platform gives no more. */
const GONE_MS = 30_000;
/** The interval at which a client that is behind is checked: at once first, and then less and less often. */
const MIN_DRAIN_CHECK_MS = 1;
const MAX_DRAIN_CHECK_MS = 20;
/** The wait for a client that was sent a close. */
const CLOSING_MS = 5_000;

/**
 * Serves a connection until the client goes, breaks a rule or does not do its part. The connection then closes with
 * CLOSE_FATAL and the reason. A WebSocket cannot make its sender wait, so the bytes that came are bounded. An answer is
 * sent in parts, as the client takes them. Bytes given to the socket cannot be taken back and stay until the client has
 * gone, even if the connection is closed [BND-12].
 * @returns a promise that resolves when the connection is closed and all earlier requests are served
 * @throws BrokerError if there are too many connections
 */
export function serveWebSocket(
  socket: WebSocket,
  env: Env,
  nodes: Nodes,
  clientHost: string,
  patience?: Patience,
): Promise<void> {
  const frames = new Frames(() => connection.maxRequestBytes);
  /** The bytes that arrived and have not been processed yet. */
  let queuedBytes = 0;
  /**
   * True if the client must take what was sent before more is sent. Bytes that it sends in the meantime do not
   * count as progress.
   */
  let isBehind = false;
  /** True if nothing can be sent any more. */
  let isClosed = false;
  /** True if nothing more is served. */
  let isOver = false;
  let work = Promise.resolve();
  const finish = (code: number, reason: string) => {
    isOver = true;
    if (!isClosed) socket.close(code, reason);
    isClosed = true;
    connection.close();
    // A client that does not read never closes its side. The end of the invocation removes the socket.
    void served.promise.then(after(CLOSING_MS, served.resolve));
  };
  const end = (error: unknown) => {
    if (isOver) return;
    closed(error, clientHost);
    const known = error instanceof BrokerError ? error.code : "INVALID_REQUEST";
    const text = error instanceof Error ? error.message : String(error);
    finish(CLOSE_FATAL, closeReason(`${known}: ${text}`));
  };
  const served = Promise.withResolvers<void>();
  const options = { env, nodes, clientHost, way: "websocket" as const, end };
  const connection = new Connection(patience === undefined ? options : { ...options, patience });
  const answer = async (frame: Uint8Array) => {
    const pieces = await connection.answer(frame);
    for (const piece of pieces) await send(piece);
    if (isOver) return;
    connection.answered();
    if (connection.isSpent) finish(1000, "connect again");
  };
  const unsent = () => unsentBytes(socket) ?? 0;
  const send = async (piece: Uint8Array) => {
    for (let at = 0; at < piece.length; at += MIN_KAFKA_WRITE_BYTES) {
      if (unsent() > MAX_KAFKA_UNREAD_BYTES) await taken();
      if (isClosed) return;
      socket.send(piece.subarray(at, at + MIN_KAFKA_WRITE_BYTES));
    }
  };
  /** Resolves when the client has taken enough of what was sent, or when nothing can be sent any more. */
  const taken = async () => {
    let left = unsent();
    let checkMs = MIN_DRAIN_CHECK_MS;
    isBehind = true;
    connection.expectTaken();
    while (!isClosed && left > MAX_KAFKA_UNREAD_BYTES) {
      await pause(checkMs);
      const now = unsent();
      connection.moved(Math.max(0, left - now));
      checkMs = now < left ? MIN_DRAIN_CHECK_MS : Math.min(2 * checkMs, MAX_DRAIN_CHECK_MS);
      left = now;
    }
    isBehind = false;
  };
  const handle = async (bytes: Uint8Array) => {
    for (const frame of frames.push(bytes)) {
      if (isOver) return;
      await answer(frame);
    }
    if (isOver) return;
    queuedBytes -= bytes.length;
    connection.inFlight.setAsked(queuedBytes + frames.buffered);
    connection.expectRequest(frames.buffered);
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    if (isOver) return;
    try {
      if (typeof data === "string")
        throw new MalformedError("a text message; Kafka's protocol is binary");
      const bytes = new Uint8Array(data as ArrayBuffer);
      queuedBytes += bytes.length;
      connection.inFlight.setAsked(queuedBytes + frames.buffered);
      if (!isBehind) connection.moved(bytes.length);
      work = work.then(() => handle(bytes)).catch(end);
    } catch (error) {
      end(error);
    }
  });
  const gone = () => {
    if (!isClosed) socket.close();
    isClosed = true;
    connection.stopWaiting();
    // Requests that came before are still served, as over TCP: with acks 0, a client leaves as soon as it has
    // sent them.
    const stop = after(GONE_MS, served.resolve);
    void work.then(served.resolve);
    void served.promise.then(() => {
      stop();
      if (!isOver) finish(1000, "");
    });
  };
  socket.addEventListener("close", gone);
  socket.addEventListener("error", gone);
  socket.accept();
  return served.promise;
}
