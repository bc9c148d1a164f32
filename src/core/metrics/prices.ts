// The price list of Cloudflare's Workers Paid plan, as of November 2026, in dollars. A month is 30 days.
//
// Workers Logs are to be priced by the GB from December 2026 on (50 GB included, $0.25 for each further GB). An event
// of 2 KB costs about the same that way.

/** The month of the price list. */
export const PRICES_OF = "2026-11";

export const SECONDS_PER_MONTH = 30 * 24 * 60 * 60;
const MILLION = 1_000_000;

interface Price {
  readonly what: string;
  readonly unit: string;
  readonly dollars: number;
  /** The number of units for this price. */
  readonly per: number;
  /** The units per month that the plan includes. */
  readonly included: number;
}

export const PRICES = {
  rowsWritten: {
    ...{ what: "rows written", unit: "rows" },
    ...{ dollars: 1, per: MILLION, included: 50 * MILLION },
  },
  rowsRead: {
    ...{ what: "rows read", unit: "rows" },
    ...{ dollars: 0.001, per: MILLION, included: 25_000 * MILLION },
  },
  objectRequests: {
    ...{ what: "object requests", unit: "requests" },
    ...{ dollars: 0.15, per: MILLION, included: MILLION },
  },
  duration: {
    ...{ what: "duration", unit: "GB-s" },
    ...{ dollars: 12.5, per: MILLION, included: 400_000 },
  },
  stored: { what: "stored", unit: "GB", dollars: 0.2, per: 1, included: 5 },
  workerRequests: {
    ...{ what: "Worker requests", unit: "requests" },
    ...{ dollars: 0.3, per: MILLION, included: 10 * MILLION },
  },
  workerCpu: {
    ...{ what: "Worker CPU", unit: "ms" },
    ...{ dollars: 0.02, per: MILLION, included: 30 * MILLION },
  },
  logs: {
    ...{ what: "logs", unit: "events" },
    ...{ dollars: 0.6, per: MILLION, included: 20 * MILLION },
  },
} as const satisfies Record<string, Price>;

export type Kind = keyof typeof PRICES;

/** The plan's minimum price, which every deployment pays. */
export const PLAN_DOLLARS = 5;
/** The number of socket messages that are billed as one request. */
export const MESSAGES_PER_REQUEST = 20;
/** The memory that an object is billed for, whatever it uses. */
export const OBJECT_GB = 0.128;

/** K2 has no partitions and no groups. The prices are for records in, records out per subscription, and storage. */
export const K2 = {
  inPerGb: 0.04,
  outPerGb: 0.04,
  storedPerGb: 0.02,
  maxStreams: 20,
  maxRetentionDays: 30,
  /** The bound per account during the beta. */
  maxStoredGb: 10,
} as const;

/** An operation covers 64 KB. A record is written, read and deleted, and a queue has one consumer. */
export const QUEUES = {
  perMillion: 0.4,
  included: MILLION,
  operationBytes: 64_000,
  maxPerSecond: 5_000,
} as const;

/** Returns the price of these units, ignoring the amount that the plan includes. */
export function marginalDollars(kind: Kind, count: number): number {
  const { dollars, per } = PRICES[kind];
  return (count / per) * dollars;
}

export function dollarsOf(kind: Kind, count: number): number {
  const { dollars, per, included } = PRICES[kind];
  return (Math.max(0, count - included) / per) * dollars;
}
