// The answers of the HTTP API, for its description. Typed code makes the answers, so they are not checked against these
// schemas at run time. The compiler ties schemas to the SDK's types of the answers (exactly.ts), and a test compares each
// schema with a real answer.
import * as z from "zod";
import { ALERT_TYPES, type AlertInfo } from "../../core/alerts/alert.ts";
import type { GroupInfo, HistoryInfo, ResetResult } from "../../core/group-info.ts";
import type { BudgetUse } from "../../core/metrics/budgets.ts";
import type { Recovery } from "../../core/recovery-info.ts";
import type { ConfigInfo, GroupConfigInfo, TopicInfo } from "../../core/topic-info.ts";
import type { JsonRecord } from "../../protocol/json-record.ts";
import { exactly } from "./exactly.ts";

const offset = z.int().min(0);
const count = z.int().min(0);
const partition = z.int().min(0);
const millis = z.int().describe("Milliseconds since 1970");
const config = z.record(z.string(), z.union([z.string(), z.number()]));
const configFields = {
  config: config.describe("The config in effect, by Kafka's keys"),
  overrides: config.describe("The values that are set here; the others are defaults"),
};
const topicPartitions = z.strictObject({ topic: z.string(), partitions: z.array(partition) });
const topicId = z
  .string()
  .describe("A topic that is created anew under the same name has another id");
const logStartOffset = offset.describe("The offset of the first record");
const highWatermark = offset.describe("The offset after the last record");
const errorCode = z.string().describe("Kafka's name of the error");

export const inspectedTopics = z.strictObject({
  topics: z.array(
    z.strictObject({
      name: z.string(),
      topicId,
      partitions: z.int().min(1).describe("The number of partitions"),
      used: z
        .array(
          z.strictObject({
            partition,
            logEnd: offset
              .nullable()
              .describe("The last reported end of the log, on one machine only"),
          }),
        )
        .nullable()
        .describe("The partitions that have been used; null if that is not known"),
    }),
  ),
});
export const inspectedTasks = z.strictObject({
  tasks: z.array(
    z.strictObject({
      id: z.int(),
      type: z.string(),
      about: z.string().describe("The topic or group that the task is about"),
    }),
  ),
});
export const partitionState = z.strictObject({
  logStartOffset,
  highWatermark,
  hasConfig: z.boolean().describe("False if the partition still uses an older config of its topic"),
});

export const recovery = exactly<Recovery>()(
  z.strictObject({
    bookmark: z.string().describe("The state to restore"),
    dryRun: z.boolean(),
    undoBookmark: z.string().exactOptional().describe("The state that undoes the restore"),
    logStartOffset: offset.exactOptional().describe("The start of the log before the restore"),
    logEndOffset: offset.exactOptional().describe("The end of the log before the restore"),
    firstLostOffset: offset
      .exactOptional()
      .describe("The first record that is lost, with all records after it"),
    restoredLogEndOffset: offset.exactOptional().describe("The end of the log after the restore"),
    positions: count.exactOptional().describe("The number of committed offsets before the restore"),
    topics: count.exactOptional().describe("The number of topics before the restore"),
    groups: count.exactOptional().describe("The number of groups before the restore"),
    failing: z.string().exactOptional().describe("Why the present state cannot be read"),
  }),
);

export const committed = z.strictObject({
  groupId: z.string(),
  offsets: z.array(
    z.strictObject({
      topic: z.string(),
      partition,
      offset: offset.describe("The committed offset: the next one to read"),
      leaderEpoch: z.int().exactOptional(),
      metadata: z.string().exactOptional().describe("The text that the client committed with it"),
    }),
  ),
});

export const problem = z.object({
  type: z.literal("about:blank"),
  title: z.string().describe("A description of the error"),
  status: z.int().describe("The HTTP status"),
  detail: z.string().describe("What is wrong, in words"),
  code: errorCode,
  errorCode: z.int().describe("Kafka's number of the error"),
  retriable: z.boolean().describe("True if the same request may succeed later"),
});

export const health = z.strictObject({
  status: z.enum(["ok", "storage failures"]),
  failing: z.number().exactOptional().describe("The number of objects whose storage fails"),
});

export const topic = exactly<TopicInfo>()(
  z.strictObject({
    name: z.string(),
    topicId,
    partitions: z.int().min(1).describe("The number of partitions"),
    ...configFields,
  }),
);
/** [CLU-6] The name or id after which the next page begins, if there is one. */
const next = z
  .string()
  .exactOptional()
  .describe("The `after` of the next page; absent in the last");
export const topics = z.strictObject({ topics: z.array(topic), next });
const deletedTopic = z.strictObject({
  name: z.string(),
  topicId,
  partitions: z.int().min(1).describe("The number of partitions"),
  deletedAt: z.string().meta({ format: "date-time" }),
  purgeAt: z
    .string()
    .meta({ format: "date-time", description: "The end of the time to restore it" }),
});
export const deletedTopics = z.strictObject({ topics: z.array(deletedTopic), next });
export const configs = exactly<ConfigInfo>()(z.strictObject(configFields));
export const groupConfig = exactly<GroupConfigInfo>()(
  z.strictObject({ groupId: z.string(), ...configFields }),
);

const headerValue = z.union([z.string(), z.null(), z.strictObject({ base64: z.string() })]);
const recordFields = {
  offset,
  timestamp: millis,
  key: z
    .string()
    .nullable()
    .exactOptional()
    .describe("The key, if it is UTF-8; null if there is none"),
  keyBase64: z.string().exactOptional().describe("The key, if it is not UTF-8"),
  value: z
    .string()
    .nullable()
    .exactOptional()
    .describe("The value, if it is UTF-8; null for a tombstone"),
  valueBase64: z.string().exactOptional().describe("The value, if it is not UTF-8"),
  headers: z
    .record(z.string(), z.union([headerValue, z.array(headerValue)]))
    .describe("Headers by name; a list if a name repeats"),
};
export const record = exactly<JsonRecord>()(z.strictObject(recordFields));

const stored = z.strictObject({ partition, offset, timestamp: millis });
const refused = z.object({ partition, code: errorCode, detail: z.string() });
export const produced = z.strictObject({
  results: z.array(z.union([stored, refused])).describe("One per record, in the order sent"),
});
export const progress = z.strictObject({
  lines: count.describe("The lines that are done, stored or refused"),
  stored: count,
  refused: count,
  errors: z
    .array(z.strictObject({ line: count, code: errorCode, detail: z.string() }))
    .describe("The first refused lines"),
  done: z.boolean().exactOptional().describe("Set in the last line: true if all lines are done"),
  error: problem.exactOptional().describe("Set in the last line if the request ended early"),
});

export const fetched = z.strictObject({
  records: z.array(record),
  nextOffset: offset.describe("The offset at which to read on"),
  logStartOffset,
  highWatermark,
});
export const listedOffset = z.strictObject({
  offset,
  timestamp: z.int().exactOptional().describe("The time of the record that was found by time"),
});
export const deleted = z.strictObject({ logStartOffset });
export const appended = z.strictObject({
  baseOffset: offset.describe("The offset of the first record"),
  logAppendTimeMs: z
    .int()
    .exactOptional()
    .describe("The records' timestamp, if the broker sets it"),
});
export const producer = z.strictObject({ producerId: z.int(), producerEpoch: z.int() });

export const groups = z.strictObject({
  groups: z.array(z.strictObject({ groupId: z.string() })),
  next,
});
const HISTORY_TYPES = [
  "joined",
  "disconnected",
  "resumed",
  "subscribed",
  "removed",
  "topic changed",
  "topic removed",
  "rebalanced",
  "revoking",
  "revoked",
  "assigned",
  "offsets reset",
  "offsets deleted",
  "offsets expired",
  "config changed",
] as const satisfies readonly HistoryInfo["type"][];

/** An offset of a partition, with the error that occurred there. */
const refusedPlace = z.strictObject({
  topic: z.string(),
  partition,
  offset,
  code: errorCode,
  detail: z.string(),
});
const groupOffset = z.strictObject({
  topic: z.string(),
  partition,
  committedOffset: offset.nullable().describe("The next offset to read; null if none is committed"),
  logEndOffset: offset.describe("The offset after the last record"),
  lag: count.nullable().describe("The number of unread records; null if nothing is committed"),
  oldestUnreadMs: count
    .nullable()
    .describe("The age of the oldest unread record in milliseconds; null if there is none"),
});
export const group = exactly<GroupInfo>()(
  z.strictObject({
    groupId: z.string(),
    kind: z.literal("share").exactOptional().describe("Set for a share group"),
    state: z.enum(["EMPTY", "ASSIGNING", "RECONCILING", "STABLE", "DEAD"]),
    epoch: z.int(),
    assignor: z.string().describe("The strategy that assigns partitions to members"),
    members: z.array(
      z.strictObject({
        memberId: z.string(),
        instanceId: z.string().exactOptional().describe("Set for static members"),
        clientId: z.string().exactOptional(),
        memberEpoch: z.int(),
        state: z
          .enum([
            "STABLE",
            "UNREVOKED_PARTITIONS",
            "UNRELEASED_PARTITIONS",
            "ASSIGNING",
            "RECONCILING",
          ])
          .describe("Members of a classic group have ASSIGNING, RECONCILING or STABLE"),
        connected: z
          .boolean()
          .describe("False while its session timeout runs without a connection"),
        assignment: z.array(topicPartitions).describe("The partitions that it may consume now"),
        revoking: z
          .array(topicPartitions)
          .exactOptional()
          .describe("The partitions that it was asked to give up"),
        target: z
          .array(topicPartitions)
          .describe("The partitions that it will have after the rebalance"),
      }),
    ),
    offsets: z.array(groupOffset),
    unreadable: z
      .array(refusedPlace)
      .exactOptional()
      .describe("The partitions that do not answer; `offset` is the committed one, or 0"),
  }),
);
export const groupLag = z.strictObject({
  groupId: z.string(),
  toldAtMs: z.int().nullable().describe("The time of the group's last report"),
  state: z.string().nullable(),
  members: count.nullable().describe("The number of members"),
  offsets: z.array(groupOffset),
  trend: z
    .array(z.strictObject({ atMs: millis, lag: count, oldestUnreadMs: count.nullable() }))
    .describe("The lag over the last day, oldest first"),
});
const dollars = z.number();
const usage = z.strictObject({
  rowsWritten: count,
  rowsRead: count,
  requests: count,
  messages: count.describe("The number of WebSocket messages received"),
  awakeMs: z.number().describe("The time that objects were awake, in milliseconds"),
});
const spent = z.strictObject({
  usage,
  workerRequests: count,
  byteSeconds: z.number().describe("Stored bytes, times the seconds for which they were stored"),
  recordsIn: count,
  bytesIn: count,
  bytesOut: count,
});
const traffic = z.strictObject({
  recordsIn: z.number(),
  bytesIn: z.number(),
  bytesOut: z.number(),
});
const elsewhere = z
  .strictObject({ k2: dollars, queues: dollars })
  .describe("This month's cost of the same records on K2 and on Queues, in dollars");
const rates = {
  perHour: dollars.describe("Dollars per hour at the current rate"),
  today: dollars.describe("Dollars since midnight UTC"),
  month: dollars.describe("Dollars since the month began"),
  projected: dollars.describe("Dollars for the whole month at the current rate"),
};
export const costs = z.strictObject({
  pricesOf: z.string().describe("The month of the prices"),
  atMs: millis,
  total: z.strictObject(rates).describe("The total of all lines, listed or not"),
  rates: traffic.describe("Records and bytes per second now"),
  elsewhere,
  lines: z
    .array(
      z.strictObject({
        kind: z.enum(["topic", "group", "overhead"]),
        name: z.string(),
        ...rates,
        usedToday: spent,
        usedThisMonth: spent,
        elsewhere,
        rates: traffic,
      }),
    )
    .describe("The most expensive first"),
});
const alertRule = {
  name: z.string(),
  type: z.enum(ALERT_TYPES),
  match: z.string().describe("A name, or a prefix followed by *"),
  threshold: z.number().describe("In seconds or percent, depending on the type"),
  forSeconds: count.describe(
    "The seconds for which the condition must hold before the alert fires",
  ),
  webhook: z.string().nullable(),
};
export const setAlert = z.strictObject({
  ...alertRule,
  secret: z.string().exactOptional().describe("The secret that signs messages; shown only here"),
});
export const alerts = exactly<{
  alerts: readonly AlertInfo[];
  budgets: readonly BudgetUse[];
}>()(
  z.strictObject({
    alerts: z.array(
      z.strictObject({
        ...alertRule,
        firing: z.array(
          z.strictObject({
            subject: z.string().describe("The group, topic, partition or principal"),
            sinceMs: millis,
            value: z.number(),
            text: z.string().describe("The state in words"),
          }),
        ),
        beyond: count.describe("The number of further subjects that meet the rule but do not fit"),
        lastDelivery: z
          .strictObject({
            atMs: millis,
            outcome: z.enum(["delivered", "failing", "given up"]),
            detail: z.string().describe("The webhook's answer, or why it cannot be reached"),
          })
          .nullable(),
      }),
    ),
    budgets: z.array(
      z.strictObject({
        kind: z.enum(["topic", "principal"]),
        name: z.string(),
        dollarsPerDay: dollars.describe("The budget"),
        dollars: dollars.describe("The used part of it"),
        percent: z.number(),
        endsMs: z.int().describe("Midnight UTC, when the budget is renewed"),
      }),
    ),
  }),
);
export const groupLags = z.strictObject({
  groups: z.array(
    z.strictObject({
      groupId: z.string(),
      state: z.string(),
      members: count.describe("The number of members"),
      topics: z.array(z.string()),
      lag: count.nullable().describe("The number of unread records in all topics together"),
      oldestUnreadMs: count
        .nullable()
        .describe("The age of the oldest unread record in milliseconds"),
      toldAtMs: z.int().describe("The time of the group's last report"),
    }),
  ),
});
export const history = exactly<{ groupId: string; history: readonly HistoryInfo[] }>()(
  z.strictObject({
    groupId: z.string(),
    history: z
      .array(
        z.strictObject({
          atMs: millis,
          type: z.enum(HISTORY_TYPES),
          epoch: z.int().describe("The group's epoch before the change"),
          memberId: z.string().exactOptional(),
          instanceId: z.string().exactOptional(),
          clientId: z.string().exactOptional(),
          memberEpoch: z.int().exactOptional(),
          newEpoch: z.int().exactOptional().describe("The group's epoch after a rebalance"),
          reason: z.string().exactOptional(),
          topic: z.string().exactOptional(),
          partitions: z
            .array(topicPartitions)
            .exactOptional()
            .describe("The first of the partitions"),
          partitionCount: count.exactOptional(),
        }),
      )
      .describe("Oldest first"),
  }),
);
export const reset = exactly<ResetResult>()(
  z.strictObject({
    groupId: z.string(),
    dryRun: z.boolean(),
    offsets: z.array(
      z.strictObject({
        topic: z.string(),
        partition,
        committedOffset: offset.nullable().describe("The committed offset before; null if none"),
        offset: offset.describe("The new committed offset"),
      }),
    ),
  }),
);
export const polled = z.strictObject({
  assignment: z.array(topicPartitions).describe("The partitions that the member owns"),
  records: z.array(z.strictObject({ topic: z.string(), partition, ...recordFields })),
  rejected: z
    .array(refusedPlace)
    .exactOptional()
    .describe("The acknowledgements that do not count"),
  missing: z.array(z.string()).exactOptional().describe("The requested topics that do not exist"),
  unreadable: z
    .array(refusedPlace)
    .exactOptional()
    .describe("The partitions that cannot be read beyond `offset` now"),
});

export const acquired = z.strictObject({
  lockTimeoutMs: z.int().min(0).describe("How long nobody else gets the records"),
  records: z.array(
    z.strictObject({
      topic: z.string(),
      partition,
      ...recordFields,
      deliveryCount: z.int().min(1).describe("1 for the first delivery of the record"),
      leaseId: z.string().describe("To acknowledge the record with"),
    }),
  ),
});
export const redriven = z.strictObject({
  redriven: count.describe("Dead letters that were sent back"),
  skipped: count.describe("Dead letters of other groups, which stay"),
  left: count.describe("Dead letters that were not looked at yet, or have failed"),
  failed: z.array(z.strictObject({ partition, offset, detail: z.string() })),
});
export const acknowledged = z.strictObject({
  results: z
    .array(
      z.union([
        z.strictObject({ ok: z.literal(true) }),
        z.strictObject({
          ok: z.literal(false),
          code: errorCode,
          errorCode: z.int(),
          retriable: z.boolean(),
          detail: z.string(),
        }),
      ]),
    )
    .describe("In the order of the acknowledgements"),
});
export const shareGroup = z.strictObject({
  groupId: z.string(),
  state: z.string().describe("EMPTY without members"),
  epoch: z.int().min(0),
  members: z.array(z.unknown()),
  partitions: z.array(
    z.strictObject({
      topic: z.string(),
      partition,
      startOffset: offset.describe("The first offset that is not finished"),
      inFlight: count.describe("Records that a consumer holds"),
      waiting: count.describe("Records that will be delivered again"),
      delayed: count.describe("The part of `waiting` that is delayed"),
      archiving: count.describe("Given up, and not yet written to the dead-letter topic"),
      acknowledged: count.describe("Records that were accepted"),
      archived: count.describe("Records that were given up"),
      lag: count.describe("Records that are not finished"),
    }),
  ),
});

const operations = z.array(z.string()).describe("Kafka's operations, such as READ");
const pattern = z.union([
  z.strictObject({ exact: z.string() }),
  z.strictObject({ prefix: z.string() }),
]);
const max = z.number().exactOptional().describe("The most that may exist under these names");
const grants = z.array(
  z.union([
    z.strictObject({ topics: pattern, operations, max }),
    z.strictObject({ groups: pattern, operations, max }),
    z.strictObject({ cluster: operations }),
  ]),
);
const bounds = {
  namespace: z.string().exactOptional().describe("The prefix of all names that the caller uses"),
  quota: z
    .strictObject({
      producerByteRate: z.number().exactOptional().describe("Bytes produced per second"),
      consumerByteRate: z.number().exactOptional().describe("Bytes read per second"),
      requestRate: z.number().exactOptional().describe("Requests per second"),
      connections: z.number().exactOptional(),
      dollarsPerDay: z.number().exactOptional(),
    })
    .exactOptional(),
};
const principal = z.string().describe("The caller's name, such as User:alice");
const keyFields = {
  id: z.string(),
  principal,
  grants,
  ...bounds,
  createdAt: z.string(),
  expiresAt: z.string().nullable().describe("Null if it never expires"),
  lastUsed: z.string().nullable().describe("The day on which it was last used"),
};
export const key = z.strictObject(keyFields);
export const keys = z.strictObject({ keys: z.array(key) });
export const createdKey = z.strictObject({
  ...keyFields,
  key: z.string().describe("The API key, with its secret; shown only here"),
  secret: z.string().describe("The password for SASL, with `id` as the user name; shown only here"),
});
export const createdToken = z.strictObject({ token: z.string(), expiresAt: z.string() });
export const me = z.strictObject({
  principal,
  grants,
  ...bounds,
  keyId: z.string().exactOptional().describe("The API key of the caller, or of its token's maker"),
  expiresAt: z.string().exactOptional().describe("The expiry of the credential"),
});
export const audit = z.strictObject({
  events: z.array(
    z.strictObject({
      number: z.number().describe("Events are numbered in order of arrival"),
      at: z.string(),
      decision: z.enum(["allowed", "refused"]),
      action: z.string().describe("The change that was made, or the operation that was refused"),
      resource: z.strictObject({
        type: z.enum(["topic", "group", "cluster", "key"]),
        name: z.string(),
      }),
      principal,
      keyId: z
        .string()
        .exactOptional()
        .describe("The API key of the caller, or of its token's maker"),
      namespace: z.string().exactOptional(),
      way: z.enum(["http", "kafka", "rpc", "socket"]).describe("The protocol of the request"),
      ip: z.string().exactOptional(),
      userAgent: z.string().exactOptional(),
      requestId: z.string().exactOptional(),
      detail: z.string().exactOptional(),
      omitted: z
        .number()
        .exactOptional()
        .describe("The number of earlier refusals of this principal that are not listed"),
      omittedOfOthers: z
        .number()
        .exactOptional()
        .describe("The number of unlisted refusals of principals that are not counted one by one"),
    }),
  ),
});
