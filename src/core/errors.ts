// The only table of errors. Names and numbers are Kafka's (clients/…/protocol/Errors.java). `retriable`
// follows Kafka unless the comment says otherwise. Server, SDK and CLI all read this table.
// error-descriptions.ts describes each error in a sentence.

export interface ErrorSpec {
  /** Kafka's number, as sent in `errorCode`. */
  readonly code: number;
  /** True if the same request may succeed later without a change. */
  readonly retriable: boolean;
}

export const ERRORS = {
  UNKNOWN_SERVER_ERROR: spec(-1),
  OFFSET_OUT_OF_RANGE: spec(1),
  CORRUPT_MESSAGE: spec(2),
  UNKNOWN_TOPIC_OR_PARTITION: spec(3, true),
  REQUEST_TIMED_OUT: spec(7, true),
  MESSAGE_TOO_LARGE: spec(10),
  NETWORK_EXCEPTION: spec(13, true),
  COORDINATOR_NOT_AVAILABLE: spec(15, true),
  INVALID_TOPIC_EXCEPTION: spec(17),
  INVALID_GROUP_ID: spec(24),
  UNKNOWN_MEMBER_ID: spec(25),
  INVALID_SESSION_TIMEOUT: spec(26),
  INVALID_TIMESTAMP: spec(32),
  TOPIC_ALREADY_EXISTS: spec(36),
  INVALID_PARTITIONS: spec(37),
  INVALID_CONFIG: spec(40),
  INVALID_REQUEST: spec(42),
  OUT_OF_ORDER_SEQUENCE_NUMBER: spec(45),
  INVALID_PRODUCER_EPOCH: spec(47),
  KAFKA_STORAGE_ERROR: spec(56, true),
  NON_EMPTY_GROUP: spec(68),
  GROUP_ID_NOT_FOUND: spec(69),
  UNSUPPORTED_COMPRESSION_TYPE: spec(76),
  GROUP_MAX_SIZE_REACHED: spec(81),
  DUPLICATE_RESOURCE: spec(85),
  GROUP_SUBSCRIBED_TO_TOPIC: spec(86),
  INVALID_RECORD: spec(87),
  THROTTLING_QUOTA_EXCEEDED: spec(89, true),
  INVALID_UPDATE_VERSION: spec(95),
  UNKNOWN_TOPIC_ID: spec(100, true),
  FENCED_MEMBER_EPOCH: spec(110),
  UNRELEASED_INSTANCE_ID: spec(111),
  INVALID_REGULAR_EXPRESSION: spec(128),
  STALE_MEMBER_EPOCH: spec(113, true),
} as const satisfies Record<string, ErrorSpec>;

function spec(code: number, retriable = false): ErrorSpec {
  return { code, retriable };
}

export type ErrorName = keyof typeof ERRORS;

/** HTTP statuses other than 400. They are a table of their own because the SDK, which must be small, needs none. */
const HTTP_STATUSES: Partial<Record<ErrorName, number>> = {
  UNKNOWN_SERVER_ERROR: 500,
  OFFSET_OUT_OF_RANGE: 416,
  UNKNOWN_TOPIC_OR_PARTITION: 404,
  REQUEST_TIMED_OUT: 504,
  MESSAGE_TOO_LARGE: 413,
  NETWORK_EXCEPTION: 503,
  COORDINATOR_NOT_AVAILABLE: 503,
  UNKNOWN_MEMBER_ID: 409,
  TOPIC_ALREADY_EXISTS: 409,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 409,
  INVALID_PRODUCER_EPOCH: 409,
  KAFKA_STORAGE_ERROR: 503,
  NON_EMPTY_GROUP: 409,
  GROUP_ID_NOT_FOUND: 404,
  GROUP_MAX_SIZE_REACHED: 409,
  DUPLICATE_RESOURCE: 422,
  GROUP_SUBSCRIBED_TO_TOPIC: 409,
  THROTTLING_QUOTA_EXCEEDED: 429,
  INVALID_UPDATE_VERSION: 409,
  UNKNOWN_TOPIC_ID: 404,
  FENCED_MEMBER_EPOCH: 409,
  UNRELEASED_INSTANCE_ID: 409,
  STALE_MEMBER_EPOCH: 409,
};

/** Returns the HTTP status of a problem+json answer that carries this error. */
export function statusOf(name: ErrorName): number {
  return HTTP_STATUSES[name] ?? 400;
}

/** Errors that only Kafka's own protocol reports, by the number alone. */
export const KAFKA_ERRORS = {
  NONE: 0,
  NOT_LEADER_OR_FOLLOWER: 6,
  OFFSET_METADATA_TOO_LARGE: 12,
  NOT_COORDINATOR: 16,
  INVALID_REQUIRED_ACKS: 21,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  REBALANCE_IN_PROGRESS: 27,
  ILLEGAL_SASL_STATE: 34,
  UNSUPPORTED_VERSION: 35,
  INVALID_REPLICATION_FACTOR: 38,
  INVALID_REPLICA_ASSIGNMENT: 39,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  MEMBER_ID_REQUIRED: 79,
  FENCED_INSTANCE_ID: 82,
  UNSUPPORTED_ASSIGNOR: 112,
} as const;

/** An expected failure, as a value. RPC and sockets carry this and never a thrown class. */
export interface Failure {
  readonly ok: false;
  readonly error: ErrorName;
  /** Names the field, the value and the bound. */
  readonly detail: string;
  /** Set on OFFSET_OUT_OF_RANGE: the range that can be read. */
  readonly logStartOffset?: number;
  readonly highWatermark?: number;
  /** Set on INVALID_UPDATE_VERSION: the offset that the next record will get. */
  readonly nextOffset?: number;
  /** Set on CORRUPT_MESSAGE if the broker's own stored batch cannot be read [CRC-2]. They name the batch. */
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  /** Set if trying again mends nothing, although the error's name says that it may. */
  readonly retriable?: false;
}

export type Result<T> = ({ readonly ok: true } & T) | Failure;

export function fail(error: ErrorName, detail: string): Failure {
  return { ok: false, error, detail };
}

/** The data of a failure besides its detail. */
export type FailureData = Omit<Failure, "ok" | "error" | "detail" | "retriable">;

/** The same failure as an exception, for code whose callers unwind (HTTP handlers, SDK, codecs). */
export class BrokerError extends Error {
  readonly code: ErrorName;
  readonly errorCode: number;
  readonly retriable: boolean;
  /** The failure's data, such as offsets that tell the caller where things stand. */
  readonly data: FailureData;

  constructor(
    code: ErrorName,
    detail: string,
    options?: ErrorOptions & { data?: FailureData | undefined; retriable?: boolean | undefined },
  ) {
    super(detail, options);
    this.name = "BrokerError";
    this.code = code;
    this.errorCode = ERRORS[code].code;
    this.data = { ...options?.data };
    this.retriable = options?.retriable ?? ERRORS[code].retriable;
  }
}

export function errorOf({ ok: _ok, error, detail, retriable, ...data }: Failure): BrokerError {
  return new BrokerError(error, detail, { data, retriable });
}

export function failureOf({ code, message, data, retriable }: BrokerError): Failure {
  const failure: Failure = { ok: false, error: code, detail: message, ...data };
  return retriable || !ERRORS[code].retriable ? failure : { ...failure, retriable };
}

/** Runs the action. If it throws a BrokerError, returns that as a failure. */
export function attempt<T>(action: () => T): T | Failure {
  try {
    return action();
  } catch (error) {
    if (error instanceof BrokerError) return failureOf(error);
    throw error;
  }
}

/**
 * [CRC-2] Returns the status. An unreadable batch is the request's
 * fault if it was sent, and the broker's if it was stored.
 */
export function httpStatusOf({ code, data }: Pick<BrokerError, "code" | "data">): number {
  const isStored = code === "CORRUPT_MESSAGE" && data.offset !== undefined;
  return statusOf(isStored ? "UNKNOWN_SERVER_ERROR" : code);
}

/** Unwraps a result, throwing its failure. */
export function unwrap<R extends { readonly ok: true } | Failure>(
  result: R,
): Exclude<R, { readonly ok: false }> {
  if (!result.ok) throw errorOf(result);
  return result as Exclude<R, { readonly ok: false }>;
}

/** Shows a value in an error, in bounded length. */
export function preview(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value) && value.length > 10) return `a list of ${value.length}`;
  let text: string = typeof value;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {} // Then its type is shown.
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

export function isErrorName(value: unknown): value is ErrorName {
  return typeof value === "string" && Object.hasOwn(ERRORS, value);
}

/** Returns a BrokerError as it is. Other errors keep a known code of their own, or get `otherwise`. */
export function brokerErrorOf(error: unknown, otherwise: ErrorName): BrokerError {
  if (error instanceof BrokerError) return error;
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  const detail = typeof message === "string" ? message : preview(error);
  return new BrokerError(isErrorName(code) ? code : otherwise, detail, { cause: error });
}
