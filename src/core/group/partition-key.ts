// A partition inside the coordinator. Topic id and number form one string, so sets of partitions are plain sets. Topic
// ids contain no colon (they are UUIDs).

export interface TopicPartitions {
  readonly topicId: string;
  readonly partitions: readonly number[];
}

export type PartitionKey = `${string}:${number}`;
export type PartitionSet = ReadonlySet<PartitionKey>;

export function partitionKey(topicId: string, partition: number): PartitionKey {
  return `${topicId}:${partition}`;
}

export function parsePartitionKey(key: PartitionKey): { topicId: string; partition: number } {
  const colon = key.lastIndexOf(":");
  return { topicId: key.slice(0, colon), partition: Number(key.slice(colon + 1)) };
}

export function toSet(topics: readonly TopicPartitions[]): Set<PartitionKey> {
  const set = new Set<PartitionKey>();
  for (const { topicId, partitions } of topics) {
    for (const partition of partitions) set.add(partitionKey(topicId, partition));
  }
  return set;
}

/** Groups the set by topic. Topics and partitions are ascending. */
export function fromSet(set: PartitionSet): TopicPartitions[] {
  return byTopics(Array.from(set, parsePartitionKey));
}

/** Groups partitions by topic. Topics and partitions are ascending. */
export function byTopics(
  all: Iterable<{ readonly topicId: string; readonly partition: number }>,
): { topicId: string; partitions: number[] }[] {
  const byTopic = new Map<string, number[]>();
  for (const { topicId, partition } of all) {
    const partitions = byTopic.get(topicId);
    if (partitions === undefined) byTopic.set(topicId, [partition]);
    else partitions.push(partition);
  }
  return [...byTopic]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topicId, partitions]) => ({ topicId, partitions: partitions.sort((a, b) => a - b) }));
}

export function equalSets(a: PartitionSet, b: PartitionSet): boolean {
  return a.size === b.size && a.isSubsetOf(b);
}

export const EMPTY_SET: PartitionSet = new Set();
