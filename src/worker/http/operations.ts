// Every operation of the HTTP API: its input, with the schemas that check it, and its answer.
import * as z from "zod";
import { ERRORS, type ErrorName } from "../../core/errors.ts";
import { alertSchema } from "../../protocol/alerts.ts";
import { consumeQuery, streamQuery } from "../../protocol/plain-consumer.ts";
import { pollSchema } from "../../protocol/poll.ts";
import { acknowledgeSchema, acquireSchema, redriveSchema } from "../../protocol/share-groups.ts";
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
  /** The path in OpenAPI's form: /v1/topics/{topic}. */
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** An example of the body. */
  readonly example?: unknown;
  /** Media types of the body besides application/json. */
  readonly bodyTypes?: readonly string[];
  /** The status of a success. */
  readonly status: number;
  /** Other statuses that are not errors, each with its meaning. */
  readonly otherStatuses?: Readonly<Record<number, string>>;
  /** Absent if there is no body. */
  readonly response?: z.ZodType;
  readonly responseTypes?: readonly string[];
  /** True if a stored batch that cannot be read is answered with CORRUPT_MESSAGE as 500 [CRC-2]. */
  readonly readsRecords?: true;
  /**
   * The operation's own errors. Further errors are those of all operations, those of a topic or group name in the path,
   * and MESSAGE_TOO_LARGE for a body.
   */
  readonly errors: readonly ErrorName[];
}

/** The errors of all operations: bad input, and failures of the objects that they call. */
export const COMMON_ERRORS = [
  "INVALID_REQUEST",
  "REQUEST_TIMED_OUT",
  "KAFKA_STORAGE_ERROR",
  "THROTTLING_QUOTA_EXCEEDED",
  "UNKNOWN_SERVER_ERROR",
] as const satisfies readonly ErrorName[];

export interface DescribedAnswer {
  readonly status: number;
  /** Empty if the answer is not an error. */
  readonly errors: readonly ErrorName[];
}

/** Returns every status that an operation may answer with, each with its errors. */
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
  if (hasBody) answers.set(408, ["REQUEST_TIMED_OUT"]); // The body does not arrive in time.
  if (readsRecords) answers.get(500)?.push("CORRUPT_MESSAGE");
  return [
    ...[status, ...Object.keys(otherStatuses).map(Number)].map((each) => ({
      status: each,
      errors: [],
    })),
    ...Array.from(answers, ([each, names]) => ({ status: each, errors: names })),
  ];
}

/** Returns the errors for callers without the right to call the operation. */
function accessErrors(method: string, path: string): ErrorName[] {
  const need = NEEDS[`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`];
  // An open broker refuses all callers that are not on its machine.
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
const SHARE_GROUP = "/v1/share-groups/{group}";
const NO_TOPIC = ["UNKNOWN_TOPIC_OR_PARTITION"] as const;
const NO_GROUP = ["GROUP_ID_NOT_FOUND"] as const;
const TOPIC_SETTINGS = ["INVALID_PARTITIONS", "INVALID_CONFIG"] as const;

/** Every operation of the API. A test compares the list with the routes. */
export const OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/health",
    summary:
      "Check the broker's health; 503 with the number of failing objects while storage fails",
    status: 200,
    otherStatuses: { 503: "The storage of some objects fails" },
    response: responses.health,
    errors: [],
  },
  {
    method: "get",
    path: "/metrics",
    summary: "Get metrics for Prometheus, as OpenMetrics or in the older text format",
    query: metricsQuery,
    status: 200,
    responseTypes: ["application/openmetrics-text", "text/plain"],
    errors: [],
  },
  {
    method: "get",
    path: "/",
    summary: "Get links to the parts of the broker, as JSON or as a page for browsers",
    status: 200,
    response: z.record(z.string(), z.string()),
    errors: [],
  },
  {
    method: "get",
    path: "/openapi.json",
    summary: "Get this description of the API",
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
    summary: "Add partitions to a topic, or change its config",
    body: alterTopicSchema,
    example: { config: { "retention.ms": 3_600_000 } },
    status: 200,
    response: responses.topic,
    errors: [...NO_TOPIC, ...TOPIC_SETTINGS],
  },
  {
    method: "delete",
    path: TOPIC,
    summary: "Delete a topic; its records are kept for topic.delete.delay.ms",
    status: 204,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: "/v1/deleted-topics",
    summary: "List the deleted topics that can still be restored",
    query: deletedTopicsQuery,
    status: 200,
    response: responses.deletedTopics,
    errors: [],
  },
  {
    method: "post",
    path: `${DELETED_TOPIC}/undelete`,
    summary: "Restore a deleted topic, with its records and the committed offsets of groups",
    body: undeleteSchema,
    example: {},
    status: 200,
    response: responses.topic,
    errors: [...NO_TOPIC, "TOPIC_ALREADY_EXISTS"],
  },
  {
    method: "delete",
    path: DELETED_TOPIC,
    summary: "Free the deleted topics of this name now; they can no longer be restored",
    query: purgeQuery,
    status: 204,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: "/v1/configs",
    summary: "Get the default config, for topics that do not set a key themselves",
    status: 200,
    response: responses.configs,
    errors: [],
  },
  {
    method: "patch",
    path: "/v1/configs",
    summary: "Change the default config of topics",
    body: alterConfigsSchema,
    example: { config: { "retention.ms": 604_800_000 } },
    status: 200,
    response: responses.configs,
    errors: ["INVALID_CONFIG"],
  },
  {
    method: "post",
    path: `${TOPIC}/records`,
    summary: "Produce records; any number of them with NDJSON in and out",
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
    summary: "Stream a topic without a group, as server-sent events or over a WebSocket",
    query: streamQuery,
    status: 200,
    otherStatuses: { 101: "The stream over a WebSocket" },
    responseTypes: ["text/event-stream"],
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: `${PARTITION}/records`,
    summary: "Read records of a partition; all of them as NDJSON",
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
    summary: "Get the bounds of a partition's log, and check that it uses the topic's config",
    status: 200,
    response: responses.partitionState,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: `${PARTITION}/offsets`,
    summary: "Look up an offset by time, or at an end of the log",
    query: offsetsQuery,
    status: 200,
    response: responses.listedOffset,
    readsRecords: true,
    errors: NO_TOPIC,
  },
  {
    method: "get",
    path: `${PARTITION}/batches`,
    summary: "Read record batches as stored",
    query: fetchBatchesQuery,
    status: 200,
    responseTypes: ["application/octet-stream"],
    readsRecords: true,
    errors: [...NO_TOPIC, "OFFSET_OUT_OF_RANGE"],
  },
  {
    method: "post",
    path: `${PARTITION}/batches`,
    summary: "Append encoded record batches",
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
    summary: "Open the WebSocket of an SDK's reader (PROTOCOL.md)",
    status: 101,
    errors: [...NO_TOPIC, "UNKNOWN_TOPIC_ID", "UNSUPPORTED_VERSION"],
  },
  {
    method: "get",
    path: "/kafka",
    summary: "Open a WebSocket that carries Kafka's protocol in binary messages (PROTOCOL.md)",
    status: 101,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/producers",
    summary: "Get a unique producer id",
    status: 201,
    response: responses.producer,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/me",
    summary: "Get the caller and its rights",
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
    summary: "Create an API key; its text is shown only here",
    body: createKeySchema,
    example: { principal: "User:shop", role: "consume" },
    status: 201,
    response: responses.createdKey,
    errors: [],
  },
  {
    method: "patch",
    path: "/v1/keys/{id}",
    summary: "Change the rights, quota or expiry of an API key",
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
    summary: "List the events of the audit log, newest first",
    query: auditQuery,
    status: 200,
    response: responses.audit,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/doctor/topics",
    summary: "List the topics that the cluster knows, with their ids and used partitions, by name",
    query: inspectTopicsQuery,
    status: 200,
    response: responses.inspectedTopics,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/doctor/tasks",
    summary: "List the tasks of the cluster that other objects have not yet received",
    status: 200,
    response: responses.inspectedTasks,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/doctor/groups",
    summary: "Add an existing group to the list of groups again",
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
      "Restore a partition, a group or the cluster to an earlier time, or report what that would lose",
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
    summary: "Create a token for a browser, with at most the caller's rights",
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
    summary: "Describe a group: its members, assignment, committed offsets and lag",
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
    summary: "Get the lag of a group as last reported; wakes no group and no partition",
    status: 200,
    response: responses.groupLag,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/costs",
    summary: "Get the cost of each topic and group, at Cloudflare's prices",
    query: costsQuery,
    status: 200,
    response: responses.costs,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/group-lags",
    summary: "List groups with their lag as last reported; wakes no group and no partition",
    query: groupLagsQuery,
    status: 200,
    response: responses.groupLags,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/alerts",
    summary: "List the alerts with their firing subjects, and the use of each budget",
    status: 200,
    response: responses.alerts,
    errors: [],
  },
  {
    method: "put",
    path: "/v1/alerts/{alert}",
    summary: "Set an alert; the answer for a new one has the secret that signs its messages",
    body: alertSchema,
    example: { type: "group-lag", match: "billing", threshold: 60 },
    status: 200,
    response: responses.setAlert,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/alerts/{alert}/test",
    summary: "Send a test message to an alert's webhook",
    status: 204,
    errors: ["RESOURCE_NOT_FOUND"],
  },
  {
    method: "delete",
    path: "/v1/alerts/{alert}",
    summary: "Remove an alert; firing alerts are resolved",
    status: 204,
    errors: ["RESOURCE_NOT_FOUND"],
  },
  {
    method: "get",
    path: `${GROUP}/config`,
    summary: "Get a group's config",
    status: 200,
    response: responses.groupConfig,
    errors: NO_GROUP,
  },
  {
    method: "get",
    path: `${GROUP}/history`,
    summary: "Get a group's history",
    query: historyQuery,
    status: 200,
    response: responses.history,
    errors: NO_GROUP,
  },
  {
    method: "get",
    path: `${GROUP}/offsets`,
    summary: "Get a group's committed offsets; wakes no partition",
    status: 200,
    response: responses.committed,
    errors: NO_GROUP,
  },
  {
    method: "post",
    path: `${GROUP}/offsets`,
    summary: "Reset a group's committed offsets",
    body: resetSchema,
    example: { to: "earliest", dryRun: true },
    status: 200,
    response: responses.reset,
    errors: [...NO_GROUP, ...NO_TOPIC, "NON_EMPTY_GROUP"],
  },
  {
    method: "delete",
    path: `${GROUP}/offsets`,
    summary: "Delete a group's committed offsets in topics",
    query: deleteOffsetsQuery,
    status: 204,
    errors: [...NO_GROUP, ...NO_TOPIC, "GROUP_SUBSCRIBED_TO_TOPIC"],
  },
  {
    method: "post",
    path: `${GROUP}/poll`,
    summary: "Consume records as a group member without a connection",
    body: pollSchema,
    example: { instanceId: "worker-1", topics: ["orders"], waitMs: 1_000 },
    status: 200,
    response: responses.polled,
    errors: [
      ...NO_GROUP, // It is a share group.
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
    path: SHARE_GROUP,
    summary: "Describe a share group and what its partitions have delivered",
    status: 200,
    response: responses.shareGroup,
    errors: NO_GROUP,
  },
  {
    method: "post",
    path: `${SHARE_GROUP}/acquire`,
    summary: "Acquire records from a share group, to process and acknowledge each one",
    body: acquireSchema,
    example: { topics: ["orders"], maxRecords: 10, waitMs: 1_000 },
    status: 200,
    response: responses.acquired,
    errors: [...NO_GROUP, ...NO_TOPIC, "COORDINATOR_NOT_AVAILABLE"],
  },
  {
    method: "post",
    path: `${SHARE_GROUP}/redrive`,
    summary: "Send a share group's dead letters back to where they came from",
    body: redriveSchema,
    example: { maxRecords: 100 },
    status: 200,
    response: responses.redriven,
    errors: [...NO_GROUP, ...NO_TOPIC, "COORDINATOR_NOT_AVAILABLE"],
  },
  {
    method: "post",
    path: `${SHARE_GROUP}/acknowledge`,
    summary: "Accept, release, reject or renew acquired records",
    body: acknowledgeSchema,
    example: { acks: [{ leaseId: "the leaseId of a record", type: "accept" }] },
    status: 200,
    response: responses.acknowledged,
    errors: [],
  },
  {
    method: "get",
    path: `${GROUP}/consume`,
    summary: "Open the WebSocket of a plain consumer (PROTOCOL.md)",
    query: consumeQuery,
    status: 101,
    errors: [...NO_TOPIC, "INVALID_REGULAR_EXPRESSION", "UNSUPPORTED_VERSION"],
  },
  {
    method: "get",
    path: `${GROUP}/socket`,
    summary: "Open the WebSocket of an SDK's group member (PROTOCOL.md)",
    status: 101,
    errors: ["GROUP_MAX_SIZE_REACHED", "UNSUPPORTED_VERSION"],
  },
  {
    method: "get",
    path: `${GROUP}/events`,
    summary: "Open a WebSocket that reports changes of a group (PROTOCOL.md)",
    status: 101,
    errors: ["GROUP_ID_NOT_FOUND", "UNSUPPORTED_VERSION"],
  },
];
