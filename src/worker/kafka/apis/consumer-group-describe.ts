// ConsumerGroupDescribe (API key 69), versions 0 to 1: describes groups of KIP-848. Its fields are flexible from the
// start.
// v1 adds `memberType` to the answer (KIP-1099).
//
// Unlike Kafka:
// - Native members are shown in the same way as members that speak KIP-848.
// - `rackId` and `clientHost` are not kept, so they are null and a bare slash.

import { groupResource } from "../../../core/access/grants.ts";
import type { TopicAssignment } from "../../../core/group-info.ts";
import { LARGE_FAN_OUT } from "../../../core/limits.ts";
import { seesTopic } from "../../edge/authorize.ts";
import { topicMetadata } from "../../edge/metadata.ts";
import { api } from "../api.ts";
import { authorized } from "../authorized-operations.ts";
import { answerEach, inTurn, type RequestContext, readingService } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { codeOf, NO_ERROR } from "../errors.ts";
import { atGroup } from "../kafka-group.ts";
import {
  array,
  boolean,
  groupName,
  int8,
  int16,
  int32,
  message,
  nullableString,
  since,
  string,
  struct,
  topicName,
  topicPattern,
  uuid,
} from "../schema.ts";
import { NO_OPERATIONS } from "../structs.ts";
import { ZERO_UUID } from "../wire.ts";

const describedAssignment = struct({
  topicPartitions: array(struct({ topicId: uuid, topicName, partitions: array(int32) })),
});

export const CONSUMER_GROUP_DESCRIBE = api({
  key: 69,
  name: "ConsumerGroupDescribe",
  versions: [0, 1],
  flexibleFrom: 0,
  request: struct({ groupIds: array(groupName), includeAuthorizedOperations: boolean }),
  response: struct({
    throttleTimeMs: since(0, int32),
    groups: array(
      struct({
        errorCode: int16,
        errorMessage: since(0, message),
        groupId: groupName,
        groupState: since(0, string),
        groupEpoch: since(0, int32),
        assignmentEpoch: since(0, int32),
        assignorName: since(0, string),
        members: since(
          0,
          array(
            struct({
              memberId: string,
              instanceId: nullableString,
              rackId: nullableString,
              memberEpoch: int32,
              clientId: string,
              clientHost: string,
              subscribedTopicNames: array(topicName),
              subscribedTopicRegex: topicPattern,
              assignment: describedAssignment,
              targetAssignment: describedAssignment,
              memberType: since(1, int8, 1),
            }),
          ),
        ),
        authorizedOperations: since(0, int32, NO_OPERATIONS),
      }),
    ),
  }),
});

export const consumerGroupDescribe = readingService(
  CONSUMER_GROUP_DESCRIBE,
  async ({ groupIds, includeAuthorizedOperations }, context) => ({
    groups: await answerEach(
      context,
      distinctNames(groupIds),
      async (groupId) => {
        const found = await atGroup(
          groupId,
          "DESCRIBE",
          context,
          async (group) => await group.describeConsumers(),
        );
        if (typeof found === "number") return { groupId, errorCode: found };
        if (!found.ok)
          return { groupId, errorCode: codeOf(found.error), errorMessage: found.detail };
        const { subscriptions } = found;
        const { state, epoch, assignor, members } = found.group;
        const named = members.flatMap(({ assignment, target }) => [...assignment, ...target]);
        const subscribed = Object.values(subscriptions).flatMap(({ topics }) => topics);
        const all = [...subscribed, ...named.map(({ topic }) => topic)];
        if (all.some((topic) => !seesTopic(context.env, topic)))
          return { groupId, errorCode: codeOf("TOPIC_AUTHORIZATION_FAILED") };
        const topicIds = await idsOf(
          context,
          named.map(({ topic }) => topic),
        );
        return {
          groupId,
          errorCode: NO_ERROR.errorCode,
          groupState: KIP_848_STATES[state],
          groupEpoch: epoch,
          assignmentEpoch: epoch,
          assignorName: assignor,
          members: members.map((member) => ({
            memberId: member.memberId,
            instanceId: member.instanceId ?? null,
            rackId: null,
            memberEpoch: member.memberEpoch,
            clientId: member.clientId ?? "",
            clientHost: "/",
            subscribedTopicNames: subscriptions[member.memberId]?.topics ?? [],
            subscribedTopicRegex: subscriptions[member.memberId]?.topicPattern ?? null,
            assignment: { topicPartitions: withIds(topicIds, member.assignment) },
            targetAssignment: { topicPartitions: withIds(topicIds, member.target) },
          })),
          ...authorized(context.env, includeAuthorizedOperations, groupResource(groupId)),
        };
      },
      LARGE_FAN_OUT,
    ),
  }),
);

const KIP_848_STATES = {
  EMPTY: "Empty",
  ASSIGNING: "Assigning",
  RECONCILING: "Reconciling",
  STABLE: "Stable",
  DEAD: "Dead",
} as const;

type TopicIds = ReadonlyMap<string, string>;

async function idsOf(context: RequestContext, topics: readonly string[]): Promise<TopicIds> {
  const names = distinctNames(topics);
  const found = await inTurn(context, names, async (name) => {
    const topic = await topicMetadata(context.env, name).catch(() => null); // The topic may have just been deleted.
    return [name, topic?.topicId ?? ZERO_UUID] as const;
  });
  return new Map(found);
}

function withIds(topicIds: TopicIds, assignment: readonly TopicAssignment[]) {
  return assignment.map(({ topic, partitions }) => ({
    topicId: topicIds.get(topic) ?? ZERO_UUID,
    topicName: topic,
    partitions,
  }));
}
