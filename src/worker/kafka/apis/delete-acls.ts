// DeleteAcls (API key 31), versions 1 to 3: refuses to delete ACLs, and says what to do instead [KFK-33].
// v2 makes fields flexible (KIP-482).
// v3 adds the resource type User (KIP-373).

import { aclEntryFields, aclFilterFields, refusedChange } from "../acls.ts";
import { api } from "../api.ts";
import { answerEach, service } from "../context.ts";
import { array, int8, int16, int32, nullableString, since, string, struct } from "../schema.ts";

export const DELETE_ACLS = api({
  key: 31,
  name: "DeleteAcls",
  versions: [1, 3],
  flexibleFrom: 2,
  request: struct({ filters: array(struct(aclFilterFields)) }),
  response: struct({
    throttleTimeMs: since(0, int32),
    filterResults: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        matchingAcls: array(
          struct({
            errorCode: int16,
            errorMessage: nullableString,
            resourceType: int8,
            resourceName: string,
            patternType: int8,
            ...aclEntryFields,
          }),
        ),
      }),
    ),
  }),
});

/** Answers each filter by itself. Clients match the answers by position. */
export const deleteAcls = service(DELETE_ACLS, async ({ filters }, context) => ({
  filterResults: await answerEach(context, filters, async () => ({
    ...refusedChange(context.env),
    matchingAcls: [],
  })),
}));
