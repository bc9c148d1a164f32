// Limits the bytes that are pushed and not fetched yet, for one connection and for all connections of this
// isolate. They all can be pushed again. So if there is no room, the connection that holds the most gives its
// bytes back, and no other has to wait for it [BND-13].
import type { SpareHolding } from "../../core/ledger.ts";
import { MAX_ALL_FEEDS_BYTES, MAX_FEEDS_BYTES } from "../../core/limits.ts";
import { memory } from "../../memory.ts";

/**
 * True if a connection's feeds may take so many bytes more. Tails of partitions, and then connections that hold more, make
 * room first. A connection that holds nothing may always take something, or it would never make progress.
 */
export function hasRoomForFeed(feeds: SpareHolding, bytes: number): boolean {
  const heldBytes = feeds.bytes;
  if (heldBytes > 0 && heldBytes + bytes > MAX_FEEDS_BYTES) return false;
  const all = memory.feeds;
  while (all.bytes + bytes > MAX_ALL_FEEDS_BYTES || !memory.tails.makeRoom(bytes)) {
    const largest = all.next(feeds);
    if (largest === null || (heldBytes > 0 && largest.bytes <= heldBytes + bytes))
      return heldBytes === 0;
    largest.drop();
  }
  return true;
}
