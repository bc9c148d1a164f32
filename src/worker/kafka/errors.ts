// Translates errors into Kafka's protocol: a number, and a text if the message has a field for one.

import { BrokerError, ERRORS, type ErrorName, KAFKA_ERRORS } from "../../core/errors.ts";
import { brokerError, failureOf } from "../../core/platform-errors.ts";
import { logLine, stackOf } from "../../log.ts";

export interface Outcome {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

export const NO_ERROR: Outcome = { errorCode: KAFKA_ERRORS.NONE, errorMessage: null };

/** An error that is reported with this number, whatever number `codeOf` would choose. */
export class KafkaError extends Error {
  readonly errorCode: number;

  constructor(errorCode: number, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}

export function outcomeOfError(error: unknown): Outcome {
  if (error instanceof KafkaError)
    return { errorCode: error.errorCode, errorMessage: error.message };
  const known = brokerError(error);
  const { code, message, retriable } = known;
  // [QUO-5] [LOG-13] Otherwise clients would retry for as long as they can.
  const isFinal =
    code === "THROTTLING_QUOTA_EXCEEDED" ? !retriable : !retriable && failureOf(known) === "full";
  if (isFinal) return { errorCode: KAFKA_ERRORS.POLICY_VIOLATION, errorMessage: message };
  if (code !== "UNKNOWN_SERVER_ERROR") return { errorCode: codeOf(code), errorMessage: message };
  logLine("error", `kafka: ${stackOf(error)}`);
  return { errorCode: ERRORS.UNKNOWN_SERVER_ERROR.code, errorMessage: "see the broker's log" };
}

/** The codes that make Kafka's clients refresh the metadata and retry. Clients treat the real codes as final. */
const AS_CLIENTS_KNOW: Partial<Record<ErrorName, number>> = {
  UNKNOWN_TOPIC_ID: ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code,
  THROTTLING_QUOTA_EXCEEDED: ERRORS.KAFKA_STORAGE_ERROR.code,
  NETWORK_EXCEPTION: ERRORS.KAFKA_STORAGE_ERROR.code,
};

export function codeOf(name: ErrorName): number {
  return AS_CLIENTS_KNOW[name] ?? ERRORS[name].code;
}

/**
 * [KFK-27] Refuses a transaction, and says so in the message. Java's producer treats this error as final.
 * `initTransactions` then throws it with the message of FindCoordinator, the producer's first question. An
 * authorization error would make people look at their ACLs.
 */
export const NO_TRANSACTIONS: Outcome = {
  errorCode: ERRORS.UNSUPPORTED_VERSION.code,
  errorMessage: "this broker does not serve transactions; produce without a transactional.id",
};

/** Returns the error code of a lookup by id. Clients that name topics by id know UNKNOWN_TOPIC_ID by its own code. */
export function codeOfLookUpById(error: unknown): number {
  const isUnknownId = error instanceof BrokerError && error.code === "UNKNOWN_TOPIC_ID";
  return isUnknownId ? ERRORS.UNKNOWN_TOPIC_ID.code : outcomeOfError(error).errorCode;
}

/** Returns the outcome of the action, or the error to report. */
export async function outcomeOf<T extends object>(
  action: () => Promise<T>,
): Promise<(T & Outcome) | Outcome> {
  try {
    return { ...(await action()), ...NO_ERROR };
  } catch (error) {
    return outcomeOfError(error);
  }
}

/** Returns Kafka's name of an error code, or the code as text if no name is known. */
export function errorNameOf(code: number): string {
  return NAMES.get(code) ?? String(code);
}

const NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(ERRORS).map(([name, { code }]) => [code, name] as const),
  ...Object.entries(KAFKA_ERRORS).map(([name, code]) => [code, name] as const),
]);
