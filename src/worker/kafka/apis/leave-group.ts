// LeaveGroup (API key 13), versions 0 to 5: removes members from a classic group.
// v1 adds `throttleTimeMs` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 names several members at once, each by its member id or its instance id (KIP-345).
// v4 makes fields flexible (KIP-482).
// v5 adds `reason` (KIP-800).
//
// Unlike Kafka:
// - `reason` is ignored.

import { api } from "../api.ts";
import { service } from "../context.ts";
import { atGroup } from "../kafka-group.ts";
import {
  array,
  between,
  groupName,
  int16,
  int32,
  nullableString,
  since,
  string,
  struct,
} from "../schema.ts";

export const LEAVE_GROUP = api({
  key: 13,
  name: "LeaveGroup",
  versions: [0, 5],
  flexibleFrom: 4,
  request: struct({
    groupId: groupName,
    memberId: between(0, 2, string),
    members: since(
      3,
      array(
        struct({
          memberId: string,
          groupInstanceId: nullableString,
          reason: since(5, nullableString),
        }),
      ),
    ),
  }),
  response: struct({
    throttleTimeMs: since(1, int32),
    errorCode: int16,
    members: since(
      3,
      array(struct({ memberId: string, groupInstanceId: nullableString, errorCode: int16 })),
    ),
  }),
});

export const leaveGroup = service(LEAVE_GROUP, async (request, context) => {
  const leaving =
    context.version < 3 ? [{ memberId: request.memberId, groupInstanceId: null }] : request.members;
  const left = await atGroup(
    request.groupId,
    "READ",
    context,
    async (group) =>
      await group.leaveClassic({
        members: leaving.map(({ memberId, groupInstanceId }) => ({
          memberId,
          instanceId: groupInstanceId,
        })),
      }),
  );
  if (typeof left === "number") return { errorCode: left };
  const members = leaving.map((each, i) => ({ ...each, errorCode: left[i] ?? 0 }));
  return { errorCode: context.version < 3 ? (left[0] ?? 0) : 0, members };
});
