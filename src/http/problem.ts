// Errors as application/problem+json (RFC 9457), with Kafka's name and number.
import { BrokerError, ERRORS } from "../core/errors.ts";

export interface Problem {
  readonly type: "about:blank";
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Kafka's error name. */
  readonly code: string;
  /** Kafka's error number. */
  readonly errorCode: number;
  readonly retriable: boolean;
}

/** The answer for an error; `extra` joins the problem's fields, `status` overrides the table's. */
export function problemResponse(error: unknown, extra: object = {}, status?: number): Response {
  const known = brokerError(error);
  if (known !== error) console.error(error);
  const spec = ERRORS[known.code];
  const problem: Problem = {
    type: "about:blank",
    title: spec.description,
    status: status ?? spec.httpStatus,
    detail: known.message,
    code: known.code,
    errorCode: spec.code,
    retriable: spec.retriable,
  };
  return new Response(JSON.stringify({ ...problem, ...known.data, ...extra }), {
    status: problem.status,
    headers: { "content-type": "application/problem+json" },
  });
}

/** What an object's failure to answer looks like here (the platform's own properties on its errors). */
function brokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const platform = error as {
    retryable?: boolean;
    overloaded?: boolean;
    durableObjectReset?: boolean;
  };
  if (platform.overloaded) {
    return new BrokerError("THROTTLING_QUOTA_EXCEEDED", "the object is overloaded; slow down");
  }
  if (platform.retryable || platform.durableObjectReset) {
    return new BrokerError("REQUEST_TIMED_OUT", "the object did not answer; try again");
  }
  return new BrokerError(
    "UNKNOWN_SERVER_ERROR",
    "an unexpected error; the log of the Worker has more",
  );
}
