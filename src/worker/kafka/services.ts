// Every API that is served, by key. ApiVersions lists exactly these to clients.
import type { Operation, ResourceType } from "../../core/access/operations.ts";
import { alterConfigs } from "./apis/alter-configs.ts";
import { apiVersions } from "./apis/api-versions.ts";
import { consumerGroupDescribe } from "./apis/consumer-group-describe.ts";
import { consumerGroupHeartbeat } from "./apis/consumer-group-heartbeat.ts";
import { createAcls } from "./apis/create-acls.ts";
import { createPartitions } from "./apis/create-partitions.ts";
import { createTopics } from "./apis/create-topics.ts";
import { deleteAcls } from "./apis/delete-acls.ts";
import { deleteGroups } from "./apis/delete-groups.ts";
import { deleteRecords } from "./apis/delete-records.ts";
import { deleteTopics } from "./apis/delete-topics.ts";
import { describeAcls } from "./apis/describe-acls.ts";
import { describeCluster } from "./apis/describe-cluster.ts";
import { describeConfigs } from "./apis/describe-configs.ts";
import { describeGroups } from "./apis/describe-groups.ts";
import { describeTopicPartitions } from "./apis/describe-topic-partitions.ts";
import { fetch } from "./apis/fetch.ts";
import { findCoordinator } from "./apis/find-coordinator.ts";
import { heartbeat } from "./apis/heartbeat.ts";
import { incrementalAlterConfigs } from "./apis/incremental-alter-configs.ts";
import { initProducerId } from "./apis/init-producer-id.ts";
import { joinGroup } from "./apis/join-group.ts";
import { leaveGroup } from "./apis/leave-group.ts";
import { listGroups } from "./apis/list-groups.ts";
import { listOffsets } from "./apis/list-offsets.ts";
import { metadata } from "./apis/metadata.ts";
import { offsetCommit } from "./apis/offset-commit.ts";
import { offsetDelete } from "./apis/offset-delete.ts";
import { offsetFetch } from "./apis/offset-fetch.ts";
import { offsetForLeaderEpoch } from "./apis/offset-for-leader-epoch.ts";
import { produce } from "./apis/produce.ts";
import { saslAuthenticate } from "./apis/sasl-authenticate.ts";
import { saslHandshake } from "./apis/sasl-handshake.ts";
import { syncGroup } from "./apis/sync-group.ts";
import type { Service } from "./context.ts";

const NOTHING: readonly Need[] = [];

function topic(operation: Operation): Need {
  return [{ type: "topic", operation }];
}

function group(operation: Operation): Need {
  return [{ type: "group", operation }];
}

function cluster(operation: Operation): Need {
  return [{ type: "cluster", operation }];
}

function either(one: Need, other: Need): Need {
  return [...one, ...other];
}

/** Returns the needs for an operation on topics, groups and the broker, all of which have configs. */
function eachKind(operation: Operation): readonly Need[] {
  return [topic(operation), group(operation), cluster(operation)];
}

/** Rights of which one is enough. An API checks one each time the request names such a resource. */
export type Need = readonly { readonly type: ResourceType; readonly operation: Operation }[];

/**
 * [KFK-31] The rights that each API requires, as in Kafka. The API itself checks them, because it knows the
 * names in its requests. An API without stated rights cannot be listed, and a test calls each of them with one
 * right missing.
 */
const served: readonly (readonly [service: Service, needs: readonly Need[]])[] = [
  [produce, [topic("WRITE")]],
  [fetch, [topic("READ")]],
  [listOffsets, [topic("DESCRIBE")]],
  [metadata, [topic("DESCRIBE")]],
  [offsetCommit, [group("READ"), topic("READ")]],
  [offsetFetch, [group("DESCRIBE"), topic("DESCRIBE")]],
  [findCoordinator, [group("DESCRIBE")]],
  [joinGroup, [group("READ")]],
  [heartbeat, [group("READ")]],
  [leaveGroup, [group("READ")]],
  [syncGroup, [group("READ")]],
  [describeGroups, [group("DESCRIBE")]],
  [listGroups, [either(group("DESCRIBE"), cluster("DESCRIBE"))]],
  [saslHandshake, NOTHING],
  [apiVersions(() => served.map(([each]) => each)), NOTHING],
  [createTopics, [either(topic("CREATE"), cluster("CREATE"))]],
  [deleteTopics, [topic("DELETE")]],
  [deleteRecords, [topic("DELETE")]],
  [initProducerId, [either(topic("WRITE"), cluster("IDEMPOTENT_WRITE"))]],
  [offsetForLeaderEpoch, [topic("DESCRIBE")]],
  [describeAcls, [cluster("DESCRIBE")]],
  [createAcls, [cluster("ALTER")]],
  [deleteAcls, [cluster("ALTER")]],
  [describeConfigs, [...eachKind("DESCRIBE_CONFIGS")]],
  [alterConfigs, [...eachKind("ALTER_CONFIGS")]],
  [saslAuthenticate, NOTHING],
  [createPartitions, [topic("ALTER")]],
  [deleteGroups, [group("DELETE")]],
  [incrementalAlterConfigs, [...eachKind("ALTER_CONFIGS")]],
  [offsetDelete, [group("DELETE"), topic("READ")]],
  [describeCluster, NOTHING],
  [consumerGroupHeartbeat, [group("READ"), topic("READ")]],
  [consumerGroupDescribe, [group("DESCRIBE"), topic("DESCRIBE")]],
  [describeTopicPartitions, [topic("DESCRIBE")]],
];

/** The services by API key. */
export const SERVICES: ReadonlyMap<number, Service> = new Map(
  served.map(([each]) => [each.api.key, each]),
);

/** The rights that each API requires, by its name. */
export const NEEDS: ReadonlyMap<string, readonly Need[]> = new Map(
  served.map(([{ api }, needs]) => [api.name, needs]),
);
