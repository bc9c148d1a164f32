// The messages of Kafka that are served: their fields in order, with the versions that have them. The facts come from
// https://kafka.apache.org/protocol and from the message definitions in Kafka 4.
import {
  array,
  between,
  boolean,
  bytes,
  type Fields,
  int8,
  int16,
  int32,
  int64,
  nullableArray,
  nullableString,
  nullableStruct,
  records,
  since,
  string,
  struct,
  type Type,
  tagged,
  uuid,
} from "./schema.ts";

/** An API. Without type arguments, it stands for any API. */
export interface Api<Request = unknown, Response = never> {
  readonly key: number;
  readonly name: string;
  /** The versions that are advertised. */
  readonly versions: readonly [minimum: number, maximum: number];
  /** From this version on headers and fields are flexible (KIP-482). */
  readonly flexibleFrom: number;
  readonly request: Pick<Type<Request>, "absent" | "read">;
  readonly response: Pick<Type<unknown, Response>, "write">;
}

function api<Q, R>(
  key: number,
  name: string,
  versions: readonly [number, number],
  flexibleFrom: number,
  request: Type<Q, unknown>,
  response: Type<unknown, R>,
): Api<Q, R> {
  return { key, name, versions, flexibleFrom, request, response };
}

/** An array of topics, each with an array of the given partition type. */
function byTopic<F extends Fields>(partition: F) {
  return array(struct({ name: string, partitions: array(struct(partition)) }));
}

/** The value that says that the client's allowed operations are not told. */
const NO_OPERATIONS = -2_147_483_648;
const NEVER = Number.POSITIVE_INFINITY;

const recordError = struct({ batchIndex: int32, batchIndexErrorMessage: since(8, nullableString) });

/**
 * Produce is advertised from version 0 on, because librdkafka otherwise compresses
 * nothing (KAFKA-18659). Versions below 3 are refused.
 */
export const PRODUCE = api(
  0,
  "Produce",
  [0, 11],
  9,
  struct({
    transactionalId: since(3, nullableString),
    acks: int16,
    timeoutMs: int32,
    topics: byTopic({ partition: int32, records }),
  }),
  struct({
    topics: byTopic({
      partition: int32,
      errorCode: int16,
      baseOffset: int64,
      logAppendTimeMs: since(2, int64, -1),
      logStartOffset: since(5, int64, -1),
      recordErrors: since(8, array(recordError)),
      errorMessage: since(8, nullableString),
    }),
    throttleTimeMs: since(1, int32),
  }),
);

export const FETCH = api(
  1,
  "Fetch",
  [4, 16],
  12,
  struct({
    clusterId: tagged(0, 12, nullableString),
    replicaId: between(0, 14, int32, -1),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: since(3, int32, 0x7fffffff),
    isolationLevel: since(4, int8),
    sessionId: since(7, int32),
    sessionEpoch: since(7, int32, -1),
    topics: array(
      struct({
        name: between(0, 12, string),
        topicId: since(13, uuid),
        partitions: array(
          struct({
            partition: int32,
            currentLeaderEpoch: since(9, int32, -1),
            fetchOffset: int64,
            lastFetchedEpoch: since(12, int32, -1),
            logStartOffset: since(5, int64, -1),
            partitionMaxBytes: int32,
          }),
        ),
      }),
    ),
    forgottenTopics: since(
      7,
      array(
        struct({
          name: between(7, 12, string),
          topicId: since(13, uuid),
          partitions: array(int32),
        }),
      ),
    ),
    rackId: since(11, string),
  }),
  struct({
    throttleTimeMs: since(1, int32),
    errorCode: since(7, int16),
    sessionId: since(7, int32),
    topics: array(
      struct({
        name: between(0, 12, string),
        topicId: since(13, uuid),
        partitions: array(
          struct({
            partition: int32,
            errorCode: int16,
            highWatermark: int64,
            lastStableOffset: since(4, int64, -1),
            logStartOffset: since(5, int64, -1),
            abortedTransactions: since(
              4,
              nullableArray(struct({ producerId: int64, firstOffset: int64 })),
              [],
            ),
            preferredReadReplica: since(11, int32, -1),
            records,
          }),
        ),
      }),
    ),
  }),
);

export const LIST_OFFSETS = api(
  2,
  "ListOffsets",
  [1, 9],
  6,
  struct({
    replicaId: int32,
    isolationLevel: since(2, int8),
    topics: byTopic({
      partition: int32,
      currentLeaderEpoch: since(4, int32, -1),
      timestamp: int64,
    }),
  }),
  struct({
    throttleTimeMs: since(2, int32),
    topics: byTopic({
      partition: int32,
      errorCode: int16,
      timestamp: since(1, int64, -1),
      offset: since(1, int64, -1),
      leaderEpoch: since(4, int32, -1),
    }),
  }),
);

export const METADATA = api(
  3,
  "Metadata",
  [0, 12],
  9,
  struct({
    /** Null means all topics. So does an empty list in version 0. */
    topics: nullableArray(struct({ topicId: since(10, uuid), name: nullableString })),
    allowAutoTopicCreation: since(4, boolean, true),
    includeClusterAuthorizedOperations: between(8, 10, boolean),
    includeTopicAuthorizedOperations: since(8, boolean),
  }),
  struct({
    throttleTimeMs: since(3, int32),
    brokers: array(
      struct({ nodeId: int32, host: string, port: int32, rack: since(1, nullableString) }),
    ),
    clusterId: since(2, nullableString),
    controllerId: since(1, int32),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableString,
        topicId: since(10, uuid),
        isInternal: since(1, boolean),
        partitions: array(
          struct({
            errorCode: since(0, int16),
            partition: int32,
            leaderId: int32,
            leaderEpoch: since(7, int32),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            offlineReplicas: since(5, array(int32)),
          }),
        ),
        authorizedOperations: since(8, int32, NO_OPERATIONS),
      }),
    ),
    clusterAuthorizedOperations: between(8, 10, int32, NO_OPERATIONS),
  }),
);

const committedPartition = {
  partition: int32,
  committedOffset: int64,
  committedLeaderEpoch: since(5, int32, -1),
  metadata: nullableString,
  errorCode: since(0, int16),
};

export const OFFSET_COMMIT = api(
  8,
  "OffsetCommit",
  [1, 9],
  8,
  struct({
    groupId: string,
    generationId: since(1, int32, -1),
    memberId: since(1, string),
    groupInstanceId: since(7, nullableString),
    retentionTimeMs: between(2, 4, int64, -1),
    topics: byTopic({
      partition: int32,
      committedOffset: int64,
      committedLeaderEpoch: since(6, int32, -1),
      commitTimestampMs: between(1, 1, int64, -1),
      committedMetadata: nullableString,
    }),
  }),
  struct({
    throttleTimeMs: since(3, int32),
    topics: byTopic({ partition: int32, errorCode: int16 }),
  }),
);

const topicPartitions = struct({ name: string, partitions: array(int32) });
const committedTopic = struct({ name: string, partitions: array(struct(committedPartition)) });

export const OFFSET_FETCH = api(
  9,
  "OffsetFetch",
  [1, 9],
  6,
  struct({
    groupId: between(0, 7, string),
    topics: between(0, 7, nullableArray(topicPartitions)),
    groups: since(
      8,
      array(
        struct({
          groupId: string,
          memberId: since(9, nullableString),
          memberEpoch: since(9, int32, -1),
          topics: nullableArray(topicPartitions),
        }),
      ),
    ),
    requireStable: since(7, boolean),
  }),
  struct({
    throttleTimeMs: since(3, int32),
    topics: between(0, 7, array(committedTopic)),
    errorCode: between(2, 7, int16),
    groups: since(
      8,
      array(struct({ groupId: string, topics: array(committedTopic), errorCode: int16 })),
    ),
  }),
);

const coordinator = { nodeId: int32, host: string, port: int32 };

export const FIND_COORDINATOR = api(
  10,
  "FindCoordinator",
  [0, 6],
  3,
  struct({
    key: between(0, 3, string),
    keyType: since(1, int8),
    keys: since(4, array(string)),
  }),
  struct({
    throttleTimeMs: since(1, int32),
    errorCode: between(0, 3, int16),
    errorMessage: between(1, 3, nullableString),
    nodeId: between(0, 3, int32, -1),
    host: between(0, 3, string),
    port: between(0, 3, int32, -1),
    coordinators: since(
      4,
      array(
        struct({
          key: string,
          ...coordinator,
          errorCode: int16,
          errorMessage: since(4, nullableString),
        }),
      ),
    ),
  }),
);

export const JOIN_GROUP = api(
  11,
  "JoinGroup",
  [0, 9],
  6,
  struct({
    groupId: string,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: since(1, int32, -1),
    memberId: string,
    groupInstanceId: since(5, nullableString),
    protocolType: string,
    protocols: array(struct({ name: string, metadata: bytes })),
    reason: since(8, nullableString),
  }),
  struct({
    throttleTimeMs: since(2, int32),
    errorCode: int16,
    generationId: since(0, int32, -1),
    protocolType: since(7, nullableString),
    protocolName: since(0, nullableString, ""),
    leader: since(0, string),
    skipAssignment: since(9, boolean),
    memberId: string,
    members: since(
      0,
      array(
        struct({ memberId: string, groupInstanceId: since(5, nullableString), metadata: bytes }),
      ),
    ),
  }),
);

export const HEARTBEAT = api(
  12,
  "Heartbeat",
  [0, 4],
  4,
  struct({
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString),
  }),
  struct({ throttleTimeMs: since(1, int32), errorCode: int16 }),
);

export const LEAVE_GROUP = api(
  13,
  "LeaveGroup",
  [0, 5],
  4,
  struct({
    groupId: string,
    memberId: between(0, 2, string),
    members: since(
      3,
      array(
        struct({
          memberId: string,
          groupInstanceId: nullableString,
          reason: since(5, nullableString),
        }),
      ),
    ),
  }),
  struct({
    throttleTimeMs: since(1, int32),
    errorCode: int16,
    members: since(
      3,
      array(struct({ memberId: string, groupInstanceId: nullableString, errorCode: int16 })),
    ),
  }),
);

export const SYNC_GROUP = api(
  14,
  "SyncGroup",
  [0, 5],
  4,
  struct({
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString),
    protocolType: since(5, nullableString),
    protocolName: since(5, nullableString),
    assignments: array(struct({ memberId: string, assignment: bytes })),
  }),
  struct({
    throttleTimeMs: since(1, int32),
    errorCode: int16,
    protocolType: since(5, nullableString),
    protocolName: since(5, nullableString),
    assignment: since(0, bytes),
  }),
);

export const DESCRIBE_GROUPS = api(
  15,
  "DescribeGroups",
  [0, 5],
  5,
  struct({ groups: array(string), includeAuthorizedOperations: since(3, boolean) }),
  struct({
    throttleTimeMs: since(1, int32),
    groups: array(
      struct({
        errorCode: int16,
        groupId: string,
        groupState: string,
        protocolType: since(0, string),
        protocolData: since(0, string),
        members: since(
          0,
          array(
            struct({
              memberId: string,
              groupInstanceId: since(4, nullableString),
              clientId: string,
              clientHost: string,
              memberMetadata: since(0, bytes),
              memberAssignment: since(0, bytes),
            }),
          ),
        ),
        authorizedOperations: since(3, int32, NO_OPERATIONS),
      }),
    ),
  }),
);

export const LIST_GROUPS = api(
  16,
  "ListGroups",
  [0, 5],
  3,
  struct({ statesFilter: since(4, array(string)), typesFilter: since(5, array(string)) }),
  struct({
    throttleTimeMs: since(1, int32),
    errorCode: int16,
    groups: array(
      struct({
        groupId: string,
        protocolType: string,
        groupState: since(4, string),
        groupType: since(5, string),
      }),
    ),
  }),
);

export const SASL_HANDSHAKE = api(
  17,
  "SaslHandshake",
  [0, 1],
  NEVER,
  struct({ mechanism: string }),
  struct({ errorCode: int16, mechanisms: array(string) }),
);

export const API_VERSIONS = api(
  18,
  "ApiVersions",
  [0, 4],
  3,
  struct({ clientSoftwareName: since(3, string), clientSoftwareVersion: since(3, string) }),
  struct({
    errorCode: int16,
    apiKeys: array(struct({ apiKey: int16, minVersion: int16, maxVersion: int16 })),
    throttleTimeMs: since(1, int32),
  }),
);

const shownConfigs = struct({
  name: string,
  value: nullableString,
  readOnly: boolean,
  configSource: int8,
  isSensitive: boolean,
});

export const CREATE_TOPICS = api(
  19,
  "CreateTopics",
  [0, 7],
  5,
  struct({
    topics: array(
      struct({
        name: string,
        numPartitions: int32,
        replicationFactor: int16,
        assignments: array(struct({ partition: int32, brokerIds: array(int32) })),
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    timeoutMs: int32,
    validateOnly: since(1, boolean),
  }),
  struct({
    throttleTimeMs: since(2, int32),
    topics: array(
      struct({
        name: string,
        topicId: since(7, uuid),
        errorCode: int16,
        errorMessage: since(1, nullableString),
        numPartitions: since(5, int32, -1),
        replicationFactor: since(5, int16, -1),
        configs: since(5, nullableArray(shownConfigs), []),
      }),
    ),
  }),
);

export const DELETE_TOPICS = api(
  20,
  "DeleteTopics",
  [0, 6],
  4,
  struct({
    topics: since(6, array(struct({ name: nullableString, topicId: uuid }))),
    topicNames: between(0, 5, array(string)),
    timeoutMs: int32,
  }),
  struct({
    throttleTimeMs: since(1, int32),
    topics: array(
      struct({
        name: nullableString,
        topicId: since(6, uuid),
        errorCode: int16,
        errorMessage: since(5, nullableString),
      }),
    ),
  }),
);

export const DELETE_RECORDS = api(
  21,
  "DeleteRecords",
  [0, 2],
  2,
  struct({
    topics: byTopic({ partition: int32, offset: int64 }),
    timeoutMs: int32,
  }),
  struct({
    throttleTimeMs: since(0, int32),
    topics: byTopic({ partition: int32, lowWatermark: int64, errorCode: int16 }),
  }),
);

export const INIT_PRODUCER_ID = api(
  22,
  "InitProducerId",
  [0, 5],
  2,
  struct({
    transactionalId: nullableString,
    transactionTimeoutMs: int32,
    producerId: since(3, int64, -1),
    producerEpoch: since(3, int16, -1),
  }),
  struct({
    throttleTimeMs: since(0, int32),
    errorCode: int16,
    producerId: since(0, int64, -1),
    producerEpoch: since(0, int16, -1),
  }),
);

export const OFFSET_FOR_LEADER_EPOCH = api(
  23,
  "OffsetForLeaderEpoch",
  [2, 4],
  4,
  struct({
    replicaId: since(3, int32, -2),
    topics: byTopic({
      partition: int32,
      currentLeaderEpoch: since(2, int32, -1),
      leaderEpoch: int32,
    }),
  }),
  struct({
    throttleTimeMs: since(2, int32),
    topics: byTopic({
      errorCode: int16,
      partition: int32,
      leaderEpoch: since(1, int32, -1),
      endOffset: since(0, int64, -1),
    }),
  }),
);

export const DESCRIBE_CONFIGS = api(
  32,
  "DescribeConfigs",
  [0, 4],
  4,
  struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configurationKeys: nullableArray(string),
      }),
    ),
    includeSynonyms: since(1, boolean),
    includeDocumentation: since(3, boolean),
  }),
  struct({
    throttleTimeMs: since(0, int32),
    results: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        resourceType: int8,
        resourceName: string,
        configs: array(
          struct({
            name: string,
            value: nullableString,
            readOnly: boolean,
            isDefault: between(0, 0, boolean),
            configSource: since(1, int8),
            isSensitive: boolean,
            synonyms: since(
              1,
              array(struct({ name: string, value: nullableString, source: int8 })),
            ),
            configType: since(3, int8),
            documentation: since(3, nullableString),
          }),
        ),
      }),
    ),
  }),
);

const configOutcomes = struct({
  throttleTimeMs: since(0, int32),
  resources: array(
    struct({
      errorCode: int16,
      errorMessage: nullableString,
      resourceType: int8,
      resourceName: string,
    }),
  ),
});

export const ALTER_CONFIGS = api(
  33,
  "AlterConfigs",
  [0, 2],
  2,
  struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    validateOnly: boolean,
  }),
  configOutcomes,
);

export const INCREMENTAL_ALTER_CONFIGS = api(
  44,
  "IncrementalAlterConfigs",
  [0, 1],
  1,
  struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, operation: int8, value: nullableString })),
      }),
    ),
    validateOnly: boolean,
  }),
  configOutcomes,
);

export const SASL_AUTHENTICATE = api(
  36,
  "SaslAuthenticate",
  [0, 2],
  2,
  struct({ authBytes: bytes }),
  struct({
    errorCode: int16,
    errorMessage: nullableString,
    authBytes: bytes,
    sessionLifetimeMs: since(1, int64),
  }),
);

export const CREATE_PARTITIONS = api(
  37,
  "CreatePartitions",
  [0, 3],
  2,
  struct({
    topics: array(
      struct({
        name: string,
        count: int32,
        assignments: nullableArray(struct({ brokerIds: array(int32) })),
      }),
    ),
    timeoutMs: int32,
    validateOnly: boolean,
  }),
  struct({
    throttleTimeMs: since(0, int32),
    topics: array(struct({ name: string, errorCode: int16, errorMessage: nullableString })),
  }),
);

export const DELETE_GROUPS = api(
  42,
  "DeleteGroups",
  [0, 2],
  2,
  struct({ groups: array(string) }),
  struct({
    throttleTimeMs: since(0, int32),
    groups: array(struct({ groupId: string, errorCode: int16 })),
  }),
);

export const OFFSET_DELETE = api(
  47,
  "OffsetDelete",
  [0, 0],
  NEVER,
  struct({
    groupId: string,
    topics: byTopic({ partition: int32 }),
  }),
  struct({
    errorCode: int16,
    throttleTimeMs: since(0, int32),
    topics: byTopic({ partition: int32, errorCode: int16 }),
  }),
);

export const DESCRIBE_CLUSTER = api(
  60,
  "DescribeCluster",
  [0, 1],
  0,
  struct({
    includeClusterAuthorizedOperations: boolean,
    endpointType: since(1, int8, 1),
  }),
  struct({
    throttleTimeMs: since(0, int32),
    errorCode: int16,
    errorMessage: nullableString,
    endpointType: since(1, int8, 1),
    clusterId: string,
    controllerId: int32,
    brokers: array(
      struct({ brokerId: int32, host: string, port: int32, rack: since(0, nullableString) }),
    ),
    clusterAuthorizedOperations: since(0, int32, NO_OPERATIONS),
  }),
);

const assignedPartitions = struct({ topicId: uuid, partitions: array(int32) });

export const CONSUMER_GROUP_HEARTBEAT = api(
  68,
  "ConsumerGroupHeartbeat",
  [0, 1],
  0,
  struct({
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    instanceId: nullableString,
    rackId: nullableString,
    rebalanceTimeoutMs: int32,
    subscribedTopicNames: nullableArray(string),
    subscribedTopicRegex: since(1, nullableString),
    serverAssignor: nullableString,
    topicPartitions: nullableArray(assignedPartitions),
  }),
  struct({
    throttleTimeMs: since(0, int32),
    errorCode: int16,
    errorMessage: since(0, nullableString),
    memberId: since(0, nullableString),
    memberEpoch: since(0, int32),
    heartbeatIntervalMs: since(0, int32),
    assignment: since(0, nullableStruct(struct({ topicPartitions: array(assignedPartitions) }))),
  }),
);

const describedAssignment = struct({
  topicPartitions: array(struct({ topicId: uuid, topicName: string, partitions: array(int32) })),
});

export const CONSUMER_GROUP_DESCRIBE = api(
  69,
  "ConsumerGroupDescribe",
  [0, 1],
  0,
  struct({ groupIds: array(string), includeAuthorizedOperations: boolean }),
  struct({
    throttleTimeMs: since(0, int32),
    groups: array(
      struct({
        errorCode: int16,
        errorMessage: since(0, nullableString),
        groupId: string,
        groupState: since(0, string),
        groupEpoch: since(0, int32),
        assignmentEpoch: since(0, int32),
        assignorName: since(0, string),
        members: since(
          0,
          array(
            struct({
              memberId: string,
              instanceId: nullableString,
              rackId: nullableString,
              memberEpoch: int32,
              clientId: string,
              clientHost: string,
              subscribedTopicNames: array(string),
              subscribedTopicRegex: nullableString,
              assignment: describedAssignment,
              targetAssignment: describedAssignment,
              memberType: since(1, int8, 1),
            }),
          ),
        ),
        authorizedOperations: since(0, int32, NO_OPERATIONS),
      }),
    ),
  }),
);

const cursor = struct({ topicName: string, partition: int32 });

export const DESCRIBE_TOPIC_PARTITIONS = api(
  75,
  "DescribeTopicPartitions",
  [0, 0],
  0,
  struct({
    topics: array(struct({ name: string })),
    responsePartitionLimit: int32,
    cursor: nullableStruct(cursor),
  }),
  struct({
    throttleTimeMs: since(0, int32),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableString,
        topicId: uuid,
        isInternal: since(0, boolean),
        partitions: array(
          struct({
            errorCode: since(0, int16),
            partition: int32,
            leaderId: int32,
            leaderEpoch: since(0, int32),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            // [KFK-24] They may be null, but Kafka's broker never sends null, and Java's admin cannot take it.
            eligibleLeaderReplicas: since(0, nullableArray(int32), []),
            lastKnownElr: since(0, nullableArray(int32), []),
            offlineReplicas: since(0, array(int32)),
          }),
        ),
        authorizedOperations: since(0, int32, NO_OPERATIONS),
      }),
    ),
    nextCursor: since(0, nullableStruct(cursor)),
  }),
);

export type RequestOf<A> = A extends Api<infer Request, infer _> ? Request : never;
