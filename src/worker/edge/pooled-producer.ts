// An idempotent producer of this Worker, with the sequence numbers that it has reached (producer-pool.ts).
import { MAX_PARTITIONS_PER_PRODUCER } from "../../core/limits.ts";

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

  /** Notes that the outcome of an append is unknown. The next sequence number is then unknown too. */
  spoil(): void {
    this.#isUsable = false;
  }

  get isReusable(): boolean {
    return this.#isUsable && this.#sequences.size <= MAX_PARTITIONS_PER_PRODUCER;
  }
}
