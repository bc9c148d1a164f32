// Errors as application/problem+json (RFC 9457), with Kafka's name and number.

import { ERROR_DESCRIPTIONS } from "../../core/error-descriptions.ts";
import { ERRORS, httpStatusOf } from "../../core/errors.ts";
import { brokerError } from "../../core/platform-errors.ts";
import { logLine, stackOf } from "../../log.ts";

export const PROBLEM_TYPE = "application/problem+json";

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
  /** Set if a quota is used up: the time until some of it is available again. */
  readonly retryAfterMs?: number;
}

/** Describes an error to a client. Unexpected errors are logged. */
export function problemOf(error: unknown, requestId?: string): Problem {
  const known = brokerError(error);
  // The other errors are logged where they occur.
  if (known.code === "UNKNOWN_SERVER_ERROR") logLine("error", stackOf(error), { requestId });
  const spec = ERRORS[known.code];
  return {
    type: "about:blank",
    title: ERROR_DESCRIPTIONS[known.code],
    status: httpStatusOf(known),
    detail: known.message,
    code: known.code,
    errorCode: spec.code,
    retriable: known.retriable,
    ...known.data,
  };
}

/**
 * [QUO-2] Returns whole seconds, at least one. A caller that is slowed down because of others gets no time of
 * its own.
 */
function retryAfter({ retryAfterMs = 1_000 }: { readonly retryAfterMs?: number }): string {
  return String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
}

/** Answers with an error. `extra` adds to the problem's fields, and `status` overrides the table's. */
export function problemResponse(
  error: unknown,
  extra: object = {},
  status?: number,
  requestId?: string,
): Response {
  const problem = problemOf(error, requestId);
  const body = { ...problem, ...(status === undefined ? {} : { status }), ...extra };
  return new Response(JSON.stringify(body), {
    status: body.status,
    headers: {
      "content-type": PROBLEM_TYPE,
      ...(body.status === 401 ? { "www-authenticate": "Bearer" } : {}),
      ...(body.status === 429 && (body.retriable || problem.retryAfterMs !== undefined)
        ? { "retry-after": retryAfter(problem) }
        : {}),
    },
  });
}
