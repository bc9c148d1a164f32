// DescribeTopicPartitions (API key 75), version 0: describes topics, some partitions at a time (KIP-966). Its fields
// are flexible from the start.
//
// Unlike Kafka:
// - A leader is its partition's only replica, and there are no eligible leader replicas besides.

import { topicResource } from "../../../core/access/grants.ts";
import type { Env } from "../../../env.ts";
import { assertMayUseTopic, seesTopic } from "../../edge/authorize.ts";
import { topicMetadata } from "../../edge/metadata.ts";
import { newestTopics } from "../../edge/topics.ts";
import { api } from "../api.ts";
import { authorized } from "../authorized-operations.ts";
import { AT_ONCE, describePartitions, type RequestContext, readingService } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { NO_ERROR, outcomeOfError } from "../errors.ts";
import {
  array,
  boolean,
  int16,
  int32,
  nullableArray,
  nullableStruct,
  nullableTopicName,
  since,
  struct,
  topicName,
  uuid,
} from "../schema.ts";
import { NO_OPERATIONS } from "../structs.ts";
import { ZERO_UUID } from "../wire.ts";

const cursor = struct({ topicName, partition: int32 });

export const DESCRIBE_TOPIC_PARTITIONS = api({
  key: 75,
  name: "DescribeTopicPartitions",
  versions: [0, 0],
  flexibleFrom: 0,
  request: struct({
    topics: array(struct({ name: topicName })),
    responsePartitionLimit: int32,
    cursor: nullableStruct(cursor),
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableTopicName,
        topicId: uuid,
        isInternal: since(0, boolean),
        partitions: array(
          struct({
            errorCode: since(0, int16),
            partition: int32,
            leaderId: int32,
            leaderEpoch: since(0, int32),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            // [KFK-24] They may be null, but Kafka's broker never sends null, and Java's admin client cannot
            // handle it.
            eligibleLeaderReplicas: since(0, nullableArray(int32), []),
            lastKnownElr: since(0, nullableArray(int32), []),
            offlineReplicas: since(0, array(int32)),
          }),
        ),
        authorizedOperations: since(0, int32, NO_OPERATIONS),
      }),
    ),
    nextCursor: since(0, nullableStruct(cursor)),
  }),
});

/** The most partitions in one answer. Kafka has the same bound. */
const MAX_PARTITIONS = 2_000;

/**
 * Describes topics by name, or all topics that the caller may see if none is named. Starts at the cursor and
 * ends after the requested number of partitions. The next cursor leads to the rest.
 */
export const describeTopicPartitions = readingService(
  DESCRIBE_TOPIC_PARTITIONS,
  async ({ topics, responsePartitionLimit, cursor }, context) => {
    const named = distinctNames(topics.map(({ name }) => name));
    const names = [...(named.length === 0 ? await visibleNames(context.env) : named)].sort();
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

async function visibleNames(env: Env): Promise<string[]> {
  const topics = await newestTopics(env);
  return topics.map(({ name }) => name).filter((name) => seesTopic(env, name));
}

async function describeTopic(
  name: string,
  first: number,
  room: number,
  { env, nodes }: RequestContext,
) {
  try {
    assertMayUseTopic(env, "DESCRIBE", name);
    const { topicId, partitions: count } = await topicMetadata(env, name);
    const shown = Math.max(0, Math.min(room, count - first));
    const partitions = describePartitions(nodes, topicId, first, shown);
    // As in Kafka, they are sent even to callers that do not ask for them.
    const operations = authorized(env, true, topicResource(name));
    return { ...NO_ERROR, name, topicId, partitions, count, ...operations };
  } catch (error) {
    return {
      ...outcomeOfError(error),
      name,
      topicId: ZERO_UUID,
      partitions: describePartitions(nodes, ZERO_UUID, 0, 0),
      count: 0,
    };
  }
}
