// What became of one record of a produce request, as every way of producing tells it.
import { BrokerError, type ErrorName, type FailureData } from "../core/errors.ts";

export interface RecordError extends Omit<FailureData, "retriable"> {
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly detail: string;
}

/** `partition` is -1 where the record got none: its topic was refused. */
export type RecordOutcome =
  | { readonly partition: number; readonly offset: number; readonly timestamp: number }
  | { readonly partition: number; readonly error: RecordError };

/** What is no error of the broker leaves open whether the record was stored. */
export function failedRecord(partition: number, error: Error): RecordOutcome {
  const known =
    error instanceof BrokerError ? error : new BrokerError("REQUEST_TIMED_OUT", error.message);
  const { code, errorCode, retriable, message: detail, data } = known;
  return { partition, error: { code, errorCode, retriable, detail, ...data } };
}

/**
 * The outcomes of each topic's records, where each was produced for itself: a topic that failed answers for each of
 * its records. @throws the first topic's error where all failed
 */
export async function outcomesOfTopics(
  batch: readonly { readonly records: readonly unknown[] }[],
  produced: readonly Promise<readonly RecordOutcome[]>[],
): Promise<RecordOutcome[][]> {
  const settled = await Promise.allSettled(produced);
  const [first] = settled;
  if (first?.status === "rejected" && settled.every(({ status }) => status === "rejected"))
    throw first.reason;
  return settled.map((each, i) =>
    each.status === "fulfilled"
      ? [...each.value]
      : Array.from(batch[i]?.records ?? [], () => failedRecord(-1, each.reason as Error)),
  );
}
