// Limits the bytes that were pushed and not fetched yet, for one connection and for all connections of this
// isolate. All of them can be pushed again. So if there is no room, the connection that holds the most releases
// its bytes, and no other connection has to wait for it [BND-13].
import type { SpareHolding } from "../../core/ledger.ts";
import { MAX_ALL_FEEDS_BYTES, MAX_FEEDS_BYTES } from "../../core/limits.ts";
import { memory } from "../../memory.ts";

/**
 * True if a connection's feeds may take this many bytes more. Tails of partitions make room first, and then
 * connections that hold more. A connection that holds nothing may always take something; otherwise it would
 * never make progress.
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
