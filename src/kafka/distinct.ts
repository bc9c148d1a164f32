// What one request names more than once is asked once, and answered once: otherwise a small request would make an answer
// of any size [BND-16]. In Kafka too most of what is named stands in maps.
import { ERRORS } from "../core/errors.ts";
import type { Told } from "./errors.ts";

/** Each once: where it was named first, as it was named last. */
export function distinct<T>(items: readonly T[], keyOf: (item: T) => unknown): readonly T[] {
  if (items.length < 2) return items;
  const byKey = new Map(items.map((item) => [keyOf(item), item]));
  return byKey.size === items.length ? items : [...byKey.values()];
}

export function distinctNames(names: readonly string[]): readonly string[] {
  return distinct(names, (name) => name);
}

/** The keys of what is named more than once. */
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

/** What is told of one that is named more than once in a request that changes it: as in Kafka, nothing is changed. */
export function namedTwice(what: string): Told {
  return {
    errorCode: ERRORS.INVALID_REQUEST.code,
    errorMessage: `${what} is named more than once, a request may name it once`,
  };
}

interface Topic {
  readonly partitions: readonly unknown[];
}

/** Each topic once, with all of its partitions, each once. */
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

/** Each topic once, with all of its partitions. */
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
