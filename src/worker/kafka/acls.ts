// Shared parts of the ACL APIs: a filter's fields, and the refusal of changes.
import { ERRORS } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { assertMayUseCluster } from "../edge/authorize.ts";
import { type Outcome, outcomeOfError } from "./errors.ts";
import { int8, nullableString, string } from "./schema.ts";

/** The fields of a filter, in Kafka's order. */
export const aclFilterFields = {
  resourceType: int8,
  resourceName: nullableString,
  patternType: int8,
  principal: nullableString,
  host: nullableString,
  operation: int8,
  permissionType: int8,
};

/** The fields of an ACL after its resource, in Kafka's order. */
export const aclEntryFields = {
  principal: string,
  host: string,
  operation: int8,
  permissionType: int8,
};

/**
 * [KFK-33] Refuses a change, with a message that says what to do instead. A principal may have several keys, or
 * none, and each key has grants of its own. So an ACL of a principal would change rights that nobody named, or
 * none at all.
 *
 *
 * The error is the one for transactions. kafka-acls and librdkafka show the message. Clients that show only the
 * code's own text, as KafkaJS does, say that this is not supported. There, INVALID_REQUEST would blame the
 * client library, and SECURITY_DISABLED would say that anybody may do anything.
 */
const NO_CHANGES: Outcome = {
  errorCode: ERRORS.UNSUPPORTED_VERSION.code,
  errorMessage:
    "grants belong to API keys here, not to principals; change those of a key with PATCH /v1/keys/ID, or create a key with `rivulet keys create`",
};

/** Returns the refusal of a change. A caller that may not change anything gets that error first, as in Kafka. */
export function refusedChange(env: Env): Outcome {
  try {
    assertMayUseCluster(env, "ALTER");
    return NO_CHANGES;
  } catch (error) {
    return outcomeOfError(error);
  }
}
