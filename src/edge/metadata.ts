// Topic metadata as this Worker remembers it: asked of the ClusterObject at most once per
// METADATA_MAX_AGE_MS and topic, and again when a partition says the topic is gone. If the ClusterObject
// cannot be reached, what is remembered goes on being used: producing and fetching do not depend on it.

import { checkTopicName, type Topic } from "../core/cluster/topics.ts";
import { isWithin } from "../core/elapsed.ts";
import { BrokerError, errorOf, unwrap } from "../core/errors.ts";
import { METADATA_CACHE_TOPICS, METADATA_MAX_AGE_MS } from "../core/limits.ts";
import { clusterStub, type Env } from "../env.ts";
import { isolate } from "./isolate.ts";

/** The topic, or INVALID_TOPIC_EXCEPTION, or UNKNOWN_TOPIC_OR_PARTITION. */
export async function topicMetadata(env: Env, name: string): Promise<Topic> {
  const known = isolate.topics.get(name);
  if (known !== undefined && isWithin(known.atMs, METADATA_MAX_AGE_MS, Date.now()))
    return known.topic;
  const invalid = checkTopicName(name);
  if (invalid !== null) throw errorOf(invalid);
  try {
    return await refresh(env, name);
  } catch (error) {
    if (error instanceof BrokerError || known === undefined) throw error;
    return known.topic; // The ClusterObject is out of reach.
  }
}

/** Asks again, whatever is remembered. */
export async function refresh(env: Env, name: string): Promise<Topic> {
  const result = await clusterStub(env).topic(name);
  forget(name);
  const { topic } = unwrap(result);
  remember(topic);
  return topic;
}

export function remember(topic: Topic): void {
  const { topics } = isolate;
  topics.set(topic.name, { topic, atMs: Date.now() });
  if (topics.size <= METADATA_CACHE_TOPICS) return;
  const oldest = topics.keys().next().value;
  if (oldest !== undefined) topics.delete(oldest);
}

export function forget(name: string): void {
  isolate.topics.delete(name);
}

/** UNKNOWN_TOPIC_OR_PARTITION unless the topic has the partition, also after asking again. */
export async function topicWithPartition(
  env: Env,
  name: string,
  partition: number,
): Promise<Topic> {
  let topic = await topicMetadata(env, name);
  if (partition >= topic.partitions) topic = await refresh(env, name);
  if (partition < topic.partitions) return topic;
  throw new BrokerError(
    "UNKNOWN_TOPIC_OR_PARTITION",
    `partition is ${partition}, topic ${name} has ${topic.partitions} (0 to ${topic.partitions - 1})`,
  );
}

/**
 * Does something with a partition. Where that says that the topic is gone, this Worker asks the cluster
 * again, once: the topic may have been deleted, or created anew under its name.
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
