// The cost of a topic's traffic on Cloudflare's other messaging products, from the same price list. Both do less: K2
// has no keys, partitions or groups. Queues do not keep records that were read, and have no order.
import { K2, QUEUES, SECONDS_PER_MONTH } from "./prices.ts";

/** The traffic of a topic. */
export interface Traffic {
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Kept bytes, times the seconds for which they were kept. */
  readonly byteSeconds: number;
}

/** The cost in dollars of the same records on other products. */
export interface Elsewhere {
  readonly k2: number;
  readonly queues: number;
}

const GB = 1e9;

/** Returns dollars, ignoring the amounts that a plan includes. */
export function dollarsElsewhere(traffic: Traffic): Elsewhere {
  return { k2: k2Dollars(traffic), queues: queuesDollars(traffic) };
}

export function k2Dollars({ bytesIn, bytesOut, byteSeconds }: Traffic): number {
  const keptGb = byteSeconds / SECONDS_PER_MONTH / GB;
  return (bytesIn * K2.inPerGb + bytesOut * K2.outPerGb) / GB + keptGb * K2.storedPerGb;
}

/**
 * Returns the cost on Queues. A record is written, read and deleted, and each operation covers 64 KB. A queue has one
 * consumer, so each further reader needs its own queue. Unread records are in one queue, and were only written.
 */
export function queuesDollars({ recordsIn, bytesIn, bytesOut }: Traffic): number {
  if (recordsIn === 0) return 0;
  const pieces = recordsIn * Math.max(1, Math.ceil(bytesIn / recordsIn / QUEUES.operationBytes));
  const readers = bytesIn === 0 ? 0 : bytesOut / bytesIn;
  const operations = pieces * (Math.max(1, readers) + 2 * readers);
  return (operations / 1e6) * QUEUES.perMillion;
}
