// DescribeAcls (API key 29), versions 1 to 3: shows the grants of API keys as ACLs.
// v2 makes fields flexible (KIP-482).
// v3 adds the resource type User (KIP-373).
//
// Unlike Kafka:
// - A principal has the ACLs of all its keys together. The root and tokens have none, like Kafka's super users.
// - A grant on the group named "*" is shown as a grant on all groups whose names begin with "*".
// - A filter with an unknown code is refused. In Kafka it matches nothing.

import { type Acl, aclsOf, isAclMatch, whyNotAclFilter } from "../../../core/access/acls.ts";
import { hasExpired } from "../../../core/access/caller.ts";
import { errorOf } from "../../../core/errors.ts";
import { clusterStub } from "../../../env.ts";
import { assertMayUseCluster } from "../../edge/authorize.ts";
import { aclEntryFields, aclFilterFields } from "../acls.ts";
import { api, type RequestOf } from "../api.ts";
import { inTurn, type RequestContext, readingService } from "../context.ts";
import { outcomeOf } from "../errors.ts";
import { array, int8, int16, int32, nullableString, since, string, struct } from "../schema.ts";

export const DESCRIBE_ACLS = api({
  key: 29,
  name: "DescribeAcls",
  versions: [1, 3],
  flexibleFrom: 2,
  request: struct(aclFilterFields),
  response: struct({
    throttleTimeMs: since(0, int32),
    errorCode: int16,
    errorMessage: nullableString,
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        patternType: int8,
        acls: array(struct(aclEntryFields)),
      }),
    ),
  }),
});

type Filter = RequestOf<typeof DESCRIBE_ACLS>;

export const describeAcls = readingService(DESCRIBE_ACLS, async (filter, context) => {
  const asked = await outcomeOf(async () => ({ keys: await keysFor(filter, context) }));
  if (!("keys" in asked)) return { ...asked, resources: [] };
  const found = new Map<string, Acl>();
  await inTurn(context, asked.keys, async (key) => {
    for (const acl of aclsOf(key)) {
      const id = JSON.stringify(Object.values(acl)); // Several keys of a principal may give the same right.
      if (!isAclMatch(filter, acl) || found.has(id)) continue;
      context.work.made(acl);
      found.set(id, acl);
    }
  });
  // Without an error, Kafka sends an empty message.
  return { ...asked, errorMessage: "", resources: byResource([...found.values()]) };
});

/** Returns the keys that have grants. @throws BrokerError if the caller may not see them, or the filter is invalid */
async function keysFor(filter: Filter, { env }: RequestContext) {
  assertMayUseCluster(env, "DESCRIBE");
  const refused = whyNotAclFilter(filter);
  if (refused !== null) throw errorOf(refused);
  const keys = await clusterStub(env).apiKeys();
  return keys.filter((key) => !hasExpired(key, Date.now()));
}

function byResource(acls: readonly Acl[]) {
  const groups = Map.groupBy(acls, ({ resourceType, patternType, resourceName }) =>
    JSON.stringify([resourceType, patternType, resourceName]),
  );
  return Array.from(groups.values(), (group) => {
    const [{ resourceType, resourceName, patternType }] = group as [Acl];
    return { resourceType, resourceName, patternType, acls: group };
  });
}
