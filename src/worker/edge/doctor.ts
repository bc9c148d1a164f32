// The Worker's part of `rivulet doctor`. It compares what the cluster knows with what partitions and groups
// report. It makes the repairs that no other operation makes.
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
  /** False if the partition still uses an older config of its topic. */
  readonly hasConfig: boolean;
}

/** [DRX-1] Inspects a partition. It wakes the partition, but creates none that was never used. */
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

/** [DRX-2] Adds an existing group to the cluster's list again, with its subscriptions. */
export async function relistGroup(env: Env, groupId: string): Promise<void> {
  const group = groupStub(env, groupId);
  if ((await group.summary()) === null) throw errorOf(unknownGroup(groupId));
  const { names, patterns } = await group.subscriptions();
  const all = patterns.length === 0 ? [null] : patterns;
  for (const pattern of all) unwrap(await clusterStub(env).subscribe({ groupId, names, pattern }));
  noteChange(env, "relistGroup", groupResource(groupId));
}

/** [DRX-3] Frees the storage of a partition whose topic does not exist. Any other is refused. */
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
