// The only table of errors, for server, SDK and CLI. Names, numbers and `retriable` are Kafka's
// (clients/…/protocol/Errors.java), except in rows whose comment says otherwise. The rows are ordered by number.
// error-descriptions.ts describes each error in a sentence.

export interface ErrorSpec {
  /** Kafka's number, as sent in `errorCode`. */
  readonly code: number;
  /** The HTTP status of a problem+json answer that carries this error. */
  readonly httpStatus: number;
  /** True if the same request may succeed later without a change. */
  readonly retriable: boolean;
  /**
   * True if the error proves that the request had no effect, including earlier attempts that got no answer. Other
   * errors cover only their own attempt, because they may be returned before anything is looked up.
   */
  readonly outcomeKnown: boolean;
}

/** In each row: number, HTTP status, and retriable and outcomeKnown if true. */
export const ERRORS = {
  UNKNOWN_SERVER_ERROR: spec(-1, 500),
  OFFSET_OUT_OF_RANGE: spec(1, 416),
  // Kafka marks it retriable, because a network may have damaged the bytes. Here they arrive as they were sent. A batch
  // encoded wrong would be sent wrong again, and damaged storage must be restored [CRC-2].
  CORRUPT_MESSAGE: spec(2, 400),
  UNKNOWN_TOPIC_OR_PARTITION: spec(3, 404, true),
  REQUEST_TIMED_OUT: spec(7, 504, true),
  MESSAGE_TOO_LARGE: spec(10, 413),
  NETWORK_EXCEPTION: spec(13, 503, true),
  COORDINATOR_NOT_AVAILABLE: spec(15, 503, true),
  INVALID_TOPIC_EXCEPTION: spec(17, 400),
  INVALID_GROUP_ID: spec(24, 400),
  UNKNOWN_MEMBER_ID: spec(25, 409),
  INVALID_SESSION_TIMEOUT: spec(26, 400),
  TOPIC_AUTHORIZATION_FAILED: spec(29, 403),
  GROUP_AUTHORIZATION_FAILED: spec(30, 403),
  CLUSTER_AUTHORIZATION_FAILED: spec(31, 403),
  INVALID_TIMESTAMP: spec(32, 400),
  UNSUPPORTED_VERSION: spec(35, 400),
  TOPIC_ALREADY_EXISTS: spec(36, 409),
  INVALID_PARTITIONS: spec(37, 400),
  INVALID_CONFIG: spec(40, 400),
  INVALID_REQUEST: spec(42, 400),
  OUT_OF_ORDER_SEQUENCE_NUMBER: spec(45, 409, false, true),
  INVALID_PRODUCER_EPOCH: spec(47, 409, false, true),
  KAFKA_STORAGE_ERROR: spec(56, 503, true),
  SASL_AUTHENTICATION_FAILED: spec(58, 401),
  NON_EMPTY_GROUP: spec(68, 409),
  GROUP_ID_NOT_FOUND: spec(69, 404),
  UNSUPPORTED_COMPRESSION_TYPE: spec(76, 400),
  GROUP_MAX_SIZE_REACHED: spec(81, 409),
  GROUP_SUBSCRIBED_TO_TOPIC: spec(86, 409),
  INVALID_RECORD: spec(87, 400),
  THROTTLING_QUOTA_EXCEEDED: spec(89, 429, true),
  RESOURCE_NOT_FOUND: spec(91, 404),
  DUPLICATE_RESOURCE: spec(92, 422),
  INVALID_UPDATE_VERSION: spec(95, 409, false, true),
  UNKNOWN_TOPIC_ID: spec(100, 404, true),
  FENCED_MEMBER_EPOCH: spec(110, 409),
  UNRELEASED_INSTANCE_ID: spec(111, 409),
  // Kafka marks it final, and its consumer decides by itself to commit again. Here it asks a member to commit the same
  // offsets again, with the newest epoch that it has received.
  STALE_MEMBER_EPOCH: spec(113, 409, true),
  INVALID_RECORD_STATE: spec(121, 409),
  INVALID_REGULAR_EXPRESSION: spec(128, 400),
} as const satisfies Record<string, ErrorSpec>;

function spec(
  code: number,
  httpStatus: number,
  retriable = false,
  outcomeKnown = false,
): ErrorSpec {
  return { code, httpStatus, retriable, outcomeKnown };
}

export type ErrorName = keyof typeof ERRORS;

/** Errors that only Kafka's own protocol reports, by number only. */
export const KAFKA_ERRORS = {
  NONE: 0,
  NOT_LEADER_OR_FOLLOWER: 6,
  OFFSET_METADATA_TOO_LARGE: 12,
  NOT_COORDINATOR: 16,
  INVALID_REQUIRED_ACKS: 21,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  REBALANCE_IN_PROGRESS: 27,
  UNSUPPORTED_SASL_MECHANISM: 33,
  ILLEGAL_SASL_STATE: 34,
  INVALID_REPLICATION_FACTOR: 38,
  INVALID_REPLICA_ASSIGNMENT: 39,
  POLICY_VIOLATION: 44,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  MEMBER_ID_REQUIRED: 79,
  FENCED_INSTANCE_ID: 82,
  UNSUPPORTED_ASSIGNOR: 112,
} as const;

/** The name of an error, including those that only Kafka's own protocol reports. */
export type KafkaErrorName = ErrorName | Exclude<keyof typeof KAFKA_ERRORS, "NONE">;

/** An expected failure, as a value. RPC and sockets carry this instead of exceptions. */
export interface Failure {
  readonly ok: false;
  readonly error: ErrorName;
  /** Names the field, the value and the bound. */
  readonly detail: string;
  /** Set on OFFSET_OUT_OF_RANGE: the readable range. */
  readonly logStartOffset?: number;
  readonly highWatermark?: number;
  /** Set on INVALID_UPDATE_VERSION: the offset that the next record will get. */
  readonly nextOffset?: number;
  /** Set on CORRUPT_MESSAGE if the broker cannot read a batch that it has stored [CRC-2]. They identify the batch. */
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  /** Set on THROTTLING_QUOTA_EXCEEDED if a quota is used up: how long until it allows more. */
  readonly retryAfterMs?: number;
  /** Set if a retry cannot help, although errors of this name are usually retriable. */
  readonly retriable?: false;
}

export type Result<T> = ({ readonly ok: true } & T) | Failure;

/** A failure that may have an error that only Kafka's own protocol reports. */
export interface KafkaFailure extends Omit<Failure, "error"> {
  readonly error: KafkaErrorName;
}

export type KafkaResult<T> = ({ readonly ok: true } & T) | KafkaFailure;

/** Returns Kafka's number of the error. */
export function errorCodeOf(error: KafkaErrorName): number {
  return error in KAFKA_ERRORS
    ? KAFKA_ERRORS[error as keyof typeof KAFKA_ERRORS]
    : ERRORS[error as ErrorName].code;
}

export function fail(error: ErrorName, detail: string): Failure;
export function fail(error: KafkaErrorName, detail: string): KafkaFailure;
export function fail(error: KafkaErrorName, detail: string): KafkaFailure {
  return { ok: false, error, detail };
}

/** The data of a failure, without its detail. */
export type FailureData = Omit<Failure, "ok" | "error" | "detail" | "retriable">;

/**
 * An error of the broker, or of an argument that is checked before it is sent. `message` names the field, the value and
 * the bound. `Failure` is the same as a value.
 */
export class BrokerError extends Error {
  /** Kafka's name of the error, such as UNKNOWN_TOPIC_OR_PARTITION. */
  readonly code: ErrorName;
  /** Kafka's number of the error. */
  readonly errorCode: number;
  /** True if the same request may succeed later without a change. */
  readonly retriable: boolean;
  /**
   * Data of the error, depending on `code`: the readable range of OFFSET_OUT_OF_RANGE, the `nextOffset` of
   * INVALID_UPDATE_VERSION, the record of INVALID_RECORD, and so on.
   */
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
 * [CRC-2] Returns the HTTP status. An unreadable batch is the client's fault if it was sent, and the broker's if it was
 * stored.
 */
export function httpStatusOf({ code, data }: Pick<BrokerError, "code" | "data">): number {
  const isStored = code === "CORRUPT_MESSAGE" && data.offset !== undefined;
  return ERRORS[isStored ? "UNKNOWN_SERVER_ERROR" : code].httpStatus;
}

/** Returns a successful result, or throws its failure. */
export function unwrap<R extends { readonly ok: true } | Failure>(
  result: R,
): Exclude<R, { readonly ok: false }> {
  if (!result.ok) throw errorOf(result);
  return result as Exclude<R, { readonly ok: false }>;
}

/** Shows a value in an error text, in bounded length. */
export function preview(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value) && value.length > 10) return `a list of ${value.length}`;
  let text: string = typeof value;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {} // In that case, its type is shown.
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

export function isErrorName(value: unknown): value is ErrorName {
  return typeof value === "string" && Object.hasOwn(ERRORS, value);
}

/** Returns a BrokerError unchanged. Other errors keep their code if it is a known one, or get `otherwise`. */
export function brokerErrorOf(error: unknown, otherwise: ErrorName): BrokerError {
  if (error instanceof BrokerError) return error;
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  const detail = typeof message === "string" ? message : preview(error);
  return new BrokerError(isErrorName(code) ? code : otherwise, detail, { cause: error });
}
