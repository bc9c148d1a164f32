// The WebSocket close codes of all Rivulet sockets. 1000 and 1001 are a clean close. After any code that is not listed
// here, connect again.

import { BrokerError, isErrorName } from "../core/errors.ts";

/**
 * The client broke a rule or asked for something impossible. The reason begins with an error name. Final, unless that
 * error is retriable.
 */
export const CLOSE_FATAL = 4000;
/** A newer owner of the partition attached, or the epoch was too old to attach. */
export const CLOSE_FENCED = 4001;
/** The same member, or the same reader, connected again. This socket is the older one. */
export const CLOSE_REPLACED = 4002;
/** The membership has ended (session or rebalance timeout). Join again with epoch 0. */
export const CLOSE_SESSION_ENDED = 4003;
/** Sent by a session whose client lost its connection. It is not a leave, and the session timeout starts. */
export const CLOSE_CLIENT_LOST = 4004;
/**
 * The credential has expired or was revoked. The reason begins with SASL_AUTHENTICATION_FAILED. Connect again with a
 * new one. A client without a new one gives up when it is refused.
 */
export const CLOSE_UNAUTHENTICATED = 4005;

/** A session in the Worker has used up its CPU time. This is not an error: connect again and continue. */
export const CLOSE_SPENT = 4006;

/** True for a clean close: 1000, 1001, or no code (1005, which a browser's `close()` without arguments sends). */
export function isCleanClose(code: number): boolean {
  return code === 1000 || code === 1001 || code === 1005;
}

/** Returns the error in the reason of a socket that was closed with CLOSE_FATAL. */
export function errorOfClose(reason: string): BrokerError {
  const [name = "", ...detail] = reason.split(": ");
  return isErrorName(name)
    ? new BrokerError(name, detail.join(": "))
    : new BrokerError("UNKNOWN_SERVER_ERROR", reason);
}

/** Cuts a close reason to 123 bytes, the bound on the wire. */
export function closeReason(text: string): string {
  let reason = "";
  let bytes = 0;
  for (const character of text) {
    bytes += new TextEncoder().encode(character).length;
    if (bytes > 123) break;
    reason += character;
  }
  return reason;
}
