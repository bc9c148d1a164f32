// OffsetCommit, OffsetFetch, OffsetDelete.
import { ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { MAX_OFFSETS_PER_COMMIT } from "../../core/limits.ts";
import { atPartition } from "../../edge/metadata.ts";
import { listOffset } from "../../edge/offsets.ts";
import type { Env } from "../../env.ts";
import { byTopic, inTurn, type RequestContext, service } from "../context.ts";
import { OFFSET_COMMIT, OFFSET_DELETE, OFFSET_FETCH, type RequestOf } from "../messages.ts";
import { atGroup } from "./classic-groups.ts";

/** Nothing is committed there. */
const NO_OFFSET = { committedOffset: -1, metadata: "" };

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
  const offsets = await inTurn(named, async (each) => ({
    topic: each.name,
    partition: each.partition,
    offset: await positionOf(context.env, each.name, each.partition, each.committedOffset),
    metadata: each.committedMetadata ?? "",
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

/** KafkaJS resets a group by committing what ListOffsets knows as the latest and the earliest: that is looked up here. */
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
    return 0; // Of what is not there: the group says so.
  }
}

/** An admin, or a client that does not know of members, names none. */
function isMember(memberId: string | null, memberEpoch: number): memberId is string {
  return memberId !== null && (memberId !== "" || memberEpoch >= 0);
}

type Asked = RequestOf<typeof OFFSET_FETCH>["groups"][number];

/** Before version 8 of one group, told otherwise. */
export const offsetFetch = service(OFFSET_FETCH, async (request, context) => {
  const { groupId, topics, groups } = request;
  if (context.version >= 8)
    return {
      groups: await inTurn(groups, async (asked) => ({
        groupId: asked.groupId,
        ...(await fetchOffsets(asked, context)),
      })),
    };
  return fetchOffsets({ groupId, topics, memberId: null, memberEpoch: -1 }, context);
});

async function fetchOffsets(
  { groupId, topics, memberId, memberEpoch }: Asked,
  context: RequestContext,
) {
  const found = await atGroup(
    groupId,
    context,
    async (group) =>
      await group.committedOffsets(
        isMember(memberId, memberEpoch) ? { memberId, memberEpoch } : null,
      ),
  );
  if (typeof found === "number") return { errorCode: found, topics: [] };
  if (typeof found.offsets === "number") return { errorCode: found.offsets, topics: [] };
  const offsetsByTopic = Map.groupBy(found.offsets, ({ topic }) => topic);
  const shown = ({ partition, offset, metadata }: (typeof found.offsets)[number]) => ({
    partition,
    committedOffset: offset,
    metadata,
  });
  // All of them, where none is named.
  if (topics === null)
    return {
      errorCode: KAFKA_ERRORS.NONE,
      topics: Array.from(offsetsByTopic, ([name, all]) => ({ name, partitions: all.map(shown) })),
    };
  return {
    errorCode: KAFKA_ERRORS.NONE,
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => {
        const own = offsetsByTopic.get(name)?.find((each) => each.partition === partition);
        return own === undefined ? { partition, ...NO_OFFSET } : shown(own);
      }),
    })),
  };
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
