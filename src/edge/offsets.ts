// Positions in partitions, and positions of groups against them.
import { decodeAnyBatch } from "../compression/decode.ts";
import { attempt, BrokerError, unwrap } from "../core/errors.ts";
import type { GroupDescription } from "../core/group/describe.ts";
import { FAN_OUT } from "../core/limits.ts";
import { damageError } from "../core/log/damage.ts";
import { readBatchHeader } from "../core/log/record-batch.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import type { ConsumerRecord, TopicPartition } from "../core/record.ts";
import { clusterStub, type Env, groupStub, partitionStub } from "../env.ts";
import { lookAtGroup } from "./groups.ts";
import { topicMetadata } from "./metadata.ts";
import { answerOf, isDeleted, type UnreadablePartition } from "./unreadable.ts";

export type OffsetSpec =
  | "earliest"
  | "latest"
  /** The first record with the largest timestamp (KIP-734). */
  | "max-timestamp"
  | { readonly timestamp: number };

export interface ListedOffset {
  readonly offset: number;
  /** Of the record found by timestamp. */
  readonly timestamp?: number;
}

/** [LOG-6] By timestamp: the first record that is at least as new, or the end of the log where none is. */
export async function listOffset(
  env: Env,
  topicId: string,
  partition: number,
  at: OffsetSpec,
): Promise<ListedOffset> {
  const stub = partitionStub(env, topicId, partition);
  if (at === "earliest") return { offset: unwrap(await stub.offsets()).logStartOffset };
  if (at === "latest") return { offset: unwrap(await stub.offsets()).highWatermark };
  if (at === "max-timestamp") {
    const { timestamp } = unwrap(await stub.maxTimestamp());
    return listOffset(env, topicId, partition, timestamp === null ? "latest" : { timestamp });
  }
  let from = 0;
  for (;;) {
    const { candidate, topic, logStartOffset, highWatermark } = unwrap(
      await stub.findBatchByTimestamp(at.timestamp, from),
    );
    if (candidate === null) return { offset: highWatermark };
    const records = attempt(() => decodeAnyBatch(candidate.batch));
    if ("error" in records) {
      const { baseOffset } = readBatchHeader(candidate.batch);
      throw damageError({ topic, partition }, baseOffset, records.detail);
    }
    const found = records.find(
      (record) => record.offset >= logStartOffset && record.timestamp >= at.timestamp,
    );
    if (found !== undefined) return { offset: found.offset, timestamp: found.timestamp };
    // The record that made the batch new enough has been deleted: look behind it.
    from = candidate.nextOffset;
  }
}

export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  readonly committedOffset: number | null;
  readonly logEndOffset: number;
  /** Null where nothing was committed: what is unread depends on where a member will begin. */
  readonly lag: number | null;
  /** The age of the oldest record the group has not read; null where there is none, or none that can be read. */
  readonly oldestUnreadMs: number | null;
}

/** The partitions of a group, and those whose logs do not answer, each with the position that the group has there. */
export interface GroupOffsets {
  readonly offsets: readonly GroupOffset[];
  readonly unreadable: readonly UnreadablePartition[];
}

/** [OFF-6] [OFF-9] The group's offsets beside what is in the logs. A topic deleted meanwhile is left out. */
export async function groupOffsets(env: Env, group: GroupDescription): Promise<GroupOffsets> {
  const isUnused = await unusedOf(env, group);
  const unreadable: UnreadablePartition[] = [];
  const all = await mapConcurrently(group.offsets, FAN_OUT, async (entry) => {
    const { topic, topicId, partition, committedOffset } = entry;
    const stub = partitionStub(env, topicId, partition);
    const bounds = isUnused(topicId, partition)
      ? EMPTY_LOG
      : await answerOf(async () => await stub.offsets());
    if (!bounds.ok) {
      const { error: code, detail } = bounds;
      const offset = committedOffset ?? 0;
      if (!isDeleted(bounds)) unreadable.push({ topic, partition, offset, code, detail });
      return null;
    }
    const { logStartOffset, highWatermark: logEndOffset } = bounds;
    const unreadFrom = Math.max(committedOffset ?? logStartOffset, logStartOffset);
    const oldest = await firstTimestamp(stub, unreadFrom, logEndOffset);
    return {
      topic,
      partition,
      committedOffset,
      logEndOffset,
      lag: committedOffset === null ? null : Math.max(0, logEndOffset - committedOffset),
      oldestUnreadMs: oldest === null ? null : Math.max(0, Date.now() - oldest),
    };
  });
  return { offsets: all.filter((entry) => entry !== null), unreadable };
}

const EMPTY_LOG = { ok: true, logStartOffset: 0, highWatermark: 0 } as const;

/** [FIL-1] Which of the group's partitions have never been used: describing it makes none. */
async function unusedOf(
  env: Env,
  { offsets }: GroupDescription,
): Promise<(topicId: string, partition: number) => boolean> {
  const topicIds = [...new Set(offsets.map(({ topicId }) => topicId))];
  try {
    const used = await clusterStub(env).usedPartitions(topicIds);
    const byTopic = new Map(topicIds.map((topicId, i) => [topicId, used[i] ?? null]));
    return (topicId, partition) => byTopic.get(topicId)?.includes(partition) === false;
  } catch {
    return () => false; // The cluster is out of reach: each partition is asked.
  }
}

/**
 * The timestamp of the first record at or behind `from` and before `end`. Null where there is none, and where
 * the log has moved on meanwhile or its batch does not decode: a description does not fail because of it.
 */
async function firstTimestamp(
  stub: ReturnType<typeof partitionStub>,
  from: number,
  end: number,
): Promise<number | null> {
  // Mostly once: only where compaction has taken what was left of a batch there is another to look at.
  for (let offset = from; offset < end; ) {
    const read = await answerOf(async () => await stub.read({ offset, maxBytes: 1 })); // One batch at least.
    if (!read.ok || read.batches.length === 0) return null;
    const records = decoded(read.batches);
    if (records === null) return null;
    const record = records.find((each) => each.offset >= from);
    if (record !== undefined) return record.timestamp;
    offset = read.nextOffset;
  }
  return null;
}

/** Null for what does not decode: a partition's socket stores batches that nobody has looked into. */
function decoded(batch: Uint8Array): ConsumerRecord[] | null {
  const records = attempt(() => decodeAnyBatch(batch));
  return "error" in records ? null : records;
}

export type ResetTarget =
  | "earliest"
  | "latest"
  /** Where it is, clamped to the log. */
  | "current"
  | { readonly offset: number }
  | { readonly timestamp: number }
  | { readonly shiftBy: number };

/** One target for all of the group's topics or for `topics`, or a plan: an offset for each partition it names. */
export type ResetRequest = { readonly dryRun: boolean } & (
  | { readonly topics: readonly string[] | undefined; readonly to: ResetTarget }
  | { readonly offsets: readonly (TopicPartition & { readonly offset: number })[] }
);

export interface PlannedReset extends TopicPartition {
  readonly committedOffset: number | null;
  readonly offset: number;
}

type GroupEntry = GroupDescription["offsets"][number];

/**
 * [OFF-4] [OFF-5] [OFF-8] Where the group would go, clamped to each log; unless `dryRun`, it goes there. Refused with
 * NON_EMPTY_GROUP while the group has members, also for a dry run: the plan would be void at once.
 */
export async function resetGroup(
  env: Env,
  groupId: string,
  request: ResetRequest,
): Promise<PlannedReset[]> {
  const stub = groupStub(env, groupId);
  const { group } = unwrap(
    await lookAtGroup(env, groupId, async (looked) => await looked.describe()),
  );
  if (group.members.length > 0) {
    throw new BrokerError(
      "NON_EMPTY_GROUP",
      `group ${groupId} has ${group.members.length} member(s); stop them, or wait for their session timeout`,
    );
  }
  const entries = [...group.offsets, ...(await unreadEntries(env, group, request))];
  const plan = await mapConcurrently(
    targetsOf(entries, request),
    FAN_OUT,
    async ({ entry, to }) => ({
      ...entry,
      offset: await resetOffset(env, entry, to),
    }),
  );
  if (!request.dryRun) {
    unwrap(
      await stub.resetOffsets(
        plan.map(({ topic, topicId, partition, offset }) => ({
          topic,
          topicId,
          partition,
          offset,
        })),
      ),
    );
  }
  return plan.map(({ topic, partition, committedOffset, offset }) => ({
    topic,
    partition,
    committedOffset,
    offset,
  }));
}

/** The partitions of topics that the request names and the group has not read: it may be told where to begin. */
async function unreadEntries(
  env: Env,
  group: GroupDescription,
  request: ResetRequest,
): Promise<GroupEntry[]> {
  const named = "offsets" in request ? request.offsets.map(({ topic }) => topic) : request.topics;
  const unread = new Set(named).difference(new Set(group.offsets.map(({ topic }) => topic)));
  const topics = await mapConcurrently([...unread], FAN_OUT, (topic) => topicMetadata(env, topic));
  return topics.flatMap(({ name, topicId, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({
      topic: name,
      topicId,
      partition,
      committedOffset: null,
    })),
  );
}

/** Which partitions the request is about, and where each shall go. */
function targetsOf(
  entries: readonly GroupEntry[],
  request: ResetRequest,
): { entry: GroupEntry; to: ResetTarget }[] {
  if (!("offsets" in request)) {
    const { topics, to } = request;
    return entries
      .filter(({ topic }) => topics === undefined || topics.includes(topic))
      .map((entry) => ({ entry, to }));
  }
  const byTopic = Map.groupBy(entries, ({ topic }) => topic);
  return request.offsets.map(({ topic, partition, offset }) => {
    const partitions = byTopic.get(topic) ?? [];
    const entry = partitions[partition]; // A topic's partitions are listed from 0 on.
    if (entry === undefined) {
      throw new BrokerError(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `partition ${partition} of topic ${topic} does not exist, it has ${partitions.length}`,
      );
    }
    return { entry, to: { offset } };
  });
}

async function resetOffset(env: Env, entry: GroupEntry, to: ResetTarget): Promise<number> {
  if (to === "earliest" || to === "latest")
    return (await listOffset(env, entry.topicId, entry.partition, to)).offset;
  if (to !== "current" && "timestamp" in to)
    return (await listOffset(env, entry.topicId, entry.partition, to)).offset;
  const { logStartOffset, highWatermark } = unwrap(
    await partitionStub(env, entry.topicId, entry.partition).offsets(),
  );
  const current = entry.committedOffset ?? logStartOffset;
  const wanted = to === "current" ? current : "offset" in to ? to.offset : current + to.shiftBy;
  return Math.min(Math.max(wanted, logStartOffset), highWatermark);
}
