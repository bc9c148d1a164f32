// The answers of the HTTP API, for its description. Typed code makes the answers, and they are not checked against
// these schemas at run time. A test compares each schema with a real answer.
import * as z from "zod";

const offset = z.int().min(0);
const count = z.int().min(0);
const partition = z.int().min(0);
const config = z.record(z.string(), z.union([z.string(), z.number()]));
const topicPartitions = z.strictObject({ topic: z.string(), partitions: z.array(partition) });

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
  failing: z.number().optional(),
});

export const topic = z.strictObject({
  name: z.string(),
  topicId: z.string(),
  partitions: z.int().min(1),
  config,
  overrides: config,
});
export const topics = z.strictObject({ topics: z.array(topic) });
export const configs = z.strictObject({ config, overrides: config });
export const groupConfig = z.strictObject({ groupId: z.string(), config, overrides: config });

const headerValue = z.union([z.string(), z.null(), z.strictObject({ base64: z.string() })]);
const recordFields = {
  offset,
  timestamp: z.int(),
  key: z.string().nullable().optional(),
  keyBase64: z.string().optional(),
  value: z.string().nullable().optional(),
  valueBase64: z.string().optional(),
  headers: z.record(z.string(), z.union([headerValue, z.array(headerValue)])),
};
export const record = z.strictObject(recordFields);

const stored = z.strictObject({ partition, offset, timestamp: z.int() });
const refused = z.object({ partition, code: z.string(), detail: z.string() });
export const produced = z.strictObject({ results: z.array(z.union([stored, refused])) });
export const progress = z.strictObject({
  lines: count,
  stored: count,
  refused: count,
  errors: z.array(z.strictObject({ line: count, code: z.string(), detail: z.string() })),
  done: z.boolean().optional(),
  error: problem.optional(),
});

export const fetched = z.strictObject({
  records: z.array(record),
  nextOffset: offset,
  logStartOffset: offset,
  highWatermark: offset,
});
export const listedOffset = z.strictObject({ offset, timestamp: z.int().optional() });
export const deleted = z.strictObject({ logStartOffset: offset });
export const appended = z.strictObject({ baseOffset: offset, logAppendTimeMs: z.int().optional() });
export const producer = z.strictObject({ producerId: z.int(), producerEpoch: z.int() });

export const groups = z.strictObject({ groups: z.array(z.strictObject({ groupId: z.string() })) });
/** An offset of a partition, with the error there. */
const refusedPlace = z.strictObject({
  topic: z.string(),
  partition,
  offset,
  code: z.string(),
  detail: z.string(),
});
export const group = z.strictObject({
  groupId: z.string(),
  state: z.enum(["EMPTY", "ASSIGNING", "RECONCILING", "STABLE", "DEAD"]),
  epoch: z.int(),
  assignor: z.string(),
  members: z.array(
    z.strictObject({
      memberId: z.string(),
      instanceId: z.string().optional(),
      clientId: z.string().optional(),
      memberEpoch: z.int(),
      state: z.enum(["STABLE", "UNREVOKED_PARTITIONS", "UNRELEASED_PARTITIONS"]),
      connected: z.boolean(),
      assignment: z.array(topicPartitions),
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
  unreadable: z.array(refusedPlace).optional(),
});
export const history = z.strictObject({
  groupId: z.string(),
  history: z.array(
    z.strictObject({
      atMs: z.int(),
      type: z.string(),
      epoch: z.int(),
      memberId: z.string().optional(),
      instanceId: z.string().optional(),
      clientId: z.string().optional(),
      memberEpoch: z.int().optional(),
      newEpoch: z.int().optional(),
      reason: z.string().optional(),
      topic: z.string().optional(),
      partitions: z.array(topicPartitions).optional(),
      partitionCount: count.optional(),
    }),
  ),
});
export const reset = z.strictObject({
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
});
export const polled = z.strictObject({
  assignment: z.array(topicPartitions),
  records: z.array(z.strictObject({ topic: z.string(), partition, ...recordFields })),
  rejected: z.array(refusedPlace).optional(),
  missing: z.array(z.string()).optional(),
  unreadable: z.array(refusedPlace).optional(),
});
