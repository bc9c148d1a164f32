// OffsetCommit (API key 8), versions 1 to 9: stores the offsets of a group.
// v2 puts `retentionTimeMs` in place of a timestamp per partition.
// v3 adds `throttleTimeMs` to the answer.
// v4 answers a client before it is throttled (KIP-219).
// v5 leaves out `retentionTimeMs` (KIP-211).
// v6 adds `committedLeaderEpoch` (KIP-320).
// v7 adds `groupInstanceId` (KIP-345).
// v8 makes fields flexible (KIP-482).
// v9 lets members of KIP-848 commit, with their epoch as `generationId`.
//
// Unlike Kafka:
// - A request may name at most MAX_OFFSETS_PER_COMMIT partitions. More are INVALID_REQUEST.
// - Offsets -1 and -2 are looked up as the latest and the earliest, because KafkaJS resets a group with them.
// - Timestamps and retention times are ignored. Offsets are kept as the group's config says.
// - A member of KIP-848 may commit at an older epoch that it has had (KIP-1251) [OFF-11].

import { ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { MAX_OFFSETS_PER_COMMIT } from "../../../core/limits.ts";
import type { Env } from "../../../env.ts";
import { mayUseGroup, mayUseTopic } from "../../edge/authorize.ts";
import { atPartition } from "../../edge/metadata.ts";
import { listOffset } from "../../edge/offsets.ts";
import { PartitionUse } from "../../edge/partition-use.ts";
import { api } from "../api.ts";
import { byTopic, inTurn, service } from "../context.ts";
import { atGroup } from "../kafka-group.ts";
import {
  between,
  groupName,
  int16,
  int32,
  int64,
  nullableString,
  since,
  string,
  struct,
} from "../schema.ts";
import { topicsWith } from "../structs.ts";

export const OFFSET_COMMIT = api({
  key: 8,
  name: "OffsetCommit",
  versions: [1, 9],
  flexibleFrom: 8,
  request: struct({
    groupId: groupName,
    generationId: since(1, int32, -1),
    memberId: since(1, string),
    groupInstanceId: since(7, nullableString),
    retentionTimeMs: between(2, 4, int64, -1),
    topics: topicsWith({
      partition: int32,
      committedOffset: int64,
      committedLeaderEpoch: since(6, int32, -1),
      commitTimestampMs: between(1, 1, int64, -1),
      committedMetadata: nullableString,
    }),
  }),
  response: struct({
    throttleTimeMs: since(3, int32),
    topics: topicsWith({ partition: int32, errorCode: int16 }),
  }),
});

export const offsetCommit = service(OFFSET_COMMIT, async (request, context) => {
  const { groupId, memberId, groupInstanceId, generationId, topics } = request;
  const token = { memberId, instanceId: groupInstanceId, generation: generationId };
  const named = topics.flatMap(({ name, partitions }) =>
    partitions.map((partition) => ({ name, ...partition })),
  );
  if (named.length > MAX_OFFSETS_PER_COMMIT) {
    const refused = named.map(() => ERRORS.INVALID_REQUEST.code);
    return { topics: byTopic(topics, refused, outcome) };
  }
  if (!mayUseGroup(context.env, "READ", groupId)) {
    const refused = named.map(() => ERRORS.GROUP_AUTHORIZATION_FAILED.code);
    return { topics: byTopic(topics, refused, outcome) };
  }
  const use = new PartitionUse(context.env);
  const asked = await inTurn(context, named, async (each) => ({
    topic: each.name,
    partition: each.partition,
    offset: mayUseTopic(context.env, "READ", each.name)
      ? await positionOf(context.env, each.name, each.partition, each.committedOffset, use)
      : each.committedOffset,
    metadata: each.committedMetadata ?? "",
    ...(each.committedLeaderEpoch < 0 ? {} : { leaderEpoch: each.committedLeaderEpoch }),
  }));
  const offsets = asked.filter((each) => !isForbidden(each));
  const committed = await atGroup(groupId, "READ", context, async (group) =>
    // As in Kafka, the group is not asked, and so not created, if nothing is left to ask.
    offsets.length === 0 && asked.length > 0
      ? { errorCode: KAFKA_ERRORS.NONE, errorCodes: [] }
      : await group.commitOffsets({ token, offsets }),
  );
  const all = typeof committed === "number" ? committed : committed.errorCode;
  const outcomes =
    typeof committed === "number" || all !== KAFKA_ERRORS.NONE
      ? offsets.map(() => all)
      : committed.errorCodes;
  let next = 0;
  const errorCodes = asked.map((each) =>
    isForbidden(each) ? ERRORS.TOPIC_AUTHORIZATION_FAILED.code : (outcomes[next++] as number),
  );
  return { topics: byTopic(topics, errorCodes, outcome) };

  function isForbidden({ topic }: { readonly topic: string }): boolean {
    return !mayUseTopic(context.env, "READ", topic);
  }
});

function outcome({ partition }: { readonly partition: number }, errorCode: number) {
  return { partition, errorCode };
}

/**
 * KafkaJS resets a group by committing the special values of ListOffsets for the latest and the earliest
 * offset. They are looked up here.
 */
const SPECIAL: Readonly<Record<number, "latest" | "earliest">> = {
  [-1]: "latest",
  [-2]: "earliest",
};

async function positionOf(
  env: Env,
  topic: string,
  partition: number,
  offset: number,
  use: PartitionUse,
) {
  const special = SPECIAL[offset];
  if (special === undefined) return offset;
  try {
    return await atPartition(
      env,
      topic,
      partition,
      async (topicId) => (await listOffset(env, topicId, partition, special, use)).offset,
    );
  } catch {
    return 0; // The partition does not exist. The group reports that.
  }
}
