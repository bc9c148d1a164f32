// The served APIs of Kafka's protocol, each by its name.
import type { Api } from "../../src/worker/kafka/api.ts";
import { SERVED } from "./kafka-served.ts";

function named(name: string): Api {
  const found = SERVED.find((api) => api.name === name);
  if (found === undefined) throw new Error(`${name} is not served`);
  return found;
}

export const ALTER_CONFIGS = named("AlterConfigs");
export const API_VERSIONS = named("ApiVersions");
export const CONSUMER_GROUP_DESCRIBE = named("ConsumerGroupDescribe");
export const CONSUMER_GROUP_HEARTBEAT = named("ConsumerGroupHeartbeat");
export const CREATE_ACLS = named("CreateAcls");
export const CREATE_PARTITIONS = named("CreatePartitions");
export const CREATE_TOPICS = named("CreateTopics");
export const DELETE_ACLS = named("DeleteAcls");
export const DELETE_GROUPS = named("DeleteGroups");
export const DELETE_RECORDS = named("DeleteRecords");
export const DELETE_TOPICS = named("DeleteTopics");
export const DESCRIBE_ACLS = named("DescribeAcls");
export const DESCRIBE_CLUSTER = named("DescribeCluster");
export const DESCRIBE_CONFIGS = named("DescribeConfigs");
export const DESCRIBE_GROUPS = named("DescribeGroups");
export const DESCRIBE_TOPIC_PARTITIONS = named("DescribeTopicPartitions");
export const FETCH = named("Fetch");
export const FIND_COORDINATOR = named("FindCoordinator");
export const HEARTBEAT = named("Heartbeat");
export const INCREMENTAL_ALTER_CONFIGS = named("IncrementalAlterConfigs");
export const INIT_PRODUCER_ID = named("InitProducerId");
export const JOIN_GROUP = named("JoinGroup");
export const LEAVE_GROUP = named("LeaveGroup");
export const LIST_GROUPS = named("ListGroups");
export const LIST_OFFSETS = named("ListOffsets");
export const METADATA = named("Metadata");
export const OFFSET_COMMIT = named("OffsetCommit");
export const OFFSET_DELETE = named("OffsetDelete");
export const OFFSET_FETCH = named("OffsetFetch");
export const OFFSET_FOR_LEADER_EPOCH = named("OffsetForLeaderEpoch");
export const PRODUCE = named("Produce");
export const SASL_AUTHENTICATE = named("SaslAuthenticate");
export const SASL_HANDSHAKE = named("SaslHandshake");
export const SYNC_GROUP = named("SyncGroup");
