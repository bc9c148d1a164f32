// What a client does not read stays in the broker's memory, and closing its socket does not free it: it has to be bounded
// before. workerd tells how much that is, of sockets in the Worker and of hibernating ones in objects [BND-17].

/** Bytes that were sent over the socket and wait for its client to take them; null where the runtime does not tell. */
export function unsentBytes(socket: WebSocket): number | null {
  return (socket as { readonly bufferedAmount?: number }).bufferedAmount ?? null;
}
