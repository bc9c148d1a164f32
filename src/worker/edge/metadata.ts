// This Worker's cache of topic metadata. It asks the cluster about a topic at most once per METADATA_FRESH_MS,
// and again when a partition reports that the topic is gone. Meanwhile requests continue with the cached
// metadata. Requests that need the same answer share one question. If the cluster cannot be reached, cached
// metadata stays in use: producing and fetching do not depend on the cluster [CLU-5].

import type { HotTopics, UsedTopic } from "../../calls/cluster-calls.ts";
import type { Beginning } from "../../calls/partition-calls.ts";
import {
  resolveTopic,
  type Topic,
  type TopicDescription,
  whyNotTopicName,
} from "../../core/cluster/topics.ts";
import { isWithin } from "../../core/elapsed.ts";
import { BrokerError, errorOf, type Result } from "../../core/errors.ts";
import {
  LOOKUP_PATIENCE_MS,
  METADATA_CACHE_TOPICS,
  METADATA_FRESH_MS,
  METADATA_RENEWAL_MS,
  METADATA_SHOWN_MS,
  METADATA_STALE_MS,
  UNKNOWN_TOPIC_AGE_MS,
  UNKNOWN_TOPICS,
  USED_PARTITIONS,
} from "../../core/limits.ts";
import {
  clusterStub,
  type Env,
  type PartitionStub,
  partitionStub,
  type RelayPlace,
  type RelayStub,
  relayStub,
} from "../../env.ts";
import { forgetOldest, isolate, type KnownTopic } from "./isolate.ts";
import { after } from "./timer.ts";

type Described = Result<UsedTopic & HotTopics>;

/** Returns the topic. Throws INVALID_TOPIC_EXCEPTION or UNKNOWN_TOPIC_OR_PARTITION. */
export async function topicMetadata(env: Env, name: string): Promise<Topic> {
  const known = isolate.topics.get(name);
  if (known !== undefined) return usable(env, known, () => refresh(env, name));
  const invalid = whyNotTopicName(name);
  if (invalid !== null) throw errorOf(invalid);
  if (isUnknown(aboutName(name)))
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
  return await sharedByName(env, name);
}

/** Asks the cluster again, whatever is cached. */
export async function refresh(env: Env, name: string): Promise<Topic> {
  const wantsHot = isolate.topics.size === 0;
  const found = await clusterStub(env).topic({ name, wantsHot });
  forget(name);
  return learnFound(env, found, aboutName(name));
}

function sharedByName(env: Env, name: string): Promise<Topic> {
  return shared(aboutName(name), {
    ask: () => refresh(env, name),
    known: () => isolate.topics.get(name),
  });
}

/** Questions about a name are kept apart from questions about an id, because a topic's name may look like an id. */
function aboutName(name: string): string {
  return `name ${name}`;
}

function aboutId(topicId: string): string {
  return `id ${topicId}`;
}

/**
 * Returns the known topic if it may be used. If it is old, the cluster is asked in the background. If it is too
 * old, this request waits for the answer, unless the cluster is out of reach.
 */
async function usable(env: Env, known: KnownTopic, ask: () => Promise<Topic>): Promise<Topic> {
  const { topic, atMs, freshMs, renewedMs } = known;
  const nowMs = Date.now();
  if (isWithin(atMs, freshMs, nowMs)) return topic;
  if (renewedMs !== null && isWithin(renewedMs, METADATA_RENEWAL_MS, nowMs)) return topic;
  known.renewedMs = nowMs;
  const asked = ask().catch((error: unknown) => {
    if (error instanceof BrokerError) throw error;
    return topic; // The ClusterObject is out of reach.
  });
  if (!isWithin(atMs, METADATA_STALE_MS, nowMs)) return await asked;
  const done = asked.catch(() => {}); // An error means that the topic is gone and forgotten. The next request reports it.
  env.from?.waitUntil?.(done);
  return topic;
}

/**
 * Asks a question, unless another request of this isolate has asked it and may soon have the answer. The other
 * request may be cancelled, and its answer then never comes, so this one does not wait long. One of the waiting
 * requests asks anew, and the others wait for that one.
 */
async function shared(
  about: string,
  { ask, known }: { ask: () => Promise<Topic>; known: () => KnownTopic | undefined },
): Promise<Topic> {
  const { lookups } = isolate;
  let waitedFor: Promise<Topic> | null = null;
  for (;;) {
    const other = lookups.get(about);
    if (other === undefined || other === waitedFor) break;
    waitedFor = other;
    let stop = () => {};
    const patience = new Promise<null>((resolve) => {
      stop = after(LOOKUP_PATIENCE_MS, () => resolve(null));
    });
    const found = await Promise.race([other, patience]).finally(() => stop());
    if (found !== null) return found;
    const learnt = known(); // Another request may have learned it in the meantime.
    if (learnt !== undefined && isWithin(learnt.atMs, LOOKUP_PATIENCE_MS, Date.now()))
      return learnt.topic;
  }
  const asked = ask();
  asked.catch(() => {}); // The caller gets the error.
  lookups.set(about, asked);
  forgetOldest(lookups, METADATA_CACHE_TOPICS);
  try {
    return await asked;
  } finally {
    if (lookups.get(about) === asked) lookups.delete(about);
  }
}

function learnFound(env: Env, found: Described, about: string): Topic {
  if (found.ok) {
    isolate.unknownTopics.delete(about);
    for (const { topic, used = null } of found.hot ?? []) learn(topic, used);
    const topic = learn(found.topic, found.used ?? null);
    const known = isolate.topics.get(topic.name);
    if (known !== undefined) known.askedFor = env.from?.request ?? null;
    return topic;
  }
  const { unknownTopics } = isolate;
  unknownTopics.delete(about);
  unknownTopics.set(about, Date.now());
  forgetOldest(unknownTopics, UNKNOWN_TOPICS);
  throw errorOf(found);
}

function isUnknown(about: string): boolean {
  const atMs = isolate.unknownTopics.get(about);
  return atMs !== undefined && isWithin(atMs, UNKNOWN_TOPIC_AGE_MS, Date.now());
}

/** [VER-4] Caches the topic, resolved as this release understands the cluster's description. */
export function learn(described: TopicDescription, used: readonly number[] | null = null): Topic {
  const topic = resolveTopic(described);
  remember(topic, used);
  return topic;
}

export function remember(topic: Topic, used: readonly number[] | null = null): void {
  const { topics, topicNames, unknownTopics } = isolate;
  const before = topics.get(topic.name);
  const wasUsed = before?.topic.topicId === topic.topicId ? before.used : null;
  forget(topic.name); // The name may have belonged to another topic.
  unknownTopics.delete(aboutName(topic.name));
  unknownTopics.delete(aboutId(topic.topicId));
  topics.set(topic.name, {
    topic,
    used: used === null ? wasUsed : new Set(used),
    atMs: Date.now(),
    freshMs: METADATA_FRESH_MS * (1 + Math.random() / 5),
    renewedMs: null,
    askedFor: null,
  });
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
  const known = knownById(topicId);
  if (known !== undefined) return usable(env, known, () => refreshById(env, topicId));
  if (isUnknown(aboutId(topicId)))
    throw new BrokerError("UNKNOWN_TOPIC_ID", `topic id ${topicId} does not exist`);
  return await shared(aboutId(topicId), {
    ask: () => refreshById(env, topicId),
    known: () => knownById(topicId),
  });
}

function knownById(topicId: string): KnownTopic | undefined {
  return isolate.topics.get(isolate.topicNames.get(topicId) ?? "");
}

/** Returns the name of the topic with this id, if this isolate knows it. A topic's name never changes. */
export function nameOfTopic(topicId: string): string | null {
  return isolate.topicNames.get(topicId) ?? null;
}

async function refreshById(env: Env, topicId: string): Promise<Topic> {
  const wantsHot = isolate.topics.size === 0;
  const found = await clusterStub(env).topicById({ topicId, wantsHot });
  if (!found.ok) forget(isolate.topicNames.get(topicId) ?? "");
  return learnFound(env, found, aboutId(topicId));
}

/**
 * [FIL-1] Throws UNKNOWN_TOPIC_ID, or UNKNOWN_TOPIC_OR_PARTITION if the topic has no such partition. [ACL-7] If
 * access was checked for a topic name, the id of another topic counts as unknown.
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

/**
 * [CLU-5] Returns the topic as of at most METADATA_SHOWN_MS ago, for display, with the changes that this
 * isolate has made. If the cluster is out of reach, it is as this isolate last knew it.
 */
export async function newestMetadata(env: Env, name: string): Promise<Topic> {
  const known = isolate.topics.get(name);
  const isOfDefaults = known !== undefined && known.atMs > isolate.defaultsChangedMs;
  if (isOfDefaults && isWithin(known.atMs, METADATA_SHOWN_MS, Date.now())) return known.topic;
  try {
    return await sharedByName(env, name);
  } catch (error) {
    if (error instanceof BrokerError || known === undefined) throw error;
    return known.topic;
  }
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
 * Runs the action on a partition. If the action reports that the topic is gone, this Worker asks the cluster
 * again, once. The topic may have been deleted, or created anew under its name.
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
 * [PLC-2] Returns the partition. On its first call it is created in its topic's region, if this isolate knows
 * the topic.
 */
export function partitionAt(env: Env, topicId: string, partition: number): PartitionStub {
  return partitionStub(env, topicId, partition, regionOfTopic(topicId));
}

/** [RLY-6] Returns a relay of the partition. It is created in the topic's region, like the partition. */
export function relayAt(env: Env, place: RelayPlace): RelayStub {
  return relayStub(env, place, regionOfTopic(place.topicId));
}

function regionOfTopic(topicId: string): string | undefined {
  const { topics, topicNames } = isolate;
  return topics.get(topicNames.get(topicId) ?? "")?.topic.region;
}

/**
 * [PLC-3] Returns the topic for a partition that may be about to begin, so that it need not ask the cluster.
 * Undefined if the partition is known to have been used, or nobody knows.
 */
export function beginOf(env: Env, topicId: string, partition: number): Beginning["begin"] {
  const known = knownById(topicId);
  if (known === undefined || known.used === null || partition >= known.topic.partitions)
    return undefined;
  if (known.used.has(partition) || isolate.usedPartitions.has(`${topicId}/${partition}`))
    return undefined;
  const { config: _, ...description } = known.topic; // It is derived from the other fields.
  // Only what the cluster has reported since this request began is certain to follow a deletion that the client
  // knows of.
  const isCurrent = known.askedFor !== null && known.askedFor === env.from?.request;
  return isCurrent ? { ...description, isCurrent } : description;
}

/** Remembers that a partition has been used. That never changes back. */
export function noteUsed(topicId: string, partition: number): void {
  isolate.usedPartitions.set(`${topicId}/${partition}`, true);
  forgetOldest(isolate.usedPartitions, USED_PARTITIONS);
}

/** True if this isolate knows that the partition has been used. */
export function isKnownAsUsed(topicId: string, partition: number): boolean {
  const isUsed = knownById(topicId)?.used?.has(partition) ?? false;
  return isUsed || isolate.usedPartitions.has(`${topicId}/${partition}`);
}

/**
 * [PLC-2] Looks a topic up unless this isolate knows it, so that `partitionAt` knows its region. A group may
 * have assigned partitions of topics that no request here has named. Never throws: the partition itself reports
 * errors.
 */
export async function knowTopic(env: Env, topicId: string): Promise<void> {
  if (isolate.topicNames.has(topicId)) return;
  await topicById(env, topicId).catch(() => {});
}
