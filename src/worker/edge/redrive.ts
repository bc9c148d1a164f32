// [DLQ-5] Sends dead letters back to where they came from. A share group of its own remembers which ones were sent: each is
// accepted there once it is appended. It is appended under a key that names it, so a crash in between repeats nothing.
import { whyNotGroupId } from "../../core/cluster/topics.ts";
import { errorOf, fail, failureOf, type Result, unwrap } from "../../core/errors.ts";
import { encodeBatch } from "../../core/log/record-batch.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import { brokerError } from "../../core/platform-errors.ts";
import type { ProducerRecord } from "../../core/record.ts";
import { DEAD_LETTER_HEADERS } from "../../core/share/dead-letter.ts";
import { formatLease } from "../../core/share/lease-id.ts";
import type { Env } from "../../env.ts";
import { appendTo, isRefused } from "./append.ts";
import { assertMayUseTopic } from "./authorize.ts";
import { lookAtGroup } from "./groups.ts";
import { newestMetadata, topicMetadata } from "./metadata.ts";
import { type AcquiredRecord, acknowledge, acquire, describeShareGroup } from "./share-groups.ts";

/** The group that remembers which dead letters of a group were sent back. */
export function redriveGroupOf(groupId: string): string {
  return `${groupId}.redrive`;
}

export interface RedriveResult {
  /** The dead letters that were sent back now. */
  readonly redriven: number;
  /** Dead letters of other groups in the same topic, which stay. */
  readonly skipped: number;
  readonly failed: readonly {
    readonly partition: number;
    readonly offset: number;
    readonly detail: string;
  }[];
  /** Dead letters in the topic that were not sent back yet, by this group's count. */
  readonly left: number;
}

const FROM_UTF8 = new TextDecoder();
const ADDED: ReadonlySet<string> = new Set(Object.values(DEAD_LETTER_HEADERS));

/** Sends up to `maxRecords` dead letters of the group back. Call it until none is left. */
export async function redrive(
  env: Env,
  groupId: string,
  maxRecords: number,
): Promise<RedriveResult> {
  const { config } = unwrap(await lookAtGroup(env, groupId, async (group) => await group.config()));
  const topic = config.deadLetterTopic;
  if (topic === "") {
    const detail = `group ${groupId} has no dead-letter topic; set errors.deadletterqueue.topic.name`;
    throw errorOf(fail("INVALID_REQUEST", detail));
  }
  assertMayUseTopic(env, "READ", topic);
  const own = redriveGroupOf(groupId);
  const invalid = whyNotGroupId(own);
  if (invalid !== null) throw errorOf(invalid);
  if (!(await exists(env, topic))) return { redriven: 0, skipped: 0, failed: [], left: 0 };
  const options = { topics: [topic], maxRecords, waitMs: 0, onlyWaits: false, lockMs: null };
  const { records } = await acquire(env, own, { ...options, from: "earliest" });
  const outcomes = await mapConcurrently(records, 8, async (letter) => ({
    letter,
    outcome: await sendBack(env, groupId, letter),
  }));
  const acks = outcomes.map(({ letter, outcome }) => ({
    leaseId: formatLease(letter),
    // One of another group is left to that group's own redrive. One that failed is as if it had not been tried, because
    // otherwise it would be given up one day.
    type: outcome.ok ? ("accept" as const) : ("return" as const),
  }));
  if (acks.length > 0) await acknowledge(env, own, acks, (name) => ({ ok: true, topic: name }));
  const { shares } = await describeShareGroup(env, own);
  const sent = outcomes.filter(({ outcome }) => outcome.ok && outcome.isOwn).length;
  return {
    redriven: sent,
    skipped: outcomes.filter(({ outcome }) => outcome.ok && !outcome.isOwn).length,
    failed: outcomes.flatMap(({ letter: { partition, offset }, outcome }) =>
      outcome.ok ? [] : [{ partition, offset, detail: outcome.detail }],
    ),
    left: shares.reduce((sum, { lag }) => sum + lag, 0),
  };
}

/** False for a dead-letter topic that no record has needed yet: the first dead letter creates it. [DLQ-3] */
async function exists(env: Env, topic: string): Promise<boolean> {
  try {
    await newestMetadata(env, topic);
    return true;
  } catch (error) {
    if (brokerError(error).code === "UNKNOWN_TOPIC_OR_PARTITION") return false;
    throw error;
  }
}

/** Appends a dead letter to the topic and the partition that it came from. */
async function sendBack(
  env: Env,
  groupId: string,
  { topicId, partition, offset, record }: AcquiredRecord,
): Promise<Result<{ isOwn: boolean }>> {
  const header = (name: string) => {
    const value = record.headers.findLast(({ key }) => key === name)?.value;
    return value ? FROM_UTF8.decode(value) : null;
  };
  if (header(DEAD_LETTER_HEADERS.group) !== groupId) return { ok: true, isOwn: false };
  const name = header(DEAD_LETTER_HEADERS.topic) ?? "";
  try {
    assertMayUseTopic(env, "WRITE", name);
    const target = await topicMetadata(env, name);
    const number = Number(header(DEAD_LETTER_HEADERS.partition)) % target.partitions;
    const again: ProducerRecord = {
      timestamp: Date.now(),
      key: record.key,
      value: record.value,
      headers: record.headers.filter(({ key }) => !ADDED.has(key)),
    };
    const requestId = `redrive ${topicId}/${partition}`;
    const appended = await appendTo(env, target.topicId, number, encodeBatch([again]), {
      ...{ expectedOffset: null, isIdempotent: true },
      keyed: { producerId: 0, requestId, index: offset },
    });
    if (!isRefused(appended)) return { ok: true, isOwn: true };
    return fail(appended.code, appended.detail);
  } catch (error) {
    return failureOf(brokerError(error));
  }
}
