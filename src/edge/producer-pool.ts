// The idempotent producers of this Worker [IDM-3]. Each request appends as a producer of its own, so that
// requests do not wait for each other's sequence numbers; afterwards the next request takes that producer
// over, with the sequence numbers it has reached. There are as many as requests at the same time.
//
// Shared by all requests of the isolate. It holds numbers only: nothing that belongs to a request.
import { MAX_PARTITIONS_PER_PRODUCER, MAX_POOLED_PRODUCERS } from "../core/limits.ts";
import { clusterStub, type Env } from "../env.ts";

export class PooledProducer {
  readonly producerId: number;
  readonly producerEpoch = 0;
  /** The next sequence number, by topic id and partition. */
  readonly #sequences = new Map<string, number>();
  #isUsable = true;

  constructor(producerId: number) {
    this.producerId = producerId;
  }

  sequence(place: string): number {
    return this.#sequences.get(place) ?? 0;
  }

  setSequence(place: string, sequence: number): void {
    this.#sequences.set(place, sequence);
  }

  /** An append's outcome stays unknown: where the sequence stands is unknown too. */
  spoil(): void {
    this.#isUsable = false;
  }

  get isReusable(): boolean {
    return this.#isUsable && this.#sequences.size <= MAX_PARTITIONS_PER_PRODUCER;
  }
}

const idle: PooledProducer[] = [];
/** What is left of the block of ids that this isolate was given last. */
let block = { next: 0, end: 0 };

/** Does something as a producer that nobody else uses meanwhile. */
export async function withProducer<T>(
  env: Env,
  action: (producer: PooledProducer) => Promise<T>,
): Promise<T> {
  const producer = idle.pop() ?? new PooledProducer(await newProducerId(env));
  // Not in a finally: after an exception nobody knows what this producer has sent.
  const result = await action(producer);
  if (producer.isReusable && idle.length < MAX_POOLED_PRODUCERS) idle.push(producer);
  return result;
}

/** A producer id that was never given to anybody. */
export async function newProducerId(env: Env): Promise<number> {
  if (block.next === block.end) {
    const { firstProducerId, count } = await clusterStub(env).allocateProducerIds();
    // Another request may have fetched a block meanwhile; the ids of one of them are lost, which is harmless.
    block = { next: firstProducerId, end: firstProducerId + count };
  }
  return block.next++;
}
