// The operations that a caller may do to a resource, for clients that ask for them (KIP-430).
import { allowedOperations, CLUSTER, type Resource } from "../../core/access/grants.ts";
import { OPERATION_CODES } from "../../core/access/operations.ts";
import type { Env } from "../../env.ts";
import { callerIn, seesCluster } from "../edge/authorize.ts";

/** Returns the field of an answer that tells the operations, a bit for the code of each. None if nobody asks. */
export function authorized(env: Env, isAsked: boolean, resource: Resource) {
  return isAsked ? { authorizedOperations: bitsOf(env, resource) } : {};
}

/** The same for the cluster. Whoever may not describe it is told 0, as in Kafka. */
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
