// Translates the platform's own exceptions. Only this module names the failure of a call to an object [ERR-2].
import { BrokerError, type Failure, fail, isErrorName } from "./errors.ts";

/** How an object failed. */
export type PlatformFailure =
  /** Its queue is full. */
  | "overloaded"
  /** No room is left, or none up to its own bound. Nothing was written. */
  | "full"
  /** Its stored data cannot be read. No retry mends that. */
  | "damaged"
  /** Its storage could not be opened, read or written this time. */
  | "storage"
  /** An older release than the caller's still runs there. It does not know the call, so it did nothing. */
  | "older"
  /** It was reset, or the connection to it broke. Nobody knows what became of the call. */
  | "unanswered"
  /** An error of the program. */
  | "unexpected";

/** The place of a failure, in terms that help an operator find it. */
export interface ObjectPlace {
  /** "partition 1f0c…/0", "group orders", "cluster". */
  readonly name: string;
  /** The file of its database, or its id if the storage is the platform's. */
  readonly file: string;
}

/** A call to an object that threw, with the object that was called. */
export class ObjectError extends Error {
  readonly failure: PlatformFailure;
  readonly place: ObjectPlace;

  constructor(error: unknown, place: ObjectPlace) {
    super(messageOf(error), { cause: error });
    this.name = "ObjectError";
    this.failure = failureOf(error);
    this.place = place;
  }
}

/** True if the object's storage failed, and not the connection to the object. */
export function isStorageFailure(failure: PlatformFailure): boolean {
  return failure === "full" || failure === "damaged" || failure === "storage";
}

const FULL = /SQLITE_FULL|disk is full|ENOSPC|No space left/;
/** The text of `full`, by which it is known on the other side of a call. */
const AT_BOUND = /is full: it holds \d+ bytes, the bound is \d+;/;
const DAMAGED = /SQLITE_CORRUPT|SQLITE_NOTADB|malformed|file is not a database/;
/** workerd hides its own exceptions behind a reference. If an object does not answer, its storage is the cause. */
const STORAGE =
  /SQLITE_(IOERR|READONLY|CANTOPEN|BUSY|LOCKED|PERM|AUTH|PROTOCOL|NOMEM)|disk I\/O error|internal error; reference = /;
const UNANSWERED =
  /Durable Object (storage|reset|was)|object (has been|was) (reset|evicted|destroyed)|Network connection lost|shutting down|[Dd]isconnected|superseded|broken\./;

const OLDER = /RPC receiver does not implement/;

/** Reads the text first. A full disk also resets the object, but an operator must hear about the disk. */
export function failureOf(error: unknown): PlatformFailure {
  if (error instanceof ObjectError) return error.failure;
  const { overloaded, retryable, durableObjectReset } = (error ?? {}) as {
    overloaded?: boolean;
    retryable?: boolean;
    durableObjectReset?: boolean;
  };
  if (overloaded) return "overloaded";
  const message = messageOf(error);
  if (AT_BOUND.test(message)) return "full";
  if (causesOf(error).some(isBeyondRetry)) return "damaged";
  if (FULL.test(message)) return "full";
  if (DAMAGED.test(message)) return "damaged";
  if (STORAGE.test(message)) return "storage";
  if (OLDER.test(message)) return "older";
  if (retryable || durableObjectReset || UNANSWERED.test(message)) return "unanswered";
  return "unexpected";
}

/** Makes the error that clients get when an object fails to answer. */
export function brokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const own = ownError(error);
  if (own !== null) return own;
  const where = error instanceof ObjectError ? error.place.name : "the object";
  switch (failureOf(error)) {
    case "overloaded":
      return new BrokerError("THROTTLING_QUOTA_EXCEEDED", `${where} is overloaded; slow down`);
    case "full":
      return new BrokerError(
        "KAFKA_STORAGE_ERROR",
        `${where}: the storage has no room, nothing was stored: ${messageOf(error)}`,
      );
    case "damaged":
      return damaged(
        `${where}: what it has stored is damaged (${messageOf(error)}); restore its file, or delete it`,
      );
    case "storage":
      return new BrokerError(
        "KAFKA_STORAGE_ERROR",
        `${where}: its storage could not be opened, read or written (${publicText(error)})`,
      );
    case "older":
      return new BrokerError(
        "COORDINATOR_NOT_AVAILABLE",
        `${where} still runs an older release and is about to be replaced; try again`,
      );
    case "unanswered":
      return new BrokerError("REQUEST_TIMED_OUT", `${where} did not answer; try again`);
    case "unexpected":
      return new BrokerError(
        "UNKNOWN_SERVER_ERROR",
        "an unexpected error; the log of the Worker has more",
      );
  }
}

/** Makes a KAFKA_STORAGE_ERROR that trying again does not mend. */
export function damaged(detail: string): BrokerError {
  return new BrokerError("KAFKA_STORAGE_ERROR", detail, { retriable: false });
}

/**
 * [LOG-13] Makes the failure of an object that has reached its bound. It is not tried again: until somebody does what
 * `wayOut` says, the answer stays the same.
 */
export function full(what: string, bytes: number, bound: number, wayOut: string): Failure {
  const detail = `${what} is full: it holds ${bytes} bytes, the bound is ${bound}; ${wayOut}`;
  return { ...fail("KAFKA_STORAGE_ERROR", detail), retriable: false };
}

/** Hides a reference, which says nothing to a client. The log has the details behind it. */
function publicText(error: unknown): string {
  const message = messageOf(error);
  return message.includes("reference = ") ? "the broker's log says which and why" : message;
}

/**
 * Recognizes a broker's error thrown by an object, or by one that this object called in turn. It crosses a call as an
 * Error with the same fields.
 */
function ownError(error: unknown): BrokerError | null {
  for (const cause of causesOf(error)) {
    const { code, data, retriable } = (cause ?? {}) as Partial<BrokerError>;
    if (isErrorName(code)) return new BrokerError(code, messageOf(cause), { data, retriable });
  }
  return null;
}

/** The most objects that call one another in a row: the Worker calls a group, which calls the cluster, which calls its like. */
const MAX_CALLS_IN_A_ROW = 4;

/** Returns the error and its causes, the latest first. */
function causesOf(error: unknown): unknown[] {
  const causes = [error];
  for (let each = error; each instanceof Error && causes.length < 2 * MAX_CALLS_IN_A_ROW; ) {
    each = each.cause;
    causes.push(each);
  }
  return causes;
}

function isBeyondRetry(error: unknown): boolean {
  const { code, retriable } = (error ?? {}) as Partial<BrokerError>;
  return code === "KAFKA_STORAGE_ERROR" && retriable === false;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
