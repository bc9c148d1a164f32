// Limits the bytes that are pushed and not fetched yet, for one connection and for all connections of this
// isolate. They all can be pushed again. So if there is no room, the connection that holds the most gives its
// bytes back, and no other has to wait for it [BND-13].
import { MAX_ALL_FEEDS_BYTES, MAX_FEEDS_BYTES } from "../../core/limits.ts";
import { isolate, type KafkaFeeds } from "../edge/isolate.ts";

/**
 * True if a connection's feeds may take so many bytes more. Connections that hold more are told to make room first. A
 * connection that holds nothing may always take something, or it would never make progress.
 */
export function hasRoomForFeed(feeds: KafkaFeeds, bytes: number): boolean {
  const { heldBytes } = feeds;
  if (heldBytes > 0 && heldBytes + bytes > MAX_FEEDS_BYTES) return false;
  while (isolate.kafka.fedBytes + bytes > MAX_ALL_FEEDS_BYTES) {
    const largest = largestBesides(feeds);
    if (largest === null || (heldBytes > 0 && largest.heldBytes <= heldBytes + bytes))
      return heldBytes === 0;
    largest.letGo();
  }
  return true;
}

function largestBesides(feeds: KafkaFeeds): KafkaFeeds | null {
  let largest: KafkaFeeds | null = null;
  for (const each of isolate.kafka.feeds)
    if (each !== feeds && each.heldBytes > (largest?.heldBytes ?? 0)) largest = each;
  return largest;
}
