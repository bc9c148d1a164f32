// Closes the open sockets of a revoked API key at once, if the request says where they are.
import { FAN_OUT } from "../../core/limits.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import { type Env, groupStub } from "../../env.ts";
import { groupExists } from "./groups.ts";
import { partitionAt, topicMetadata } from "./metadata.ts";
import { PartitionUse } from "./partition-use.ts";

/** [ACL-8] Closes the sockets of the key at the used partitions of these topics, and at these groups. */
export async function closeSockets(
  env: Env,
  keyId: string,
  { topics, groups }: { readonly topics: readonly string[]; readonly groups: readonly string[] },
): Promise<void> {
  const use = new PartitionUse(env);
  for (const name of topics) {
    const { topicId, partitions } = await topicMetadata(env, name);
    const numbers = Array.from({ length: partitions }, (_, partition) => partition);
    await mapConcurrently(numbers, FAN_OUT, async (partition) => {
      if (!(await use.isUnused(topicId, partition)))
        await partitionAt(env, topicId, partition).revokeKey({ keyId });
    });
  }
  await mapConcurrently(groups, FAN_OUT, async (groupId) => {
    if (await groupExists(env, groupId)) await groupStub(env, groupId).revokeKey({ keyId });
  });
}
