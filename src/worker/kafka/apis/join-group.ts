// JoinGroup (API key 11), versions 0 to 9: joins a classic group.
// v1 adds `rebalanceTimeoutMs` (KIP-62).
// v2 adds `throttleTimeMs` to the answer.
// v3 answers a client before it is throttled (KIP-219).
// v4 first gives a new member its id, with MEMBER_ID_REQUIRED (KIP-394).
// v5 adds `groupInstanceId` (KIP-345).
// v6 makes fields flexible (KIP-482).
// v7 adds `protocolType` to the answer, and lets the protocol's name be null (KIP-559).
// v8 adds `reason` (KIP-800).
// v9 adds `skipAssignment` to the answer (KIP-814).
//
// Unlike Kafka:
// - `reason` is ignored.
// - An id from MEMBER_ID_REQUIRED is valid for ten seconds, or for the session timeout if that is shorter.
//   In Kafka it is valid for the session timeout.

import { insideSubscriptions } from "../../edge/namespace.ts";
import { api } from "../api.ts";
import { service } from "../context.ts";
import { codeOf } from "../errors.ts";
import { atGroup } from "../kafka-group.ts";
import {
  array,
  boolean,
  bytes,
  groupName,
  int16,
  int32,
  nullableString,
  since,
  string,
  struct,
} from "../schema.ts";
import { subscription } from "../structs.ts";

export const JOIN_GROUP = api({
  key: 11,
  name: "JoinGroup",
  versions: [0, 9],
  flexibleFrom: 6,
  request: struct({
    groupId: groupName,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: since(1, int32, -1),
    memberId: string,
    groupInstanceId: since(5, nullableString),
    protocolType: string,
    protocols: array(struct({ name: string, metadata: bytes })),
    reason: since(8, nullableString),
  }),
  response: struct({
    throttleTimeMs: since(2, int32),
    errorCode: int16,
    generationId: since(0, int32, -1),
    protocolType: since(7, nullableString),
    protocolName: since(0, nullableString, ""),
    leader: since(0, string),
    skipAssignment: since(9, boolean),
    memberId: string,
    members: since(
      0,
      array(
        struct({
          memberId: string,
          groupInstanceId: since(5, nullableString),
          metadata: subscription,
        }),
      ),
    ),
  }),
});

/**
 * From version 4, a new member gets its id before it joins (KIP-394). From version 9, a leader may be asked to
 * skip the assignment (KIP-814).
 */
const FIRST_WITH_ID = 4;
const FIRST_TO_SKIP = 9;

export const joinGroup = service(JOIN_GROUP, async (request, context) => {
  const { groupId, memberId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs } = request;
  const clientId = context.clientId ?? "";
  const joined = await atGroup(groupId, "READ", context, async (group) => {
    const all = request.protocols.map(({ metadata }) => metadata);
    const translated = insideSubscriptions(context.env, all);
    if (!translated.ok) return codeOf(translated.error);
    const protocols = translated.pieces.map((metadata, i) => ({
      name: request.protocols[i]?.name ?? "",
      metadata,
    }));
    return await group.joinClassic({
      memberId,
      newMemberId: `${groupInstanceId ?? clientId}-${crypto.randomUUID()}`,
      instanceId: groupInstanceId,
      clientId,
      clientHost: context.clientHost,
      sessionTimeoutMs,
      rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
      protocolType: request.protocolType,
      protocols,
      mustKnowId: context.version >= FIRST_WITH_ID,
      canSkipAssignment: context.version >= FIRST_TO_SKIP,
    });
  });
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
