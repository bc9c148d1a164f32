// Heartbeat (API key 12), versions 0 to 4: keeps a member of a classic group alive.
// v1 adds `throttleTimeMs` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 adds `groupInstanceId` (KIP-345).
// v4 makes fields flexible (KIP-482).
//
// Unlike Kafka:
// - While nothing changes, the connection repeats the group's last answer, so that the group can sleep [KFK-20].

import { ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { mayUseGroup } from "../../edge/authorize.ts";
import { api } from "../api.ts";
import { service } from "../context.ts";
import { atGroup } from "../kafka-group.ts";
import { groupName, int16, int32, nullableString, since, string, struct } from "../schema.ts";

export const HEARTBEAT = api({
  key: 12,
  name: "Heartbeat",
  versions: [0, 4],
  flexibleFrom: 4,
  request: struct({
    groupId: groupName,
    generationId: int32,
    memberId: string,
    groupInstanceId: since(3, nullableString),
  }),
  response: struct({ throttleTimeMs: since(1, int32), errorCode: int16 }),
});

export const heartbeat = service(HEARTBEAT, async (request, context) => {
  const { groupId, memberId, groupInstanceId, generationId } = request;
  const token = { memberId, instanceId: groupInstanceId, generation: generationId };
  // Checked before the request may be answered from memory.
  if (!mayUseGroup(context.env, "READ", groupId))
    return { errorCode: ERRORS.GROUP_AUTHORIZATION_FAILED.code };
  const said = `${generationId} ${groupInstanceId}`;
  return context.watches.heartbeat(groupId, memberId, said, async () => {
    const errorCode = await atGroup(
      groupId,
      "READ",
      context,
      async (group) => await group.heartbeatClassic(token),
    );
    return { answer: { errorCode }, isQuiet: errorCode === KAFKA_ERRORS.NONE };
  });
});
