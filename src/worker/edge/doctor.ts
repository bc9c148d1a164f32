// The Worker's part of `rivulet doctor`: what the cluster knows beside what partitions and groups say, and the repairs that
// no other operation makes.
import { CLUSTER, groupResource } from "../../core/access/grants.ts";
import { isSameOverrides } from "../../core/config-table.ts";
import { BrokerError, errorOf, unwrap } from "../../core/errors.ts";
import { unknownGroup } from "../../core/group/admission.ts";
import { clusterStub, type Env, groupStub } from "../../env.ts";
import { noteChange } from "./audit.ts";
import { atPartition, partitionAt, refresh } from "./metadata.ts";
import { EMPTY_LOG, PartitionUse } from "./partition-use.ts";

export interface PartitionState {
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /** False if the partition goes by an older config than the topic has. */
  readonly hasConfig: boolean;
}

/** [DRX-1] Looks at a partition. It wakes it, and starts none that was never used. */
export async function inspectPartition(
  env: Env,
  name: string,
  partition: number,
): Promise<PartitionState> {
  return atPartition(env, name, partition, async (topicId) => {
    if (await new PartitionUse(env).isUnused(topicId, partition)) {
      const { logStartOffset, highWatermark } = EMPTY_LOG;
      return { logStartOffset, highWatermark, hasConfig: true };
    }
    const stub = partitionAt(env, topicId, partition);
    const { config, logStartOffset, highWatermark } = unwrap(await stub.inspect());
    const { defaults, overrides } = await refresh(env, name);
    const hasConfig = isSameOverrides(config, { ...defaults, ...overrides });
    return { logStartOffset, highWatermark, hasConfig };
  });
}

/** [DRX-2] Puts a group that exists on the cluster's list again, with what it subscribes to. */
export async function relistGroup(env: Env, groupId: string): Promise<void> {
  const group = groupStub(env, groupId);
  if ((await group.summary()) === null) throw errorOf(unknownGroup(groupId));
  const { names, patterns } = await group.subscriptions();
  const all = patterns.length === 0 ? [null] : patterns;
  for (const pattern of all) unwrap(await clusterStub(env).subscribe({ groupId, names, pattern }));
  noteChange(env, "relistGroup", groupResource(groupId));
}

/** [DRX-3] Frees the storage of a partition of a topic that does not exist. Any other is refused. */
export async function destroyOrphan(env: Env, topicId: string, partition: number): Promise<void> {
  const { isKnown } = await clusterStub(env).knowsTopic({ topicId });
  if (isKnown)
    throw new BrokerError(
      "INVALID_REQUEST",
      `topicId: ${topicId} is the id of a topic that exists, or that is about to be freed`,
    );
  await partitionAt(env, topicId, partition).destroy();
  noteChange(env, "destroyOrphan", CLUSTER, `${topicId}/${partition}`);
}
