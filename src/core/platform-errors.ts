// Translates the platform's own exceptions. No other module classifies the failure of a call to an object [ERR-2].
import { BrokerError, type Failure, fail, isErrorName } from "./errors.ts";

/** The kind of an object's failure. */
export type PlatformFailure =
  /** Its queue is full. */
  | "overloaded"
  /** The platform's storage is full, or the object's own bound is reached. Nothing was written. */
  | "full"
  /** The stored data cannot be read. A retry does not help. */
  | "damaged"
  /** The storage could not be opened, read or written this time. */
  | "storage"
  /** The object still runs an older release than its caller. It does not know the call, so it did nothing. */
  | "older"
  /** The object was reset, or the connection to it broke. It is unknown whether the call took effect. */
  | "unanswered"
  /** A bug in the program. */
  | "unexpected";

/** The place of a failure, in terms that help an operator find it. */
export interface ObjectPlace {
  /** "partition 1f0c…/0", "group orders", "cluster". */
  readonly name: string;
  /** The file of its database, or its id if the platform stores the data. */
  readonly file: string;
}

/** An exception from a call to an object, together with that object. */
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

/** True if the object's storage failed, not the connection to the object. */
export function isStorageFailure(failure: PlatformFailure): boolean {
  return failure === "full" || failure === "damaged" || failure === "storage";
}

const FULL = /SQLITE_FULL|disk is full|ENOSPC|No space left/;
/** The text that `full` makes. It identifies the failure on the other side of a call. */
const AT_BOUND = /is full: it holds \d+ bytes, the bound is \d+;/;
const DAMAGED = /SQLITE_CORRUPT|SQLITE_NOTADB|malformed|file is not a database/;
/** workerd hides its own exceptions behind a reference. If an object does not answer, its storage is the cause. */
const STORAGE =
  /SQLITE_(IOERR|READONLY|CANTOPEN|BUSY|LOCKED|PERM|AUTH|PROTOCOL|NOMEM)|disk I\/O error|internal error; reference = /;
const UNANSWERED =
  /Durable Object (storage|reset|was)|object (has been|was) (reset|evicted|destroyed)|Network connection lost|shutting down|[Dd]isconnected|superseded|broken\./;

const OLDER = /RPC receiver does not implement/;

/**
 * Classifies an exception, by its text first. A full disk also resets the object, but an operator must hear about the
 * disk.
 */
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

/** Makes the error that clients get when an object fails. */
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
        `${where}: its stored data is damaged (${messageOf(error)}); restore its file, or delete it`,
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

/** Makes a KAFKA_STORAGE_ERROR that a retry cannot fix. */
export function damaged(detail: string): BrokerError {
  return new BrokerError("KAFKA_STORAGE_ERROR", detail, { retriable: false });
}

/**
 * [LOG-13] Makes the failure of an object that has reached its bound. It is not retriable: the answer stays the same
 * until somebody does what `wayOut` says.
 */
export function full(what: string, bytes: number, bound: number, wayOut: string): Failure {
  const detail = `${what} is full: it holds ${bytes} bytes, the bound is ${bound}; ${wayOut}`;
  return { ...fail("KAFKA_STORAGE_ERROR", detail), retriable: false };
}

/** Replaces a reference, which means nothing to a client. The log has its details. */
function publicText(error: unknown): string {
  const message = messageOf(error);
  return message.includes("reference = ") ? "the broker's log has the details" : message;
}

/**
 * Recognizes a broker's error that an object has thrown, or an object that this one called in turn. It crosses a call
 * as an Error with the same fields.
 */
function ownError(error: unknown): BrokerError | null {
  for (const cause of causesOf(error)) {
    const { code, data, retriable } = (cause ?? {}) as Partial<BrokerError>;
    if (isErrorName(code)) return new BrokerError(code, messageOf(cause), { data, retriable });
  }
  return null;
}

/**
 * The longest chain of objects that call each other: the Worker calls a group, which calls the cluster, which calls
 * another object.
 */
const MAX_CALLS_IN_A_ROW = 4;

/** Returns the error and its causes, starting with the error. */
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
