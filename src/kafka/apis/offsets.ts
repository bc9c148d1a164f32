// OffsetCommit, OffsetFetch, OffsetDelete.
import { ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { type RequestContext, service } from "../context.ts";
import { codeOf } from "../errors.ts";
import { OFFSET_COMMIT, OFFSET_DELETE, OFFSET_FETCH, type RequestOf } from "../messages.ts";
import { atGroup } from "./classic-groups.ts";

/** Nothing is committed there. */
const NO_OFFSET = { committedOffset: -1, metadata: "" };

export const offsetCommit = service(OFFSET_COMMIT, async (request, context) => {
  const { groupId, memberId, groupInstanceId, generationId, topics } = request;
  const token = { memberId, instanceId: groupInstanceId, generation: generationId };
  const offsets = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partition, committedOffset, committedMetadata }) => ({
      topic: name,
      partition,
      offset: committedOffset,
      metadata: committedMetadata ?? "",
    })),
  );
  const committed = await atGroup(
    groupId,
    context,
    async (group) => await group.commitOffsets(token, offsets),
  );
  const all = typeof committed === "number" ? committed : committed.errorCode;
  let index = 0;
  return {
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partition }) => {
        const own = typeof committed === "number" ? undefined : committed.errorCodes[index++];
        return { partition, errorCode: all === KAFKA_ERRORS.NONE ? (own ?? all) : all };
      }),
    })),
  };
});

type Asked = RequestOf<typeof OFFSET_FETCH>["groups"][number];

/** Before version 8 of one group, told otherwise. */
export const offsetFetch = service(OFFSET_FETCH, async (request, context) => {
  const { groupId, topics, groups } = request;
  if (context.version >= 8)
    return {
      groups: await Promise.all(
        groups.map(async (asked) => ({
          groupId: asked.groupId,
          ...(await fetchOffsets(asked, context)),
        })),
      ),
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
        memberId === null || memberEpoch < 0 ? null : { memberId, memberEpoch },
      ),
  );
  if (typeof found === "number") return { errorCode: found, topics: [] };
  if (typeof found.offsets === "number") return { errorCode: found.offsets, topics: [] };
  const byTopic = Map.groupBy(found.offsets, ({ topic }) => topic);
  const shown = ({ partition, offset, metadata }: (typeof found.offsets)[number]) => ({
    partition,
    committedOffset: offset,
    metadata,
  });
  // All of them, where none is named.
  if (topics === null)
    return {
      errorCode: KAFKA_ERRORS.NONE,
      topics: Array.from(byTopic, ([name, all]) => ({ name, partitions: all.map(shown) })),
    };
  return {
    errorCode: KAFKA_ERRORS.NONE,
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => {
        const own = byTopic.get(name)?.find((each) => each.partition === partition);
        return own === undefined ? { partition, ...NO_OFFSET } : shown(own);
      }),
    })),
  };
}

/** Ours forgets a topic's positions as a whole: every partition that is named is told what became of that. */
export const offsetDelete = service(OFFSET_DELETE, async ({ groupId, topics }, context) => {
  const outcomes = new Map<string, number>();
  for (const { name } of topics) {
    const deleted = await atGroup(
      groupId,
      context,
      async (group) => await group.deleteOffsets([name]),
    );
    if (typeof deleted === "number") return { errorCode: deleted, topics: [] };
    if (!deleted.ok && deleted.error === "GROUP_ID_NOT_FOUND")
      return { errorCode: ERRORS.GROUP_ID_NOT_FOUND.code, topics: [] };
    outcomes.set(name, deleted.ok ? KAFKA_ERRORS.NONE : codeOf(deleted.error));
  }
  return {
    errorCode: KAFKA_ERRORS.NONE,
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partition }) => ({
        partition,
        errorCode: outcomes.get(name) ?? KAFKA_ERRORS.NONE,
      })),
    })),
  };
});
