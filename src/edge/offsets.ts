// Positions in partitions, and positions of groups against them.
import { decodeAnyBatch } from "../compression/codecs.ts";
import { BrokerError, unwrap } from "../core/errors.ts";
import type { GroupDescription } from "../core/group/describe.ts";
import { FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { type Env, groupStub, partitionStub } from "../env.ts";

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
    const { candidate, logStartOffset, highWatermark } = unwrap(
      await stub.findBatchByTimestamp(at.timestamp, from),
    );
    if (candidate === null) return { offset: highWatermark };
    const found = decodeAnyBatch(candidate.batch).find(
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
}

/** The group's offsets beside the ends of the logs. A topic deleted meanwhile is left out. */
export async function groupOffsets(env: Env, group: GroupDescription): Promise<GroupOffset[]> {
  const all = await mapConcurrently(group.offsets, FAN_OUT, async (entry) => {
    const bounds = await partitionStub(env, entry.topicId, entry.partition).offsets();
    if (!bounds.ok) return null;
    const { topic, partition, committedOffset } = entry;
    const logEndOffset = bounds.highWatermark;
    return {
      topic,
      partition,
      committedOffset,
      logEndOffset,
      lag: committedOffset === null ? null : Math.max(0, logEndOffset - committedOffset),
    };
  });
  return all.filter((entry) => entry !== null);
}

export type ResetTarget =
  | "earliest"
  | "latest"
  /** Where it is, clamped to the log. */
  | "current"
  | { readonly offset: number }
  | { readonly timestamp: number }
  | { readonly shiftBy: number };

export interface PlannedReset {
  readonly topic: string;
  readonly partition: number;
  readonly committedOffset: number | null;
  readonly offset: number;
}

/**
 * [OFF-4] [OFF-5] Where the group would go, clamped to each log; unless `dryRun`, it goes there. Refused with
 * NON_EMPTY_GROUP while the group has members, also for a dry run: the plan would be void at once.
 */
export async function resetGroup(
  env: Env,
  groupId: string,
  request: { topics: readonly string[] | undefined; to: ResetTarget; dryRun: boolean },
): Promise<PlannedReset[]> {
  const stub = groupStub(env, groupId);
  const { group } = unwrap(await stub.describe());
  if (group.members.length > 0) {
    throw new BrokerError(
      "NON_EMPTY_GROUP",
      `group ${groupId} has ${group.members.length} member(s); stop them, or wait for their session timeout`,
    );
  }
  const known = new Set(group.offsets.map((entry) => entry.topic));
  for (const topic of request.topics ?? []) {
    if (!known.has(topic))
      throw new BrokerError(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `group ${groupId} has not read topic ${topic}; it has read ${[...known].join(", ") || "none"}`,
      );
  }
  const wanted = group.offsets.filter(
    (entry) => request.topics === undefined || request.topics.includes(entry.topic),
  );
  const plan = await mapConcurrently(wanted, FAN_OUT, async (entry) => {
    const offset = await resetOffset(env, entry, request.to);
    return { ...entry, offset };
  });
  if (!request.dryRun) {
    unwrap(
      await stub.resetOffsets(
        plan.map(({ topicId, partition, offset }) => ({ topicId, partition, offset })),
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

async function resetOffset(
  env: Env,
  entry: GroupDescription["offsets"][number],
  to: ResetTarget,
): Promise<number> {
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
