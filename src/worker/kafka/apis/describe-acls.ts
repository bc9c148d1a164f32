// DescribeAcls (API key 29), versions 1 to 3: shows the grants of API keys as ACLs.
// v2 makes fields flexible (KIP-482).
// v3 adds the resource type User (KIP-373).
//
// Unlike Kafka:
// - A principal has the ACLs of all of its keys together. The root and tokens have none, as Kafka's super users.
// - A grant on the group that is called "*" is shown as one on all groups that begin so.
// - A filter with a code that nobody knows is refused. Kafka finds nothing by it.

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
      const id = JSON.stringify(Object.values(acl)); // Several keys of a principal may say the same.
      if (!isAclMatch(filter, acl) || found.has(id)) continue;
      context.work.made(acl);
      found.set(id, acl);
    }
  });
  // Kafka has an empty message where there is no error.
  return { ...asked, errorMessage: "", resources: byResource([...found.values()]) };
});

/** Returns the keys that give rights. @throws BrokerError if the caller may not look, or the filter is none */
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
