// [RCV-1] Recovers one object to an earlier time, and first reports what would be lost.

import type { RecoveryPoint, Restored } from "../../calls/recovery.ts";
import { CLUSTER, groupResource, topicResource } from "../../core/access/grants.ts";
import { BrokerError, ERRORS, errorOf, type Result, unwrap } from "../../core/errors.ts";
import { unknownGroup } from "../../core/group/admission.ts";
import { RECOVERY_MS, RECOVERY_POLL_MS, RECOVERY_WAIT_MS } from "../../core/limits.ts";
import { brokerError } from "../../core/platform-errors.ts";
import type { Recovery, RecoveryFacts, RecoveryTarget } from "../../core/recovery-info.ts";
import { clusterStub, type Env, groupStub, type PartitionStub } from "../../env.ts";
import { noteChange } from "./audit.ts";
import { committedOffsets, groupExists } from "./groups.ts";
import { forgetEverything } from "./isolate.ts";
import { atPartition, partitionAt } from "./metadata.ts";
import { listOffset } from "./offsets.ts";
import { PartitionUse } from "./partition-use.ts";
import { answerOf } from "./unreadable.ts";

/** A time, or a bookmark from a plan or an earlier recovery. */
export type RecoverTo = { readonly toMs: number } | { readonly bookmark: string };

interface Recoverable {
  recoveryPoint(request: { toMs: number }): Promise<Result<RecoveryPoint>>;
  recoverTo(request: { bookmark: string }): Promise<Result<Restored>>;
}

export async function recover(
  env: Env,
  target: RecoveryTarget,
  to: RecoverTo,
  dryRun: boolean,
): Promise<Recovery> {
  if ("toMs" in to) assertWithinReach(to.toMs);
  switch (target.type) {
    case "partition":
      return await recoverPartition(env, target, to, dryRun);
    case "group":
      return await recoverGroup(env, target.group, to, dryRun);
    case "cluster":
      return await recoverCluster(env, to, dryRun);
  }
}

function assertWithinReach(toMs: number): void {
  const nowMs = Date.now();
  if (toMs > nowMs - RECOVERY_MS && toMs < nowMs) return;
  const bounds = `between ${new Date(nowMs - RECOVERY_MS).toISOString()} and now`;
  throw new BrokerError(
    "INVALID_REQUEST",
    `to is ${new Date(toMs).toISOString()}, it must be ${bounds}`,
  );
}

async function bookmarkOf(object: Recoverable, to: RecoverTo): Promise<string> {
  if ("bookmark" in to) return to.bookmark;
  return unwrap(await object.recoveryPoint(to)).bookmark;
}

async function recoverPartition(
  env: Env,
  { topic, partition }: { readonly topic: string; readonly partition: number },
  to: RecoverTo,
  dryRun: boolean,
): Promise<Recovery> {
  return await atPartition(env, topic, partition, async (topicId) => {
    if (await new PartitionUse(env).isUnused(topicId, partition))
      throw new BrokerError("INVALID_REQUEST", `${topic}/${partition} was never used`);
    const stub = partitionAt(env, topicId, partition);
    const bookmark = await bookmarkOf(stub, to);
    const facts = await partitionFacts(env, stub, topicId, partition, to);
    if (dryRun) return { bookmark, dryRun, ...facts };
    // [RCV-3] Later requests then learn that the log had ended there.
    const { logEndOffset: logEnd } = facts;
    if (logEnd !== undefined) await clusterStub(env).noteLogEnd({ topicId, partition, logEnd });
    const { undoBookmark } = unwrap(await stub.recoverTo({ bookmark }));
    noteChange(
      env,
      "recoverPartition",
      topicResource(topic),
      detailOf(to, bookmark, String(partition)),
    );
    const restored = await newLife(async () => {
      const bounds = await partitionAt(env, topicId, partition).offsets();
      if (!bounds.ok && ERRORS[bounds.error].retriable) throw errorOf(bounds);
      return bounds.ok
        ? { restoredLogEndOffset: bounds.highWatermark }
        : { failing: bounds.detail };
    });
    return { bookmark, dryRun, undoBookmark, ...facts, ...restored };
  });
}

async function partitionFacts(
  env: Env,
  stub: PartitionStub,
  topicId: string,
  partition: number,
  to: RecoverTo,
): Promise<RecoveryFacts> {
  const bounds = await answerOf(async () => await stub.offsets());
  if (!bounds.ok) return { failing: bounds.detail };
  const { logStartOffset, highWatermark: logEndOffset } = bounds;
  if (!("toMs" in to)) return { logStartOffset, logEndOffset };
  const found = await answerOf(async () => {
    const listed = await listOffset(env, topicId, partition, { timestamp: to.toMs });
    return { ok: true as const, ...listed };
  });
  return {
    ...{ logStartOffset, logEndOffset },
    ...(found.ok ? { firstLostOffset: found.offset } : {}),
  };
}

async function recoverGroup(
  env: Env,
  groupId: string,
  to: RecoverTo,
  dryRun: boolean,
): Promise<Recovery> {
  if (!(await groupExists(env, groupId))) unwrap(unknownGroup(groupId));
  const stub = groupStub(env, groupId);
  const bookmark = await bookmarkOf(stub, to);
  const read = await answerOf(async () => {
    return { ok: true as const, positions: (await committedOffsets(env, groupId)).length };
  });
  const facts = read.ok ? { positions: read.positions } : { failing: read.detail };
  if (dryRun) return { bookmark, dryRun, ...facts };
  const { incarnation: before } = await stub.incarnation();
  const { undoBookmark } = unwrap(await stub.recoverTo({ bookmark }));
  noteChange(env, "recoverGroup", groupResource(groupId), detailOf(to, bookmark));
  await newLife(async () => {
    const restored = groupStub(env, groupId);
    const { incarnation: then } = await restored.incarnation();
    await clusterStub(env).retireIncarnation({ incarnation: Math.max(before, then) });
    const listed = await clusterStub(env).subscribe({ groupId, names: [], pattern: null });
    const incarnation = unwrap(listed).retiredIncarnation + 1;
    const begun = await restored.beginAnew({ incarnation });
    // There was no group at that time. The restored one has never been joined.
    if (!begun.ok && begun.error !== "GROUP_ID_NOT_FOUND") unwrap(begun);
  });
  return { bookmark, dryRun, undoBookmark, ...facts };
}

async function recoverCluster(env: Env, to: RecoverTo, dryRun: boolean): Promise<Recovery> {
  const stub = clusterStub(env);
  const bookmark = await bookmarkOf(stub, to);
  const [topics, groups] = [await stub.topics(), await stub.groups()];
  const facts = { topics: topics.length, groups: groups.length };
  if (dryRun) return { bookmark, dryRun, ...facts };
  const { undoBookmark } = unwrap(await stub.recoverTo({ bookmark }));
  await newLife(async () => void (await clusterStub(env).groups()));
  forgetEverything(); // Other isolates ask again within seconds.
  noteChange(env, "recoverCluster", CLUSTER, detailOf(to, bookmark));
  return { bookmark, dryRun, undoBookmark, ...facts };
}

function detailOf(to: RecoverTo, bookmark: string, place = ""): string {
  const time = "toMs" in to ? `to ${new Date(to.toMs).toISOString()}` : "to a bookmark";
  return `${place} ${time} (${bookmark})`.trim();
}

/**
 * Waits until the restored object answers. Its previous life refuses everything, and ends by itself. `ask` gets
 * a new stub each time, because a stub of the previous life stays broken.
 */
async function newLife<T>(ask: () => Promise<T>): Promise<T> {
  const endMs = Date.now() + RECOVERY_WAIT_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const { code, message, retriable } = brokerError(error);
      if (!retriable || Date.now() > endMs)
        throw new BrokerError(code, `it was restored but does not answer yet: ${message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RECOVERY_POLL_MS));
  }
}
