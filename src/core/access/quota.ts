// Quotas: how much a principal may do within a second, and how many connections it may hold. The rates are Kafka's
// (KIP-13, KIP-124), and so is where they are counted: each isolate and each partition counts by itself, as each of Kafka's
// brokers does. What they count is forgotten with them, which errs for the client.

/** The bounds of a principal. One that is not set does not bound it. */
export interface Quota {
  /** Bytes of record batches a second that are produced. */
  readonly producerByteRate?: number | undefined;
  /** Bytes of record batches a second that are read. */
  readonly consumerByteRate?: number | undefined;
  /** Requests a second, over HTTP and Kafka's protocol. */
  readonly requestRate?: number | undefined;
  /** Connections at the same time: of Kafka's clients, plain consumers, streams and the SDK's sockets. */
  readonly connections?: number | undefined;
  /** [BGT-1] Dollars that its requests may cost in a day of UTC, by an estimate. All of the deployment counts together. */
  readonly dollarsPerDay?: number | undefined;
}

/** The rates. */
export type Rate = Exclude<keyof Quota, "connections" | "dollarsPerDay">;

/** Returns the stricter of both in every field. */
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
