// The outcome of one record of a produce request, in the form that all ways of producing share.
import { BrokerError, type ErrorName, type FailureData } from "../core/errors.ts";

/** An error of one record, with the fields of a BrokerError and its data. */
export interface RecordError extends Omit<FailureData, "retriable"> {
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly detail: string;
}

/**
 * The outcome of one record: its place, with the timestamp in milliseconds since the epoch, or an error. `partition` is
 * -1 if the record has none because its topic was rejected.
 */
export type RecordOutcome =
  | { readonly partition: number; readonly offset: number; readonly timestamp: number }
  | { readonly partition: number; readonly error: RecordError };

/**
 * Makes the outcome of a failed record. After any error that is not the broker's, it is unknown whether the record was
 * stored.
 */
export function failedRecord(partition: number, error: Error): RecordOutcome {
  const known =
    error instanceof BrokerError ? error : new BrokerError("REQUEST_TIMED_OUT", error.message);
  const { code, errorCode, retriable, message: detail, data } = known;
  return { partition, error: { code, errorCode, retriable, detail, ...data } };
}

/**
 * Returns the outcomes of each topic's records, for topics that were produced separately. If a topic failed, all of its
 * records have its error. @throws the first topic's error if all failed
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
