// What this isolate remembers from one request to the next, all in one place: metadata and numbers, nothing that
// belongs to a request. The platform may forget it at any time.
import type { Topic } from "../core/cluster/topics.ts";
import { MAX_ANSWER_BYTES_IN_PROGRESS, MAX_REQUEST_BYTES_IN_PROGRESS } from "../core/limits.ts";
import { RequestLedger, WorkRoom } from "./holders.ts";
import type { PooledProducer } from "./producer-pool.ts";

interface Isolate {
  /** Topics by name, and when they were asked for. */
  readonly topics: Map<string, { readonly topic: Topic; readonly atMs: number }>;
  /** Producers that no request uses now. */
  idleProducers: PooledProducer[];
  /** What is left of the block of producer ids that was given out last. */
  producerIds: { next: number; end: number };
  /** Bodies that come in, requests that are worked on, answers that go out. */
  bodies: RequestLedger;
  work: WorkRoom;
  answers: RequestLedger;
  /** Connections of Kafka's clients, the bytes that they have in flight, and those that wait to be fetched. */
  readonly kafka: { connections: number; bytes: number; fedBytes: number };
}

export const isolate: Isolate = {
  topics: new Map(),
  idleProducers: [],
  producerIds: { next: 0, end: 0 },
  ...emptyHanded(),
  kafka: { connections: 0, bytes: 0, fedBytes: 0 },
};

/** As in an isolate that has just started. */
export function forgetEverything(): void {
  isolate.topics.clear();
  isolate.idleProducers = [];
  isolate.producerIds = { next: 0, end: 0 };
  Object.assign(isolate, emptyHanded());
}

function emptyHanded() {
  return {
    bodies: new RequestLedger(MAX_REQUEST_BYTES_IN_PROGRESS, "bodies that come in"),
    work: new WorkRoom(),
    answers: new RequestLedger(MAX_ANSWER_BYTES_IN_PROGRESS, "answers that are not read"),
  };
}
