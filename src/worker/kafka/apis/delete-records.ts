// DeleteRecords (API key 21), versions 0 to 2: deletes the records before an offset.
// v1 answers a client before it is throttled (KIP-219).
// v2 makes fields flexible (KIP-482).
//
// Unlike Kafka:
// - `timeoutMs` is ignored: a change is made when its answer comes.

import { BrokerError, unwrap } from "../../../core/errors.ts";
import { deleteRecords as deleteBefore, PartitionUse } from "../../edge/partition-use.ts";
import { api } from "../api.ts";
import { atLeader, eachPartition, type RequestContext, service } from "../context.ts";
import { distinctPartitions } from "../distinct.ts";
import { NO_ERROR, outcomeOfError } from "../errors.ts";
import { int16, int32, int64, since, struct } from "../schema.ts";
import { topicsWith } from "../structs.ts";

export const DELETE_RECORDS = api({
  key: 21,
  name: "DeleteRecords",
  versions: [0, 2],
  flexibleFrom: 2,
  request: struct({
    topics: topicsWith({ partition: int32, offset: int64 }),
    timeoutMs: int32,
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    topics: topicsWith({ partition: int32, lowWatermark: int64, errorCode: int16 }),
  }),
});

/** The special offset that deletes everything up to the end of the log. */
const TO_THE_END = -1;

/** If a partition is named twice, the last one counts, as in Kafka. */
export const deleteRecords = service(DELETE_RECORDS, async (request, context) => {
  const topics = distinctPartitions(
    request.topics,
    ({ name }) => name,
    ({ partition }) => partition,
  );
  const use = new PartitionUse(context.env);
  return {
    topics: await eachPartition(context, topics, (name, { partition, offset }) =>
      deleteAt(context, name, partition, offset, use),
    ),
  };
});

async function deleteAt(
  context: RequestContext,
  topic: string,
  partition: number,
  offset: number,
  use: PartitionUse,
) {
  try {
    return await atLeader(context, "DELETE", topic, partition, async (topicId) => {
      const before = offset === TO_THE_END ? "latest" : offset;
      if (before !== "latest" && before < 0)
        throw new BrokerError("OFFSET_OUT_OF_RANGE", `offset is ${offset}, it must be -1 or more`);
      const deleted = await deleteBefore(context.env, topicId, partition, before, use);
      const { logStartOffset } = unwrap(deleted);
      return { partition, lowWatermark: logStartOffset, errorCode: NO_ERROR.errorCode };
    });
  } catch (error) {
    return { partition, lowWatermark: -1, errorCode: outcomeOfError(error).errorCode };
  }
}
