// The operations that a caller may do to a resource, for clients that ask for them (KIP-430).
import { allowedOperations, CLUSTER, type Resource } from "../../core/access/grants.ts";
import { OPERATION_CODES } from "../../core/access/operations.ts";
import type { Env } from "../../env.ts";
import { callerIn, seesCluster } from "../edge/authorize.ts";

/**
 * Returns the answer's field with the operations, one bit for the code of each. Empty if the request does not
 * ask for it.
 */
export function authorized(env: Env, isAsked: boolean, resource: Resource) {
  return isAsked ? { authorizedOperations: bitsOf(env, resource) } : {};
}

/** Does the same for the cluster. A caller that may not describe it gets 0, as in Kafka. */
export function clusterAuthorized(env: Env, isAsked: boolean) {
  if (!isAsked) return {};
  const bits = seesCluster(env) ? bitsOf(env, CLUSTER) : 0;
  return { clusterAuthorizedOperations: bits };
}

function bitsOf(env: Env, resource: Resource): number {
  let bits = 0;
  for (const operation of allowedOperations(callerIn(env), resource))
    bits |= 1 << OPERATION_CODES[operation];
  return bits;
}
