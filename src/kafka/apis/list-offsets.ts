import { ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { type ListedOffset, listOffset, type OffsetSpec } from "../../edge/offsets.ts";
import {
  atLeader,
  eachPartition,
  LEADER_EPOCH,
  type RequestContext,
  readingService,
} from "../context.ts";
import { distinctPartitions, repeated, together } from "../distinct.ts";
import { KafkaError, NO_ERROR, told } from "../errors.ts";
import { LIST_OFFSETS } from "../messages.ts";

const LATEST = -1;
const EARLIEST = -2;
/** KIP-734. */
const MAX_TIMESTAMP = -3;
/** KIP-405: the earliest offset on local storage. Here all data is local. */
const EARLIEST_LOCAL = -4;
/** KIP-1005: the latest offset moved to tiered storage. Here nothing is moved. */
const LATEST_TIERED = -5;

/**
 * Refuses a partition that is named twice, perhaps for two times, as
 * Kafka does. The answer could not tell the two apart.
 */
export const listOffsets = readingService(LIST_OFFSETS, async (request, context) => {
  const all = together(request.topics, ({ name }) => name);
  const twice = new Map(
    all.map(({ name, partitions }) => [name, repeated(partitions, numberOf)] as const),
  );
  const topics = distinctPartitions(all, ({ name }) => name, numberOf);
  return {
    topics: await eachPartition(context, topics, async (name, { partition, timestamp }) =>
      twice.get(name)?.has(partition) === true
        ? { partition, errorCode: ERRORS.INVALID_REQUEST.code }
        : { partition, ...(await listTold(name, partition, timestamp, context)) },
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
) {
  try {
    return await atLeader(context, topic, partition, async (topicId) => {
      const listed = await list(timestamp, (at) => listOffset(context.env, topicId, partition, at));
      return { errorCode: NO_ERROR.errorCode, leaderEpoch: LEADER_EPOCH, ...listed };
    });
  } catch (error) {
    return { errorCode: told(error).errorCode };
  }
}

/** Looks up an offset. If no record is new enough, the answer is -1, as in Kafka. */
async function list(
  timestamp: number,
  ask: (at: OffsetSpec) => Promise<ListedOffset>,
): Promise<{ offset: number; timestamp: number }> {
  if (timestamp < LATEST_TIERED)
    throw new KafkaError(
      KAFKA_ERRORS.UNSUPPORTED_VERSION,
      `timestamp is ${timestamp}, of the special ones -1 to ${LATEST_TIERED} are known`,
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
