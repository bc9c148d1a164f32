// CreateAcls (API key 30), versions 1 to 3: refuses to create ACLs, and says what to do instead [KFK-33].
// v2 makes fields flexible (KIP-482).
// v3 adds the resource type User (KIP-373).

import { aclEntryFields, refusedChange } from "../acls.ts";
import { api } from "../api.ts";
import { answerEach, service } from "../context.ts";
import { array, int8, int16, int32, nullableString, since, string, struct } from "../schema.ts";

export const CREATE_ACLS = api({
  key: 30,
  name: "CreateAcls",
  versions: [1, 3],
  flexibleFrom: 2,
  request: struct({
    creations: array(
      struct({ resourceType: int8, resourceName: string, patternType: int8, ...aclEntryFields }),
    ),
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    results: array(struct({ errorCode: int16, errorMessage: nullableString })),
  }),
});

/** Answers each creation by itself. Clients match the answers by position. */
export const createAcls = service(CREATE_ACLS, async ({ creations }, context) => ({
  results: await answerEach(context, creations, async () => refusedChange(context.env)),
}));
