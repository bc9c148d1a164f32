// The SDK's HTTP client: JSON requests and answers. A problem becomes a BrokerError.
import { BrokerError, isErrorName } from "../core/errors.ts";

/** The part of the global `fetch` that the SDK uses. */
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

/**
 * Thrown if the broker could not be reached, or the connection broke. It is unknown whether the request took effect.
 */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

export interface Body {
  readonly type: string;
  readonly data: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** The longest wait for the answer, in milliseconds. @default 30000 */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

export class HttpClient {
  readonly #baseUrl: string;
  readonly #fetch: Fetch;

  constructor(baseUrl: string, fetch: Fetch) {
    this.#baseUrl = baseUrl;
    this.#fetch = fetch;
  }

  /**
   * Sends a request and returns its answer. @throws BrokerError with the problem's code; ConnectionError if there was
   * no answer; the signal's reason.
   */
  async request<T>(
    method: string,
    path: string,
    body?: Body,
    { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: RequestOptions = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    const controller = new AbortController();
    const abort = () => controller.abort();
    signal?.addEventListener("abort", abort);
    const timer = setTimeout(abort, timeoutMs);
    let status: number;
    let text: string;
    try {
      const response = await this.#fetch(new URL(path, this.#baseUrl).href, {
        method,
        headers: body ? { "content-type": body.type, ...body.headers } : {},
        ...(body && { body: body.data }),
        signal: controller.signal,
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      const reason = controller.signal.aborted ? `for ${timeoutMs} ms` : reasonOf(error);
      throw new ConnectionError(`no answer from ${this.#baseUrl}: ${reason}`, { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
    const parsed = parseJson(text);
    const isJson = status < 300 && Object(parsed) === parsed; // It must be an object or a list.
    if (isJson || status === NO_CONTENT) return parsed as T;
    throw (
      brokerError(parsed) ??
      new ConnectionError(
        // Proxies in front of a broker send these.
        `HTTP ${status}: ${status === 401 || status === 403 ? "no access" : NO_BROKER}`,
      )
    );
  }
}

const NO_CONTENT = 204;
const NO_BROKER = "not a Rivulet broker";

/**
 * Checks a number that every answer of its kind has. @throws ConnectionError if it is missing: the answer comes from
 * another server.
 */
export function answered(number: unknown): void {
  if (!Number.isSafeInteger(number)) throw new ConnectionError(NO_BROKER);
}

export function jsonBody(value: unknown): Body {
  return { type: "application/json", data: JSON.stringify(value) };
}

/** Parses JSON. Returns undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {}
  return undefined;
}

/** Returns the broker's error in a problem or an error message, or null if there is none. */
export function brokerError(body: unknown): BrokerError | null {
  // The remaining fields are the data of the error.
  const { code, detail, type, title, status, errorCode, requestId, retriable, ...data } = Object(
    body,
  ) as Record<string, unknown>;
  return isErrorName(code)
    ? new BrokerError(code, detail as string, { data, retriable: retriable as boolean })
    : null;
}

/** Returns the reason of an error. The message of `fetch` is only "fetch failed", and its cause has the reason. */
function reasonOf(error: unknown): string {
  const { cause, message } = Object(error) as { cause?: Error; message?: string };
  return cause?.message || message || String(error);
}
