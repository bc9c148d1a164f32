// Every API that is served. ApiVersions lists exactly these to clients.
import { apiVersions } from "./apis/api-versions.ts";
import { heartbeat, joinGroup, leaveGroup, syncGroup } from "./apis/classic-groups.ts";
import { describeCluster, describeTopicPartitions, offsetForLeaderEpoch } from "./apis/cluster.ts";
import { alterConfigs, describeConfigs, incrementalAlterConfigs } from "./apis/configs.ts";
import { consumerGroupHeartbeat } from "./apis/consumer-group-heartbeat.ts";
import { fetch } from "./apis/fetch.ts";
import { findCoordinator } from "./apis/find-coordinator.ts";
import { consumerGroupDescribe, deleteGroups, describeGroups, listGroups } from "./apis/groups.ts";
import { initProducerId } from "./apis/init-producer-id.ts";
import { listOffsets } from "./apis/list-offsets.ts";
import { metadata } from "./apis/metadata.ts";
import { offsetCommit, offsetDelete, offsetFetch } from "./apis/offsets.ts";
import { produce } from "./apis/produce.ts";
import { saslAuthenticate, saslHandshake } from "./apis/sasl.ts";
import { createPartitions, createTopics, deleteRecords, deleteTopics } from "./apis/topics.ts";
import type { Service } from "./context.ts";

const served = [
  produce,
  fetch,
  listOffsets,
  metadata,
  offsetCommit,
  offsetFetch,
  findCoordinator,
  joinGroup,
  heartbeat,
  leaveGroup,
  syncGroup,
  describeGroups,
  listGroups,
  saslHandshake,
  createTopics,
  deleteTopics,
  deleteRecords,
  initProducerId,
  offsetForLeaderEpoch,
  describeConfigs,
  alterConfigs,
  saslAuthenticate,
  createPartitions,
  incrementalAlterConfigs,
  deleteGroups,
  offsetDelete,
  consumerGroupHeartbeat,
  consumerGroupDescribe,
  describeCluster,
  describeTopicPartitions,
];

const versions = apiVersions(served.map(({ api }) => api));

/** The services by API key. */
export const SERVICES: ReadonlyMap<number, Service> = new Map(
  [...served, versions].map((each) => [each.api.key, each]),
);
