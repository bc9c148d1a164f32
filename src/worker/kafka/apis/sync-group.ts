// SyncGroup (API key 14), versions 0 to 5: hands the assignments of a classic group from its leader to its members.
// v1 adds `throttleTimeMs` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 adds `groupInstanceId` (KIP-345).
// v4 makes fields flexible (KIP-482).
// v5 adds `protocolType` and `protocolName` to the request and to the answer (KIP-559).

import { readableTopics } from "../../../core/access/grants.ts";
import { callerIn } from "../../edge/authorize.ts";
import { insideAssignments } from "../../edge/namespace.ts";
import { api } from "../api.ts";
import { service } from "../context.ts";
import { codeOf } from "../errors.ts";
import { atGroup } from "../kafka-group.ts";
import {
  array,
  bytes,
  groupName,
  int16,
  int32,
  nullableString,
  since,
  string,
  struct,
} from "../schema.ts";
import { assignment } from "../structs.ts";

export const SYNC_GROUP = api({
  key: 14,
  name: "SyncGroup",
  versions: [0, 5],
  flexibleFrom: 4,
  request: struct({
    groupId: groupName,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString),
    protocolType: since(5, nullableString),
    protocolName: since(5, nullableString),
    assignments: array(struct({ memberId: string, assignment: bytes })),
  }),
  response: struct({
    throttleTimeMs: since(1, int32),
    errorCode: int16,
    protocolType: since(5, nullableString),
    protocolName: since(5, nullableString),
    assignment: since(0, assignment),
  }),
});

export const syncGroup = service(SYNC_GROUP, async (request, context) => {
  const { groupId, memberId, groupInstanceId, generationId, protocolType, protocolName } = request;
  const synced = await atGroup(groupId, "READ", context, async (group) => {
    const all = request.assignments.map(({ assignment }) => assignment);
    const translated = insideAssignments(context.env, all);
    if (!translated.ok) return codeOf(translated.error);
    const assignments = translated.pieces.map((assignment, i) => ({
      memberId: request.assignments[i]?.memberId ?? "",
      assignment,
    }));
    return await group.syncClassic({
      memberId,
      instanceId: groupInstanceId,
      generation: generationId,
      protocolType,
      protocolName,
      assignments,
      readable: readableTopics(callerIn(context.env)),
    });
  });
  return typeof synced === "number" ? { errorCode: synced } : synced;
});
