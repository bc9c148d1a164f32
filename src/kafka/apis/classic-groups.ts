// JoinGroup, SyncGroup, Heartbeat, LeaveGroup: Kafka's classic group protocol.

import { checkGroupId } from "../../core/cluster/topics.ts";
import { BrokerError, KAFKA_ERRORS } from "../../core/errors.ts";
import { failureOf } from "../../core/platform-errors.ts";
import { type RequestContext, service } from "../context.ts";
import { codeOf, told } from "../errors.ts";
import { GroupCalls } from "../group-calls.ts";
import { HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP } from "../messages.ts";

/**
 * From version 4 on, a newcomer is told its id before it joins (KIP-394).
 * From 9 on, a leader may be told to skip the assignment (KIP-814).
 */
const FIRST_WITH_ID = 4;
const FIRST_TO_SKIP = 9;

/** Asks the group. Returns an error code if the question cannot be asked here or the group's object does not answer. */
export async function atGroup<T>(
  groupId: string,
  { env, nodes }: RequestContext,
  ask: (group: GroupCalls) => Promise<T>,
): Promise<T | number> {
  const invalid = checkGroupId(groupId);
  if (invalid !== null) return codeOf(invalid.error);
  if (!nodes.isOwn(nodes.coordinatorOf(groupId))) return KAFKA_ERRORS.NOT_COORDINATOR;
  try {
    return await ask(new GroupCalls(env, groupId));
  } catch (error) {
    // Clients look up the coordinator and retry, again and again. They must instead report damaged data to their user.
    const isPassing = !(error instanceof BrokerError) && failureOf(error) !== "damaged";
    return isPassing ? codeOf("COORDINATOR_NOT_AVAILABLE") : told(error).errorCode;
  }
}

export const joinGroup = service(JOIN_GROUP, async (request, context) => {
  const { groupId, memberId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs } = request;
  const clientId = context.clientId ?? "";
  const joined = await atGroup(
    groupId,
    context,
    async (group) =>
      await group.joinClassic({
        memberId,
        newMemberId: `${groupInstanceId ?? clientId}-${crypto.randomUUID()}`,
        instanceId: groupInstanceId,
        clientId,
        clientHost: context.clientHost,
        sessionTimeoutMs,
        rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
        protocolType: request.protocolType,
        // Copies, because a view would carry the whole request along in the call.
        protocols: request.protocols.map(({ name, metadata }) => ({
          name,
          metadata: metadata.slice(),
        })),
        mustKnowId: context.version >= FIRST_WITH_ID,
        canSkipAssignment: context.version >= FIRST_TO_SKIP,
      }),
  );
  // Before version 7 the name must not be null.
  const noName = context.version < 7 ? "" : null;
  if (typeof joined === "number") return { errorCode: joined, memberId, protocolName: noName };
  const { errorCode, generation, protocolType, protocolName, leaderId, skipAssignment } = joined;
  const members = joined.members.map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.instanceId,
    metadata: member.metadata,
  }));
  return {
    errorCode,
    generationId: generation,
    protocolType,
    protocolName: protocolName ?? noName,
    leader: leaderId,
    skipAssignment,
    memberId: joined.memberId,
    members,
  };
});

export const syncGroup = service(SYNC_GROUP, async (request, context) => {
  const { groupId, memberId, groupInstanceId, generationId, protocolType, protocolName } = request;
  const synced = await atGroup(
    groupId,
    context,
    async (group) =>
      await group.syncClassic({
        memberId,
        instanceId: groupInstanceId,
        generation: generationId,
        protocolType,
        protocolName,
        assignments: request.assignments.map((each) => ({
          memberId: each.memberId,
          assignment: each.assignment.slice(),
        })),
      }),
  );
  return typeof synced === "number" ? { errorCode: synced } : synced;
});

export const heartbeat = service(HEARTBEAT, async (request, context) => {
  const { groupId, memberId, groupInstanceId, generationId } = request;
  const token = { memberId, instanceId: groupInstanceId, generation: generationId };
  const said = `${generationId} ${groupInstanceId}`;
  return context.watches.heartbeat(groupId, memberId, said, async () => {
    const errorCode = await atGroup(
      groupId,
      context,
      async (group) => await group.heartbeatClassic(token),
    );
    return { answer: { errorCode }, isQuiet: errorCode === KAFKA_ERRORS.NONE };
  });
});

export const leaveGroup = service(LEAVE_GROUP, async (request, context) => {
  const leaving =
    context.version < 3 ? [{ memberId: request.memberId, groupInstanceId: null }] : request.members;
  const left = await atGroup(
    request.groupId,
    context,
    async (group) =>
      await group.leaveClassic(
        leaving.map(({ memberId, groupInstanceId }) => ({ memberId, instanceId: groupInstanceId })),
      ),
  );
  if (typeof left === "number") return { errorCode: left };
  const members = leaving.map((each, i) => ({ ...each, errorCode: left[i] ?? 0 }));
  return { errorCode: context.version < 3 ? (left[0] ?? 0) : 0, members };
});
