// Small pieces every object with sockets needs.
import { ERRORS, type Failure } from "../../src/core/errors.ts";
import { brokerError } from "../../src/core/platform-errors.ts";
import { CLOSE_FATAL, closeReason } from "../../src/protocol/close-codes.ts";

/** Sends unless the socket has gone meanwhile; its close event tells the rest. */
export function send(socket: WebSocket, data: string | Uint8Array): void {
  try {
    socket.send(data);
  } catch {
    // The peer has gone. webSocketClose or webSocketError follows and cleans up.
  }
}

export function sendJson(socket: WebSocket, message: object): void {
  send(socket, JSON.stringify(message));
}

export function close(socket: WebSocket, code: number, reason: string): void {
  try {
    socket.close(code, closeReason(reason));
  } catch {
    // Already closed.
  }
}

/**
 * Finishes the handshake that the peer began. The runtime does not do it for hibernatable sockets
 * (workerd 2026-11-17), and a client would wait ten seconds for it.
 */
export function finishClose(socket: WebSocket, code: number): void {
  close(socket, code === 1000 || code >= 3000 ? code : 1000, "");
}

/** Ends a socket that broke the protocol, or whose request the platform failed. Only this socket: others go on. */
export function closeFatal(socket: WebSocket, error: unknown): void {
  const known = brokerError(error);
  if (known.code === "UNKNOWN_SERVER_ERROR") console.error(error);
  close(socket, CLOSE_FATAL, `${known.code}: ${known.message}`);
}

/** The fields of an error as every socket sends them. */
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
