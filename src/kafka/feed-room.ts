// Room for what is pushed and not fetched yet: of one connection, and of all connections of this isolate. All of it comes
// again, so where there is no room the one that holds the most gives it back, and nobody else waits for it [BND-13].
import { MAX_ALL_FEEDS_BYTES, MAX_FEEDS_BYTES } from "../core/limits.ts";
import { isolate, type KafkaFeeds } from "../edge/isolate.ts";

/**
 * Whether the feeds of a connection may take so many bytes more, after others have made room where they hold more. One that
 * holds nothing always may take something, or it would never get on.
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
