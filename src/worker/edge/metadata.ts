// This Worker's memory of topic metadata. It asks the ClusterObject at most once per METADATA_MAX_AGE_MS and topic, and
// again when a partition says that the topic is gone. If the ClusterObject cannot be reached, the remembered metadata
// stays in use: producing and fetching do not depend on it.

import {
  resolveTopic,
  type Topic,
  type TopicDescription,
  whyNotTopicName,
} from "../../core/cluster/topics.ts";
import { isWithin } from "../../core/elapsed.ts";
import { BrokerError, errorOf, unwrap } from "../../core/errors.ts";
import {
  METADATA_CACHE_TOPICS,
  METADATA_MAX_AGE_MS,
  UNKNOWN_TOPIC_ID_AGE_MS,
  UNKNOWN_TOPIC_IDS,
} from "../../core/limits.ts";
import { clusterStub, type Env, type PartitionStub, partitionStub } from "../../env.ts";
import { forgetOldest, isolate } from "./isolate.ts";

/** Returns the topic. Throws INVALID_TOPIC_EXCEPTION or UNKNOWN_TOPIC_OR_PARTITION. */
export async function topicMetadata(env: Env, name: string): Promise<Topic> {
  const known = isolate.topics.get(name);
  if (known !== undefined && isWithin(known.atMs, METADATA_MAX_AGE_MS, Date.now()))
    return known.topic;
  const invalid = whyNotTopicName(name);
  if (invalid !== null) throw errorOf(invalid);
  try {
    return await refresh(env, name);
  } catch (error) {
    if (error instanceof BrokerError || known === undefined) throw error;
    return known.topic; // The ClusterObject is out of reach.
  }
}

/** Asks the cluster again, whatever is remembered. */
export async function refresh(env: Env, name: string): Promise<Topic> {
  const result = await clusterStub(env).topic({ name });
  forget(name);
  return learn(unwrap(result).topic);
}

/** [VER-4] Remembers the topic as this release understands what the cluster has described. */
export function learn(described: TopicDescription): Topic {
  const topic = resolveTopic(described);
  remember(topic);
  return topic;
}

export function remember(topic: Topic): void {
  const { topics, topicNames } = isolate;
  forget(topic.name); // The name may have belonged to another topic.
  topics.set(topic.name, { topic, atMs: Date.now() });
  topicNames.set(topic.topicId, topic.name);
  forgetOldest(topics, METADATA_CACHE_TOPICS, forget);
}

export function forget(name: string): void {
  const known = isolate.topics.get(name);
  isolate.topics.delete(name);
  if (known !== undefined) isolate.topicNames.delete(known.topic.topicId);
}

/**
 * [FIL-1] Returns the topic with this id. Throws UNKNOWN_TOPIC_ID, so a partition of a missing topic is never called.
 */
export async function topicById(env: Env, topicId: string): Promise<Topic> {
  const known = isolate.topics.get(isolate.topicNames.get(topicId) ?? "");
  if (known !== undefined && isWithin(known.atMs, METADATA_MAX_AGE_MS, Date.now()))
    return known.topic;
  const unknownMs = isolate.unknownTopicIds.get(topicId);
  if (unknownMs !== undefined && isWithin(unknownMs, UNKNOWN_TOPIC_ID_AGE_MS, Date.now()))
    throw new BrokerError("UNKNOWN_TOPIC_ID", `topic id ${topicId} does not exist`);
  try {
    return await refreshById(env, topicId);
  } catch (error) {
    if (error instanceof BrokerError || known === undefined) throw error;
    return known.topic; // The ClusterObject is out of reach.
  }
}

/** Returns the name of the topic with this id, if this isolate knows it. A topic keeps its name. */
export function nameOfTopic(topicId: string): string | null {
  return isolate.topicNames.get(topicId) ?? null;
}

async function refreshById(env: Env, topicId: string): Promise<Topic> {
  const found = await clusterStub(env).topicById({ topicId });
  if (found.ok) {
    return learn(found.topic);
  }
  const { topicNames, unknownTopicIds } = isolate;
  forget(topicNames.get(topicId) ?? "");
  unknownTopicIds.delete(topicId);
  unknownTopicIds.set(topicId, Date.now());
  forgetOldest(unknownTopicIds, UNKNOWN_TOPIC_IDS);
  throw errorOf(found);
}

/**
 * [FIL-1] Throws UNKNOWN_TOPIC_ID, or UNKNOWN_TOPIC_OR_PARTITION if the topic has no such partition. [ACL-7] Where
 * the caller was asked whether it may use the topic of a name, an id of another topic is as unknown as one of none.
 */
export async function assertPartitionById(
  env: Env,
  topicId: string,
  name: string | null,
  partition: number,
): Promise<void> {
  let topic = await topicById(env, topicId);
  if (name !== null && topic.name !== name)
    throw new BrokerError("UNKNOWN_TOPIC_ID", `topic id ${topicId} is not that of topic ${name}`);
  if (partition >= topic.partitions) topic = await refreshById(env, topicId);
  if (partition >= topic.partitions) throw unknownPartition(topic, partition);
}

function unknownPartition({ name, partitions }: Topic, partition: number): BrokerError {
  return new BrokerError(
    "UNKNOWN_TOPIC_OR_PARTITION",
    `partition is ${partition}, topic ${name} has ${partitions} (0 to ${partitions - 1})`,
  );
}

/** Returns the topic. Throws UNKNOWN_TOPIC_OR_PARTITION if it lacks the partition even after asking again. */
export async function topicWithPartition(
  env: Env,
  name: string,
  partition: number,
): Promise<Topic> {
  let topic = await topicMetadata(env, name);
  if (partition >= topic.partitions) topic = await refresh(env, name);
  if (partition < topic.partitions) return topic;
  throw unknownPartition(topic, partition);
}

/**
 * Runs the action on a partition. If the action reports that the topic is gone, this Worker asks the cluster again,
 * once: the topic may have been deleted, or created anew under its name.
 */
export async function atPartition<T>(
  env: Env,
  name: string,
  partition: number,
  action: (topicId: string) => Promise<T>,
): Promise<T> {
  const { topicId } = await topicWithPartition(env, name, partition);
  try {
    return await action(topicId);
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== "UNKNOWN_TOPIC_ID") throw error;
    await refresh(env, name);
    return action((await topicWithPartition(env, name, partition)).topicId);
  }
}

/**
 * [PLC-2] Returns the partition. If it was never called before, it begins in its topic's region, provided that this
 * isolate knows the topic.
 */
export function partitionAt(env: Env, topicId: string, partition: number): PartitionStub {
  const { topics, topicNames } = isolate;
  const region = topics.get(topicNames.get(topicId) ?? "")?.topic.region;
  return partitionStub(env, topicId, partition, region);
}

/**
 * [PLC-2] Looks a topic up unless this isolate knows it, so that `partitionAt` knows its region. A group may have assigned
 * partitions of topics that nobody here has named. Never throws: the partition itself says what is wrong.
 */
export async function knowTopic(env: Env, topicId: string): Promise<void> {
  if (isolate.topicNames.has(topicId)) return;
  await topicById(env, topicId).catch(() => {});
}
