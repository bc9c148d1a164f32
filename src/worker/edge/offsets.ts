// Offsets in partitions, and the lag of groups.
import { decodeAnyBatch } from "../../compression/decode.ts";
import { groupResource } from "../../core/access/grants.ts";
import { attempt, BrokerError, unwrap } from "../../core/errors.ts";
import type { GroupDescription } from "../../core/group/describe.ts";
import { FAN_OUT } from "../../core/limits.ts";
import { damageError } from "../../core/log/damage.ts";
import { readBatchHeader } from "../../core/log/record-batch.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import { type Env, groupStub, type PartitionStub } from "../../env.ts";
import { noteChange } from "./audit.ts";
import { assertMayUseTopic, seesTopic } from "./authorize.ts";
import { lookAtGroup } from "./groups.ts";
import { beginOf, partitionAt, topicMetadata } from "./metadata.ts";
import { PartitionUse } from "./partition-use.ts";
import { describeShareGroup } from "./share-groups.ts";
import { answerOf, saysDeleted, type UnreadablePartition } from "./unreadable.ts";

export type OffsetSpec =
  | "earliest"
  | "latest"
  /** The first record with the largest timestamp (KIP-734). */
  | "max-timestamp"
  | { readonly timestamp: number };

export interface ListedOffset {
  readonly offset: number;
  /** The timestamp of the record that was found by timestamp. */
  readonly timestamp?: number;
}

/**
 * [LOG-6] Finds an offset. A timestamp finds the first record that is at least as new, or the end of the log if
 * there is none.
 */
export async function listOffset(
  env: Env,
  topicId: string,
  partition: number,
  at: OffsetSpec,
  use = new PartitionUse(env),
): Promise<ListedOffset> {
  if (await use.isUnused(topicId, partition)) return { offset: 0 };
  const stub = partitionAt(env, topicId, partition);
  const begin = beginOf(env, topicId, partition);
  if (at === "earliest") return { offset: unwrap(await stub.offsets({ begin })).logStartOffset };
  if (at === "latest") return { offset: unwrap(await stub.offsets({ begin })).highWatermark };
  if (at === "max-timestamp") {
    const { timestamp } = unwrap(await stub.maxTimestamp());
    const found = timestamp === null ? "latest" : { timestamp };
    return listOffset(env, topicId, partition, found, use);
  }
  let from = 0;
  for (;;) {
    const { candidate, topic, logStartOffset, highWatermark } = unwrap(
      await stub.findBatchByTimestamp({ timestamp: at.timestamp, from }),
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
    // The record that made the batch new enough has been deleted. The search continues after the batch.
    from = candidate.nextOffset;
  }
}

export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  readonly committedOffset: number | null;
  readonly logEndOffset: number;
  /** Null if nothing was committed: the number of unread records depends on where a member starts. */
  readonly lag: number | null;
  /** The age of the oldest record that the group has not read. Null if there is none, or none that can be read. */
  readonly oldestUnreadMs: number | null;
}

/** The partitions of a group, and those whose logs do not answer, each with the group's committed offset there. */
export interface GroupOffsets {
  readonly offsets: readonly GroupOffset[];
  readonly unreadable: readonly UnreadablePartition[];
}

/**
 * [OFF-6] [OFF-9] Returns the group's committed offsets beside those of the logs. A topic deleted in the
 * meantime is left out.
 */
export async function groupOffsets(env: Env, group: GroupDescription): Promise<GroupOffsets> {
  const use = new PartitionUse(env);
  use.ask([...new Set(group.offsets.map(({ topicId }) => topicId))]);
  const unreadable: UnreadablePartition[] = [];
  const all = await mapConcurrently(group.offsets, FAN_OUT, async (entry) => {
    const { topic, topicId, partition, committedOffset } = entry;
    const stub = partitionAt(env, topicId, partition);
    const bounds = await answerOf(() => use.boundsOf(topicId, partition));
    if (!bounds.ok) {
      const { error: code, detail } = bounds;
      const offset = committedOffset ?? 0;
      if (!saysDeleted(bounds)) unreadable.push({ topic, partition, offset, code, detail });
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
      // Records removed by retention or a deletion do not count: nobody will read them.
      lag: committedOffset === null ? null : Math.max(0, logEndOffset - unreadFrom),
      oldestUnreadMs: oldest === null ? null : Math.max(0, Date.now() - oldest),
    };
  });
  return { offsets: all.filter((entry) => entry !== null), unreadable };
}

/**
 * Returns the timestamp of the first record at or after `from` and before `end`. Null if there is none, if the
 * log has moved on, or if its batch does not decode. A description does not fail because of that.
 */
async function firstTimestamp(
  stub: PartitionStub,
  from: number,
  end: number,
): Promise<number | null> {
  // Usually this runs once. Another batch is examined only if compaction has removed the rest of the first one.
  for (let offset = from; offset < end; ) {
    const read = await answerOf(async () => await stub.read({ offset, maxBytes: 1 })); // At least one batch.
    if (!read.ok || read.batches.length === 0) return null;
    const records = decoded(read.batches);
    if (records === null) return null;
    const record = records.find((each) => each.offset >= from);
    if (record !== undefined) return record.timestamp;
    offset = read.nextOffset;
  }
  return null;
}

/**
 * Decodes a batch. Null if it does not decode, because a partition's socket stores batches that nobody has
 * checked.
 */
function decoded(batch: Uint8Array): ConsumerRecord[] | null {
  const records = attempt(() => decodeAnyBatch(batch));
  return "error" in records ? null : records;
}

export type ResetTarget =
  | "earliest"
  | "latest"
  /** The group's own committed offset, clamped to the log. */
  | "current"
  | { readonly offset: number }
  | { readonly timestamp: number }
  | { readonly shiftBy: number };

/**
 * One target for all of the group's topics or for `topics`. Or a plan, with an offset for each partition that
 * it names.
 */
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
 * [OFF-4] [OFF-5] [OFF-8] Computes the new offsets, clamped to each log, and commits them unless `dryRun`.
 * Without topics it covers the group's topics that the caller may see. Refused with NON_EMPTY_GROUP while the
 * group has members, even for a dry run, because the plan would be void at once. `admit` is called with the
 * number of partitions before anything changes. If it throws, nothing changes.
 */
export async function resetGroup(
  env: Env,
  groupId: string,
  request: ResetRequest,
  admit: (partitions: number) => void = () => {},
): Promise<PlannedReset[]> {
  const stub = groupStub(env, groupId);
  const { group: whole } = unwrap(
    await lookAtGroup(env, groupId, async (looked) => await looked.describe()),
  );
  // [ACL-6] Otherwise a refusal would reveal a topic that nobody named.
  const visible = whole.offsets.filter(({ topic }) => seesTopic(env, topic));
  const isShare = whole.kind === "share";
  const group = { ...whole, offsets: isShare ? await withStarts(env, groupId, visible) : visible };
  const named = "offsets" in request ? request.offsets.map(({ topic }) => topic) : request.topics;
  const topics = named ?? group.offsets.map(({ topic }) => topic);
  for (const topic of new Set(topics)) assertMayUseTopic(env, "READ", topic);
  if (group.members.length > 0) {
    throw new BrokerError(
      "NON_EMPTY_GROUP",
      `group ${groupId} has ${group.members.length} member(s); stop them, or wait for their session timeout`,
    );
  }
  const entries = [...group.offsets, ...(await unreadEntries(env, group, request))];
  const targets = targetsOf(entries, request);
  admit(targets.length);
  const use = new PartitionUse(env);
  const plan = await mapConcurrently(targets, FAN_OUT, async ({ entry, to }) => ({
    ...entry,
    offset: await resetOffset(env, entry, to, use),
  }));
  if (!request.dryRun) {
    if (isShare) await resetShares(env, groupId, plan);
    else
      unwrap(
        await stub.resetOffsets({
          offsets: plan.map(({ topic, topicId, partition, offset }) => ({
            topic,
            topicId,
            partition,
            offset,
          })),
        }),
      );
    const moved = plan.filter(({ committedOffset, offset }) => committedOffset !== offset);
    const named = new Set(moved.map(({ topic }) => topic));
    if (named.size > 0)
      noteChange(env, "resetOffsets", groupResource(groupId), [...named].join(","));
  }
  return plan.map(({ topic, partition, committedOffset, offset }) => ({
    topic,
    partition,
    committedOffset,
    offset,
  }));
}

/** [SHR-12] Returns the partitions of a share group, with their start offsets as committed ones. */
export async function withStarts(
  env: Env,
  groupId: string,
  entries: readonly GroupEntry[],
): Promise<GroupEntry[]> {
  const { shares } = await describeShareGroup(env, groupId);
  const starts = new Map(
    shares.map(({ topic, partition, startOffset }) => [`${topic}/${partition}`, startOffset]),
  );
  return entries.map((entry) => {
    const committedOffset = starts.get(`${entry.topic}/${entry.partition}`) ?? null;
    return { ...entry, committedOffset };
  });
}

/** [SHR-12] Makes the share group begin again at these offsets. */
async function resetShares(
  env: Env,
  groupId: string,
  plan: readonly (GroupEntry & { readonly offset: number })[],
): Promise<void> {
  const topics = [...new Set(plan.map(({ topic }) => topic))];
  const { incarnation } = unwrap(await groupStub(env, groupId).openShare({ topics }));
  await mapConcurrently(plan, FAN_OUT, async ({ topicId, partition, offset }) => {
    const stub = partitionAt(env, topicId, partition);
    unwrap(await stub.resetShare({ group: groupId, incarnation, startOffset: offset }));
  });
}

/**
 * Finds the requested partitions of topics that the group has not read. A reset may set where a group starts
 * there.
 */
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

/** Returns the partitions that the request concerns, each with its target. */
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
    const entry = partitions[partition]; // A topic's partitions are listed from 0.
    if (entry === undefined) {
      throw new BrokerError(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `partition ${partition} of topic ${topic} does not exist, it has ${partitions.length}`,
      );
    }
    return { entry, to: { offset } };
  });
}

async function resetOffset(
  env: Env,
  { topicId, partition, committedOffset }: GroupEntry,
  to: ResetTarget,
  use: PartitionUse,
): Promise<number> {
  if (to === "earliest" || to === "latest" || (to !== "current" && "timestamp" in to))
    return (await listOffset(env, topicId, partition, to, use)).offset;
  const { logStartOffset, highWatermark } = unwrap(await use.boundsOf(topicId, partition));
  const current = committedOffset ?? logStartOffset;
  const wanted = to === "current" ? current : "offset" in to ? to.offset : current + to.shiftBy;
  return Math.min(Math.max(wanted, logStartOffset), highWatermark);
}
