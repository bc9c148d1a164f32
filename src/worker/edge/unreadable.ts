// A partition that cannot answer does not affect the answers of others. Its failure is reported beside them.

import { type ErrorName, type Failure, failureOf } from "../../core/errors.ts";
import { brokerError } from "../../core/platform-errors.ts";
import type { TopicPartition } from "../../core/record.ts";
import { logLine, stackOf } from "../../log.ts";

/** A partition that was read only up to `offset`. The data there cannot be read, or the partition does not answer. */
export interface UnreadablePartition extends TopicPartition {
  readonly offset: number;
  readonly code: ErrorName;
  readonly detail: string;
}

/** Returns the partition's answer, or a failure if its object threw. Errors without a known name are logged. */
export async function answerOf<R extends { readonly ok: true } | Failure>(
  ask: () => Promise<R>,
): Promise<R | Failure> {
  try {
    return await ask();
  } catch (error) {
    const failed = brokerError(error);
    if (failed.code === "UNKNOWN_SERVER_ERROR") logLine("error", stackOf(error));
    return failureOf(failed);
  }
}

/** True if the topic was deleted, and the partition with it. */
export function saysDeleted({ error }: Failure): boolean {
  return error === "UNKNOWN_TOPIC_ID" || error === "UNKNOWN_TOPIC_OR_PARTITION";
}
