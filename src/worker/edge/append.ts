// Makes one append to one partition, and retries it if its outcome is unknown. That is safe only for an
// idempotent producer, because the partition recognizes the repeat [IDM-1].
import {
  BrokerError,
  ERRORS,
  type ErrorName,
  type Failure,
  type FailureData,
  failureOf as toFailure,
} from "../../core/errors.ts";
import { MAX_APPEND_TRIES } from "../../core/limits.ts";
import type { KeyedAppend } from "../../core/log/keyed-request.ts";
import {
  brokerError,
  failureOf,
  isStorageFailure,
  type PlatformFailure,
} from "../../core/platform-errors.ts";
import type { Env } from "../../env.ts";
import { beginOf, noteUsed, partitionAt } from "./metadata.ts";
import { countUse } from "./quotas.ts";

export interface AppendStored {
  readonly baseOffset: number;
  readonly logAppendTimeMs: number | null;
  /** The offset at which the log begins. Left out while that is 0. */
  readonly logStartOffset?: number;
}

export interface AppendRefused {
  readonly code: ErrorName;
  readonly detail: string;
  readonly data: FailureData;
  /** [ERR-2] Set if retries do not help, although the error's name suggests that they might. */
  readonly retriable?: false;
}

/** Returns the refusal as an error. */
export function refusalOf({ code, detail, data, retriable }: AppendRefused): BrokerError {
  return new BrokerError(code, detail, { data, retriable });
}

/** Returns the failure as a refusal. */
export function refusedBy(failure: Failure): AppendRefused {
  const { ok: _ok, error: code, detail, retriable, ...data } = failure;
  return { code, detail, data, ...(retriable === undefined ? {} : { retriable }) };
}

export type AppendAnswer = AppendStored | AppendRefused;

const FIRST_BACKOFF_MS = 50;
/** After these failures it is certain that nothing was stored. */
const NOT_STORED: readonly PlatformFailure[] = ["overloaded", "full", "damaged", "older"];

/**
 * Appends and never throws. [QUO-2] Counts the appended bytes. An unknown outcome is REQUEST_TIMED_OUT, or
 * KAFKA_STORAGE_ERROR if the storage is the cause.
 */
export async function appendTo(
  env: Env,
  topicId: string,
  partition: number,
  bytes: Uint8Array,
  options: {
    expectedOffset: number | null;
    isIdempotent: boolean;
    /** [IDM-9] True if the batches and their producer are the Worker's own. */
    isOwn?: boolean;
    keyed?: KeyedAppend;
    /** Set if the append was tried before in another way: the outcome of that try. */
    unanswered?: string;
  },
): Promise<AppendAnswer> {
  countUse(env, "producerByteRate", bytes.length);
  const tries = options.isIdempotent ? MAX_APPEND_TRIES : 1;
  /** Set once a try got no answer. The append may then have been stored, even if a later try is refused. */
  let unanswered = options.unanswered ?? null;
  for (let attempt = 1; ; attempt++) {
    try {
      const stub = partitionAt(env, topicId, partition);
      const { expectedOffset, keyed = null, isOwn = false } = options;
      const begin = beginOf(env, topicId, partition);
      const result = await stub.append({ batches: bytes, expectedOffset, keyed, isOwn, begin });
      if (result.ok) {
        if (begin !== undefined) noteUsed(topicId, partition);
        return result;
      }
      const { error: code, detail } = result;
      if (unanswered === null || ERRORS[code].outcomeKnown) return refusedBy(result);
      return refused("REQUEST_TIMED_OUT", `${unanswered}, then ${code}: ${detail}`);
    } catch (error) {
      const failure = failureOf(error);
      const known = brokerError(error);
      if (NOT_STORED.includes(failure) && unanswered === null) return refusedBy(toFailure(known));
      const isStorage = isStorageFailure(failure);
      unanswered = isStorage
        ? `${known.message}; whether it was stored is unknown`
        : unknownOutcome(error);
      if (attempt >= tries)
        return refused(isStorage ? "KAFKA_STORAGE_ERROR" : "REQUEST_TIMED_OUT", unanswered);
      const backoffMs = FIRST_BACKOFF_MS * 4 ** (attempt - 1) * (0.5 + Math.random() / 2);
      await new Promise((resolve) => setTimeout(resolve, backoffMs));
    }
  }
}

function refused(code: ErrorName, detail: string): AppendRefused {
  return { code, detail, data: {} };
}

function unknownOutcome(error: unknown): string {
  const reason = error instanceof Error ? error.message : error;
  return `the partition did not answer, the outcome is unknown: ${reason}`;
}

export function isRefused<T extends object>(answer: T | AppendRefused): answer is AppendRefused {
  return "code" in answer;
}
