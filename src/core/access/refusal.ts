// The refusal of whoever may not do something.
import { type Failure, fail } from "../errors.ts";
import { type Caller, NOBODY, namespaceOf } from "./caller.ts";
import { isAllowed, REFUSED, type Resource, whatIsMissing } from "./grants.ts";
import { WHOLE } from "./namespace.ts";
import type { Operation } from "./operations.ts";

/** Something that knows who asks. Where nobody has said, it is somebody who may do nothing. */
export interface Asking {
  readonly caller?: Caller;
}

export function callerIn({ caller }: Asking): Caller {
  return caller ?? NOBODY;
}

/** [ACL-5] Returns the refusal, or null if the caller may do this. It says nothing of what exists. */
export function whyNotAllowed(
  asking: Asking,
  operation: Operation,
  resource: Resource,
): Failure | null {
  const caller = callerIn(asking);
  if (isAllowed(caller, operation, resource)) return null;
  if (resource.type === "cluster" && namespaceOf(caller) !== WHOLE) {
    const detail = `${caller.principal} may not ${operation} the cluster: its credential has a name space, and the cluster is more than that`;
    return fail(REFUSED.cluster, detail);
  }
  return fail(REFUSED[resource.type], whatIsMissing(caller, operation, resource));
}
