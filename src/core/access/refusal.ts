// The refusal of a caller without the needed rights.
import { type Failure, fail } from "../errors.ts";
import { type Caller, NOBODY, namespaceOf } from "./caller.ts";
import { isAllowed, REFUSED, type Resource, whatIsMissing } from "./grants.ts";
import { WHOLE } from "./namespace.ts";
import type { Operation } from "./operations.ts";

/** Carries the caller. Without one, nothing is allowed. */
export interface Asking {
  readonly caller?: Caller;
}

export function callerIn({ caller }: Asking): Caller {
  return caller ?? NOBODY;
}

/** [ACL-5] Returns the refusal, or null if the caller may do this. It does not reveal what exists. */
export function whyNotAllowed(
  asking: Asking,
  operation: Operation,
  resource: Resource,
): Failure | null {
  const caller = callerIn(asking);
  if (isAllowed(caller, operation, resource)) return null;
  if (resource.type === "cluster" && namespaceOf(caller) !== WHOLE) {
    const detail = `${caller.principal} may not ${operation} the cluster: its credential has a namespace, and the cluster is more than that`;
    return fail(REFUSED.cluster, detail);
  }
  return fail(REFUSED[resource.type], whatIsMissing(caller, operation, resource));
}
