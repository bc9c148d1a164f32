// Requests to the HTTP API of this broker, with the credential of the session.
import { signal } from "@preact/signals";

/** The key or token of the user who has signed in. Null in an open broker, and before signing in. */
export const credential = signal<string | null>(null);
/** The reason why the broker asks for a credential, or for another one. Null if it does not. */
export const refusal = signal<string | null>(null);

/** An answer that is an error: a problem+json. */
export class ProblemError extends Error {
  readonly status: number;
  /** Kafka's name of the error. */
  readonly code: string;
  readonly retriable: boolean;

  constructor(status: number, problem: Record<string, unknown>) {
    super(typeof problem.detail === "string" ? problem.detail : `the broker answered ${status}`);
    this.name = "ProblemError";
    this.status = status;
    this.code = typeof problem.code === "string" ? problem.code : `HTTP ${status}`;
    this.retriable = problem.retriable === true;
  }
}

/** Thrown if no answer came. */
export class UnreachableError extends Error {
  constructor(cause: unknown) {
    super("The broker cannot be reached.", { cause });
    this.name = "UnreachableError";
  }
}

export interface Options {
  readonly body?: unknown;
  /** A change that is repeated with the same key is made once. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a request to the broker, and returns its answer. @throws ProblemError, UnreachableError, or the
 * signal's reason
 */
export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const { body, idempotencyKey, signal: aborted } = options;
  const used = credential.value;
  const response = await fetch(path, {
    method,
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
    referrerPolicy: "no-referrer",
    headers: {
      accept: "application/json",
      ...(used === null ? {} : { authorization: `Bearer ${used}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(aborted === undefined ? {} : { signal: aborted }),
  }).catch((error: unknown) => {
    throw aborted?.aborted ? error : new UnreachableError(error);
  });
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const error = new ProblemError(response.status, problem);
  if (response.status === 401 && used === credential.value) refusal.value = error.message;
  throw error;
}

export const get = <T>(path: string, aborted?: AbortSignal): Promise<T> =>
  request<T>("GET", path, { signal: aborted });
