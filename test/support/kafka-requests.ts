// A request of each of Kafka's APIs, and the responses to the columns of the access matrix.
import { ERRORS } from "../../src/core/errors.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { ZERO_UUID } from "../../src/worker/kafka/wire.ts";
import { SERVED } from "./kafka-served.ts";

const T = ERRORS.TOPIC_AUTHORIZATION_FAILED.code;
const G = ERRORS.GROUP_AUTHORIZATION_FAILED.code;
const C = ERRORS.CLUSTER_AUTHORIZATION_FAILED.code;

export interface Names {
  readonly topic: string;
  readonly group: string;
}

export const partition = (topic: string, fields: object) => [
  { name: topic, topicId: ZERO_UUID, partitions: [{ partition: 0, ...fields }] },
];
const resources = ({ topic, group }: Names) =>
  (
    [
      [2, topic],
      [32, group],
      [4, "0"],
    ] as const
  ).map(([resourceType, resourceName]) => ({
    resourceType,
    resourceName,
    configurationKeys: null,
    configs: [],
  }));

const ANY_ACL = {
  resourceType: 1,
  resourceName: null,
  patternType: 1,
  principal: null,
  host: null,
  operation: 1,
  permissionType: 1,
};

/** A request of each API that names this topic and this group, if it can. */
export const REQUESTS: Readonly<
  Record<string, readonly [version: number, request: (names: Names) => object]>
> = {
  Produce: [
    11,
    ({ topic }) => ({ acks: -1, timeoutMs: 1_000, topics: partition(topic, { records: null }) }),
  ],
  Fetch: [
    12,
    ({ topic }) => ({
      maxWaitMs: 0,
      minBytes: 0,
      topics: partition(topic, { fetchOffset: 0, partitionMaxBytes: 1 }),
    }),
  ],
  ListOffsets: [9, ({ topic }) => ({ replicaId: -1, topics: partition(topic, { timestamp: -1 }) })],
  Metadata: [
    12,
    ({ topic }) => ({
      topics: [{ name: topic, topicId: ZERO_UUID }],
      allowAutoTopicCreation: false,
    }),
  ],
  OffsetCommit: [
    9,
    ({ topic, group }) => ({
      groupId: group,
      topics: partition(topic, { committedOffset: 0, committedMetadata: "" }),
    }),
  ],
  OffsetFetch: [
    9,
    ({ topic, group }) => ({
      groups: [{ groupId: group, topics: [{ name: topic, partitions: [0] }] }],
    }),
  ],
  FindCoordinator: [6, ({ group }) => ({ keys: [group] })],
  JoinGroup: [
    9,
    ({ group }) => ({
      groupId: group,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 1_000,
      memberId: "",
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: new Uint8Array() }],
    }),
  ],
  Heartbeat: [4, ({ group }) => ({ groupId: group, generationId: 1, memberId: "m" })],
  LeaveGroup: [
    5,
    ({ group }) => ({ groupId: group, members: [{ memberId: "m", groupInstanceId: null }] }),
  ],
  SyncGroup: [
    5,
    ({ group }) => ({ groupId: group, generationId: 1, memberId: "m", assignments: [] }),
  ],
  DescribeGroups: [5, ({ group }) => ({ groups: [group] })],
  ListGroups: [5, () => ({})],
  CreateTopics: [
    7,
    ({ topic }) => ({
      topics: [
        { name: topic, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
      ],
      timeoutMs: 1_000,
      validateOnly: true,
    }),
  ],
  DeleteTopics: [
    6,
    ({ topic }) => ({ topics: [{ name: topic, topicId: ZERO_UUID }], timeoutMs: 1 }),
  ],
  DeleteRecords: [2, ({ topic }) => ({ topics: partition(topic, { offset: 0 }), timeoutMs: 1 })],
  InitProducerId: [5, () => ({ transactionalId: null, transactionTimeoutMs: 1 })],
  OffsetForLeaderEpoch: [4, ({ topic }) => ({ topics: partition(topic, { leaderEpoch: 0 }) })],
  DescribeConfigs: [4, (names) => ({ resources: resources(names) })],
  AlterConfigs: [2, (names) => ({ resources: resources(names), validateOnly: true })],
  IncrementalAlterConfigs: [1, (names) => ({ resources: resources(names), validateOnly: true })],
  DescribeAcls: [3, () => ANY_ACL],
  CreateAcls: [
    3,
    ({ topic }) => ({ creations: [{ ...ANY_ACL, resourceName: topic, principal: "", host: "" }] }),
  ],
  DeleteAcls: [3, ({ topic }) => ({ filters: [{ ...ANY_ACL, resourceName: topic }] })],
  CreatePartitions: [
    3,
    ({ topic }) => ({
      topics: [{ name: topic, count: 1, assignments: null }],
      timeoutMs: 1,
      validateOnly: true,
    }),
  ],
  DeleteGroups: [2, ({ group }) => ({ groups: [group] })],
  OffsetDelete: [0, ({ topic, group }) => ({ groupId: group, topics: partition(topic, {}) })],
  ConsumerGroupHeartbeat: [
    1,
    ({ topic, group }) => ({
      groupId: group,
      memberId: crypto.randomUUID(),
      memberEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: 1_000,
      subscribedTopicNames: [topic],
      serverAssignor: null,
      topicPartitions: [],
    }),
  ],
  ConsumerGroupDescribe: [
    1,
    ({ group }) => ({ groupIds: [group], includeAuthorizedOperations: false }),
  ],
  DescribeTopicPartitions: [
    0,
    ({ topic }) => ({ topics: [{ name: topic }], responsePartitionLimit: 1, cursor: null }),
  ],
};

export function named(name: string): Api {
  const found = SERVED.find((api) => api.name === name);
  if (found === undefined) throw new Error(`${name} is not served`);
  return found;
}

/** Missing fields are null, false, empty or 0: what a client with nothing to say sends. */
const ABSENT: Readonly<Record<string, unknown>> = {
  isolationLevel: 0,
  includeAuthorizedOperations: false,
};
export function filled(request: object): object {
  return { ...ABSENT, ...request };
}

/** Every error code in a response, however deep. */
export function codesIn(value: unknown): number[] {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  return Object.entries(value).flatMap(([name, each]) =>
    name === "errorCode" ? [each as number] : codesIn(each),
  );
}

/** The first refusal that R, W, G, P, C and A get, or 0. */
export const MATRIX: readonly (readonly [name: string, codes: readonly number[]])[] = [
  ["Metadata", [0, 0, T, T, 0, 0]],
  ["DescribeTopicPartitions", [0, 0, T, T, 0, 0]],
  ["Produce", [T, 0, T, T, T, 0]],
  ["Fetch", [0, T, T, T, 0, 0]],
  ["InitProducerId", [C, 0, C, 0, C, 0]],
  ["ListOffsets", [0, 0, T, T, 0, 0]],
  ["OffsetForLeaderEpoch", [0, 0, T, T, 0, 0]],
  ["FindCoordinator", [G, G, 0, G, 0, 0]],
  ["JoinGroup", [G, G, 0, G, 0, 0]],
  ["SyncGroup", [G, G, 0, G, 0, 0]],
  ["Heartbeat", [G, G, 0, G, 0, 0]],
  ["LeaveGroup", [G, G, 0, G, 0, 0]],
  ["ConsumerGroupHeartbeat", [G, G, T, G, 0, 0]],
  ["OffsetCommit", [G, G, T, G, 0, 0]],
  ["OffsetFetch", [G, G, T, G, 0, 0]],
  ["DescribeGroups", [G, G, 0, G, 0, 0]],
  ["ConsumerGroupDescribe", [G, G, 0, G, 0, 0]],
  ["CreateTopics", [T, T, T, T, T, 0]],
  ["DeleteTopics", [T, T, T, T, T, 0]],
  ["CreatePartitions", [T, T, T, T, T, 0]],
  ["DeleteRecords", [T, T, T, T, T, 0]],
  ["DeleteGroups", [G, G, G, G, G, 0]],
  ["OffsetDelete", [G, G, G, G, G, 0]],
  ["DescribeConfigs", [T, T, T, T, T, 0]],
  ["AlterConfigs", [T, T, T, T, T, 0]],
  ["IncrementalAlterConfigs", [T, T, T, T, T, 0]],
  ["DescribeAcls", [C, C, C, C, C, 0]],
  ["CreateAcls", [C, C, C, C, C, 0]],
  ["DeleteAcls", [C, C, C, C, C, 0]],
];

/** The refusals in a response. */
export function refusalsIn(answer: unknown): number[] {
  return codesIn(answer).filter((code) => [T, G, C].includes(code));
}
