// Every operation of the HTTP API: its input, by the schemas that check it, and its answer.
import * as z from "zod";
import { ERRORS, type ErrorName } from "../../core/errors.ts";
import { alertSchema } from "../../protocol/alerts.ts";
import { consumeQuery, streamQuery } from "../../protocol/plain-consumer.ts";
import { pollSchema } from "../../protocol/poll.ts";
import { NEEDS } from "./access.ts";
import { auditQuery } from "./audit.ts";
import { batchesQuery, fetchBatchesQuery } from "./batches.ts";
import { alterConfigsSchema } from "./configs.ts";
import { costsQuery } from "./costs.ts";
import { deletedTopicsQuery, purgeQuery, undeleteSchema } from "./deleted-topics.ts";
import { inspectTopicsQuery, orphanSchema, relistSchema } from "./doctor.ts";
import { groupLagsQuery } from "./group-lags.ts";
import {
  alterGroupSchema,
  deleteOffsetsQuery,
  describeQuery,
  historyQuery,
  resetSchema,
} from "./groups.ts";
import { alterKeySchema, createKeySchema, createTokenSchema, deleteKeyQuery } from "./keys.ts";
import { NDJSON } from "./lines.ts";
import { metricsQuery } from "./metrics.ts";
import { listQuery } from "./parameters.ts";
import { produceSchema } from "./record-body.ts";
import { deleteQuery, fetchQuery, offsetsQuery, produceQuery } from "./records.ts";
import { recoverySchema } from "./recovery.ts";
import * as responses from "./responses.ts";
import { alterTopicSchema, createTopicSchema } from "./topics.ts";

export interface Operation {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** The path as OpenAPI writes it: /v1/topics/{topic}. */
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** An example of the body. */
  readonly example?: unknown;
  /** Media types of the body besides application/json. */
  readonly bodyTypes?: readonly string[];
  /** The status of success. */
  readonly status: number;
  /** Other statuses that are no error, with their meaning. */
  readonly otherStatuses?: Readonly<Record<number, string>>;
  /** Missing if there is no body. */
  readonly response?: z.ZodType;
  readonly responseTypes?: readonly string[];
  /** True if a stored batch that cannot be read is answered with CORRUPT_MESSAGE as 500 [CRC-2]. */
  readonly readsRecords?: true;
  /**
   * Its own errors. On top come those of all operations, those of a topic's or a group's name in the path, and
   * MESSAGE_TOO_LARGE for a body.
   */
  readonly errors: readonly ErrorName[];
}

/** Errors of all operations: bad input, and trouble of the objects that they ask. */
export const COMMON_ERRORS = [
  "INVALID_REQUEST",
  "REQUEST_TIMED_OUT",
  "KAFKA_STORAGE_ERROR",
  "THROTTLING_QUOTA_EXCEEDED",
  "UNKNOWN_SERVER_ERROR",
] as const satisfies readonly ErrorName[];

export interface DescribedAnswer {
  readonly status: number;
  /** None if the answer is no error. */
  readonly errors: readonly ErrorName[];
}

/** Every status that an operation may answer with, and the errors that it stands for. */
export function answersOf(operation: Operation): DescribedAnswer[] {
  const { method, path, status, otherStatuses = {}, errors, readsRecords = false } = operation;
  const hasBody = operation.body !== undefined || operation.bodyTypes !== undefined;
  const all = new Set<ErrorName>([
    ...COMMON_ERRORS,
    ...accessErrors(method, path),
    ...(path.includes("{topic}") ? (["INVALID_TOPIC_EXCEPTION"] as const) : []),
    ...(path.includes("{group}") ? (["INVALID_GROUP_ID"] as const) : []),
    ...(hasBody ? (["MESSAGE_TOO_LARGE"] as const) : []),
    ...errors,
  ]);
  const answers = Map.groupBy<number, ErrorName>(all, (name) => ERRORS[name].httpStatus);
  if (hasBody) answers.set(408, ["REQUEST_TIMED_OUT"]); // The body does not come.
  if (readsRecords) answers.get(500)?.push("CORRUPT_MESSAGE");
  return [
    ...[status, ...Object.keys(otherStatuses).map(Number)].map((each) => ({
      status: each,
      errors: [],
    })),
    ...Array.from(answers, ([each, names]) => ({ status: each, errors: names })),
  ];
}

/** Returns the refusals of whoever may not call it. */
function accessErrors(method: string, path: string): ErrorName[] {
  const need = NEEDS[`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`];
  // An open broker turns away whoever is not on its machine, whatever is asked.
  if (need === undefined || need === "nothing") return ["CLUSTER_AUTHORIZATION_FAILED"];
  return [
    "SASL_AUTHENTICATION_FAILED",
    "NETWORK_EXCEPTION",
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
  ];
}

const TOPIC = "/v1/topics/{topic}";
const DELETED_TOPIC = "/v1/deleted-topics/{topic}";
const PARTITION = `${TOPIC}/partitions/{partition}`;
const GROUP = "/v1/groups/{group}";
const NO_TOPIC = ["UNKNOWN_TOPIC_OR_PARTITION"] as const;
const NO_GROUP = ["GROUP_ID_NOT_FOUND"] as const;
const TOPIC_SETTINGS = ["INVALID_PARTITIONS", "INVALID_CONFIG"] as const;

/** Every operation of the API. A test compares it with the routes. */
export const OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/health",
    summary: "Whether the broker is up; 503 while the storage of objects fails, with their number",
    status: 200,
    otherStatuses: { 503: "The storage of objects fails" },
    response: responses.health,
    errors: [],
  },
  {
    method: "get",
    path: "/metrics",
    summary: "Metrics for Prometheus, as OpenMetrics or in the older text format",
    query: metricsQuery,
    status: 200,
    responseTypes: ["application/openmetrics-text", "text/plain"],
    errors: [],
  },
  {
    method: "get",
    path: "/",
    summary: "Where to go on, as JSON, or as a page for browsers",
    status: 200,
    response: z.record(z.string(), z.string()),
    errors: [],
  },
  {
    method: "get",
    path: "/openapi.json",
    summary: "This description",
    status: 200,
    response: z.record(z.string(), z.unknown()),
    errors: [],
  },
  {
    method: "get",
    path: "/v1/topics",
    summary: "List topics",
    query: listQuery,
    status: 200,
    response: responses.topics,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/topics",
    summary: "Create a topic",
    body: createTopicSchema,
    example: { name: "orders", partitions: 3 },
    status: 201,
    response: responses.topic,
    errors: ["INVALID_TOPIC_EXCEPTION", ...TOPIC_SETTINGS, "TOPIC_ALREADY_EXISTS"],
  },
  {
    method: "get",
    path: TOPIC,
    summary: "Describe a topic",
    status: 200,
    response: responses.topic,
    errors: NO_TOPIC,
  },
  {
    method: "patch",
    path: TOPIC,
    summary: "Add partitions to a topic, change its config",
    body: alterTopicSchema,
    example: { config: { "retention.ms": 3_600_000 } },
    status: 200,
    response: responses.topic,
    errors: [...NO_TOPIC, ...TOPIC_SETTINGS],
  },
  {
    method: "delete",
    path: TOPIC,
    summary: "Delete a topic and its records, which are kept for topic.delete.delay.ms",
    status: 204,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: "/v1/deleted-topics",
    summary: "List the deleted topics that are kept",
    query: deletedTopicsQuery,
    status: 200,
    response: responses.deletedTopics,
    errors: [],
  },
  {
    method: "post",
    path: `${DELETED_TOPIC}/undelete`,
    summary: "Bring a deleted topic back, with its records and the positions of groups in it",
    body: undeleteSchema,
    example: {},
    status: 200,
    response: responses.topic,
    errors: [...NO_TOPIC, "TOPIC_ALREADY_EXISTS"],
  },
  {
    method: "delete",
    path: DELETED_TOPIC,
    summary: "Free deleted topics of this name now",
    query: purgeQuery,
    status: 204,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: "/v1/configs",
    summary: "What topics get that do not set a key themselves",
    status: 200,
    response: responses.configs,
    errors: [],
  },
  {
    method: "patch",
    path: "/v1/configs",
    summary: "Change these defaults",
    body: alterConfigsSchema,
    example: { config: { "retention.ms": 604_800_000 } },
    status: 200,
    response: responses.configs,
    errors: ["INVALID_CONFIG"],
  },
  {
    method: "post",
    path: `${TOPIC}/records`,
    summary: "Produce records; of any number with NDJSON in and out",
    query: produceQuery,
    body: produceSchema,
    example: { records: [{ key: "customer-7", value: { total: 12 } }] },
    bodyTypes: [NDJSON],
    status: 200,
    otherStatuses: { 207: "Some of the records were refused" },
    response: responses.produced,
    responseTypes: [NDJSON],
    errors: [
      ...NO_TOPIC,
      "INVALID_RECORD",
      "INVALID_TIMESTAMP",
      "INVALID_UPDATE_VERSION",
      "DUPLICATE_RESOURCE",
    ],
  },
  {
    method: "get",
    path: `${TOPIC}/stream`,
    summary: "A topic as server-sent events, or over a WebSocket",
    query: streamQuery,
    status: 200,
    otherStatuses: { 101: "The stream over a WebSocket" },
    responseTypes: ["text/event-stream"],
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: `${PARTITION}/records`,
    summary: "Read records; all of them as NDJSON",
    query: fetchQuery,
    status: 200,
    response: responses.fetched,
    responseTypes: [NDJSON],
    readsRecords: true,
    errors: [...NO_TOPIC, "OFFSET_OUT_OF_RANGE"],
  },
  {
    method: "delete",
    path: `${PARTITION}/records`,
    summary: "Delete the records before an offset",
    query: deleteQuery,
    status: 200,
    response: responses.deleted,
    errors: [...NO_TOPIC, "OFFSET_OUT_OF_RANGE"],
  },
  {
    method: "get",
    path: `${PARTITION}/state`,
    summary: "Bounds of a log, and whether it goes by the topic's config",
    status: 200,
    response: responses.partitionState,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: `${PARTITION}/offsets`,
    summary: "Look an offset up",
    query: offsetsQuery,
    status: 200,
    response: responses.listedOffset,
    readsRecords: true,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: `${PARTITION}/batches`,
    summary: "Read record batches as they are stored",
    query: fetchBatchesQuery,
    status: 200,
    responseTypes: ["application/octet-stream"],
    readsRecords: true,
    errors: [...NO_TOPIC, "OFFSET_OUT_OF_RANGE"],
  },
  {
    method: "post",
    path: `${PARTITION}/batches`,
    summary: "Append record batches as they are",
    query: batchesQuery,
    bodyTypes: ["application/octet-stream"],
    status: 200,
    response: responses.appended,
    errors: [
      ...NO_TOPIC,
      "INVALID_RECORD",
      "INVALID_TIMESTAMP",
      "INVALID_UPDATE_VERSION",
      "CORRUPT_MESSAGE",
      "UNSUPPORTED_COMPRESSION_TYPE",
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      "INVALID_PRODUCER_EPOCH",
    ],
  },
  {
    method: "get",
    path: `${PARTITION}/socket`,
    summary: "WebSocket of an SDK's reader (PROTOCOL.md)",
    status: 101,
    errors: [...NO_TOPIC, "UNKNOWN_TOPIC_ID", "UNSUPPORTED_VERSION"],
  },
  {
    method: "get",
    path: "/kafka",
    summary: "WebSocket of a Kafka client: its protocol, in binary messages (PROTOCOL.md)",
    status: 101,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/producers",
    summary: "A producer id that nobody else has",
    status: 201,
    response: responses.producer,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/me",
    summary: "Who calls, and what it may do",
    status: 200,
    response: responses.me,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/keys",
    summary: "List API keys, without their secrets",
    status: 200,
    response: responses.keys,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/keys",
    summary: "Make an API key; its text is shown only here",
    body: createKeySchema,
    example: { principal: "User:shop", role: "consume" },
    status: 201,
    response: responses.createdKey,
    errors: [],
  },
  {
    method: "patch",
    path: "/v1/keys/{id}",
    summary: "Change what an API key may do, or when it expires",
    body: alterKeySchema,
    example: { role: "read" },
    status: 200,
    response: responses.key,
    errors: ["RESOURCE_NOT_FOUND"],
  },
  {
    method: "delete",
    path: "/v1/keys/{id}",
    summary: "Revoke an API key",
    query: deleteKeyQuery,
    status: 204,
    errors: ["RESOURCE_NOT_FOUND"],
  },
  {
    method: "get",
    path: "/v1/audit",
    summary: "The audit log, the newest line first",
    query: auditQuery,
    status: 200,
    response: responses.audit,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/doctor/topics",
    summary: "What the cluster knows of topics: their ids and used partitions, by name",
    query: inspectTopicsQuery,
    status: 200,
    response: responses.inspectedTopics,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/doctor/tasks",
    summary: "What other objects have still to be told",
    status: 200,
    response: responses.inspectedTasks,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/doctor/groups",
    summary: "List a group again that exists and is not listed",
    body: relistSchema,
    example: { groupId: "billing" },
    status: 204,
    errors: [...NO_GROUP, "INVALID_GROUP_ID"],
  },
  {
    method: "post",
    path: "/v1/doctor/orphans",
    summary: "Free the storage of a partition whose topic does not exist",
    body: orphanSchema,
    example: { topicId: "0b0e0f4e-6f5a-4b0a-9a51-3a7e2b9c4d10", partition: 0 },
    status: 204,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/recovery",
    summary:
      "Take a partition, a group or the cluster back to an earlier time, or tell what that would lose",
    body: recoverySchema,
    example: {
      target: { type: "group", group: "billing" },
      to: "2026-11-29T12:00:00Z",
      dryRun: true,
    },
    status: 200,
    response: responses.recovery,
    errors: [
      ...NO_TOPIC,
      ...NO_GROUP,
      "INVALID_TOPIC_EXCEPTION",
      "INVALID_GROUP_ID",
      "UNSUPPORTED_VERSION",
      "COORDINATOR_NOT_AVAILABLE",
    ],
  },
  {
    method: "post",
    path: "/v1/tokens",
    summary: "Make a token for a browser, with at most the caller's rights",
    body: createTokenSchema,
    example: { role: "consume", subject: "User:customer-7" },
    status: 200,
    response: responses.createdToken,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/groups",
    summary: "List groups",
    query: listQuery,
    status: 200,
    response: responses.groups,
    errors: [],
  },
  {
    method: "get",
    path: GROUP,
    summary: "Describe a group: members, assignment, positions, lag",
    query: describeQuery,
    status: 200,
    response: responses.group,
    errors: NO_GROUP,
  },
  {
    method: "patch",
    path: GROUP,
    summary: "Change a group's config",
    body: alterGroupSchema,
    example: { config: { "group.max.size": 9 } },
    status: 200,
    response: responses.groupConfig,
    errors: ["INVALID_CONFIG"],
  },
  {
    method: "delete",
    path: GROUP,
    summary: "Delete a group without members",
    status: 204,
    errors: [...NO_GROUP, "NON_EMPTY_GROUP"],
  },
  {
    method: "get",
    path: `${GROUP}/lag`,
    summary: "How far a group is behind, as it has been told last: nobody is woken to answer",
    status: 200,
    response: responses.groupLag,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/costs",
    summary: "What each topic and group costs, at Cloudflare's prices",
    query: costsQuery,
    status: 200,
    response: responses.costs,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/group-lags",
    summary: "How far groups are behind, as they have been told last: nobody is woken to answer",
    query: groupLagsQuery,
    status: 200,
    response: responses.groupLags,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/alerts",
    summary: "The alerts, what is firing, and how much of each budget is used",
    status: 200,
    response: responses.alerts,
    errors: [],
  },
  {
    method: "put",
    path: "/v1/alerts/{alert}",
    summary: "Set an alert; the answer to a new one has the secret that signs its messages",
    body: alertSchema,
    example: { type: "group-lag", match: "billing", threshold: 60 },
    status: 200,
    response: responses.setAlert,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/alerts/{alert}/test",
    summary: "Send a test to an alert's webhook",
    status: 204,
    errors: ["RESOURCE_NOT_FOUND"],
  },
  {
    method: "delete",
    path: "/v1/alerts/{alert}",
    summary: "Remove an alert; what was firing is resolved",
    status: 204,
    errors: ["RESOURCE_NOT_FOUND"],
  },
  {
    method: "get",
    path: `${GROUP}/config`,
    summary: "A group's config",
    status: 200,
    response: responses.groupConfig,
    errors: NO_GROUP,
  },
  {
    method: "get",
    path: `${GROUP}/history`,
    summary: "What happened in a group",
    query: historyQuery,
    status: 200,
    response: responses.history,
    errors: NO_GROUP,
  },
  {
    method: "get",
    path: `${GROUP}/offsets`,
    summary: "A group's committed offsets; asks no partition",
    status: 200,
    response: responses.committed,
    errors: NO_GROUP,
  },
  {
    method: "post",
    path: `${GROUP}/offsets`,
    summary: "Set a group's positions",
    body: resetSchema,
    example: { to: "earliest", dryRun: true },
    status: 200,
    response: responses.reset,
    errors: [...NO_GROUP, ...NO_TOPIC, "NON_EMPTY_GROUP"],
  },
  {
    method: "delete",
    path: `${GROUP}/offsets`,
    summary: "Forget a group's positions in topics",
    query: deleteOffsetsQuery,
    status: 204,
    errors: [...NO_GROUP, ...NO_TOPIC, "GROUP_SUBSCRIBED_TO_TOPIC"],
  },
  {
    method: "post",
    path: `${GROUP}/poll`,
    summary: "Consume as a member without a connection",
    body: pollSchema,
    example: { instanceId: "worker-1", topics: ["orders"], waitMs: 1_000 },
    status: 200,
    response: responses.polled,
    errors: [
      "INVALID_TOPIC_EXCEPTION",
      "INVALID_REGULAR_EXPRESSION",
      "UNRELEASED_INSTANCE_ID",
      "UNKNOWN_MEMBER_ID",
      "NON_EMPTY_GROUP",
      "GROUP_MAX_SIZE_REACHED",
      "COORDINATOR_NOT_AVAILABLE",
    ],
  },
  {
    method: "get",
    path: `${GROUP}/consume`,
    summary: "WebSocket of a plain consumer (PROTOCOL.md)",
    query: consumeQuery,
    status: 101,
    errors: [...NO_TOPIC, "INVALID_REGULAR_EXPRESSION", "UNSUPPORTED_VERSION"],
  },
  {
    method: "get",
    path: `${GROUP}/socket`,
    summary: "WebSocket of an SDK's member (PROTOCOL.md)",
    status: 101,
    errors: ["GROUP_MAX_SIZE_REACHED", "UNSUPPORTED_VERSION"],
  },
  {
    method: "get",
    path: `${GROUP}/events`,
    summary: "WebSocket that tells when the group changes (PROTOCOL.md)",
    status: 101,
    errors: ["GROUP_ID_NOT_FOUND", "UNSUPPORTED_VERSION"],
  },
];
