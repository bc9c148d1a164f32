// Access checks for the Worker's ways in. Each way in checks before it acts.
import {
  CLUSTER,
  groupResource,
  isAllowed,
  isAllowedSomewhere,
  type Resource,
  topicResource,
} from "../../core/access/grants.ts";
import type { Operation } from "../../core/access/operations.ts";
import { callerIn, whyNotAllowed } from "../../core/access/refusal.ts";
import { BrokerError, errorOf, type Failure } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { noteRefusal } from "./audit.ts";

export { callerIn };

/** [ACL-6] True if the caller may see the topic. Nobody named the topic, so a no is not a refusal. */
export function seesTopic(env: Env, name: string, operation: Operation = "DESCRIBE"): boolean {
  return isAllowed(callerIn(env), operation, topicResource(name));
}

export function seesGroup(env: Env, groupId: string): boolean {
  return isAllowed(callerIn(env), "DESCRIBE", groupResource(groupId));
}

export function seesCluster(env: Env, operation: Operation = "DESCRIBE"): boolean {
  return isAllowed(callerIn(env), operation, CLUSTER);
}

/** [ACL-5] True if the caller may do this to the topic that it names. */
export function mayUseTopic(env: Env, operation: Operation, name: string): boolean {
  return whyNot(env, operation, topicResource(name)) === null;
}

export function mayUseGroup(env: Env, operation: Operation, groupId: string): boolean {
  return whyNot(env, operation, groupResource(groupId)) === null;
}

/** [ACL-5] Throws TOPIC_AUTHORIZATION_FAILED if the caller may not do this to the topic. */
export function assertMayUseTopic(env: Env, operation: Operation, name: string): void {
  assertMay(env, operation, topicResource(name));
}

export function assertMayUseGroup(env: Env, operation: Operation, groupId: string): void {
  assertMay(env, operation, groupResource(groupId));
}

export function assertMayUseCluster(env: Env, operation: Operation): void {
  assertMay(env, operation, CLUSTER);
}

/** [ACL-5] Returns the refusal, or null. [AUD-1] A refusal is added to the audit log. */
export function whyNot(env: Env, operation: Operation, resource: Resource): Failure | null {
  const refused = whyNotAllowed(env, operation, resource);
  if (refused !== null) noteRefusal(env, operation, resource);
  return refused;
}

function assertMay(env: Env, operation: Operation, resource: Resource): void {
  const refused = whyNot(env, operation, resource);
  if (refused !== null) throw errorOf(refused);
}

/** [ACL-4] A caller that may write to any topic may get a producer id, as in Kafka (KIP-679). */
export function assertMayProduceSomewhere(env: Env): void {
  if (isAllowedSomewhere(callerIn(env), "WRITE", "topic")) return;
  const refused = whyNot(env, "IDEMPOTENT_WRITE", CLUSTER);
  if (refused === null) return;
  const { error, detail } = refused;
  throw new BrokerError(error, `${detail}, or of WRITE on any topic`);
}

/** [ACL-4] Creating a topic requires CREATE on the cluster, or on topics of that name. */
export function assertMayCreateTopic(env: Env, name: string): void {
  if (!isAllowed(callerIn(env), "CREATE", CLUSTER)) assertMayUseTopic(env, "CREATE", name);
}
