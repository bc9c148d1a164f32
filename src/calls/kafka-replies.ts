// A group's answers to the classic protocol in the form of a call, with Kafka's error codes. The shapes are on the
// wire: see calls.ts.
import {
  errorCodeOf,
  errorOf,
  type Failure,
  KAFKA_ERRORS,
  type KafkaErrorName,
  type KafkaFailure,
} from "../core/errors.ts";
import type {
  ClassicJoinAnswer,
  ClassicJoined,
  ClassicSyncAnswer,
  ClassicSynced,
} from "../core/group/requests.ts";

export interface JoinedReply extends ClassicJoined {
  readonly errorCode: number;
}

export interface SyncedReply extends ClassicSynced {
  readonly errorCode: number;
}

const { NONE } = KAFKA_ERRORS;

/** Makes the answer. `memberId` is the id in the request. */
export function joinedReply(answer: ClassicJoinAnswer, memberId: string): JoinedReply {
  if (answer.ok) {
    const { ok: _ok, ...joined } = answer;
    return { errorCode: NONE, ...joined };
  }
  return {
    errorCode: codeOfFailure(answer),
    memberId: answer.memberId ?? memberId,
    generation: -1,
    protocolType: null,
    protocolName: null,
    leaderId: "",
    skipAssignment: false,
    members: [],
  };
}

export function syncedReply(answer: ClassicSyncAnswer): SyncedReply {
  if (answer.ok) {
    const { ok: _ok, ...synced } = answer;
    return { errorCode: NONE, ...synced };
  }
  const nothing = { protocolType: null, protocolName: null, assignment: new Uint8Array() };
  return { errorCode: codeOfFailure(answer), ...nothing };
}

/**
 * Returns the code of the failure. [FIL-6] Throws if the group's data is lost. A code would make clients try again,
 * which cannot help.
 */
export function codeOfFailure(failure: KafkaFailure): number {
  if (failure.error === "KAFKA_STORAGE_ERROR") throw errorOf(failure as Failure);
  // A bound of the cluster. Kafka's members retry after the first error, and give up after the second.
  const isNoRoom = failure.error === "THROTTLING_QUOTA_EXCEEDED";
  return errorCodeOf(isNoRoom ? "COORDINATOR_NOT_AVAILABLE" : failure.error);
}

/** Returns the code of the outcome. */
export function codeOfOutcome(outcome: KafkaErrorName | null): number {
  return outcome === null ? NONE : errorCodeOf(outcome);
}
