// What the platform's own exceptions mean here.
import { BrokerError } from "./errors.ts";

/** The commit failed for want of room and was rolled back. The object starts anew. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && error.message.includes("SQLITE_FULL");
}

/** What an object's failure to answer looks like (the platform's own properties on its errors). */
export function brokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const platform = error as {
    retryable?: boolean;
    overloaded?: boolean;
    durableObjectReset?: boolean;
    message?: unknown;
  };
  if (platform.overloaded) {
    return new BrokerError("THROTTLING_QUOTA_EXCEEDED", "the object is overloaded; slow down");
  }
  const message = String(platform.message ?? "");
  if (message.includes("SQLITE_FULL") || message.includes("SQLITE_IOERR"))
    return new BrokerError("KAFKA_STORAGE_ERROR", `the storage refused the write: ${message}`);
  if (platform.retryable || platform.durableObjectReset) {
    return new BrokerError("REQUEST_TIMED_OUT", "the object did not answer; try again");
  }
  return new BrokerError(
    "UNKNOWN_SERVER_ERROR",
    "an unexpected error; the log of the Worker has more",
  );
}
