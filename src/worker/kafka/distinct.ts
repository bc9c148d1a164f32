// Removes repeats from a request. A repeated name is looked up once and answered once. Otherwise a small
// request could cause an answer of any size [BND-16]. Kafka too keeps most of these names in maps.
import { ERRORS } from "../../core/errors.ts";
import type { Outcome } from "./errors.ts";

/** Returns each item once, in the place of its first mention and with the value of its last. */
export function distinct<T>(items: readonly T[], keyOf: (item: T) => unknown): readonly T[] {
  if (items.length < 2) return items;
  const byKey = new Map(items.map((item) => [keyOf(item), item]));
  return byKey.size === items.length ? items : [...byKey.values()];
}

export function distinctNames(names: readonly string[]): readonly string[] {
  return distinct(names, (name) => name);
}

/** Returns the keys that occur more than once. */
export function repeated<T>(
  items: readonly T[],
  keyOf: (item: T) => unknown,
): ReadonlySet<unknown> {
  const seen = new Set<unknown>();
  const twice = new Set<unknown>();
  for (const item of items) {
    const key = keyOf(item);
    if (seen.has(key)) twice.add(key);
    seen.add(key);
  }
  return twice;
}

/**
 * Makes the error for something that a changing request names more than once. Nothing is changed then, as in
 * Kafka.
 */
export function namedTwice(what: string): Outcome {
  return {
    errorCode: ERRORS.INVALID_REQUEST.code,
    errorMessage: `${what} is named more than once, a request may name it once`,
  };
}

interface Topic {
  readonly partitions: readonly unknown[];
}

/** Returns each topic once, with each of its partitions once. */
export function distinctPartitions<T extends Topic>(
  topics: readonly T[],
  topicOf: (topic: T) => unknown,
  keyOf: (partition: T["partitions"][number]) => unknown,
): readonly T[] {
  return together(topics, topicOf).map((topic) => {
    const partitions = distinct(topic.partitions, keyOf);
    return partitions === topic.partitions ? topic : { ...topic, partitions };
  });
}

/** Returns each topic once, with all of its partitions. */
export function together<T extends Topic>(
  topics: readonly T[],
  topicOf: (topic: T) => unknown,
): readonly T[] {
  if (topics.length < 2) return topics;
  const byTopic = Map.groupBy(topics, topicOf);
  if (byTopic.size === topics.length) return topics;
  return Array.from(byTopic.values(), (parts) => {
    const [first] = parts as [T];
    return { ...first, partitions: parts.flatMap(({ partitions }) => partitions) };
  });
}
