// The gate for the readers of a partition, at the partition and at its relays: the rights and the quota of each
// socket.
import { isAllowed, topicResource } from "../../src/core/access/grants.ts";
import type { QuotaBook } from "../../src/core/access/quota-book.ts";
import type { ReaderGate } from "../partition/tail-readers.ts";
import type { SocketAccess } from "./socket-access.ts";
import { callerOn } from "./socket-caller.ts";

/**
 * Returns the gate for the sockets that read this topic. `quotas` are the object's own [QUO-2]. The bytes sent
 * are added to `counts`.
 */
export function readerGate(
  topic: string,
  access: SocketAccess,
  quotas: QuotaBook,
  counts: { deliveredBytes: number },
): ReaderGate {
  const resource = topicResource(topic);
  return {
    mayRead: (socket) =>
      access.isGood(socket, Date.now()) && isAllowed(callerOn(socket), "READ", resource),
    waitMs: (socket) => quotas.waitMs(callerOn(socket), "consumerByteRate", Date.now()),
    sent: (socket, bytes) => {
      counts.deliveredBytes += bytes;
      quotas.take(callerOn(socket), "consumerByteRate", bytes, Date.now());
    },
  };
}
