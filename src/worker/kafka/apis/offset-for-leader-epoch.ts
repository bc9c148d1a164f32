// OffsetForLeaderEpoch (API key 23), versions 2 to 4: returns the end of a leader epoch.
// v3 adds `replicaId` (KIP-392).
// v4 makes fields flexible (KIP-482).
//
// Unlike Kafka:
// - There is one leader epoch, and it ends with the log. Any other is unknown.
// - `currentLeaderEpoch` and `replicaId` are ignored.

import { unwrap } from "../../../core/errors.ts";
import { PartitionUse } from "../../edge/partition-use.ts";
import { api, type RequestOf } from "../api.ts";
import { atLeader, eachPartition, LEADER_EPOCH, readingService } from "../context.ts";
import { distinctPartitions } from "../distinct.ts";
import { NO_ERROR, outcomeOfError } from "../errors.ts";
import { int16, int32, int64, since, struct } from "../schema.ts";
import { topicsWith } from "../structs.ts";

export const OFFSET_FOR_LEADER_EPOCH = api({
  key: 23,
  name: "OffsetForLeaderEpoch",
  versions: [2, 4],
  flexibleFrom: 4,
  request: struct({
    replicaId: since(3, int32, -2),
    topics: topicsWith({
      partition: int32,
      currentLeaderEpoch: since(2, int32, -1),
      leaderEpoch: int32,
    }),
  }),
  response: struct({
    throttleTimeMs: since(2, int32),
    topics: topicsWith({
      errorCode: int16,
      partition: int32,
      leaderEpoch: since(1, int32, -1),
      endOffset: since(0, int64, -1),
    }),
  }),
});

/** Answers for the only epoch that has ever existed. It ends with the log. */
export const offsetForLeaderEpoch = readingService(
  OFFSET_FOR_LEADER_EPOCH,
  async ({ topics }, context) => {
    const use = new PartitionUse(context.env);
    const answered = await eachPartition(context, eachEpoch(topics), async (name, asked) => {
      const { partition, leaderEpoch } = asked;
      try {
        const endOffset = await atLeader(context, "DESCRIBE", name, partition, async (topicId) => {
          const bounds = await use.boundsOf(topicId, partition);
          return unwrap(bounds).highWatermark;
        });
        const { errorCode } = NO_ERROR;
        return leaderEpoch !== LEADER_EPOCH
          ? { partition, errorCode }
          : { partition, errorCode, leaderEpoch: LEADER_EPOCH, endOffset };
      } catch (error) {
        return { partition, errorCode: outcomeOfError(error).errorCode };
      }
    });
    return { topics: answered };
  },
);

type AskedTopics = RequestOf<typeof OFFSET_FOR_LEADER_EPOCH>["topics"];

/** Removes repeated questions. A request may ask for several epochs of one partition. */
function eachEpoch(topics: AskedTopics): AskedTopics {
  return distinctPartitions(
    topics,
    ({ name }) => name,
    ({ partition, leaderEpoch }) => `${partition} ${leaderEpoch}`,
  );
}
