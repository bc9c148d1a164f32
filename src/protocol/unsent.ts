// Data that a client does not read stays in the broker's memory, and closing its socket does not free it. So it must be
// bounded before it is sent. workerd reports its size, for sockets in the Worker and for hibernating ones in objects
// [BND-17].

/** Returns the bytes sent over the socket that its client has not read. Null if the runtime does not report them. */
export function unsentBytes(socket: WebSocket): number | null {
  return (socket as { readonly bufferedAmount?: number }).bufferedAmount ?? null;
}
