// Applies a request to topics or configs, each item by itself.

import { answerEach, type RequestContext } from "./context.ts";
import { distinct, namedTwice, repeated } from "./distinct.ts";
import { outcomeOf } from "./errors.ts";

interface Named<Fields> {
  /** Identifies the item. */
  readonly key: string;
  /** Names the item in an error. */
  readonly shown: string;
  /** The fields that name the item in the answer. */
  readonly fields: Fields;
}

/**
 * Changes each item independently. An error affects only its own item. An item that is named twice is not
 * changed at all, as in Kafka. A change keeps objects busy, so others get a turn after each one.
 */
export function changeEach<T, Fields extends object, R extends object>(
  context: RequestContext,
  items: readonly T[],
  nameOf: (item: T) => Named<Fields>,
  change: (item: T) => Promise<R>,
) {
  const keyOf = (item: T) => nameOf(item).key;
  const twice = repeated(items, keyOf);
  return answerEach(context, distinct(items, keyOf), async (item) => {
    const { key, shown, fields } = nameOf(item);
    const outcome = twice.has(key) ? namedTwice(shown) : await outcomeOf(() => change(item));
    await context.work.pause();
    return { ...fields, ...outcome };
  });
}
