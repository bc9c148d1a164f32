// What became of one record of a produce request, as every way of producing tells it.
import { ERRORS, type ErrorName, type FailureData } from "../core/errors.ts";

export interface RecordError extends FailureData {
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  readonly detail: string;
}

export type RecordOutcome =
  | { readonly partition: number; readonly offset: number; readonly timestamp: number }
  | { readonly partition: number; readonly error: RecordError };

export function refusedRecord(
  partition: number,
  code: ErrorName,
  detail: string,
  data: FailureData,
): RecordOutcome {
  const { code: errorCode, retriable } = ERRORS[code];
  return { partition, error: { code, errorCode, retriable, detail, ...data } };
}
