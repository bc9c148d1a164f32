// OffsetDelete (API key 47), version 0: deletes committed offsets of a group (KIP-496). It is never flexible.
//
// Unlike Kafka:
// - A request may name at most MAX_OFFSETS_PER_COMMIT partitions. More are INVALID_REQUEST.

import { ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { MAX_OFFSETS_PER_COMMIT } from "../../../core/limits.ts";
import { mayUseTopic } from "../../edge/authorize.ts";
import { api, NEVER_FLEXIBLE } from "../api.ts";
import { byTopic, service } from "../context.ts";
import { atGroup } from "../kafka-group.ts";
import { groupName, int16, int32, since, struct } from "../schema.ts";
import { topicsWith } from "../structs.ts";

export const OFFSET_DELETE = api({
  key: 47,
  name: "OffsetDelete",
  versions: [0, 0],
  flexibleFrom: NEVER_FLEXIBLE,
  request: struct({
    groupId: groupName,
    topics: topicsWith({ partition: int32 }),
  }),
  response: struct({
    errorCode: int16,
    throttleTimeMs: since(0, int32),
    topics: topicsWith({ partition: int32, errorCode: int16 }),
  }),
});

export const offsetDelete = service(OFFSET_DELETE, async ({ groupId, topics }, context) => {
  const positions = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partition }) => ({ topic: name, partition })),
  );
  if (positions.length > MAX_OFFSETS_PER_COMMIT)
    return { errorCode: ERRORS.INVALID_REQUEST.code, topics: [] };
  const isForbidden = (topic: string) => !mayUseTopic(context.env, "READ", topic);
  const allowed = positions.filter(({ topic }) => !isForbidden(topic));
  const deleted = await atGroup(groupId, "DELETE", context, async (group) =>
    // As in Kafka, the group is not asked if nothing is left to ask.
    allowed.length === 0 && positions.length > 0
      ? []
      : await group.deletePositions({ positions: allowed }),
  );
  if (typeof deleted === "number") return { errorCode: deleted, topics: [] };
  let next = 0;
  const codes = positions.map(({ topic }) =>
    isForbidden(topic) ? ERRORS.TOPIC_AUTHORIZATION_FAILED.code : (deleted[next++] as number),
  );
  return {
    errorCode: KAFKA_ERRORS.NONE,
    topics: byTopic(topics, codes, ({ partition }, code) => ({ partition, errorCode: code })),
  };
});
