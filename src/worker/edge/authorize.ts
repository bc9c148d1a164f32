// Who may do what, in the words of the Worker's ways in. Each asks before it acts.
import {
  CLUSTER,
  groupResource,
  isAllowed,
  isAllowedSomewhere,
  topicResource,
} from "../../core/access/grants.ts";
import type { Operation } from "../../core/access/operations.ts";
import { type Asking, assertAllowed, callerIn } from "../../core/access/refusal.ts";

export { callerIn };

/** [ACL-5] True if the caller may do this to the topic. */
export function mayUseTopic(asking: Asking, operation: Operation, name: string): boolean {
  return isAllowed(callerIn(asking), operation, topicResource(name));
}

export function mayUseGroup(asking: Asking, operation: Operation, groupId: string): boolean {
  return isAllowed(callerIn(asking), operation, groupResource(groupId));
}

export function mayUseCluster(asking: Asking, operation: Operation): boolean {
  return isAllowed(callerIn(asking), operation, CLUSTER);
}

/** [ACL-5] Throws TOPIC_AUTHORIZATION_FAILED if the caller may not do this to the topic. */
export function assertMayUseTopic(asking: Asking, operation: Operation, name: string): void {
  assertAllowed(asking, operation, topicResource(name));
}

export function assertMayUseGroup(asking: Asking, operation: Operation, groupId: string): void {
  assertAllowed(asking, operation, groupResource(groupId));
}

export function assertMayUseCluster(asking: Asking, operation: Operation): void {
  assertAllowed(asking, operation, CLUSTER);
}

/** [ACL-4] A producer id is given to whoever may write to any topic, as in Kafka (KIP-679). */
export function assertMayProduceSomewhere(asking: Asking): void {
  if (!isAllowedSomewhere(callerIn(asking), "WRITE", "topic"))
    assertMayUseCluster(asking, "IDEMPOTENT_WRITE");
}

/** [ACL-4] Creating a topic takes CREATE on the cluster, or on topics of that name. */
export function assertMayCreateTopic(asking: Asking, name: string): void {
  if (!mayUseCluster(asking, "CREATE")) assertMayUseTopic(asking, "CREATE", name);
}
