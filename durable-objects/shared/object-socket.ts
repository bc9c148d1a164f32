// The sockets of an object, as the platform gives them.

/** A socket of an object. Its attachment outlives hibernation. */
export type ObjectSocket = WebSocket & {
  serializeAttachment(attachment: unknown): void;
  deserializeAttachment(): unknown;
};

/** The small part of a Durable Object's state that has its sockets. */
export interface ObjectSockets {
  acceptWebSocket(socket: ObjectSocket, tags: string[]): void;
  getWebSockets(tag?: string): ObjectSocket[];
  getWebSocketAutoResponseTimestamp(socket: ObjectSocket): Date | null;
}
