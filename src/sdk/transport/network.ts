// Sockets over the network, for browsers, Node, Deno, Bun and Workers. They use only the standard WebSocket.

import {
  listen,
  type Socket,
  type SocketEvents,
  type StandardWebSocket,
  type Transport,
} from "../../member/transport.ts";
import { groupSocketPath, partitionSocketPath } from "../../protocol/paths.ts";

export type WebSocketConstructor = new (url: string, protocols?: string[]) => StandardWebSocket;

/** Makes a transport. `baseUrl` is the broker's http or https address. `protocols` carry the credential. */
export function networkTransport(
  baseUrl: string,
  WebSocketClass: WebSocketConstructor,
  protocols?: string[],
): Transport {
  const open = (path: string, events: SocketEvents): Socket => {
    const url = new URL(path, baseUrl);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocketClass(url.href, protocols);
    listen(socket, events);
    return {
      send: (data) => sendQuietly(socket, data),
      close: (code, reason) => socket.close(code < 3000 ? 1000 : code, reason),
    };
  };
  return {
    openGroup: (groupId, events) => open(groupSocketPath(groupId), events),
    openPartition: (place, events) => open(partitionSocketPath(place), events),
  };
}

/** Sends. A socket that is closing throws, and its close event handles the rest. */
function sendQuietly(socket: StandardWebSocket, data: string | Uint8Array): void {
  try {
    socket.send(data);
  } catch {
    // The close event follows.
  }
}
