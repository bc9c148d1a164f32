// DescribeCluster, DescribeTopicPartitions, OffsetForLeaderEpoch.
import { unwrap } from "../../core/errors.ts";
import { topicMetadata } from "../../edge/metadata.ts";
import { partitionStub } from "../../env.ts";
import {
  AT_ONCE,
  atLeader,
  CLUSTER_ID,
  describePartitions,
  eachPartition,
  LEADER_EPOCH,
  type RequestContext,
  readingService,
} from "../context.ts";
import { distinctNames, distinctPartitions } from "../distinct.ts";
import { NO_ERROR, told } from "../errors.ts";
import {
  DESCRIBE_CLUSTER,
  DESCRIBE_TOPIC_PARTITIONS,
  OFFSET_FOR_LEADER_EPOCH,
  type RequestOf,
} from "../messages.ts";
import { ZERO_UUID } from "../wire.ts";

export const describeCluster = readingService(DESCRIBE_CLUSTER, async (_request, { nodes }) => ({
  ...NO_ERROR,
  clusterId: CLUSTER_ID,
  controllerId: nodes.controller.nodeId,
  brokers: nodes.all.map(({ nodeId, host, port }) => ({ brokerId: nodeId, host, port })),
}));

/** The most partitions in one answer. Kafka has the same bound. */
const MAX_PARTITIONS = 2_000;

/**
 * Describes topics by name, from the cursor on, up to the requested
 * number of partitions. The next cursor leads to the rest.
 */
export const describeTopicPartitions = readingService(
  DESCRIBE_TOPIC_PARTITIONS,
  async ({ topics, responsePartitionLimit, cursor }, context) => {
    const names = [...distinctNames(topics.map(({ name }) => name))].sort();
    let room = Math.min(Math.max(1, responsePartitionLimit), MAX_PARTITIONS);
    const described = [];
    for (const name of names) {
      if (cursor !== null && name < cursor.topicName) continue;
      const first = cursor?.topicName === name ? Math.max(0, cursor.partition) : 0;
      if (room === 0)
        return { topics: described, nextCursor: { topicName: name, partition: first } };
      const topic = await describeTopic(name, first, room, context);
      described.push(topic);
      if (described.length % AT_ONCE === 0) await context.work.pause();
      room -= topic.partitions.length;
      const next = first + topic.partitions.length;
      if (next < topic.count)
        return { topics: described, nextCursor: { topicName: name, partition: next } };
    }
    return { topics: described, nextCursor: null };
  },
);

async function describeTopic(
  name: string,
  first: number,
  room: number,
  { env, nodes }: RequestContext,
) {
  try {
    const { topicId, partitions: count } = await topicMetadata(env, name);
    const shown = Math.max(0, Math.min(room, count - first));
    const partitions = describePartitions(nodes, topicId, first, shown);
    return { ...NO_ERROR, name, topicId, partitions, count };
  } catch (error) {
    return {
      ...told(error),
      name,
      topicId: ZERO_UUID,
      partitions: describePartitions(nodes, ZERO_UUID, 0, 0),
      count: 0,
    };
  }
}

/** Answers for the only epoch that there has ever been. It ends where the log ends. */
export const offsetForLeaderEpoch = readingService(
  OFFSET_FOR_LEADER_EPOCH,
  async ({ topics }, context) => ({
    topics: await eachPartition(context, eachEpoch(topics), async (name, asked) => {
      const { partition, leaderEpoch } = asked;
      try {
        const endOffset = await atLeader(context, name, partition, async (topicId) => {
          const bounds = await partitionStub(context.env, topicId, partition).offsets();
          return unwrap(bounds).highWatermark;
        });
        const { errorCode } = NO_ERROR;
        return leaderEpoch !== LEADER_EPOCH
          ? { partition, errorCode }
          : { partition, errorCode, leaderEpoch: LEADER_EPOCH, endOffset };
      } catch (error) {
        return { partition, errorCode: told(error).errorCode };
      }
    }),
  }),
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
