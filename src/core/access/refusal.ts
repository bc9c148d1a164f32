// The refusal of whoever may not do something.
import { type Failure, fail } from "../errors.ts";
import { type Caller, NOBODY } from "./caller.ts";
import { isAllowed, REFUSED, type Resource, whatIsMissing } from "./grants.ts";
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
  return fail(REFUSED[resource.type], whatIsMissing(caller, operation, resource));
}
