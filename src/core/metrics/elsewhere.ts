// What the traffic of a topic would cost on Cloudflare's other ways to carry messages, at the same price list. Both do
// less: K2 has no keys, partitions or groups, and Queues keep nothing that was read, in no order.
import { K2, QUEUES, SECONDS_PER_MONTH } from "./prices.ts";

/** What went through a topic. */
export interface Traffic {
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Bytes that were kept, times the seconds for which they were. */
  readonly byteSeconds: number;
}

/** Dollars that the same records would cost on other products. */
export interface Elsewhere {
  readonly k2: number;
  readonly queues: number;
}

const GB = 1e9;

/** Returns dollars, without what a plan includes. */
export function dollarsElsewhere(traffic: Traffic): Elsewhere {
  return { k2: k2Dollars(traffic), queues: queuesDollars(traffic) };
}

export function k2Dollars({ bytesIn, bytesOut, byteSeconds }: Traffic): number {
  const keptGb = byteSeconds / SECONDS_PER_MONTH / GB;
  return (bytesIn * K2.inPerGb + bytesOut * K2.outPerGb) / GB + keptGb * K2.storedPerGb;
}

/**
 * A record is written, read and deleted, each an operation for 64 KB of it. A queue has one consumer, so each further
 * reader needs a queue of its own. Records that nobody has read are in one queue, and were written only.
 */
export function queuesDollars({ recordsIn, bytesIn, bytesOut }: Traffic): number {
  if (recordsIn === 0) return 0;
  const pieces = recordsIn * Math.max(1, Math.ceil(bytesIn / recordsIn / QUEUES.operationBytes));
  const readers = bytesIn === 0 ? 0 : bytesOut / bytesIn;
  const operations = pieces * (Math.max(1, readers) + 2 * readers);
  return (operations / 1e6) * QUEUES.perMillion;
}
