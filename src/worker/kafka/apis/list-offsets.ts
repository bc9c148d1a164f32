// ListOffsets (API key 2), versions 1 to 9: looks up offsets by time.
// v2 adds `isolationLevel` (KIP-98), and `throttleTimeMs` to the answer.
// v3 answers a client before it is throttled (KIP-219).
// v4 adds `currentLeaderEpoch`, and `leaderEpoch` to the answer (KIP-320).
// v5 may answer OFFSET_NOT_AVAILABLE (KIP-207).
// v6 makes fields flexible (KIP-482).
// v7 accepts timestamp -3, which asks for the offset of the largest timestamp (KIP-734).
// v8 accepts timestamp -4, which asks for the earliest offset on local storage (KIP-405).
// v9 accepts timestamp -5, which asks for the latest offset on tiered storage (KIP-1005).
//
// Unlike Kafka:
// - Every special timestamp is answered in every version. All storage is local, so -4 is the earliest offset and -5
//   is never found.
// - `isolationLevel` and `currentLeaderEpoch` are ignored: there are no transactions, and only one leader epoch.

import { ERRORS } from "../../../core/errors.ts";
import { type ListedOffset, listOffset, type OffsetSpec } from "../../edge/offsets.ts";
import { PartitionUse } from "../../edge/partition-use.ts";
import { api } from "../api.ts";
import {
  atLeader,
  eachPartition,
  LEADER_EPOCH,
  type RequestContext,
  readingService,
} from "../context.ts";
import { distinctPartitions, repeated, together } from "../distinct.ts";
import { KafkaError, NO_ERROR, outcomeOfError } from "../errors.ts";
import { int8, int16, int32, int64, since, struct } from "../schema.ts";
import { topicsWith } from "../structs.ts";

export const LIST_OFFSETS = api({
  key: 2,
  name: "ListOffsets",
  versions: [1, 9],
  flexibleFrom: 6,
  request: struct({
    replicaId: int32,
    isolationLevel: since(2, int8),
    topics: topicsWith({
      partition: int32,
      currentLeaderEpoch: since(4, int32, -1),
      timestamp: int64,
    }),
  }),
  response: struct({
    throttleTimeMs: since(2, int32),
    topics: topicsWith({
      partition: int32,
      errorCode: int16,
      timestamp: since(1, int64, -1),
      offset: since(1, int64, -1),
      leaderEpoch: since(4, int32, -1),
    }),
  }),
});

const LATEST = -1;
const EARLIEST = -2;
/** The special timestamp that asks for the offset of the largest timestamp (KIP-734). */
const MAX_TIMESTAMP = -3;
/** The special timestamp that asks for the earliest offset on local storage (KIP-405). Here all data is local. */
const EARLIEST_LOCAL = -4;
/** The special timestamp that asks for the latest offset on tiered storage (KIP-1005). Here nothing is tiered. */
const LATEST_TIERED = -5;

/**
 * Refuses a partition that is named twice, perhaps with two timestamps, as Kafka does. The answer could not
 * distinguish the two.
 */
export const listOffsets = readingService(LIST_OFFSETS, async (request, context) => {
  const all = together(request.topics, ({ name }) => name);
  const twice = new Map(
    all.map(({ name, partitions }) => [name, repeated(partitions, numberOf)] as const),
  );
  const topics = distinctPartitions(all, ({ name }) => name, numberOf);
  const use = new PartitionUse(context.env);
  return {
    topics: await eachPartition(context, topics, async (name, { partition, timestamp }) =>
      twice.get(name)?.has(partition) === true
        ? { partition, errorCode: ERRORS.INVALID_REQUEST.code }
        : { partition, ...(await listTold(name, partition, timestamp, context, use)) },
    ),
  };
});

function numberOf({ partition }: { readonly partition: number }): number {
  return partition;
}

async function listTold(
  topic: string,
  partition: number,
  timestamp: number,
  context: RequestContext,
  use: PartitionUse,
) {
  try {
    return await atLeader(context, "DESCRIBE", topic, partition, async (topicId) => {
      const listed = await list(timestamp, (at) =>
        listOffset(context.env, topicId, partition, at, use),
      );
      return { errorCode: NO_ERROR.errorCode, leaderEpoch: LEADER_EPOCH, ...listed };
    });
  } catch (error) {
    return { errorCode: outcomeOfError(error).errorCode };
  }
}

/** Looks up an offset. If no record is new enough, the answer is -1, as in Kafka. */
async function list(
  timestamp: number,
  ask: (at: OffsetSpec) => Promise<ListedOffset>,
): Promise<{ offset: number; timestamp: number }> {
  if (timestamp < LATEST_TIERED)
    throw new KafkaError(
      ERRORS.UNSUPPORTED_VERSION.code,
      `timestamp is ${timestamp}, only the special ones from -1 to ${LATEST_TIERED} are known`,
    );
  if (timestamp === LATEST_TIERED) return { offset: -1, timestamp: -1 };
  if (timestamp === LATEST) return { timestamp: -1, ...(await ask("latest")) };
  if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL)
    return { timestamp: -1, ...(await ask("earliest")) };
  const found = await ask(timestamp === MAX_TIMESTAMP ? "max-timestamp" : { timestamp });
  return found.timestamp === undefined
    ? { offset: -1, timestamp: -1 }
    : { offset: found.offset, timestamp: found.timestamp };
}
