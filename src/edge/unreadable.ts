// A partition that cannot answer takes nothing down that others answer for: what it failed with is told beside their answers.
import { type ErrorName, type Failure, failureOf } from "../core/errors.ts";
import { brokerError } from "../core/platform-errors.ts";
import type { TopicPartition } from "../core/record.ts";

/** A partition that is read no further than `offset`: what is there cannot be read, or nothing can be. */
export interface UnreadablePartition extends TopicPartition {
  readonly offset: number;
  readonly code: ErrorName;
  readonly detail: string;
}

/** What the partition answers; the failure too where its object threw. What nobody has a name for goes to the log. */
export async function answerOf<R extends { readonly ok: true } | Failure>(
  ask: () => Promise<R>,
): Promise<R | Failure> {
  try {
    return await ask();
  } catch (error) {
    const failed = brokerError(error);
    if (failed.code === "UNKNOWN_SERVER_ERROR") console.error(error);
    return failureOf(failed);
  }
}

/** The topic was deleted, and the partition with it. */
export function isDeleted({ error }: Failure): boolean {
  return error === "UNKNOWN_TOPIC_ID" || error === "UNKNOWN_TOPIC_OR_PARTITION";
}
