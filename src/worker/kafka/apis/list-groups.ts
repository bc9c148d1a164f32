// ListGroups (API key 16), versions 0 to 5: lists the groups that this node coordinates.
// v1 adds `throttleTimeMs` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 makes fields flexible (KIP-482).
// v4 adds `statesFilter`, and `groupState` to the answer (KIP-518).
// v5 adds `typesFilter`, and `groupType` to the answer (KIP-848).
//
// Unlike Kafka:
// - Listing wakes no group. Each reports to the cluster if it has members, so a group that rebalances is listed as
//   Stable [KFK-34]. DescribeGroups asks the group.
// - A group that cannot be read and has never reported is listed with the state Unknown [FIL-6].

import { seesCluster, seesGroup } from "../../edge/authorize.ts";
import { listGroups as listAllGroups, summaryOfGroup } from "../../edge/groups.ts";
import { api } from "../api.ts";
import { answerEach, readingService } from "../context.ts";
import { NO_ERROR } from "../errors.ts";
import { array, groupName, int16, int32, since, string, struct } from "../schema.ts";

export const LIST_GROUPS = api({
  key: 16,
  name: "ListGroups",
  versions: [0, 5],
  flexibleFrom: 3,
  request: struct({ statesFilter: since(4, array(string)), typesFilter: since(5, array(string)) }),
  response: struct({
    throttleTimeMs: since(1, int32),
    errorCode: int16,
    groups: array(
      struct({
        groupId: groupName,
        protocolType: string,
        groupState: since(4, string),
        groupType: since(5, string),
      }),
    ),
  }),
});

/** [FIL-6] An unreadable group is still listed, and so are the others. Kafka's clients know the state. */
const UNREADABLE = { protocolType: "consumer", groupState: "Unknown", groupType: "" };

/** Lists the groups that this node coordinates [KFK-6]. Clients ask every node, and some show the list of each. */
export const listGroups = readingService(LIST_GROUPS, async (request, context) => {
  const { env, nodes } = context;
  const all = await listAllGroups(env);
  const isShown = (groupId: string) => seesCluster(env) || seesGroup(env, groupId);
  const own = all.filter(
    ({ groupId }) => isShown(groupId) && nodes.isOwn(nodes.coordinatorOf(groupId)),
  );
  const listed = await answerEach(context, own, async ({ groupId, summary }) => {
    // The stub has logged why a group does not answer.
    const found = summary ?? (await summaryOfGroup(env, groupId).catch(() => UNREADABLE));
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
