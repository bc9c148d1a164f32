// The token that says who asks: a header over HTTP, a part of the URL of a socket, because a browser can set no header
// there. It wraps `fetch` and the sockets, so a bundle without it does not carry it.
import type { Fetch } from "../admin/http.ts";
import type { Socket, SocketEvents, Transport } from "../member/transport.ts";
import type { WebSocketConstructor } from "./transport/network.ts";

/** A token. A function is called for each request and each socket. */
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

export function tokenWebSocket(
  WebSocketClass: WebSocketConstructor,
  token: string,
): WebSocketConstructor {
  return class extends WebSocketClass {
    constructor(address: string) {
      const url = new URL(address);
      url.searchParams.set("access_token", token);
      super(url.href);
    }
  };
}

/**
 * Opens each socket once its token is there. If there is no token, the socket closes like one that could not be opened.
 */
export function tokenTransport(
  token: () => string | Promise<string>,
  transportWith: (token: string) => Transport,
): Transport {
  const later = (events: SocketEvents, open: (transport: Transport) => Socket): Socket => {
    let socket: Socket | null = null;
    let isClosed = false;
    const connect = async () => {
      const transport = transportWith(await token());
      if (!isClosed) socket = open(transport);
    };
    connect().catch((error) => {
      if (!isClosed) events.closed(1006, String(error));
      isClosed = true;
    });
    return {
      send: (data) => socket?.send(data),
      close: (code, reason) => {
        if (socket !== null) return socket.close(code, reason);
        if (!isClosed) void Promise.resolve().then(() => events.closed(code, reason)); // Later, as a socket does.
        isClosed = true;
      },
    };
  };
  return {
    openGroup: (groupId, events) => later(events, (to) => to.openGroup(groupId, events)),
    openPartition: (place, events) => later(events, (to) => to.openPartition(place, events)),
  };
}
