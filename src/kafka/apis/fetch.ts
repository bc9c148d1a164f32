import { leftOf } from "../../core/elapsed.ts";
import { BrokerError, ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { MAX_FETCH_BYTES, MAX_WAIT_MS } from "../../core/limits.ts";
import { checkPartitionById, forget, topicWithPartition } from "../../edge/metadata.ts";
import { type RequestContext, service } from "../context.ts";
import { codeOf, NO_ERROR, told } from "../errors.ts";
import type { Feed, Taken } from "../feeds.ts";
import { FETCH, type RequestOf } from "../messages.ts";

type Request = RequestOf<typeof FETCH>;
type Topic = Request["topics"][number];
type Partition = Topic["partitions"][number];

/** From this version on topics are told by their ids. */
const FIRST_BY_ID = 13;
/** A partition that is being opened is waited for so long, however little the client would wait: it is not empty. */
const OPENING_MS = 1_000;

/**
 * Waits for `minBytes`, at most `maxWaitMs`. There are no fetch sessions (KIP-227): each request names all it wants, which
 * clients do when they are answered session 0.
 */
export const fetch = service(FETCH, async (request, context) => {
  const { maxWaitMs, minBytes, maxBytes, topics } = request;
  const asked = await Promise.all(
    topics.map(async (topic) => ({
      topic,
      sources: await Promise.all(
        topic.partitions.map(async (partition) => ({
          partition,
          source: await sourceOf(topic, partition, context),
        })),
      ),
    })),
  );
  const all = asked.flatMap(({ sources }) => sources.map(({ source }) => source));
  await enough(all, minBytes, Math.min(Math.max(0, maxWaitMs), MAX_WAIT_MS), context);
  let left = Math.min(maxBytes, MAX_FETCH_BYTES);
  let isFirst = true;
  const take = (source: Source, partition: Partition) => {
    if (isRefusal(source)) return source;
    const taken = source.take(Math.min(left, partition.partitionMaxBytes), isFirst);
    left -= taken.bytes;
    isFirst &&= taken.bytes === 0;
    return answerOf(taken, context);
  };
  return {
    topics: asked.map(({ topic, sources }) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitions: sources.map(({ partition, source }) => {
        const answer = take(source, partition);
        if (answer.errorCode !== NO_ERROR.errorCode && topic.name !== "") forget(topic.name);
        return { partition: partition.partition, ...answer };
      }),
    })),
  };
});

interface Refusal {
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly records: null;
}
type Source = Feed | Refusal;

function isRefusal(source: Source): source is Refusal {
  return "errorCode" in source;
}

function refusal(errorCode: number): Refusal {
  return { errorCode, highWatermark: -1, records: null };
}

async function sourceOf(
  { name, topicId }: Topic,
  { partition, fetchOffset }: Partition,
  { env, nodes, feeds, version }: RequestContext,
): Promise<Source> {
  try {
    if (partition < 0)
      throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `partition is ${partition}`);
    const ask = async () => (await topicWithPartition(env, name, partition)).topicId;
    const isByName = version < FIRST_BY_ID;
    const id = isByName ? await feeds.idOf(name, partition, ask) : topicId;
    if (!isByName && !feeds.has(id, partition)) await checkPartitionById(env, id, partition);
    if (!nodes.isOwn(nodes.leaderOf(id, partition)))
      return refusal(KAFKA_ERRORS.NOT_LEADER_OR_FOLLOWER);
    if (fetchOffset < 0) return refusal(codeOf("OFFSET_OUT_OF_RANGE"));
    return feeds.of(id, partition, fetchOffset, Date.now());
  } catch (error) {
    return refusal(codeFor(error, version));
  }
}

/** Until there is enough, or something to tell, or nothing more to wait for. */
async function enough(
  sources: readonly Source[],
  minBytes: number,
  waitMs: number,
  { feeds }: RequestContext,
): Promise<void> {
  const startMs = Date.now();
  const open = sources.filter((source): source is Feed => !isRefusal(source));
  const hasNoneToWaitFor = open.length < sources.length || open.length === 0 || minBytes <= 0;
  for (;;) {
    if (open.some(({ error }) => error !== null)) return;
    const bytes = open.reduce((sum, feed) => sum + feed.bytes, 0);
    if (bytes > 0 && bytes >= minBytes) return;
    // [BND-13] What was there was let go for others: nothing comes before the next fetch.
    if (bytes === 0 && open.some(({ isWaiting }) => isWaiting)) return;
    const isOpening = bytes === 0 && open.some((feed) => !feed.isSettled);
    const patienceMs = hasNoneToWaitFor ? 0 : waitMs;
    const atMostMs = Math.max(patienceMs, isOpening ? OPENING_MS : 0);
    const leftMs = leftOf(startMs, atMostMs, Date.now());
    if (leftMs <= 0) return;
    await feeds.news(leftMs);
  }
}

/** Who names a topic by its id knows that error by its own number. */
function codeFor(error: unknown, version: number): number {
  const isUnknownId = error instanceof BrokerError && error.code === "UNKNOWN_TOPIC_ID";
  return isUnknownId && version >= FIRST_BY_ID
    ? ERRORS.UNKNOWN_TOPIC_ID.code
    : told(error).errorCode;
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
