// OffsetCommit, OffsetFetch, OffsetDelete.
import { ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { MAX_OFFSETS_PER_COMMIT } from "../../core/limits.ts";
import { atPartition } from "../../edge/metadata.ts";
import { listOffset } from "../../edge/offsets.ts";
import type { Env } from "../../env.ts";
import {
  answerEach,
  byTopic,
  inTurn,
  type RequestContext,
  readingService,
  service,
} from "../context.ts";
import { distinct, distinctPartitions } from "../distinct.ts";
import { OFFSET_COMMIT, OFFSET_DELETE, OFFSET_FETCH, type RequestOf } from "../messages.ts";
import { atGroup } from "./classic-groups.ts";

/** The answer for a position without a committed offset. */
const NO_OFFSET = { committedOffset: -1, metadata: "" };
const NO_EPOCH = -1;

export const offsetCommit = service(OFFSET_COMMIT, async (request, context) => {
  const { groupId, memberId, groupInstanceId, generationId, topics } = request;
  const token = { memberId, instanceId: groupInstanceId, generation: generationId };
  const named = topics.flatMap(({ name, partitions }) =>
    partitions.map((partition) => ({ name, ...partition })),
  );
  if (named.length > MAX_OFFSETS_PER_COMMIT) {
    const refused = named.map(() => ERRORS.INVALID_REQUEST.code);
    return { topics: byTopic(topics, refused, outcomeOf) };
  }
  const offsets = await inTurn(context, named, async (each) => ({
    topic: each.name,
    partition: each.partition,
    offset: await positionOf(context.env, each.name, each.partition, each.committedOffset),
    metadata: each.committedMetadata ?? "",
    ...(each.committedLeaderEpoch < 0 ? {} : { leaderEpoch: each.committedLeaderEpoch }),
  }));
  const committed = await atGroup(
    groupId,
    context,
    async (group) => await group.commitOffsets(token, offsets),
  );
  const all = typeof committed === "number" ? committed : committed.errorCode;
  const errorCodes =
    typeof committed === "number" || all !== KAFKA_ERRORS.NONE
      ? offsets.map(() => all)
      : committed.errorCodes;
  return { topics: byTopic(topics, errorCodes, outcomeOf) };
});

function outcomeOf({ partition }: { readonly partition: number }, errorCode: number) {
  return { partition, errorCode };
}

/**
 * KafkaJS resets a group by committing ListOffsets' special values for the
 * latest and the earliest offset. They are looked up here.
 */
const SPECIAL: Readonly<Record<number, "latest" | "earliest">> = {
  [-1]: "latest",
  [-2]: "earliest",
};

async function positionOf(env: Env, topic: string, partition: number, offset: number) {
  const special = SPECIAL[offset];
  if (special === undefined) return offset;
  try {
    return await atPartition(
      env,
      topic,
      partition,
      async (topicId) => (await listOffset(env, topicId, partition, special)).offset,
    );
  } catch {
    return 0; // The partition does not exist. The group reports that.
  }
}

/** Returns the member, or null. Admins, and clients that do not know about members, name none. */
function memberOf(memberId: string | null, memberEpoch: number) {
  const isMember = memberId !== null && (memberId !== "" || memberEpoch >= 0);
  return isMember ? { memberId, memberEpoch } : null;
}

type Asked = RequestOf<typeof OFFSET_FETCH>["groups"][number];

/**
 * OffsetFetch. Before version 8, a request names one group, in other fields. Each group is asked once
 * for each member that the request asks on behalf of.
 */
export const offsetFetch = readingService(OFFSET_FETCH, async (request, context) => {
  const { groupId, topics, groups } = request;
  if (context.version >= 8) {
    const byMember = Map.groupBy(distinct(groups, questionOf), askerOf);
    const answers = await answerEach(context, [...byMember.values()], async (questions) => {
      const [first] = questions as [Asked];
      const found = await committedOf(first, context);
      return questions.map((each) => ({ groupId: each.groupId, ...shownOf(found, each.topics) }));
    });
    return { groups: answers.flat() };
  }
  const found = await committedOf({ groupId, memberId: null, memberEpoch: -1 }, context);
  const shown = shownOf(found, topics);
  if (context.version >= FIRST_WITH_ERROR_CODE || typeof found !== "number") return shown;
  // Before, each partition has to tell the error.
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

/** Returns the committed offsets, or the error code if they cannot be told. */
async function committedOf(
  { groupId, memberId, memberEpoch }: Omit<Asked, "topics">,
  context: RequestContext,
): Promise<AllCommitted | number> {
  const found = await atGroup(
    groupId,
    context,
    async (group) => await group.committedOffsets(memberOf(memberId, memberEpoch)),
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

function shownOf(found: AllCommitted | number, topics: Asked["topics"]) {
  if (typeof found === "number") return { errorCode: found, topics: [] };
  const shown = ({ partition, offset, metadata, leaderEpoch = NO_EPOCH }: Committed) => ({
    partition,
    committedOffset: offset,
    committedLeaderEpoch: leaderEpoch,
    metadata,
  });
  // All of them, because the request names none.
  if (topics === null)
    return {
      errorCode: KAFKA_ERRORS.NONE,
      topics: Array.from(found, ([name, all]) => ({
        name,
        partitions: Array.from(all.values(), shown),
      })),
    };
  return {
    errorCode: KAFKA_ERRORS.NONE,
    topics: eachOnce(topics).map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => {
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

export const offsetDelete = service(OFFSET_DELETE, async ({ groupId, topics }, context) => {
  const positions = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partition }) => ({ topic: name, partition })),
  );
  if (positions.length > MAX_OFFSETS_PER_COMMIT)
    return { errorCode: ERRORS.INVALID_REQUEST.code, topics: [] };
  const deleted = await atGroup(
    groupId,
    context,
    async (group) => await group.deletePositions(positions),
  );
  if (typeof deleted === "number") return { errorCode: deleted, topics: [] };
  return { errorCode: KAFKA_ERRORS.NONE, topics: byTopic(topics, deleted, outcomeOf) };
});
