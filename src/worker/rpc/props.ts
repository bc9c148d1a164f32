// The `props` of a service binding: the caller that the bound Worker is. They are in that Worker's
// configuration, so no request can change them.
import * as z from "zod";
import { ANYBODY, type Caller } from "../../core/access/caller.ts";
import { ROLES } from "../../core/access/grants.ts";
import { whyNotKept } from "../../core/access/kept-caller.ts";
import { confined, WHOLE } from "../../core/access/namespace.ts";
import { errorOf } from "../../core/errors.ts";
import { grantsSchema, principalSchema, roleSchema } from "../../protocol/grants.ts";
import { parse } from "../../protocol/parse.ts";
import { namespaceSchema, quotaSchema } from "../../protocol/tenancy.ts";

const propsSchema = z.object({
  principal: principalSchema.optional(),
  grants: grantsSchema.optional(),
  role: roleSchema.optional(),
  namespace: namespaceSchema.optional(),
  quota: quotaSchema.optional(),
});

/** The principal of a Worker whose binding names none. */
const BOUND = "User:worker";

/**
 * [RPC-5] Returns the caller. Without grants it may do everything, because anyone who deploys in the account
 * may too.
 * @throws BrokerError INVALID_REQUEST if the props are invalid, or too large to be stored
 */
export function callerOfProps(props: unknown): Caller {
  const { principal = BOUND, grants, role, ...bounds } = parse(propsSchema, props ?? {});
  const granted = grants ?? (role === undefined ? ROLES.admin : ROLES[role]);
  const { namespace = WHOLE } = bounds;
  const caller = { ...ANYBODY, ...bounds, principal, grants: confined(granted, namespace) };
  const tooLarge = whyNotKept(caller);
  if (tooLarge !== null) throw errorOf(tooLarge);
  return caller;
}
