// Fetch (API key 1), versions 4 to 16: reads records, and waits for them if there are none.
// v5 adds `logStartOffset` to the request and to the answer.
// v6 may answer KAFKA_STORAGE_ERROR (KIP-112).
// v7 adds fetch sessions, and an error of the whole answer (KIP-227).
// v8 answers a client before it is throttled (KIP-219).
// v9 adds `currentLeaderEpoch` (KIP-320).
// v10 lets batches be compressed with zstd (KIP-110).
// v11 adds `rackId`, and `preferredReadReplica` to the answer (KIP-392).
// v12 makes fields flexible (KIP-482), and adds `clusterId` and `lastFetchedEpoch` (KIP-595).
// v13 puts `topicId` in place of the name (KIP-516).
// v14 may answer OFFSET_MOVED_TO_TIERED_STORAGE (KIP-405).
// v15 puts a tagged `replicaState` in place of `replicaId` (KIP-903).
// v16 adds the addresses of current leaders to the answer, as a tagged field (KIP-951).
//
// Unlike Kafka:
// - There are no fetch sessions. The answer has session 0, so each request names every partition that it wants.
// - Replicas, racks and leader epochs are ignored, because a partition has one leader and no followers.
// - There are no transactions. `isolationLevel` only decides how the answer shows their absence [KFK-24].
// - Batches are sent as stored: zstd even in versions below 10.
// - A wait may be longer than `maxWaitMs`, by a bounded time, while a partition is being opened.

import { leftOf } from "../../../core/elapsed.ts";
import { BrokerError, ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { MAX_FETCH_BYTES, MAX_WAIT_MS } from "../../../core/limits.ts";
import { mayUseTopic } from "../../edge/authorize.ts";
import {
  assertPartitionById,
  forget,
  nameOfTopic,
  topicById,
  topicWithPartition,
} from "../../edge/metadata.ts";
import { api, type RequestOf } from "../api.ts";
import { AT_ONCE, inTurn, type RequestContext, readingService } from "../context.ts";
import { distinctPartitions } from "../distinct.ts";
import { codeOf, codeOfLookUpById, NO_ERROR, outcomeOfError } from "../errors.ts";
import type { Feed, Taken } from "../feeds.ts";
import {
  array,
  between,
  int8,
  int16,
  int32,
  int64,
  nullableArray,
  nullableString,
  records,
  since,
  string,
  struct,
  tagged,
  topicName,
  uuid,
} from "../schema.ts";

export const FETCH = api({
  key: 1,
  name: "Fetch",
  versions: [4, 16],
  flexibleFrom: 12,
  request: struct({
    clusterId: tagged(0, 12, nullableString),
    replicaId: between(0, 14, int32, -1),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: since(3, int32, 0x7fffffff),
    isolationLevel: since(4, int8),
    sessionId: since(7, int32),
    sessionEpoch: since(7, int32, -1),
    topics: array(
      struct({
        name: between(0, 12, topicName),
        topicId: since(13, uuid),
        partitions: array(
          struct({
            partition: int32,
            currentLeaderEpoch: since(9, int32, -1),
            fetchOffset: int64,
            lastFetchedEpoch: since(12, int32, -1),
            logStartOffset: since(5, int64, -1),
            partitionMaxBytes: int32,
          }),
        ),
      }),
    ),
    forgottenTopics: since(
      7,
      array(
        struct({
          name: between(7, 12, topicName),
          topicId: since(13, uuid),
          partitions: array(int32),
        }),
      ),
    ),
    rackId: since(11, string),
  }),
  response: struct({
    throttleTimeMs: since(1, int32),
    errorCode: since(7, int16),
    sessionId: since(7, int32),
    topics: array(
      struct({
        name: between(0, 12, topicName),
        topicId: since(13, uuid),
        partitions: array(
          struct({
            partition: int32,
            errorCode: int16,
            highWatermark: int64,
            lastStableOffset: since(4, int64, -1),
            logStartOffset: since(5, int64, -1),
            abortedTransactions: since(
              4,
              nullableArray(struct({ producerId: int64, firstOffset: int64 })),
              [],
            ),
            preferredReadReplica: since(11, int32, -1),
            records,
          }),
        ),
      }),
    ),
  }),
});

type Request = RequestOf<typeof FETCH>;
type Topic = Request["topics"][number];
type Partition = Topic["partitions"][number];

const READ_UNCOMMITTED = 0;
/** From this version on, requests name topics by their ids. */
const FIRST_BY_ID = 13;
/**
 * The wait for a partition that is being opened, even if the client's own wait is shorter, because the
 * partition may not be empty.
 */
const OPENING_MS = 1_000;
/**
 * The wait in milliseconds for the other partitions once there are `minBytes`. It is Kafka's default for
 * `fetch.max.wait.ms`, which a consumer is prepared to wait. A partition that is later than this is not waited
 * for again until it has news.
 */
const GATHER_MS = 500;

/**
 * The errors that say that a topic has changed. Other errors say nothing about it, and the cluster may be out
 * of reach.
 */
const CHANGED: ReadonlySet<number> = new Set([
  codeOf("UNKNOWN_TOPIC_OR_PARTITION"),
  codeOf("UNKNOWN_TOPIC_ID"),
]);

/** Waits for `minBytes`, at most `maxWaitMs`. */
export const fetch = readingService(FETCH, async (request, context) => {
  const { maxWaitMs, minBytes, maxBytes, isolationLevel } = request;
  // [KFK-24] As in Kafka, a reader that does not ask for committed records only gets nothing about
  // transactions.
  const abortedTransactions = isolationLevel === READ_UNCOMMITTED ? null : [];
  const topics = eachOnce(request.topics);
  const all = await sourcesOf(topics, context);
  let left = Math.min(maxBytes, MAX_FETCH_BYTES);
  const waitMs = Math.min(Math.max(0, maxWaitMs), MAX_WAIT_MS);
  // As in Kafka, the wait is never for more bytes than an answer may have.
  const wanted = { minBytes: Math.min(minBytes, left), maxBytes: left, waitMs };
  await waitForMinBytes(all, wanted, context);
  const isOver = await context.login.isOver(); // [SASL-5] [ACL-8]
  let isFirst = true;
  const take = (source: Source, partition: Partition) => {
    if (isRefusal(source)) return source;
    if (isOver) return refusal(codeOf("NETWORK_EXCEPTION"));
    const taken = source.take(Math.min(left, partition.partitionMaxBytes), isFirst);
    left -= taken.bytes;
    isFirst &&= taken.bytes === 0;
    return { ...answerOf(taken, context), abortedTransactions };
  };
  let next = 0;
  return {
    topics: topics.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitions: topic.partitions.map((partition) => {
        const answer = take(all[next++] as Source, partition);
        if (CHANGED.has(answer.errorCode) && topic.name !== "") forget(topic.name);
        return { partition: partition.partition, ...answer };
      }),
    })),
  };
});

interface Refusal {
  readonly errorCode: number;
  readonly highWatermark: number;
  /** Empty, never null. Kafka sends it empty too, and librdkafka 2.0.2 cannot read null. */
  readonly records: readonly Uint8Array[];
}
type Source = Feed | Refusal;

function isRefusal(source: Source): source is Refusal {
  return "errorCode" in source;
}

function refusal(errorCode: number): Refusal {
  return { errorCode, highWatermark: -1, records: [] };
}

const FORBIDDEN = refusal(codeOf("TOPIC_AUTHORIZATION_FAILED"));

function eachOnce(topics: Request["topics"]): Request["topics"] {
  return distinctPartitions(
    topics,
    ({ name, topicId }) => `${topicId} ${name}`,
    ({ partition }) => partition,
  );
}

interface Place {
  readonly index: number;
  readonly topic: Topic;
  readonly partition: Partition;
}

/**
 * Returns the sources, in the order of the partitions. Open feeds are used at once. The others are looked up, a
 * few at a time.
 */
async function sourcesOf(topics: Request["topics"], context: RequestContext): Promise<Source[]> {
  const sources: Source[] = [];
  const unknown: Place[] = [];
  let index = 0;
  for (const topic of topics) {
    const known = mayReadTopic(topic, context);
    const asked = typeof known === "boolean" ? known : await known;
    const mayRead = asked === true;
    const refused = typeof asked === "object" ? asked : FORBIDDEN;
    for (const partition of topic.partitions) {
      const id = mayRead ? knownId(topic, partition, context) : null;
      if (!mayRead) sources[index] = refused;
      else if (id === null) unknown.push({ index, topic, partition });
      else sources[index] = feedOf(id, partition, context);
      index++;
    }
  }
  if (unknown.length === 0) return sources;
  const ask = async (place: Place) => {
    sources[place.index] = await sourceOf(place.topic, place.partition, context);
  };
  await inTurn(context, unknown, ask, AT_ONCE);
  return sources;
}

/**
 * True if the caller may read the topic, or if no topic has the id. A refusal if this cannot be decided now. It
 * is checked at each fetch, whatever is fed already. It asks the cluster only about ids whose names this
 * isolate does not know.
 */
function mayReadTopic({ name, topicId }: Topic, { env, version }: RequestContext) {
  if (version < FIRST_BY_ID) return mayUseTopic(env, "READ", name);
  const known = nameOfTopic(topicId);
  if (known !== null) return mayUseTopic(env, "READ", known);
  return topicById(env, topicId).then(
    (found) => mayUseTopic(env, "READ", found.name),
    (error: unknown) => {
      // A request with the id of no topic is refused for that. No other request passes unchecked.
      if (error instanceof BrokerError && error.code === "UNKNOWN_TOPIC_ID") return true;
      return refusal(codeOfLookUpById(error));
    },
  );
}

/** Returns the topic's id if this connection has a healthy feed of the partition, and null otherwise. */
function knownId(
  { name, topicId }: Topic,
  { partition }: Partition,
  { feeds, version }: RequestContext,
): string | null {
  const id = version < FIRST_BY_ID ? feeds.knownId(name, partition) : topicId;
  return id !== null && feeds.has(id, partition) ? id : null;
}

async function sourceOf(
  { name, topicId }: Topic,
  asked: Partition,
  context: RequestContext,
): Promise<Source> {
  const { env, feeds, version } = context;
  const { partition } = asked;
  try {
    if (partition < 0)
      throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `partition is ${partition}`);
    if (version >= FIRST_BY_ID) {
      await assertPartitionById(env, topicId, null, partition);
      return feedOf(topicId, asked, context);
    }
    const found = await topicWithPartition(env, name, partition);
    feeds.setId(name, partition, found.topicId);
    return feedOf(found.topicId, asked, context);
  } catch (error) {
    return refusal(codeFor(error, version));
  }
}

function feedOf(
  id: string,
  { partition, fetchOffset }: Partition,
  { nodes, feeds, version }: RequestContext,
): Source {
  try {
    if (!nodes.isOwn(nodes.leaderOf(id, partition)))
      return refusal(KAFKA_ERRORS.NOT_LEADER_OR_FOLLOWER);
    if (fetchOffset < 0) return refusal(codeOf("OFFSET_OUT_OF_RANGE"));
    return feeds.of(id, partition, fetchOffset, Date.now());
  } catch (error) {
    return refusal(codeFor(error, version));
  }
}

interface Wanted {
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly waitMs: number;
}

/**
 * Waits until there are enough bytes, there is an error to report, or nothing more can be waited for. [KFK-26]
 * It also waits for partitions that are about to push something, because Kafka reads all partitions for one
 * answer. A partition that has pushed all that it may is enough, whatever `minBytes` is: taking its records
 * makes room for the rest.
 */
async function waitForMinBytes(
  sources: readonly Source[],
  { minBytes, maxBytes, waitMs }: Wanted,
  { feeds, work }: RequestContext,
): Promise<void> {
  const startMs = Date.now();
  const open = sources.filter((source): source is Feed => !isRefusal(source));
  const hasNoneToWaitFor = open.length < sources.length || open.length === 0 || minBytes <= 0;
  for (;;) {
    if (open.some(({ error }) => error !== null)) return;
    const bytes = open.reduce((sum, feed) => sum + feed.bytes, 0);
    const isEnough = bytes >= minBytes || open.some(({ isFull }) => isFull);
    if (bytes > 0 && isEnough) {
      const coming = comingOf(open, maxBytes);
      if (coming.length === 0) return;
      const leftMs = leftOf(startMs, GATHER_MS, Date.now());
      if (leftMs > 0) await feeds.news(leftMs);
      else for (const feed of coming) feed.isLate = true;
      continue;
    }
    // [BND-13] The bytes that were here were released for others. Nothing arrives before the next fetch.
    if (bytes === 0 && open.some(({ isWaiting }) => isWaiting)) return;
    const isOpening = bytes === 0 && open.some((feed) => !feed.isSettled);
    const patienceMs = hasNoneToWaitFor ? 0 : waitMs;
    const atMostMs = Math.max(patienceMs, isOpening ? OPENING_MS : 0);
    const leftMs = leftOf(startMs, atMostMs, Date.now());
    if (leftMs <= 0) return;
    work.look();
    await feeds.news(leftMs);
  }
}

/** Returns the feeds that are about to push something for which the answer has room after the earlier feeds. */
function comingOf(open: readonly Feed[], maxBytes: number): Feed[] {
  const coming: Feed[] = [];
  let left = maxBytes;
  for (const feed of open) {
    if (left <= 0) break;
    if (!feed.isSettled && !feed.isLate) coming.push(feed);
    left -= feed.bytes;
  }
  return coming;
}

/** Returns the error code. Clients that name topics by id know UNKNOWN_TOPIC_ID by its own code. */
function codeFor(error: unknown, version: number): number {
  return version >= FIRST_BY_ID ? codeOfLookUpById(error) : outcomeOfError(error).errorCode;
}

function answerOf(
  { error, highWatermark, logStartOffset, records }: Taken,
  { version }: RequestContext,
) {
  const isUnknownId = error === "UNKNOWN_TOPIC_ID" && version >= FIRST_BY_ID;
  return {
    errorCode:
      error === null
        ? NO_ERROR.errorCode
        : isUnknownId
          ? ERRORS.UNKNOWN_TOPIC_ID.code
          : codeOf(error),
    highWatermark,
    lastStableOffset: highWatermark,
    logStartOffset,
    records,
  };
}
