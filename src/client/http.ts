// The SDK's HTTP: JSON in, JSON out, problems as BrokerError.
import { BrokerError, type FailureData, isErrorName } from "../core/errors.ts";

export type Fetch = (
  url: string,
  init: {
    method: string;
    headers: Record<string, string>;
    body?: string | Uint8Array;
    signal?: AbortSignal;
  },
) => Promise<{
  readonly status: number;
  readonly ok: boolean;
  text(): Promise<string>;
}>;

/** The broker could not be reached, or the connection broke. Whether the request was carried out is unknown. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

export interface Body {
  readonly type: string;
  readonly data: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export class HttpClient {
  readonly #baseUrl: string;
  readonly #fetch: Fetch;

  constructor(baseUrl: string, fetch: Fetch) {
    this.#baseUrl = baseUrl;
    this.#fetch = fetch;
  }

  /** @throws BrokerError with the problem's code; ConnectionError where there was no answer. */
  async request<T>(method: string, path: string, body?: Body, signal?: AbortSignal): Promise<T> {
    const url = new URL(path, this.#baseUrl).href;
    let status: number;
    let text: string;
    try {
      const response = await this.#fetch(url, {
        method,
        headers: body === undefined ? {} : { "content-type": body.type, ...body.headers },
        ...(body === undefined ? {} : { body: body.data }),
        ...(signal === undefined ? {} : { signal }),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      throw new ConnectionError(`no answer from ${this.#baseUrl}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
    const parsed = parseBody(text);
    if (status < 400) return parsed as T;
    throw problemOf(status, parsed);
  }
}

export function jsonBody(value: unknown): Body {
  return { type: "application/json", data: JSON.stringify(value) };
}

function parseBody(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemOf(status: number, body: unknown): Error {
  const problem = (typeof body === "object" && body !== null ? body : {}) as {
    code?: unknown;
    detail?: unknown;
  } & FailureData;
  if (isErrorName(problem.code)) {
    const { logStartOffset, highWatermark, nextOffset } = problem;
    const numbers = Object.entries({ logStartOffset, highWatermark, nextOffset });
    const data = Object.fromEntries(numbers.filter(([, value]) => typeof value === "number"));
    return new BrokerError(problem.code, String(problem.detail ?? ""), { data });
  }
  return new ConnectionError(`HTTP ${status}: this does not look like a Rivulet broker`);
}

/** fetch says only "fetch failed"; the reason is in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== ""
    ? error.cause.message
    : error.message;
}
