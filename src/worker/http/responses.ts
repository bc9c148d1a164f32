// The answers of the HTTP API, for its description. Typed code makes the answers, and they are not checked against
// these schemas at run time. The compiler holds schemas to the types that the SDK has of the answers (exactly.ts), and a
// test compares each schema with a real answer.
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
const config = z.record(z.string(), z.union([z.string(), z.number()]));
const topicPartitions = z.strictObject({ topic: z.string(), partitions: z.array(partition) });

export const inspectedTopics = z.strictObject({
  topics: z.array(
    z.strictObject({
      name: z.string(),
      topicId: z.string(),
      partitions: z.int().min(1),
      used: z.array(z.strictObject({ partition, logEnd: offset.nullable() })).nullable(),
    }),
  ),
});
export const inspectedTasks = z.strictObject({
  tasks: z.array(z.strictObject({ id: z.int(), type: z.string(), about: z.string() })),
});
export const partitionState = z.strictObject({
  logStartOffset: offset,
  highWatermark: offset,
  hasConfig: z.boolean(),
});

export const recovery = exactly<Recovery>()(
  z.strictObject({
    bookmark: z.string(),
    dryRun: z.boolean(),
    undoBookmark: z.string().exactOptional(),
    logStartOffset: offset.exactOptional(),
    logEndOffset: offset.exactOptional(),
    firstLostOffset: offset.exactOptional(),
    restoredLogEndOffset: offset.exactOptional(),
    positions: count.exactOptional(),
    topics: count.exactOptional(),
    groups: count.exactOptional(),
    failing: z.string().exactOptional(),
  }),
);

export const committed = z.strictObject({
  groupId: z.string(),
  offsets: z.array(
    z.strictObject({
      topic: z.string(),
      partition,
      offset,
      leaderEpoch: z.int().exactOptional(),
      metadata: z.string().exactOptional(),
    }),
  ),
});

export const problem = z.object({
  type: z.literal("about:blank"),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string().meta({ description: "Kafka's name of the error" }),
  errorCode: z.int().meta({ description: "Kafka's number of the error" }),
  retriable: z.boolean(),
});

export const health = z.strictObject({
  status: z.enum(["ok", "storage failures"]),
  failing: z.number().exactOptional(),
});

export const topic = exactly<TopicInfo>()(
  z.strictObject({
    name: z.string(),
    topicId: z.string(),
    partitions: z.int().min(1),
    config,
    overrides: config,
  }),
);
/** [CLU-6] The name or id after which the next page begins, if there is one. */
const next = z.string().exactOptional();
export const topics = z.strictObject({ topics: z.array(topic), next });
const deletedTopic = z.strictObject({
  name: z.string(),
  topicId: z.string(),
  partitions: z.int().min(1),
  deletedAt: z.string().meta({ format: "date-time" }),
  purgeAt: z.string().meta({ format: "date-time", description: "When it goes for good" }),
});
export const deletedTopics = z.strictObject({ topics: z.array(deletedTopic), next });
export const configs = exactly<ConfigInfo>()(z.strictObject({ config, overrides: config }));
export const groupConfig = exactly<GroupConfigInfo>()(
  z.strictObject({ groupId: z.string(), config, overrides: config }),
);

const headerValue = z.union([z.string(), z.null(), z.strictObject({ base64: z.string() })]);
const recordFields = {
  offset,
  timestamp: z.int(),
  key: z.string().nullable().exactOptional(),
  keyBase64: z.string().exactOptional(),
  value: z.string().nullable().exactOptional(),
  valueBase64: z.string().exactOptional(),
  headers: z.record(z.string(), z.union([headerValue, z.array(headerValue)])),
};
export const record = exactly<JsonRecord>()(z.strictObject(recordFields));

const stored = z.strictObject({ partition, offset, timestamp: z.int() });
const refused = z.object({ partition, code: z.string(), detail: z.string() });
export const produced = z.strictObject({ results: z.array(z.union([stored, refused])) });
export const progress = z.strictObject({
  lines: count,
  stored: count,
  refused: count,
  errors: z.array(z.strictObject({ line: count, code: z.string(), detail: z.string() })),
  done: z.boolean().exactOptional(),
  error: problem.exactOptional(),
});

export const fetched = z.strictObject({
  records: z.array(record),
  nextOffset: offset,
  logStartOffset: offset,
  highWatermark: offset,
});
export const listedOffset = z.strictObject({ offset, timestamp: z.int().exactOptional() });
export const deleted = z.strictObject({ logStartOffset: offset });
export const appended = z.strictObject({
  baseOffset: offset,
  logAppendTimeMs: z.int().exactOptional(),
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

/** An offset of a partition, with the error there. */
const refusedPlace = z.strictObject({
  topic: z.string(),
  partition,
  offset,
  code: z.string(),
  detail: z.string(),
});
export const group = exactly<GroupInfo>()(
  z.strictObject({
    groupId: z.string(),
    state: z.enum(["EMPTY", "ASSIGNING", "RECONCILING", "STABLE", "DEAD"]),
    epoch: z.int(),
    assignor: z.string(),
    members: z.array(
      z.strictObject({
        memberId: z.string(),
        instanceId: z.string().exactOptional(),
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
          .meta({ description: "ASSIGNING and RECONCILING are of members of a classic group" }),
        connected: z.boolean(),
        assignment: z.array(topicPartitions),
        revoking: z.array(topicPartitions).exactOptional(),
        target: z.array(topicPartitions),
      }),
    ),
    offsets: z.array(
      z.strictObject({
        topic: z.string(),
        partition,
        committedOffset: offset.nullable(),
        logEndOffset: offset,
        lag: count.nullable(),
        oldestUnreadMs: count.nullable(),
      }),
    ),
    unreadable: z.array(refusedPlace).exactOptional(),
  }),
);
const groupOffset = z.strictObject({
  topic: z.string(),
  partition,
  committedOffset: offset.nullable(),
  logEndOffset: offset,
  lag: count.nullable(),
  oldestUnreadMs: count.nullable(),
});
export const groupLag = z.strictObject({
  groupId: z.string(),
  /** When the group last told of its positions. */
  toldAtMs: z.int().nullable(),
  state: z.string().nullable(),
  members: count.nullable(),
  offsets: z.array(groupOffset),
  trend: z.array(z.strictObject({ atMs: z.int(), lag: count, oldestUnreadMs: count.nullable() })),
});
const dollars = z.number();
const usage = z.strictObject({
  rowsWritten: count,
  rowsRead: count,
  requests: count,
  messages: count,
  awakeMs: z.number(),
});
const spent = z.strictObject({
  usage,
  workerRequests: count,
  byteSeconds: z.number(),
  recordsIn: count,
  bytesIn: count,
  bytesOut: count,
});
const traffic = z.strictObject({
  recordsIn: z.number(),
  bytesIn: z.number(),
  bytesOut: z.number(),
});
const elsewhere = z.strictObject({ k2: dollars, queues: dollars });
const rates = {
  perHour: dollars,
  today: dollars,
  month: dollars,
  projected: dollars,
};
export const costs = z.strictObject({
  pricesOf: z.string(),
  atMs: z.int(),
  total: z.strictObject(rates),
  rates: traffic,
  elsewhere,
  lines: z.array(
    z.strictObject({
      kind: z.enum(["topic", "group", "overhead"]),
      name: z.string(),
      ...rates,
      usedToday: spent,
      usedThisMonth: spent,
      elsewhere,
      rates: traffic,
    }),
  ),
});
const alertRule = {
  name: z.string(),
  type: z.enum(ALERT_TYPES),
  match: z.string(),
  threshold: z.number(),
  forSeconds: count,
  webhook: z.string().nullable(),
};
export const setAlert = z.strictObject({ ...alertRule, secret: z.string().exactOptional() });
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
            subject: z.string(),
            sinceMs: z.int(),
            value: z.number(),
            text: z.string(),
          }),
        ),
        beyond: count,
        lastDelivery: z
          .strictObject({
            atMs: z.int(),
            outcome: z.enum(["delivered", "failing", "given up"]),
            detail: z.string(),
          })
          .nullable(),
      }),
    ),
    budgets: z.array(
      z.strictObject({
        kind: z.enum(["topic", "principal"]),
        name: z.string(),
        dollarsPerDay: dollars,
        dollars,
        percent: z.number(),
        endsMs: z.int(),
      }),
    ),
  }),
);
export const groupLags = z.strictObject({
  groups: z.array(
    z.strictObject({
      groupId: z.string(),
      state: z.string(),
      members: count,
      topics: z.array(z.string()),
      lag: count.nullable(),
      oldestUnreadMs: count.nullable(),
      toldAtMs: z.int(),
    }),
  ),
});
export const history = exactly<{ groupId: string; history: readonly HistoryInfo[] }>()(
  z.strictObject({
    groupId: z.string(),
    history: z.array(
      z.strictObject({
        atMs: z.int(),
        type: z.enum(HISTORY_TYPES),
        epoch: z.int(),
        memberId: z.string().exactOptional(),
        instanceId: z.string().exactOptional(),
        clientId: z.string().exactOptional(),
        memberEpoch: z.int().exactOptional(),
        newEpoch: z.int().exactOptional(),
        reason: z.string().exactOptional(),
        topic: z.string().exactOptional(),
        partitions: z.array(topicPartitions).exactOptional(),
        partitionCount: count.exactOptional(),
      }),
    ),
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
        committedOffset: offset.nullable(),
        offset,
      }),
    ),
  }),
);
export const polled = z.strictObject({
  assignment: z.array(topicPartitions),
  records: z.array(z.strictObject({ topic: z.string(), partition, ...recordFields })),
  rejected: z.array(refusedPlace).exactOptional(),
  missing: z.array(z.string()).exactOptional(),
  unreadable: z.array(refusedPlace).exactOptional(),
});

const operations = z.array(z.string());
const pattern = z.union([
  z.strictObject({ exact: z.string() }),
  z.strictObject({ prefix: z.string() }),
]);
const grants = z.array(
  z.union([
    z.strictObject({ topics: pattern, operations, max: z.number().exactOptional() }),
    z.strictObject({ groups: pattern, operations, max: z.number().exactOptional() }),
    z.strictObject({ cluster: operations }),
  ]),
);
const bounds = {
  namespace: z.string().exactOptional(),
  quota: z
    .strictObject({
      producerByteRate: z.number().exactOptional(),
      consumerByteRate: z.number().exactOptional(),
      requestRate: z.number().exactOptional(),
      connections: z.number().exactOptional(),
      dollarsPerDay: z.number().exactOptional(),
    })
    .exactOptional(),
};
const keyFields = {
  id: z.string(),
  principal: z.string(),
  grants,
  ...bounds,
  createdAt: z.string(),
  expiresAt: z.string().nullable(),
  lastUsed: z.string().nullable(),
};
export const key = z.strictObject(keyFields);
export const keys = z.strictObject({ keys: z.array(key) });
export const createdKey = z.strictObject({ ...keyFields, key: z.string(), secret: z.string() });
export const createdToken = z.strictObject({ token: z.string(), expiresAt: z.string() });
export const me = z.strictObject({
  principal: z.string(),
  grants,
  ...bounds,
  keyId: z.string().exactOptional(),
  expiresAt: z.string().exactOptional(),
});
export const audit = z.strictObject({
  events: z.array(
    z.strictObject({
      number: z.number(),
      at: z.string(),
      decision: z.enum(["allowed", "refused"]),
      action: z.string(),
      resource: z.strictObject({
        type: z.enum(["topic", "group", "cluster", "key"]),
        name: z.string(),
      }),
      principal: z.string(),
      keyId: z.string().exactOptional(),
      namespace: z.string().exactOptional(),
      way: z.enum(["http", "kafka", "rpc", "socket"]),
      ip: z.string().exactOptional(),
      userAgent: z.string().exactOptional(),
      requestId: z.string().exactOptional(),
      detail: z.string().exactOptional(),
      omitted: z.number().exactOptional(),
      omittedOfOthers: z.number().exactOptional(),
    }),
  ),
});
