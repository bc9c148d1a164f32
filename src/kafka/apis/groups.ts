import type { TopicAssignment } from "../../core/group/describe.ts";
import { topicMetadata } from "../../edge/metadata.ts";
import { clusterStub, groupStub } from "../../env.ts";
import { answerEach, inTurn, type RequestContext, readingService, service } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { codeOf, NO_ERROR } from "../errors.ts";
import {
  CONSUMER_GROUP_DESCRIBE,
  DELETE_GROUPS,
  DESCRIBE_GROUPS,
  LIST_GROUPS,
} from "../messages.ts";
import { ZERO_UUID } from "../wire.ts";
import { atGroup } from "./classic-groups.ts";

/** Describes groups as the classic protocol sees them. A group of another kind shows no members here, as in Kafka. */
export const describeGroups = readingService(DESCRIBE_GROUPS, async ({ groups }, context) => ({
  groups: await answerEach(context, distinctNames(groups), async (groupId) => {
    const found = await atGroup(groupId, context, async (group) => await group.describeClassic());
    if (typeof found === "number") return { errorCode: found, groupId, groupState: "" };
    return { errorCode: NO_ERROR.errorCode, groupId, ...found };
  }),
}));

/** [FIL-6] A group that cannot be read is listed all the same, and the others are. Kafka's clients know the state. */
const UNREADABLE = { protocolType: "consumer", groupState: "Unknown", groupType: "" };

/** Lists the groups that this node coordinates [KFK-6]. Clients ask every node, and some show what each of them lists. */
export const listGroups = readingService(LIST_GROUPS, async (request, context) => {
  const { env, nodes } = context;
  const all = await clusterStub(env).groups();
  const ids = all.filter((groupId) => nodes.isOwn(nodes.coordinatorOf(groupId)));
  const listed = await answerEach(context, ids, async (groupId) => {
    const found = await groupStub(env, groupId)
      .summary()
      .catch(() => UNREADABLE); // The stub has noted why.
    return found === null ? null : { groupId, ...found };
  });
  const filterOf = (names: readonly string[]) => {
    const wanted = new Set(names.map((each) => each.toLowerCase()));
    return (value: string) => wanted.size === 0 || wanted.has(value.toLowerCase());
  };
  const [isStateAsked, isTypeAsked] = [
    filterOf(request.statesFilter),
    filterOf(request.typesFilter),
  ];
  return {
    errorCode: NO_ERROR.errorCode,
    groups: listed.filter(
      (each) => each !== null && isStateAsked(each.groupState) && isTypeAsked(each.groupType),
    ) as NonNullable<(typeof listed)[number]>[],
  };
});

/** Deletes groups. A name that appears twice counts once, as in Kafka. */
export const deleteGroups = service(DELETE_GROUPS, async ({ groups }, context) => ({
  groups: await answerEach(context, distinctNames(groups), async (groupId) => {
    const deleted = await atGroup(groupId, context, async (group) => await group.destroy());
    if (typeof deleted === "number") return { groupId, errorCode: deleted };
    return { groupId, errorCode: deleted.ok ? NO_ERROR.errorCode : codeOf(deleted.error) };
  }),
}));

/** ConsumerGroupDescribe (KIP-848). It shows native members in the same way as members that speak its protocol. */
export const consumerGroupDescribe = readingService(
  CONSUMER_GROUP_DESCRIBE,
  async ({ groupIds }, context) => ({
    groups: await answerEach(context, distinctNames(groupIds), async (groupId) => {
      const found = await atGroup(
        groupId,
        context,
        async (group) => await group.describeConsumers(),
      );
      if (typeof found === "number") return { groupId, errorCode: found };
      if (!found.ok) return { groupId, errorCode: codeOf(found.error), errorMessage: found.detail };
      const { subscriptions } = found;
      const { state, epoch, assignor, members } = found.group;
      const named = members.flatMap(({ assignment, target }) => [...assignment, ...target]);
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
