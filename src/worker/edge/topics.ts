// Changes of topics, and the list of all topics. They go to the cluster, and its answers are cached
// (metadata.ts).
import type { ClusterRequest, DeletedTopic } from "../../calls/cluster-calls.ts";
import {
  CLUSTER,
  isAllowed,
  type Room,
  roomsFor,
  topicResource,
} from "../../core/access/grants.ts";
import { resolveTopic, type Topic } from "../../core/cluster/topics.ts";
import { BrokerError, type Result, unwrap } from "../../core/errors.ts";
import { MAX_LIST_PAGE, METADATA_CACHE_TOPICS } from "../../core/limits.ts";
import { clusterStub, type Env } from "../../env.ts";
import { noteChange } from "./audit.ts";
import { callerIn, seesTopic } from "./authorize.ts";
import { isolate } from "./isolate.ts";
import { forget, learn, remember } from "./metadata.ts";
import { noteInMetrics } from "./metrics.ts";
import { inside } from "./namespace.ts";
import { type AskPage, everyItem, type Page, pageOf } from "./pages.ts";

/** [QUO-5] Returns the bounds on the number of topics that the caller's grants set for creating this one. */
function roomsOf(env: Env, name: string): { rooms?: readonly Room[] } {
  const caller = callerIn(env);
  if (isAllowed(caller, "CREATE", CLUSTER)) return {};
  const rooms = roomsFor(caller, "CREATE", topicResource(name));
  return rooms === undefined ? {} : { rooms };
}

/** [PLC-2] Adds the region from which a topic is created, if it is known. */
function withRegion(
  env: Env,
  request: ClusterRequest<"createTopic">,
): ClusterRequest<"createTopic"> {
  return env.region === undefined ? request : { ...request, region: env.region };
}

/** [CLU-1] */
export async function createTopic(
  env: Env,
  request: ClusterRequest<"createTopic">,
): Promise<Result<{ topic: Topic }>> {
  const created = await clusterStub(env).createTopic({
    ...withRegion(env, request),
    ...roomsOf(env, request.name),
  });
  if (created.ok) noteChange(env, "createTopic", topicResource(request.name));
  return created.ok ? { ok: true, topic: learn(created.topic, []) } : created;
}

/** [CLU-3] Throws the failure, if any. */
export async function alterTopic(env: Env, request: ClusterRequest<"alterTopic">): Promise<Topic> {
  const { topic, isChanged } = unwrap(await clusterStub(env).alterTopic(request));
  const { name, partitions, config } = request;
  if (isChanged !== false)
    noteChange(env, "alterTopic", topicResource(name), JSON.stringify({ partitions, config }));
  return learn(topic);
}

/** [CFG-3] Changes the defaults of all topics. Throws the failure, if any. */
export async function alterDefaults(env: Env, changes: Readonly<Record<string, unknown>>) {
  const { isChanged, ...altered } = unwrap(await clusterStub(env).alterDefaults({ changes }));
  isolate.defaultsChangedMs = Date.now();
  if (isChanged !== false) noteChange(env, "alterConfigs", CLUSTER, JSON.stringify(changes));
  return altered;
}

/** [CLU-4] Throws the failure, if any. */
export async function deleteTopic(env: Env, name: string): Promise<void> {
  const known = isolate.topics.get(name);
  try {
    unwrap(await clusterStub(env).deleteTopic({ name }));
  } catch (error) {
    // [CLU-5] If the cluster was out of reach, nothing is known to be deleted, and the topic stays.
    if (error instanceof BrokerError) forget(name);
    throw error;
  }
  forget(name);
  isolate.listed?.topics.delete(name);
  if (known !== undefined) {
    const { topicId } = known.topic;
    noteInMetrics(env, (metrics) => metrics.forgetTopic({ topicId }));
  }
  noteChange(env, "deleteTopic", topicResource(name));
}

/** [DEL-1] Returns a page of the kept deleted topics that the caller may see. */
export async function deletedTopicPage(
  env: Env,
  after: string,
  limit: number,
): Promise<Page<DeletedTopic>> {
  const ask: AskPage<DeletedTopic> = async (from, size) =>
    (await clusterStub(env).deletedTopics({ after: from, limit: size })).topics;
  const sees = ({ topic }: DeletedTopic) => seesTopic(env, topic.name);
  return await pageOf(ask, placeOf, sees, after, limit);
}

function placeOf({ topic }: DeletedTopic): string {
  return `${topic.name}/${topic.topicId}`;
}

/**
 * [DEL-2] Restores a deleted topic. Throws UNKNOWN_TOPIC_OR_PARTITION if none with that name, or that id, is
 * kept. Throws INVALID_REQUEST if several are kept and no id selects one.
 */
export async function undeleteTopic(env: Env, name: string, topicId?: string): Promise<Topic> {
  const kept = await keptTopics(env, name, topicId);
  const [only, ...others] = kept;
  if (only === undefined || others.length > 0) throw severalKept(name, kept);
  const { topic } = unwrap(await clusterStub(env).undeleteTopic({ topicId: only.topic.topicId }));
  noteChange(env, "undeleteTopic", topicResource(name));
  return learn(topic);
}

/** [DEL-1] Frees the deleted topics of a name now, or the one with the id. */
export async function purgeTopic(env: Env, name: string, topicId?: string): Promise<void> {
  for (const { topic } of await keptTopics(env, name, topicId))
    unwrap(await clusterStub(env).purgeTopic({ topicId: topic.topicId }));
  noteChange(env, "purgeTopic", topicResource(name));
}

async function keptTopics(env: Env, name: string, topicId?: string): Promise<DeletedTopic[]> {
  const { topics } = await clusterStub(env).deletedTopics({ name, limit: MAX_LIST_PAGE });
  const found = topics.filter(({ topic }) => topicId === undefined || topic.topicId === topicId);
  if (found.length > 0) return found;
  const which = topicId === undefined ? "" : ` with the id ${topicId}`;
  const detail = `no deleted topic ${name}${which} is kept`;
  throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", detail);
}

function severalKept(name: string, kept: readonly DeletedTopic[]): BrokerError {
  const ids = kept.map(({ topic }) => topic.topicId).join(", ");
  return new BrokerError(
    "INVALID_REQUEST",
    `topicId: ${kept.length} deleted topics were named ${name}, so it must be one of ${ids}`,
  );
}

/** Lists all topics by name. They are not cached, because there may be more than memory holds. */
export async function listTopics(env: Env): Promise<Topic[]> {
  return await everyItem(askTopics(env), ({ name }) => name);
}

/**
 * [CLU-5] Lists all topics, and caches them. If the cluster is out of reach, the list is as this isolate last
 * knew it, with the topics that it has learned of since. Kafka's clients ask for this list as soon as they
 * connect.
 */
export async function newestTopics(env: Env): Promise<Topic[]> {
  const atMs = Date.now();
  try {
    const topics = await listTopics(env);
    for (const topic of topics) remember(topic);
    const byName = () => new Map(topics.map((topic) => [topic.name, topic]));
    isolate.listed = topics.length > METADATA_CACHE_TOPICS ? null : { topics: byName(), atMs };
    return topics;
  } catch (error) {
    const { listed } = isolate;
    if (error instanceof BrokerError || listed === null) throw error;
    const known = new Map(listed.topics);
    // Topics that were known before and are not listed were deleted elsewhere.
    for (const [name, { topic, atMs: learntMs }] of isolate.topics)
      if (learntMs >= listed.atMs) known.set(name, topic);
    return [...known.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** [CLU-6] Returns a page of the topics that the caller may see. */
export async function topicPage(env: Env, after: string, limit: number): Promise<Page<Topic>> {
  const sees = ({ name }: Topic) => seesTopic(env, name);
  return await pageOf(askTopics(env), ({ name }) => name, sees, after, limit, inside(env, ""));
}

function askTopics(env: Env): AskPage<Topic> {
  return async (after, limit) => {
    const { topics } = await clusterStub(env).topicPage({ after, limit });
    return topics.map(resolveTopic);
  };
}
