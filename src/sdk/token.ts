// The client's credential: a header over HTTP, and a subprotocol of sockets, because browsers cannot set headers there.
// It wraps `fetch` and the sockets, so a bundle without credentials does not include it.
import type { Fetch } from "../admin/http.ts";
import { RENEWED, type Socket, type Transport } from "../member/transport.ts";
import { CLOSE_CLIENT_LOST, CLOSE_FATAL, CLOSE_UNAUTHENTICATED } from "../protocol/close-codes.ts";
import type { Codes, TokenSockets } from "./token-sockets.ts";

/** An API key or a token. A function is called for each request and each socket, and before a token expires. */
export type Token = string | (() => string | Promise<string>);

export function tokenFetch(fetch: Fetch, token: Token): Fetch {
  return async (url, init) => {
    const bearer = typeof token === "string" ? token : await orAborted(token(), init.signal);
    return fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${bearer}` } });
  };
}

/** A function that does not answer must not delay a request beyond its timeout. */
function orAborted(token: string | Promise<string>, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    Promise.resolve(token).then(resolve, reject);
  });
}

const CODES: Codes = {
  fatal: CLOSE_FATAL,
  lost: CLOSE_CLIENT_LOST,
  renewed: RENEWED,
  unauthenticated: CLOSE_UNAUTHENTICATED,
};

/**
 * [SDK-40] Opens each socket with its token (token-sockets.ts). If the token cannot be obtained, the socket closes like
 * one that could not be opened.
 */
export function tokenTransport(
  token: Token,
  transportWith: (token: string) => Transport,
): Transport {
  let sockets: TokenSockets | null = null;
  const later: TokenSockets["open"] = (events, open) => {
    const opening = import("./token-sockets.ts").then(
      (loaded) => {
        sockets ??= new loaded.TokenSockets(token, transportWith, CODES);
        return sockets.open(events, open);
      },
      (error) => events.closed(1006, `${error}`),
    );
    const then = (act: (socket: Socket) => void) =>
      void opening.then((socket) => socket && act(socket));
    return {
      send: (data) => then((socket) => socket.send(data)),
      close: (code, reason) => then((socket) => socket.close(code, reason)),
    };
  };
  return {
    openGroup: (groupId, events) => later(events, (to, on) => to.openGroup(groupId, on)),
    openPartition: (place, events) => later(events, (to, on) => to.openPartition(place, on)),
  };
}
