// ConsumerGroupHeartbeat (API key 68), versions 0 to 1: joins a group of KIP-848, keeps its member alive, and leaves.
// Its fields are flexible from the start.
// v1 adds `subscribedTopicRegex` (KIP-848), and lets the client choose its id (KIP-1082).
//
// Unlike Kafka:
// - One group may hold these members and native ones, because both use the same coordinator.
// - `rackId` is ignored.
// - While nothing changes, the connection repeats the group's last answer, so that the group can sleep [KFK-20].

import { groupResource, readableTopics, topicResource } from "../../../core/access/grants.ts";
import { ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { ASSIGNORS } from "../../../core/group/assignor/assignors.ts";
import { equalSets, toSet } from "../../../core/group/partition-key.ts";
import { callerIn, whyNot } from "../../edge/authorize.ts";
import { api, type RequestOf } from "../api.ts";
import { type RequestContext, service } from "../context.ts";
import { codeOf } from "../errors.ts";
import { atGroup } from "../kafka-group.ts";
import {
  array,
  groupName,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  nullableStruct,
  since,
  string,
  struct,
  topicName,
  topicPattern,
  uuid,
} from "../schema.ts";

const assignedPartitions = struct({ topicId: uuid, partitions: array(int32) });

export const CONSUMER_GROUP_HEARTBEAT = api({
  key: 68,
  name: "ConsumerGroupHeartbeat",
  versions: [0, 1],
  flexibleFrom: 0,
  request: struct({
    groupId: groupName,
    memberId: string,
    memberEpoch: int32,
    instanceId: nullableString,
    rackId: nullableString,
    rebalanceTimeoutMs: int32,
    subscribedTopicNames: nullableArray(topicName),
    subscribedTopicRegex: since(1, topicPattern),
    serverAssignor: nullableString,
    topicPartitions: nullableArray(assignedPartitions),
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    errorCode: int16,
    errorMessage: since(0, message),
    memberId: since(0, nullableString),
    memberEpoch: since(0, int32),
    heartbeatIntervalMs: since(0, int32),
    assignment: since(0, nullableStruct(struct({ topicPartitions: array(assignedPartitions) }))),
  }),
});

const LEAVE_FOR_NOW = -2;

type Request = RequestOf<typeof CONSUMER_GROUP_HEARTBEAT>;

export const consumerGroupHeartbeat = service(
  CONSUMER_GROUP_HEARTBEAT,
  async (request, context) => {
    const { groupId, serverAssignor } = request;
    if (serverAssignor !== null && !Object.hasOwn(ASSIGNORS, serverAssignor))
      return {
        errorCode: KAFKA_ERRORS.UNSUPPORTED_ASSIGNOR,
        errorMessage: `assignor ${serverAssignor} is not known; known: ${Object.keys(ASSIGNORS).join(", ")}`,
      };
    const wrong = wrongIn(request, context.version);
    if (wrong !== null)
      return { errorCode: ERRORS.INVALID_REQUEST.code, errorMessage: wrong, assignment: null };
    const refused = refusalOf(request, context);
    if (refused !== null) return refused;
    // Before version 1 the broker chooses the id.
    const memberId = request.memberId || crypto.randomUUID();
    // Other rights may mean other partitions, so the group is asked again.
    const said = JSON.stringify([request, readableTopics(callerIn(context.env))]);
    return context.watches.heartbeat(groupId, memberId, said, async () => {
      const answer = await ask({ ...request, memberId }, context);
      return { answer, isQuiet: isSettled(request, answer) };
    });
  },
);

/** Returns why the caller may not join with this request. Checked before a heartbeat may be answered from memory. */
function refusalOf({ groupId, subscribedTopicNames }: Request, { env }: RequestContext) {
  const names = subscribedTopicNames ?? [];
  const refused =
    whyNot(env, "READ", groupResource(groupId)) ??
    names.map((name) => whyNot(env, "READ", topicResource(name))).find((each) => each !== null) ??
    null;
  return refused === null
    ? null
    : { errorCode: codeOf(refused.error), errorMessage: refused.detail, assignment: null };
}

/**
 * Returns the error of a request, or null. A join must be complete (KIP-848). A member that leaves temporarily
 * needs an instance id under which to return.
 */
function wrongIn(request: Request, version: number): string | null {
  const { memberId, memberEpoch, instanceId, rebalanceTimeoutMs } = request;
  const { subscribedTopicNames, subscribedTopicRegex } = request;
  if (memberEpoch < LEAVE_FOR_NOW) return `memberEpoch is ${memberEpoch}, it must be -2 or more`;
  if (memberEpoch === LEAVE_FOR_NOW && instanceId === null)
    return "memberEpoch is -2, which requires an instanceId";
  if (instanceId === "") return "instanceId is empty";
  if (memberId === "" && (version > 0 || memberEpoch !== 0)) return "memberId is empty";
  if (memberEpoch !== 0) return null;
  if (rebalanceTimeoutMs <= 0)
    return `rebalanceTimeoutMs is ${rebalanceTimeoutMs}, it must be 1 or more to join`;
  return subscribedTopicNames === null && !subscribedTopicRegex
    ? "to join, a member must name topics, or a pattern"
    : null;
}

type Answer = Awaited<ReturnType<typeof ask>>;

/** True if the answer would not change: the member's epoch is current, and it owns the partitions assigned to it. */
function isSettled({ memberEpoch, topicPartitions }: Request, answer: Answer): boolean {
  if (answer.errorCode !== KAFKA_ERRORS.NONE || answer.memberEpoch !== memberEpoch) return false;
  const { assignment } = answer;
  if (assignment === null) return true;
  return equalSets(toSet(assignment.topicPartitions), toSet(topicPartitions ?? []));
}

async function ask(request: Request, context: RequestContext) {
  const { groupId, memberId, memberEpoch, instanceId, rebalanceTimeoutMs } = request;
  const answer = await atGroup(
    groupId,
    "READ",
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
        readable: readableTopics(callerIn(context.env)),
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
    // The group holds members of another kind. Kafka then answers that there is no such group of this kind.
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
