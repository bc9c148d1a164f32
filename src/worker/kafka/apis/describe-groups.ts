// DescribeGroups (API key 15), versions 0 to 5: describes groups in the terms of the classic protocol.
// v1 adds `throttleTimeMs` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 adds authorized operations, if the request asks for them (KIP-430).
// v4 adds `groupInstanceId` to the answer (KIP-345).
// v5 makes fields flexible (KIP-482).

import { groupResource } from "../../../core/access/grants.ts";
import { LARGE_FAN_OUT } from "../../../core/limits.ts";
import { api } from "../api.ts";
import { authorized } from "../authorized-operations.ts";
import { answerEach, readingService } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { NO_ERROR } from "../errors.ts";
import { atGroup } from "../kafka-group.ts";
import {
  array,
  boolean,
  groupName,
  int16,
  int32,
  nullableString,
  since,
  string,
  struct,
} from "../schema.ts";
import { assignment, NO_OPERATIONS, subscription } from "../structs.ts";

export const DESCRIBE_GROUPS = api({
  key: 15,
  name: "DescribeGroups",
  versions: [0, 5],
  flexibleFrom: 5,
  request: struct({ groups: array(groupName), includeAuthorizedOperations: since(3, boolean) }),
  response: struct({
    throttleTimeMs: since(1, int32),
    groups: array(
      struct({
        errorCode: int16,
        groupId: groupName,
        groupState: string,
        protocolType: since(0, string),
        protocolData: since(0, string),
        members: since(
          0,
          array(
            struct({
              memberId: string,
              groupInstanceId: since(4, nullableString),
              clientId: string,
              clientHost: string,
              memberMetadata: since(0, subscription),
              memberAssignment: since(0, assignment),
            }),
          ),
        ),
        authorizedOperations: since(3, int32, NO_OPERATIONS),
      }),
    ),
  }),
});

/**
 * Describes groups in the terms of the classic protocol. A group of another kind shows no members here, as in
 * Kafka.
 */
export const describeGroups = readingService(DESCRIBE_GROUPS, async (request, context) => ({
  groups: await answerEach(
    context,
    distinctNames(request.groups),
    async (groupId) => {
      const found = await atGroup(
        groupId,
        "DESCRIBE",
        context,
        async (group) => await group.describeClassic(),
      );
      if (typeof found === "number") return { errorCode: found, groupId, groupState: "" };
      return {
        errorCode: NO_ERROR.errorCode,
        groupId,
        ...found,
        ...authorized(context.env, request.includeAuthorizedOperations, groupResource(groupId)),
      };
    },
    LARGE_FAN_OUT,
  ),
}));
