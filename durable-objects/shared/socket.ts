// Small helpers for objects with sockets.

import { namespaceOf } from "../../src/core/access/caller.ts";
import { textOutside, WHOLE } from "../../src/core/access/namespace.ts";
import { BrokerError, ERRORS, type Failure } from "../../src/core/errors.ts";
import { MAX_SOCKET_UNREAD_BYTES } from "../../src/core/limits.ts";
import { brokerError } from "../../src/core/platform-errors.ts";
import { logLine, stackOf } from "../../src/log.ts";
import { CLOSE_FATAL, closeReason } from "../../src/protocol/close-codes.ts";
import { unsentBytes } from "../../src/protocol/unsent.ts";
import type { ObjectSocket } from "./object-socket.ts";
import { callerOn } from "./socket-caller.ts";

/** Sends, unless the socket has gone. Its close event does the rest. */
export function send(socket: WebSocket, data: string | Uint8Array): void {
  try {
    socket.send(data);
  } catch {
    // The peer has gone. webSocketClose or webSocketError follows and cleans up.
  }
}

/** Sends a message. [TEN-2] Names in error texts are as the client writes them. */
export function sendJson(socket: ObjectSocket, message: object): void {
  const namespace = namespaceOf(callerOn(socket));
  if (namespace !== WHOLE && "detail" in message) {
    const detail = textOutside(namespace, String(message.detail));
    send(socket, JSON.stringify({ ...message, detail }));
  } else send(socket, JSON.stringify(message));
}

/**
 * [BND-17] Throws THROTTLING_QUOTA_EXCEEDED unless the client reads. Must run before work that ends in an
 * answer, and before unrequested messages.
 */
export function assertRead(socket: WebSocket): void {
  const bytes = unsentBytes(socket) ?? 0;
  if (bytes <= MAX_SOCKET_UNREAD_BYTES) return;
  throw new BrokerError(
    "THROTTLING_QUOTA_EXCEEDED",
    `${bytes} bytes that were sent are not read, the bound is ${MAX_SOCKET_UNREAD_BYTES}`,
  );
}

export function close(socket: ObjectSocket, code: number, reason: string): void {
  try {
    socket.close(code, closeReason(textOutside(namespaceOf(callerOn(socket)), reason)));
  } catch {
    // It is already closed.
  }
}

/**
 * Finishes the handshake that the peer began. The runtime does not do this for hibernatable sockets (workerd
 * 2026-11-17), and a client would wait ten seconds for it.
 */
export function finishClose(socket: ObjectSocket, code: number): void {
  close(socket, code === 1000 || code >= 3000 ? code : 1000, "");
}

/** Closes a socket that broke the protocol, or whose request the platform failed. Other sockets continue. */
export function closeFatal(socket: ObjectSocket, error: unknown): void {
  const known = brokerError(error);
  if (known.code === "UNKNOWN_SERVER_ERROR") logLine("error", stackOf(error));
  close(socket, CLOSE_FATAL, `${known.code}: ${known.message}`);
}

/** Returns the fields of an error in the form that every socket sends. */
export function errorFields(failure: Failure): {
  code: Failure["error"];
  errorCode: number;
  retriable: boolean;
  detail: string;
} {
  const { code, retriable } = ERRORS[failure.error];
  return {
    code: failure.error,
    errorCode: code,
    retriable: failure.retriable ?? retriable,
    detail: failure.detail,
  };
}
