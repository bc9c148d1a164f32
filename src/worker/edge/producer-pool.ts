// Producer ids, and the idempotent producers of this Worker [IDM-3]. Each request appends as a producer of its
// own, so requests do not wait for each other's sequence numbers. The next request then takes over that
// producer, with the sequence numbers that it has reached. There are as many producers as simultaneous
// requests.
//
//
// All requests of the isolate share the pool. It holds only numbers, and nothing that belongs to a request.
import { MAX_POOLED_PRODUCERS } from "../../core/limits.ts";
import { isolate } from "./isolate.ts";
import { PooledProducer } from "./pooled-producer.ts";

/** Runs the action with a producer that no other request is using. */
export async function withProducer<T>(
  action: (producer: PooledProducer) => Promise<T>,
): Promise<T> {
  const producer = isolate.idleProducers.pop() ?? new PooledProducer(newProducerId());
  // This is not in a `finally`: after an exception, it is unknown what this producer has sent.
  const result = await action(producer);
  const { idleProducers } = isolate;
  if (producer.isReusable && idleProducers.length < MAX_POOLED_PRODUCERS)
    idleProducers.push(producer);
  return result;
}

/**
 * [IDM-3] Returns a unique producer id, from 1 to 2^53 - 1. It is random, so nobody can guess the next one, and
 * a file that lost its end cannot cause an id to be used twice.
 */
export function newProducerId(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
  return Math.max(1, (high % 2 ** 21) * 2 ** 32 + low);
}
