// DeleteGroups (API key 42), versions 0 to 2: deletes groups.
// v1 answers a client before it is throttled (KIP-219).
// v2 makes fields flexible (KIP-482).

import { api } from "../api.ts";
import { answerEach, service } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { codeOf, NO_ERROR } from "../errors.ts";
import { atGroup } from "../kafka-group.ts";
import { array, groupName, int16, int32, since, struct } from "../schema.ts";

export const DELETE_GROUPS = api({
  key: 42,
  name: "DeleteGroups",
  versions: [0, 2],
  flexibleFrom: 2,
  request: struct({ groups: array(groupName) }),
  response: struct({
    throttleTimeMs: since(0, int32),
    groups: array(struct({ groupId: groupName, errorCode: int16 })),
  }),
});

/** Deletes groups. A name that appears twice counts once, as in Kafka. */
export const deleteGroups = service(DELETE_GROUPS, async ({ groups }, context) => ({
  groups: await answerEach(context, distinctNames(groups), async (groupId) => {
    const deleted = await atGroup(
      groupId,
      "DELETE",
      context,
      async (group) => await group.destroy(),
    );
    if (typeof deleted === "number") return { groupId, errorCode: deleted };
    return { groupId, errorCode: deleted.ok ? NO_ERROR.errorCode : codeOf(deleted.error) };
  }),
}));
