// Quotas: how much a principal may do per second, and how many connections it may hold. The rates are Kafka's (KIP-13,
// KIP-124), and they are counted where Kafka counts them. Each isolate and each partition counts for itself, as each
// Kafka broker does. A count is lost with its isolate or partition, which favors the client.

/** The bounds of a principal. A field that is absent sets no bound. */
export interface Quota {
  /** Bytes of record batches produced per second. */
  readonly producerByteRate?: number | undefined;
  /** Bytes of record batches read per second. */
  readonly consumerByteRate?: number | undefined;
  /** Requests per second, over HTTP and Kafka's protocol. */
  readonly requestRate?: number | undefined;
  /** Simultaneous connections of Kafka clients, plain consumers, streams and the SDK's sockets. */
  readonly connections?: number | undefined;
  /** [BGT-1] Estimated cost of its requests per UTC day, in dollars. It is counted across the whole deployment. */
  readonly dollarsPerDay?: number | undefined;
}

export type Rate = Exclude<keyof Quota, "connections" | "dollarsPerDay">;

/** Returns the stricter of both bounds in every field. */
export function strictest(one: Quota | undefined, other: Quota | undefined): Quota | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const least = (field: keyof Quota) => {
    const bounds = [one[field], other[field]].filter((bound) => bound !== undefined);
    return bounds.length === 0 ? {} : { [field]: Math.min(...bounds) };
  };
  return {
    ...least("producerByteRate"),
    ...least("consumerByteRate"),
    ...least("requestRate"),
    ...least("connections"),
    ...least("dollarsPerDay"),
  };
}
