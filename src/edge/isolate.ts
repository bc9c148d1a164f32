// What this isolate remembers from one request to the next, all in one place: metadata and numbers, nothing that
// belongs to a request. The platform may forget it at any time.
import type { Topic } from "../core/cluster/topics.ts";
import type { PooledProducer } from "./producer-pool.ts";

interface Isolate {
  /** What the clock showed with the last request. */
  latestMs: number;
  /** Topics by name, and when they were asked for. */
  readonly topics: Map<string, { readonly topic: Topic; readonly atMs: number }>;
  /** Producers that no request uses now. */
  idleProducers: PooledProducer[];
  /** What is left of the block of producer ids that was given out last. */
  producerIds: { next: number; end: number };
  /** Bodies in progress. */
  readonly bodies: Set<{ readonly bytes: number; readonly atMs: number }>;
  /** Connections of Kafka's clients, the bytes that they have in flight, and those that wait to be fetched. */
  readonly kafka: { connections: number; bytes: number; fedBytes: number };
}

export const isolate: Isolate = {
  latestMs: 0,
  topics: new Map(),
  idleProducers: [],
  producerIds: { next: 0, end: 0 },
  bodies: new Set(),
  kafka: { connections: 0, bytes: 0, fedBytes: 0 },
};

/** As in an isolate that has just started. */
export function forgetEverything(): void {
  isolate.latestMs = 0;
  isolate.topics.clear();
  isolate.idleProducers = [];
  isolate.producerIds = { next: 0, end: 0 };
  isolate.bodies.clear();
}
