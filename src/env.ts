// The bindings and variables of wrangler.toml, and the only place that names them.
import type { ClusterObject } from "../durable-objects/cluster/cluster-object.ts";
import type { GroupObject } from "../durable-objects/group/group-object.ts";
import type { PartitionObject } from "../durable-objects/partition/partition-object.ts";

export interface Env {
  readonly CLUSTER: DurableObjectNamespace<ClusterObject>;
  readonly PARTITION: DurableObjectNamespace<PartitionObject>;
  readonly GROUP: DurableObjectNamespace<GroupObject>;
  /** "1" logs a line for every wake-up and alarm of an object, to see what keeps one awake. */
  readonly RIVULET_TRACE?: string;
  /** Where Kafka's clients reach this broker over TCP: `host:port`, or several with commas between, one for each node. */
  readonly KAFKA_ADVERTISE?: string;
}

/** The one object that holds the metadata of this deployment. */
export function clusterStub(env: Env): DurableObjectStub<ClusterObject> {
  return env.CLUSTER.getByName("cluster");
}

/** Partitions are named by topic id, so a topic created again never meets the data of its namesake. */
export function partitionStub(
  env: Env,
  topicId: string,
  partition: number,
): DurableObjectStub<PartitionObject> {
  return env.PARTITION.getByName(`${topicId}/${partition}`);
}

export function groupStub(env: Env, groupId: string): DurableObjectStub<GroupObject> {
  return env.GROUP.getByName(groupId);
}
