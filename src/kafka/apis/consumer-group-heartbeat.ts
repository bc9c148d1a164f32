import { ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { ASSIGNORS } from "../../core/group/assignor/assignors.ts";
import { type RequestContext, service } from "../context.ts";
import { codeOf } from "../errors.ts";
import { CONSUMER_GROUP_HEARTBEAT, type RequestOf } from "../messages.ts";
import { atGroup } from "./classic-groups.ts";

type Request = RequestOf<typeof CONSUMER_GROUP_HEARTBEAT>;

/** KIP-848: on the same coordinator as native members, so one group may hold both. */
export const consumerGroupHeartbeat = service(
  CONSUMER_GROUP_HEARTBEAT,
  async (request, context) => {
    const { groupId, memberEpoch, serverAssignor } = request;
    if (serverAssignor !== null && !Object.hasOwn(ASSIGNORS, serverAssignor))
      return {
        errorCode: KAFKA_ERRORS.UNSUPPORTED_ASSIGNOR,
        errorMessage: `assignor ${serverAssignor} is not known; known: ${Object.keys(ASSIGNORS).join(", ")}`,
      };
    // Before version 1 the broker chooses.
    const memberId = request.memberId || crypto.randomUUID();
    return context.watches.heartbeat(groupId, memberId, JSON.stringify(request), async () => {
      const answer = await ask({ ...request, memberId }, context);
      const isNews = answer.assignment !== null || answer.memberEpoch !== memberEpoch;
      return { answer, isQuiet: answer.errorCode === KAFKA_ERRORS.NONE && !isNews };
    });
  },
);

async function ask(request: Request, context: RequestContext) {
  const { groupId, memberId, memberEpoch, instanceId, rebalanceTimeoutMs } = request;
  const answer = await atGroup(
    groupId,
    context,
    async (group) =>
      await group.heartbeat({
        memberId,
        memberEpoch,
        instanceId,
        clientId: context.clientId,
        rebalanceTimeoutMs,
        topics: request.subscribedTopicNames,
        topicPattern: request.subscribedTopicRegex,
        owned:
          request.topicPartitions?.map(({ topicId, partitions }) => ({
            topicId,
            partitions: [...partitions],
          })) ?? null,
      }),
  );
  if (typeof answer === "number") return { errorCode: answer, assignment: null };
  if (!answer.ok) {
    const { error, detail } = answer;
    // Somebody of another kind is in the group: to Kafka it is then none of this kind.
    const errorCode = error === "NON_EMPTY_GROUP" ? ERRORS.GROUP_ID_NOT_FOUND.code : codeOf(error);
    return { errorCode, errorMessage: detail, memberId, assignment: null };
  }
  const { heartbeatIntervalMs, assignment } = answer;
  return {
    errorCode: KAFKA_ERRORS.NONE,
    memberId,
    memberEpoch: answer.memberEpoch,
    heartbeatIntervalMs,
    assignment: assignment === null ? null : { topicPartitions: assignment },
  };
}
