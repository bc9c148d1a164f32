// The credential that says who asks: a header over HTTP, a subprotocol of a socket, because a browser can set no header
// there. It wraps `fetch` and the sockets, so a bundle without it does not carry it.
import type { Fetch } from "../admin/http.ts";
import { RENEWED, type Socket, type SocketEvents, type Transport } from "../member/transport.ts";
import { CLOSE_CLIENT_LOST, CLOSE_FATAL, CLOSE_UNAUTHENTICATED } from "../protocol/close-codes.ts";

/** An API key or a token. A function is called for each request and each socket, and before a token expires. */
export type Token = string | (() => string | Promise<string>);

export function tokenFetch(fetch: Fetch, token: Token): Fetch {
  return async (url, init) => {
    const bearer = typeof token === "string" ? token : await orAborted(token(), init.signal);
    return fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${bearer}` } });
  };
}

/** A function that does not answer must not hold a request beyond its time. */
function orAborted(token: string | Promise<string>, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    Promise.resolve(token).then(resolve, reject);
  });
}

/** The characters that a subprotocol may have (RFC 9110, token). Others make the socket throw, and say the token. */
const FITS_A_SOCKET = /^[\w!#$%&'*+.^`|~-]+$/;

/**
 * [SDK-40] Opens each socket once its token is there, and has it opened again before the token expires. If there is no
 * token, the socket closes like one that could not be opened.
 */
export function tokenTransport(
  token: Token,
  transportWith: (token: string) => Transport,
): Transport {
  const isConstant = typeof token === "string";
  const ask = async () => (isConstant ? token : await token());
  /** The broker's words when it last refused the credential of an open socket, until it answers on a later one. */
  let refusal: string | null = null;
  const later = (
    events: SocketEvents,
    open: (transport: Transport, events: SocketEvents) => Socket,
  ): Socket => {
    let socket: Socket | null = null;
    let isOpen = false;
    let isOver = false;
    let timer: unknown;
    /** Sockets that were there before the refusal are refused as well, which is no news. */
    const isAfterRefusal = refusal !== null;
    const end = (code: number, reason: string) => {
      clearTimeout(timer);
      if (isOver) return;
      isOver = true;
      const isRefused = code === CLOSE_UNAUTHENTICATED;
      // No other credential will come. A socket that could not be opened does not say why.
      const isFinal = isConstant && isAfterRefusal && (isRefused || !isOpen);
      if (isRefused) refusal = reason;
      if (isFinal && refusal !== null) events.closed(CLOSE_FATAL, refusal);
      else events.closed(code, reason);
    };
    const renew = async (current: string) => {
      const next = await ask().catch(() => current);
      if (next === current || isOver) return; // The broker closes the socket in time.
      end(RENEWED, "");
      socket?.close(CLOSE_CLIENT_LOST, "the token expires soon");
    };
    const connect = async () => {
      const value = await ask();
      if (isOver) return;
      if (!FITS_A_SOCKET.test(value)) throw new Error("no socket can carry this token");
      socket = open(transportWith(value), {
        ...events,
        opened: () => {
          isOpen = true;
          events.opened();
        },
        text: (data) => {
          if (isAfterRefusal) refusal = null;
          events.text(data);
        },
        closed: end,
      });
      if (isConstant) return;
      // Without this file, the broker closes the socket in time.
      const expiry = await import("./token-expiry.ts").catch(() => null);
      const waitMs = expiry?.renewalMs(value, Date.now(), Math.random()) ?? null;
      if (waitMs !== null && !isOver) timer = setTimeout(() => void renew(value), waitMs);
    };
    connect().catch((error) =>
      isConstant ? end(CLOSE_FATAL, `INVALID_REQUEST: ${error.message}`) : end(1006, `${error}`),
    );
    return {
      send: (data) => socket?.send(data),
      close: (code, reason) => {
        clearTimeout(timer);
        if (socket !== null) return socket.close(code, reason);
        if (!isOver) void Promise.resolve().then(() => events.closed(code, reason)); // Later, as a socket does.
        isOver = true;
      },
    };
  };
  return {
    openGroup: (groupId, events) => later(events, (to, on) => to.openGroup(groupId, on)),
    openPartition: (place, events) => later(events, (to, on) => to.openPartition(place, on)),
  };
}

declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;
