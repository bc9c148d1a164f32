// OffsetFetch (API key 9), versions 1 to 9: reads the committed offsets of groups.
// v2 asks for all topics with a null list, and adds an error of the whole answer.
// v3 adds `throttleTimeMs` to the answer.
// v4 answers a client before it is throttled (KIP-219).
// v5 adds `committedLeaderEpoch` to the answer (KIP-320).
// v6 makes fields flexible (KIP-482).
// v7 adds `requireStable` (KIP-447).
// v8 asks for several groups at once (KIP-709).
// v9 adds `memberId` and `memberEpoch`, on whose behalf the request asks (KIP-848).
//
// Unlike Kafka:
// - `requireStable` is ignored. Without transactions, every committed offset is stable.

import { ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { mayUseTopic, seesTopic } from "../../edge/authorize.ts";
import { api, type RequestOf } from "../api.ts";
import { answerEach, type RequestContext, readingService } from "../context.ts";
import { distinct, distinctPartitions } from "../distinct.ts";
import { atGroup } from "../kafka-group.ts";
import {
  array,
  between,
  boolean,
  groupName,
  int16,
  int32,
  int64,
  nullableArray,
  nullableString,
  since,
  struct,
  topicName,
} from "../schema.ts";

const committedPartition = {
  partition: int32,
  committedOffset: int64,
  committedLeaderEpoch: since(5, int32, -1),
  metadata: nullableString,
  errorCode: since(0, int16),
};

const topicPartitions = struct({ name: topicName, partitions: array(int32) });
const committedTopic = struct({ name: topicName, partitions: array(struct(committedPartition)) });

export const OFFSET_FETCH = api({
  key: 9,
  name: "OffsetFetch",
  versions: [1, 9],
  flexibleFrom: 6,
  request: struct({
    groupId: between(0, 7, groupName),
    topics: between(0, 7, nullableArray(topicPartitions)),
    groups: since(
      8,
      array(
        struct({
          groupId: groupName,
          memberId: since(9, nullableString),
          memberEpoch: since(9, int32, -1),
          topics: nullableArray(topicPartitions),
        }),
      ),
    ),
    requireStable: since(7, boolean),
  }),
  response: struct({
    throttleTimeMs: since(3, int32),
    topics: between(0, 7, array(committedTopic)),
    errorCode: between(2, 7, int16),
    groups: since(
      8,
      array(struct({ groupId: groupName, topics: array(committedTopic), errorCode: int16 })),
    ),
  }),
});

type Asked = RequestOf<typeof OFFSET_FETCH>["groups"][number];

/** The answer for a partition without a committed offset. */
const NO_OFFSET = { committedOffset: -1, metadata: "" };
const NO_EPOCH = -1;

/**
 * Before version 8, a request names one group, in other fields. Each group is asked once
 * for each member that the request asks on behalf of.
 */
export const offsetFetch = readingService(OFFSET_FETCH, async (request, context) => {
  const { groupId, topics, groups } = request;
  if (context.version >= 8) {
    const byMember = Map.groupBy(distinct(groups, questionOf), askerOf);
    const answers = await answerEach(context, [...byMember.values()], async (questions) => {
      const [first] = questions as [Asked];
      const found = await committedOf(first, context);
      return questions.map((each) => ({
        groupId: each.groupId,
        ...shownOf(found, each.topics, context),
      }));
    });
    return { groups: answers.flat() };
  }
  const found = await committedOf({ groupId, memberId: null, memberEpoch: -1 }, context);
  const shown = shownOf(found, topics, context);
  if (context.version >= FIRST_WITH_ERROR_CODE || typeof found !== "number") return shown;
  // In earlier versions, each partition has to report the error.
  const refused = { committedOffset: -1, metadata: "", errorCode: found };
  return {
    topics: eachOnce(topics ?? []).map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => ({ partition, ...refused })),
    })),
  };
});

/** The first version of OffsetFetch in which the answer as a whole has an error code. */
const FIRST_WITH_ERROR_CODE = 2;

/** Returns the member, or null. Admins, and clients that know nothing of members, name none. */
function memberOf(memberId: string | null, memberEpoch: number) {
  const isMember = memberId !== null && (memberId !== "" || memberEpoch >= 0);
  return isMember ? { memberId, memberEpoch } : null;
}

/** Identifies a group together with the member on whose behalf the request asks. */
function askerOf({ groupId, memberId, memberEpoch }: Asked): string {
  return JSON.stringify([groupId, memberOf(memberId, memberEpoch)]);
}

function questionOf(asked: Asked): string {
  return JSON.stringify([askerOf(asked), asked.topics]);
}

interface Committed {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string;
  readonly leaderEpoch?: number;
}

/** The committed offsets by topic and partition. */
type AllCommitted = ReadonlyMap<string, ReadonlyMap<number, Committed>>;

/** Returns the committed offsets, or an error code. */
async function committedOf(
  { groupId, memberId, memberEpoch }: Omit<Asked, "topics">,
  context: RequestContext,
): Promise<AllCommitted | number> {
  const found = await atGroup(
    groupId,
    "DESCRIBE",
    context,
    async (group) => await group.committedOffsets({ member: memberOf(memberId, memberEpoch) }),
  );
  if (typeof found === "number") return found;
  const { offsets } = found;
  if (typeof offsets === "number") return offsets;
  const byPartition = (each: readonly Committed[]) =>
    new Map(each.map((one) => [one.partition, one]));
  return new Map(
    Array.from(
      Map.groupBy(offsets, ({ topic }) => topic),
      ([topic, each]) => [topic, byPartition(each)],
    ),
  );
}

function shownOf(found: AllCommitted | number, topics: Asked["topics"], { env }: RequestContext) {
  if (typeof found === "number") return { errorCode: found, topics: [] };
  const shown = ({ partition, offset, metadata, leaderEpoch = NO_EPOCH }: Committed) => ({
    partition,
    committedOffset: offset,
    committedLeaderEpoch: leaderEpoch,
    metadata,
  });
  // All of them are dropped, because the request names none.
  if (topics === null)
    return {
      errorCode: KAFKA_ERRORS.NONE,
      topics: Array.from(found)
        .filter(([name]) => seesTopic(env, name))
        .map(([name, all]) => ({ name, partitions: Array.from(all.values(), shown) })),
    };
  return {
    errorCode: KAFKA_ERRORS.NONE,
    topics: eachOnce(topics).map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => {
        if (!mayUseTopic(env, "DESCRIBE", name))
          return {
            partition,
            ...NO_OFFSET,
            errorCode: ERRORS.TOPIC_AUTHORIZATION_FAILED.code,
          };
        const own = found.get(name)?.get(partition);
        return own === undefined ? { partition, ...NO_OFFSET } : shown(own);
      }),
    })),
  };
}

function eachOnce(topics: NonNullable<Asked["topics"]>) {
  return distinctPartitions(
    topics,
    ({ name }) => name,
    (partition) => partition,
  );
}
