import type { TopicAssignment } from "../../core/group/describe.ts";
import { topicMetadata } from "../../edge/metadata.ts";
import { clusterStub, type Env, groupStub } from "../../env.ts";
import { inTurn, service } from "../context.ts";
import { codeOf, NO_ERROR } from "../errors.ts";
import {
  CONSUMER_GROUP_DESCRIBE,
  DELETE_GROUPS,
  DESCRIBE_GROUPS,
  LIST_GROUPS,
} from "../messages.ts";
import { ZERO_UUID } from "../wire.ts";
import { atGroup } from "./classic-groups.ts";

/** A group as the classic protocol sees it; one of another kind has no members here, as in Kafka. */
export const describeGroups = service(DESCRIBE_GROUPS, async ({ groups }, context) => ({
  groups: await inTurn(groups, async (groupId) => {
    const found = await atGroup(groupId, context, async (group) => await group.describeClassic());
    if (typeof found === "number") return { errorCode: found, groupId, groupState: "" };
    return { errorCode: NO_ERROR.errorCode, groupId, ...found };
  }),
}));

export const listGroups = service(LIST_GROUPS, async ({ statesFilter, typesFilter }, { env }) => {
  const ids = await clusterStub(env).groups();
  const listed = await inTurn(ids, async (groupId) => {
    const found = await groupStub(env, groupId).summary();
    return found === null ? null : { groupId, ...found };
  });
  const has = (filter: readonly string[], value: string) =>
    filter.length === 0 || filter.some((each) => each.toLowerCase() === value.toLowerCase());
  return {
    errorCode: NO_ERROR.errorCode,
    groups: listed.filter(
      (each) =>
        each !== null && has(statesFilter, each.groupState) && has(typesFilter, each.groupType),
    ) as NonNullable<(typeof listed)[number]>[],
  };
});

export const deleteGroups = service(DELETE_GROUPS, async ({ groups }, context) => ({
  groups: await inTurn(groups, async (groupId) => {
    const deleted = await atGroup(groupId, context, async (group) => await group.destroy());
    if (typeof deleted === "number") return { groupId, errorCode: deleted };
    return { groupId, errorCode: deleted.ok ? NO_ERROR.errorCode : codeOf(deleted.error) };
  }),
}));

/** KIP-848's view: of native members and of those that speak its protocol alike. */
export const consumerGroupDescribe = service(
  CONSUMER_GROUP_DESCRIBE,
  async ({ groupIds }, context) => ({
    groups: await inTurn(groupIds, async (groupId) => {
      const found = await atGroup(
        groupId,
        context,
        async (group) => await group.describeConsumers(),
      );
      if (typeof found === "number") return { groupId, errorCode: found };
      if (!found.ok) return { groupId, errorCode: codeOf(found.error), errorMessage: found.detail };
      const { subscriptions } = found;
      const { state, epoch, assignor, members } = found.group;
      return {
        groupId,
        errorCode: NO_ERROR.errorCode,
        groupState: KIP_848_STATES[state],
        groupEpoch: epoch,
        assignmentEpoch: epoch,
        assignorName: assignor,
        members: await Promise.all(
          members.map(async (member) => ({
            memberId: member.memberId,
            instanceId: member.instanceId ?? null,
            rackId: null,
            memberEpoch: member.memberEpoch,
            clientId: member.clientId ?? "",
            clientHost: "/",
            subscribedTopicNames: subscriptions[member.memberId]?.topics ?? [],
            subscribedTopicRegex: subscriptions[member.memberId]?.topicPattern ?? null,
            assignment: { topicPartitions: await withIds(context.env, member.assignment) },
            targetAssignment: { topicPartitions: await withIds(context.env, member.target) },
          })),
        ),
      };
    }),
  }),
);

const KIP_848_STATES = {
  EMPTY: "Empty",
  ASSIGNING: "Assigning",
  RECONCILING: "Reconciling",
  STABLE: "Stable",
  DEAD: "Dead",
} as const;

function withIds(env: Env, assignment: readonly TopicAssignment[]) {
  return Promise.all(
    assignment.map(async ({ topic, partitions }) => {
      const found = await topicMetadata(env, topic).catch(() => null); // It may be deleted just now.
      return { topicId: found?.topicId ?? ZERO_UUID, topicName: topic, partitions };
    }),
  );
}
